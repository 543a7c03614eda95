"""Layouts: how a tensor of any rank becomes the matrix whose blocks are counted. Shapes only, no data.

Source of `rows`: the flattening of QuBD (Bakhtiarifard et al., arXiv 2605.15551, `flatten_ablation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

__all__ = ["matrix_shape"]


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return rows and columns of the matrix that the layout `rows` makes of a tensor: [d0, d1 * d2 * ...].

    The matrix is the tensor's C order read row by row, so nothing moves in memory. Raises ValueError below two
    dimensions, which have no matrix.

    >>> matrix_shape([64, 3, 7, 7])
    (64, 147)
    """
    if len(shape) < 2:
        raise ValueError(f"a tensor of {len(shape)} dimensions has no matrix")
    return shape[0], prod(shape[1:])
