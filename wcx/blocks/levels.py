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

from wcx.core.dtypes import BitRule, DType, UniformRule

Unsigned = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """Planes first .. first + planes, and what their levels are made of.

    source: one element a weight, codes of 1 or 2 bytes whose levels stand in a table, or float32 numbers whose levels
    are computed.
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
        yield Part(floats_of(codes, dtype), tables, 0, cut.bits)
    else:
        places = codes.view(np.uint8).reshape(-1, codes.itemsize)
        for place in range(codes.itemsize):
            yield Part(np.ascontiguousarray(places[:, place]), tables[place : place + 1], 8 * place, 8)


def floats_of(codes: Unsigned, dtype: DType) -> Floats:
    """The numbers that codes of 1, 2, 4 or 8 bytes spell, as float32; those of 64 bits rounded once.

    >>> from wcx.core.dtypes import DTYPES
    >>> floats_of(np.array([0x3F80, 0xFF80], np.uint16), DTYPES["BF16"]).tolist()
    [1.0, -inf]
    """
    if codes.itemsize <= 2:
        return _every_float(dtype)[codes]
    kind = {"float": "f", "signed": "i"}.get(dtype.kind, "u")
    with np.errstate(all="ignore"):  # a signalling NaN, a double beyond float32
        return codes.view(f"<{kind}{codes.itemsize}").astype(np.float32, copy=False)


@cache
def _every_float(dtype: DType) -> Floats:
    """The number of each code of up to 16 bits; what is no code of fewer than 8 bits is 0."""
    if dtype.bits <= 8:
        numbers = [dtype.value(code) for code in range(1 << dtype.bits)]
        return np.array(numbers + [0.0] * (256 - len(numbers)), np.float32)
    codes = np.arange(1 << 16, dtype=np.uint16)
    if dtype.name == "BF16":
        return (codes.astype(np.uint32) << 16).view(np.float32)
    kind = {"float": "f2", "signed": "i2"}.get(dtype.kind, "u2")
    with np.errstate(invalid="ignore"):
        return codes.view(kind).astype(np.float32)


def levels_of(numbers: Floats, cut: UniformRule) -> NDArray[np.uint16]:
    """clamp(round_half_even((w - lo) / delta), 0, 2^bits - 1), NaN as 0; all 0 where delta is 0.

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
    """The levels of every code, byte for byte: uint8 [bytes of a level, codes].

    Codes of 4 and 8 bytes have none, and for their own bits one that takes each byte of a code for itself.
    """
    if isinstance(cut, BitRule):
        return _tables_of_bits(dtype)
    if dtype.bits > 16:
        return NO_TABLES
    return _bytes_of(levels_of(_every_float(dtype), cut), cut.bits)


def _bytes_of(levels: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    return np.stack([(levels >> shift & 255).astype(np.uint8) for shift in range(0, bits, 8)])


@cache
def _tables_of_bits(dtype: DType) -> NDArray[np.uint8]:
    """Codes as they are; of signed types the highest bit inverted."""
    highest = 1 << (dtype.bits - 1) if dtype.kind == "signed" else 0
    if dtype.bits <= 16:
        codes = np.arange(1 << max(8, dtype.bits), dtype=np.uint16)
        return _bytes_of(codes ^ np.uint16(highest), dtype.bits)
    tables = np.tile(np.arange(256, dtype=np.uint8), (dtype.bits // 8, 1))
    tables[-1] ^= np.uint8(highest >> (dtype.bits - 8))
    return tables
