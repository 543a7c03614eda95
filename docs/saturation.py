"""Make the table of docs/measures.md: expected BDM of independent random bits, exactly, by size and density.

    python docs/saturation.py
    python docs/saturation.py --svg > docs/saturation.svg

A block with k ones has the chance q = p^k (1 - p)^(16 - k); its count over B independent blocks is binomial (B, q), and
E[bdm] = sum over blocks of CTM P(n > 0) + E[log2 n; n > 0]. Only the 17 classes of blocks by ones matter.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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


CURVES = ((0.5, "#1b6ca8", "fair signs"), (0.7, "#c2571a", "density 0.7"))
LEFT, TOP, WIDTH, HEIGHT = 60, 40, 520, 260
SMALLEST, LARGEST, TALLEST = 5, 14, 2.0  # log2 of the sides; bits per weight


def place(side: float, bits: float) -> tuple[float, float]:
    """Where a point of the picture lies."""
    across = (log2(side) - SMALLEST) / (LARGEST - SMALLEST)
    return LEFT + WIDTH * across, TOP + HEIGHT * (1 - bits / TALLEST)


def text(x: float, y: float, words: str, more: str = "") -> str:
    """A label."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{words}</text>'


def picture() -> Iterator[str]:
    """The lines of an SVG: expected bdm per weight by size, for two densities."""
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 370" font-family="sans-serif" font-size="13">'
    yield '<rect width="620" height="370" fill="white"/>'
    yield text(LEFT, 22, "Expected BDM per weight of independent random bits, by size", 'font-weight="bold"')
    for exponent in range(6, LARGEST + 1, 2):
        x, y = place(2**exponent, 0)
        yield f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 5}" stroke="black"/>'
        yield text(x, y + 20, f"{2**exponent}", 'text-anchor="middle"')
    yield text(LEFT + WIDTH / 2, TOP + HEIGHT + 42, "side of the matrix", 'text-anchor="middle"')
    for bits in (0.0, 0.5, 1.0, 1.5, 2.0):
        x, y = place(2**SMALLEST, bits)
        yield f'<line x1="{x}" y1="{y}" x2="{x + WIDTH}" y2="{y}" stroke="{"#dddddd" if bits else "black"}"/>'
        yield text(x - 8, y + 4, f"{bits}", 'text-anchor="end"')
    middle = TOP + HEIGHT / 2
    yield text(18, middle, "bits per weight", f'text-anchor="middle" transform="rotate(-90 18 {middle})"')
    x, y = place(1024, 0)
    yield f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{TOP}" stroke="#888888" stroke-dasharray="4 4"/>'
    yield text(x + 6, TOP + 16, "65,536 blocks, as many as", 'fill="#666666"')
    yield text(x + 6, TOP + 32, "there are different ones", 'fill="#666666"')
    for number, (density, color, name) in enumerate(CURVES):
        sides = [2 ** (exponent / 4) for exponent in range(4 * SMALLEST, 4 * LARGEST + 1)]
        values = [expected_bdm(round(side * side / 16), density) / side**2 for side in sides]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, sides, values))
        yield f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>'
        yield text(LEFT + 16, TOP + HEIGHT - 44 + 20 * number, name, f'fill="{color}"')
    yield "</svg>"


def main() -> None:
    """Print the table, or the picture."""
    if "--svg" in sys.argv:
        print("\n".join(picture()))
        return
    print("| side | load | bits per weight, fair signs | density 0.7, of the fair ones |\n|---|---|---|---|")
    for side in SIDES:
        blocks = side * side // 16
        fair, uneven = expected_bdm(blocks, 0.5), expected_bdm(blocks, 0.7)
        bits = f"{fair / side**2:.4f}" if fair < side**2 / 10 else f"{fair / side**2:.3f}"
        print(f"| {side} | {blocks / 65536:.3g} | {bits} | {100 * uneven / fair:.0f} % |")


if __name__ == "__main__":
    main()
