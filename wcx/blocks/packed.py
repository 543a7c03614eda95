"""Packed bits: the planes of some codes, 64 bits a word, for comparison with later ones of the same rows and columns.

Plane after plane, each in whole words of 64 bits, the first code's bit in the lowest. They are the same whatever the
dtype of the codes and whatever counted them, so a plane of F32 and one of BF16 can be compared. The XOR
of two planes is a plane itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PackedBits = NDArray[np.uint64]
"""A contiguous array of packed_words(...) words."""


def packed_words(rows: int, columns: int, planes: int) -> int:
    """Return the number of words that the packed bits of `rows` x `columns` codes take.

    >>> packed_words(4, 20, 8)
    16
    """
    return planes * (-(-rows * columns // 64))


def as_planes(packed: PackedBits, rows: int, columns: int, planes: int) -> PackedBits:
    """View packed bits as [planes, words]; ValueError where they have another size or are not contiguous.

    >>> as_planes(np.zeros(16, np.uint64), 4, 20, 8).shape
    (8, 2)
    """
    if packed.dtype != np.uint64 or not packed.flags.c_contiguous or packed.size != packed_words(rows, columns, planes):
        raise ValueError(
            f"{packed.size} words of {packed.dtype} are not the bits of {planes} x {rows} x {columns} codes"
        )
    return packed.reshape(planes, packed_words(rows, columns, 1))


def pack(planes: Iterator[NDArray[np.bool_]], packed: PackedBits) -> None:
    """Write planes of bits of any shape into packed bits, [planes, words].

    >>> packed = np.empty((1, 1), np.uint64)
    >>> pack(iter([np.array([[True, False], [True, True]])]), packed)
    >>> packed.tolist()
    [[13]]
    """
    for words, bits in zip(packed, planes, strict=True):
        data = np.packbits(bits, bitorder="little")
        nbytes = words.view(np.uint8)
        nbytes[: data.size] = data
        nbytes[data.size :] = 0


def xor_bits(packed: PackedBits, earlier: PackedBits, rows: int, columns: int) -> Iterator[NDArray[np.bool_]]:
    """Yield the bits of each plane that differ, [rows, columns]; both are [planes, words].

    >>> [bits.tolist() for bits in xor_bits(*np.array([[[13]], [[12]]], np.uint64), 2, 2)]
    [[[True, False], [False, False]]]
    """
    for now, old in zip(packed, earlier, strict=True):
        changed = np.unpackbits((now ^ old).view(np.uint8), count=rows * columns, bitorder="little")
        yield changed.view(np.bool_).reshape(rows, columns)
