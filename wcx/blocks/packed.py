"""Kept bits: the planes of some codes, packed, so that later ones of the same rows and columns can be compared.

Plane after plane, each in whole words of 64 bits, the first code's bit in the lowest. They are the same whatever the
dtype of the codes and whatever counted them, so a plane of F32 and one of BF16 can be compared. What changed is the XOR
of two planes, and is a plane itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Kept = NDArray[np.uint64]
"""A contiguous array of kept_words(...) words."""


def kept_words(rows: int, columns: int, planes: int) -> int:
    """How many words the kept bits of `rows` x `columns` codes take.

    >>> kept_words(4, 20, 8)
    16
    """
    return planes * (-(-rows * columns // 64))


def as_planes(kept: Kept, rows: int, columns: int, planes: int) -> Kept:
    """Kept bits as [planes, words], the same memory; ValueError where they are not of that size, or not contiguous.

    >>> as_planes(np.zeros(16, np.uint64), 4, 20, 8).shape
    (8, 2)
    """
    if kept.dtype != np.uint64 or not kept.flags.c_contiguous or kept.size != kept_words(rows, columns, planes):
        raise ValueError(f"{kept.size} words of {kept.dtype} are not the bits of {planes} x {rows} x {columns} codes")
    return kept.reshape(planes, kept_words(rows, columns, 1))


def keep(planes: Iterator[NDArray[np.bool_]], kept: Kept) -> None:
    """Write planes of bits of any shape into kept bits, [planes, words].

    >>> kept = np.empty((1, 1), np.uint64)
    >>> keep(iter([np.array([[True, False], [True, True]])]), kept)
    >>> kept.tolist()
    [[13]]
    """
    for words, bits in zip(kept, planes, strict=True):
        packed = np.packbits(bits, bitorder="little")
        nbytes = words.view(np.uint8)
        nbytes[: packed.size] = packed
        nbytes[packed.size :] = 0


def changed_bits(kept: Kept, earlier: Kept, rows: int, columns: int) -> Iterator[NDArray[np.bool_]]:
    """Yield the bits of each plane that differ, [rows, columns]; both are [planes, words].

    >>> [bits.tolist() for bits in changed_bits(*np.array([[[13]], [[12]]], np.uint64), 2, 2)]
    [[[True, False], [False, False]]]
    """
    for now, old in zip(kept, earlier, strict=True):
        changed = np.unpackbits((now ^ old).view(np.uint8), count=rows * columns, bitorder="little")
        yield changed.view(np.bool_).reshape(rows, columns)
