"""The bits of planes, from raw codes: for a plane that is stored, compressed or shown instead of counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.levels import levels_of
from wcx.blocks.numpy_kernels import inside
from wcx.core.decode import float32_values
from wcx.core.dtypes import BitRule, DType, PlaneRule, UniformRule


def bits_of(codes: NDArray[Any], dtype: DType, cut: PlaneRule, planes: Sequence[int]) -> Iterator[NDArray[np.bool_]]:
    """Yield the bits of some planes, given by number, of any array of raw codes.

    >>> from wcx.core.dtypes import DTYPES
    >>> [bits.tolist() for bits in bits_of(np.array([1, 0, 200], np.uint8), DTYPES["I8"], BitRule(8), [0, 7])]
    [[True, False, False], [True, True, False]]
    """
    if isinstance(cut, tuple):
        for plane in planes:
            some = cut[plane]
            yield inside(codes, np.array([some.first, some.length, some.second_first, some.second_length], np.uint64))
    elif planes:
        numbers = _numbers(codes, dtype, cut)
        for plane in planes:
            yield (numbers >> numbers.dtype.type(plane) & numbers.dtype.type(1)).astype(bool)


def _numbers(codes: NDArray[Any], dtype: DType, cut: UniformRule | BitRule) -> NDArray[Any]:
    """Return the numbers whose bits are the planes."""
    if isinstance(cut, UniformRule):
        return levels_of(float32_values(codes, dtype), cut)
    return codes ^ codes.dtype.type(1 << (dtype.bits - 1)) if dtype.kind == "signed" else codes
