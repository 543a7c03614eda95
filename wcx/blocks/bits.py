"""The bits of planes, from raw codes: what is stored, compressed or shown of a plane, as opposed to counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.plain import inside
from wcx.dtypes import Cut

__all__ = ["bits_of"]


def bits_of(codes: NDArray[Any], cut: Cut, planes: Sequence[int]) -> Iterator[NDArray[np.bool_]]:
    """Yield the bits of some planes, given by number, of any array of raw codes.

    >>> [bits.tolist() for bits in bits_of(np.array([1, 0, 200], np.uint8), (Codes(1, 127), Codes(128, 128)), [1])]
    [[False, False, True]]
    """
    if not isinstance(cut, tuple):
        raise NotImplementedError
    for plane in planes:
        some = cut[plane]
        yield inside(codes, np.array([some.first, some.length, some.second_first, some.second_length], np.uint64))
