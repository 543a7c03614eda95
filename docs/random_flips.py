"""Make the table of docs/learning-as-compression.md: how well do random flips of signs track a real loss?

    python docs/random_flips.py

The control for a correlation between the signs' complexity and the loss. From the signs at initialisation, in each
layer and epoch as many signs flip as in the real run, at places drawn at random: a walk that learns nothing. Its pooled
BDM and block entropy are set against the train loss of the real run, as those of the real signs are.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.ndimage import gaussian_filter1d

from wcx.measures.tables import load_table

RUNS = Path(__file__).parent.parent / "sample_models" / "digits_bnn"
LAYERS = ("fc1.weight", "fc2.weight", "fc3.weight")
WALKS = 200

Series = NDArray[np.float64]


def smoothed(values: Series) -> Series:
    """As --smooth sakabe, but for the scaling to [0, 1], which no correlation sees."""
    return gaussian_filter1d(np.log1p(values), 1)


VALUES: dict[str, Callable[[Series], Series]] = {"raw": np.array, "smoothed": smoothed, "differences": np.diff}


def signs_of(run: Path) -> list[list[NDArray[np.bool_]]]:
    """The signs of each layer, epoch by epoch, as `-q sign` takes them."""
    checkpoints = [load_file(path) for path in sorted(run.glob("epoch_*.safetensors"))]
    return [[checkpoint[name] > 0 for name in LAYERS] for checkpoint in checkpoints]


def blocks_of(planes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The codes of the whole 4x4 blocks of [walks, rows, columns], as [walks, blocks]."""
    walks, rows, columns = planes.shape
    whole = planes[:, : rows // 4 * 4, : columns // 4 * 4].reshape(walks, rows // 4, 4, columns // 4, 4)
    return whole.swapaxes(2, 3).reshape(walks, -1, 16) @ (1 << np.arange(15, -1, -1))


def measured(layers: list[NDArray[np.bool_]]) -> Series:
    """Pooled BDM and block entropy of each walk, as [walks, 2]."""
    blocks = np.concatenate([blocks_of(layer) for layer in layers], axis=1)
    found = []
    for row in blocks:
        codes, counts = np.unique(row, return_counts=True)
        logs = np.log2(counts)
        entropy = np.log2(len(row)) - (counts * logs).sum() / len(row)
        found.append((load_table("4x4").values[codes].sum() + logs.sum(), entropy))
    return np.array(found)


def random_flips(signs: list[list[NDArray[np.bool_]]], seed: int) -> Series:
    """BDM and block entropy of walks that flip as many signs as the run did, as [walks, epochs, 2]."""
    draws = np.random.default_rng(seed)
    layers = [np.repeat(layer[None], WALKS, axis=0) for layer in signs[0]]
    series = [measured(layers)]
    for before, after in pairwise(signs):
        for layer, old, new in zip(layers, before, after, strict=True):
            flips = int((old != new).sum())
            order = draws.random((WALKS, old.size)).argpartition(flips, axis=1)[:, :flips]
            flat = layer.reshape(WALKS, -1)
            np.put_along_axis(flat, order, ~np.take_along_axis(flat, order, axis=1), axis=1)
        series.append(measured(layers))
    return np.stack(series, axis=1)


def correlations(series: Series, loss: Series, of: Callable[[Series], Series]) -> Series:
    """Pearson's r with the loss of BDM, of block entropy, and their difference, as [walks, 3]."""
    pairs = [[np.corrcoef(of(walk[:, place]), of(loss))[0, 1] for place in (0, 1)] for walk in series]
    return np.array([(bdm, entropy, bdm - entropy) for bdm, entropy in pairs])


def main() -> None:
    """Print the table."""
    print("| seed | values | BDM | random flips | block entropy | random flips | BDM - entropy | random flips |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in range(3):
        run = RUNS / f"seed_{seed}"
        with (run / "log.csv").open(newline="") as log:
            loss = np.array([float(row["train_loss"]) for row in csv.DictReader(log)])
        signs = signs_of(run)
        real = np.stack([measured([layer[None] for layer in epoch]) for epoch in signs], axis=1)
        walks = random_flips(signs, seed)
        for name, of in VALUES.items():
            low, high = np.percentile(correlations(walks, loss, of), (2.5, 97.5), axis=0)
            cells = zip(correlations(real, loss, of)[0], low, high, strict=True)
            print(f"| {seed} | {name} |", " | ".join(f"{r:.2f} | {a:.2f} to {b:.2f}" for r, a, b in cells), "|")


if __name__ == "__main__":
    main()
