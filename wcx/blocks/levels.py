"""Levels: the integers whose bits are the planes of a UniformRule or a BitRule, a byte of them at a time.

The definition in NumPy: numpy_kernels.py counts by it, and kernels.py gets its tables from it. All arithmetic is in
float32, without a fused operation: a code's number is rounded to float32 first, as torch's .float() does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.decode import float32_values
from wcx.core.dtypes import BitRule, DType, UniformRule

Unsigned = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """Planes first .. first + planes, and the source of their levels.

    source: one element a weight, codes of 1 or 2 bytes whose levels are in a table, or float32 numbers whose levels are
    computed.
    """

    source: Unsigned
    tables: NDArray[np.uint8]
    first: int
    planes: int


NO_TABLES = np.zeros((1, 1), np.uint8)


def parts(codes: Unsigned, dtype: DType, cut: UniformRule | BitRule, tables: NDArray[np.uint8]) -> Iterator[Part]:
    """Yield the planes of raw codes and their sources; tables: as tables_of gives them."""
    if codes.itemsize <= 2:
        yield Part(codes, tables, 0, cut.bits)
    elif isinstance(cut, UniformRule):
        yield Part(float32_values(codes, dtype), tables, 0, cut.bits)
    else:
        places = codes.view(np.uint8).reshape(-1, codes.itemsize)
        for place in range(codes.itemsize):
            yield Part(np.ascontiguousarray(places[:, place]), tables[place : place + 1], 8 * place, 8)


def every_code(dtype: DType) -> Unsigned:
    """Return all codes of one or two bytes, those that a dtype of fewer bits has not included."""
    return np.arange(256, dtype=np.uint8) if dtype.bits <= 8 else np.arange(1 << 16, dtype=np.uint16)


def levels_of(numbers: Floats, cut: UniformRule) -> NDArray[np.uint16]:
    """Return clamp(round_half_even((w - lo) / delta), 0, 2^bits - 1), NaN as 0; all 0 where delta is 0.

    >>> levels_of(np.array([-9, 0, 0.5, 1.5, 2.5, np.inf, np.nan], np.float32), UniformRule(8, 0.0, 1.0)).tolist()
    [0, 0, 0, 2, 2, 255, 0]
    """
    if cut.delta == 0:
        return np.zeros(numbers.shape, np.uint16)
    with np.errstate(all="ignore"):
        steps = numbers - np.float32(cut.lo)
        steps /= np.float32(cut.delta)
        np.fmax(steps, np.float32(0), out=steps)  # of a NaN and a number it is the number
        np.minimum(steps, np.float32((1 << cut.bits) - 1), out=steps)
        levels: NDArray[np.uint16] = np.rint(steps, out=steps).astype(np.uint16)
    return levels


def tables_of(dtype: DType, cut: UniformRule | BitRule) -> NDArray[np.uint8]:
    """Return the levels of every code, byte for byte: uint8 [bytes of a level, codes].

    Codes of 4 and 8 bytes have none, and for their own bits one that takes each byte of a code for itself.
    """
    if isinstance(cut, BitRule):
        return _tables_of_bits(dtype)
    if dtype.bits > 16:
        return NO_TABLES
    return _bytes_of(levels_of(float32_values(every_code(dtype), dtype), cut), cut.bits)


def _bytes_of(levels: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    return np.stack([(levels >> shift & 255).astype(np.uint8) for shift in range(0, bits, 8)])


@cache
def _tables_of_bits(dtype: DType) -> NDArray[np.uint8]:
    """Return codes as they are; of signed types the highest bit inverted."""
    highest = 1 << (dtype.bits - 1) if dtype.kind == "signed" else 0
    if dtype.bits <= 16:
        return _bytes_of(every_code(dtype) ^ np.uint16(highest), dtype.bits)
    tables = np.tile(np.arange(256, dtype=np.uint8), (dtype.bits // 8, 1))
    tables[-1] ^= np.uint8(highest >> (dtype.bits - 8))
    return tables
