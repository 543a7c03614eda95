"""The slow oracle of motifs: blocks as tuples of numbers, counted in a dictionary, projected by comparing all pairs.

Nothing of wcx is imported. A block of (1, s) that is flat cuts the flattened tensor, any other the matrix
[d0, d1 * d2 * ...]; a vector or scalar is one row. Source: Bakhtiarifard et al., arXiv 2602.14896.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import naive
from numpy.typing import NDArray

Cell = Any  # a number; of a NaN its code, as text
Blocks = list[tuple[Cell, ...]]


def cells(codes: NDArray[Any], raw: bytes, dtype: str, shape: Sequence[int]) -> list[Cell]:
    """What is compared: floats by value (so that -0.0 is 0.0), NaNs and integers by their codes."""
    if not (dtype.startswith("F") or dtype == "BF16"):
        return [int(code) for code in codes]
    values = naive.decode(raw, dtype, shape).reshape(-1).tolist()
    return [f"nan {code}" if math.isnan(value) else value for value, code in zip(values, codes.tolist(), strict=True)]


def matrix_shape(shape: Sequence[int], flat: bool) -> tuple[int, int]:
    return (1, math.prod(shape)) if flat or len(shape) < 2 else (shape[0], math.prod(shape[1:]))


def cut(flat_cells: Sequence[Cell], shape: Sequence[int], block: tuple[int, int], flat: bool) -> Blocks:
    """Blocks in the order of their rows and columns, filled up with 0."""
    rows, columns = matrix_shape(shape, flat)
    found = []
    for top in range(0, rows, block[0]):
        for left in range(0, columns, block[1]):
            places = [(r, c) for r in range(top, top + block[0]) for c in range(left, left + block[1])]
            found.append(tuple(flat_cells[r * columns + c] if r < rows and c < columns else 0 for r, c in places))
    return found


def length(counts: Counter[Any], size: int, bits: int) -> int:
    """k s q + m ceil(log2 k)."""
    k, m = len(counts), sum(counts.values())
    number = 0
    while 2**number < k:
        number += 1
    return k * size * bits + m * number


def length_entropy(counts: Counter[Any], size: int, bits: int) -> float:
    """k s q + m H."""
    m = sum(counts.values())
    return len(counts) * size * bits + m * -math.fsum(count / m * math.log2(count / m) for count in counts.values())


def nearest(block: Sequence[float], motifs: Iterable[Sequence[float]]) -> int:
    """The number of the nearest motif, the first of equals."""
    best, found = math.inf, 0
    for number, motif in enumerate(motifs):
        distance = 0.0
        for value, other in zip(block, motif, strict=True):
            distance += (value - other) * (value - other)
        if distance < best:
            best, found = distance, number
    return found
