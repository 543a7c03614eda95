"""Make the table of docs/measures.md: expected BDM of independent random bits, exactly, by size and density.

    python docs/saturation.py

A block with k ones has the chance q = p^k (1 - p)^(16 - k); its count over B independent blocks is binomial (B, q), and
E[bdm] = sum over blocks of CTM P(n > 0) + E[log2 n; n > 0]. Only the 17 classes of blocks by ones matter.
"""

from __future__ import annotations

from math import log2

import numpy as np

from wcx.measures.tables import load_table

SIDES = (64, 256, 1024, 4096, 16384)


def expected_bdm(blocks: int, density: float) -> float:
    """Expected BDM of `blocks` 4x4 blocks of independent bits, in bits."""
    table = load_table("4x4")
    number, total, _ = table.classes
    expected = 0.0
    for ones in range(table.cells + 1):
        chance = density**ones * (1 - density) ** (table.cells - ones)
        weights, counts = binomial(blocks, chance)
        occurs = float(weights[counts > 0].sum())
        logs = float(sum(weight * log2(count) for weight, count in zip(weights, counts, strict=True) if count > 0))
        expected += total[ones] * occurs + number[ones] * logs
    return expected


def binomial(trials: int, chance: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and counts of a binomial distribution, from the mode outward, where the weight is above 1e-20."""
    mode = int((trials + 1) * chance)
    steps = np.arange(int(40 + 12 * (trials * chance) ** 0.5))
    odds = chance / (1 - chance)
    up, down = mode + steps, mode - steps
    above = np.cumprod(np.maximum(trials - up, 0) / (up + 1) * odds)
    below = np.cumprod(np.maximum(down, 0) / (trials - down + 1) / odds)
    weights = np.concatenate([below[::-1], [1.0], above])
    return weights / weights.sum(), np.concatenate([down[::-1] - 1, [mode], up + 1])


def main() -> None:
    """Print the table."""
    print("| side | load | bits per weight, fair signs | density 0.7, of the fair ones |\n|---|---|---|---|")
    for side in SIDES:
        blocks = side * side // 16
        fair, uneven = expected_bdm(blocks, 0.5), expected_bdm(blocks, 0.7)
        bits = f"{fair / side**2:.4f}" if fair < side**2 / 10 else f"{fair / side**2:.3f}"
        print(f"| {side} | {blocks / 65536:.3g} | {bits} | {100 * uneven / fair:.0f} % |")


if __name__ == "__main__":
    main()
