"""Remainders: what fills no block, cut into smaller ones: the boundary `recursive`.

A left-over of a by b cells is cut into squares of side min(a, b), what these leave over again, and so on down to the
least side; a left-over of a string is a string. Remainders are few, so plain NumPy does. Source: pybdm 0.1.0,
PartitionRecursive, of which this is the same recursion for many left-overs of one shape at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIDE = 4
_STRING = 12


def remainders_of(codes: NDArray[Any], *, strings: bool = False) -> list[NDArray[Any]]:
    """Return the left-overs of a matrix that no 4x4 block has: arrays [n, a, b], of one shape each.

    codes: [rows, columns]; strings: one row, of which what fills no string of 12 is left.

    >>> [part.shape for part in remainders_of(np.zeros((10, 19)))]
    [(2, 4, 3), (4, 2, 4), (1, 2, 3)]
    """
    if strings:
        whole = codes.shape[1] // _STRING * _STRING
        return [codes[np.newaxis, :, whole:]] if whole < codes.shape[1] else []
    rows, columns = (size // _SIDE * _SIDE for size in codes.shape)
    below, right = codes.shape[0] - rows, codes.shape[1] - columns
    parts = [
        codes[:rows, columns:].reshape(rows // _SIDE, _SIDE, right),
        codes[rows:, :columns].reshape(below, columns // _SIDE, _SIDE).swapaxes(0, 1),
        codes[np.newaxis, rows:, columns:],
    ]
    return [np.ascontiguousarray(part) for part in parts if part.size]


def smaller_blocks(bits: NDArray[np.bool_], least: int, *, strings: bool = False) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield sides and codes (int64) of the blocks that left-overs of one shape are cut into.

    bits: [n, a, b]; strings: a = 1, and b is the side. Cell (r, c) of a block of side s is bit s r + c of its code.
    """
    height, width = bits.shape[1:]
    side = width if strings else min(height, width)
    if side < least:
        return
    if strings or height == width:
        flat = bits.reshape(bits.shape[0], -1)
        yield side, flat @ (1 << np.arange(flat.shape[1], dtype=np.int64))
        return
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield from smaller_blocks(bits[:, top : top + side, left : left + side], least)
