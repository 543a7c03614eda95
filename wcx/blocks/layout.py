"""Layouts: tensors of any rank to the matrices whose blocks are counted. Shapes only, no data.

Every layout is a permutation of the axes, and then the C order of the permuted tensor cut into rows. Source: the
flattenings of QuBD (Bakhtiarifard et al., arXiv 2605.15551, `flatten_ablation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, prod

LAYOUTS = {
    "rows": "[d0, d1*d2*...]",
    "in-channel-rows": "axes 0 and 1 exchanged, then rows",
    "channels-last": "[d0, d2*d3*...*d1]",
    "mosaic": "row = out*H + h, column = in*W + w",
    "square": "as square as the number of weights can be cut",
    "flat": "one row, for strings of 12",
}
"""Every layout, and its effect."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The matrix of a tensor. axes: the permutation of its axes, or None where nothing moves in memory."""

    rows: int
    columns: int
    axes: tuple[int, ...] | None = None


def arrange(shape: Sequence[int], layout: str = "rows") -> Arrangement:
    """Return the matrix of a tensor under a layout; raise ValueError, with the reason, where it has none.

    >>> arrange([64, 3, 7, 7])
    Arrangement(rows=64, columns=147, axes=None)
    >>> arrange([64, 3, 7, 5], "mosaic")
    Arrangement(rows=448, columns=15, axes=(0, 2, 1, 3))
    """
    rank, size = len(shape), prod(shape)
    if layout == "flat":
        return Arrangement(1, size)
    if rank < 2:
        raise ValueError("1-D")
    if layout == "square":
        rows = next((number for number in range(isqrt(size), 0, -1) if size % number == 0), 1)
        return Arrangement(rows, size // rows)
    if layout == "in-channel-rows":
        return _moved(shape, (1, 0, *range(2, rank)), 1)
    if layout == "channels-last":
        return _moved(shape, (0, *range(2, rank), 1), 1)
    if layout == "mosaic" and rank > 4:
        raise ValueError(f"{rank}-D, which has no mosaic")
    if layout == "mosaic" and rank == 4:
        return _moved(shape, (0, 2, 1, 3), 2)
    return Arrangement(shape[0], size // shape[0] if size else prod(shape[1:]))


def _moved(shape: Sequence[int], axes: tuple[int, ...], heads: int) -> Arrangement:
    """Return the matrix of the axes in a new order, of which the first `heads` make the rows."""
    moved = [shape[axis] for axis in axes]
    same = [axis for axis in axes if shape[axis] > 1]  # axes of one element move nothing
    return Arrangement(prod(moved[:heads]), prod(moved[heads:]), None if same == sorted(same) else axes)
