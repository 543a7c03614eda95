"""Raw codes to numbers, in one place: the bits of every real dtype as floats or as integers.

Codes that NumPy has a type for are viewed as that type; codes of up to 8 bits that it has none for go through a table
of `DType.value`, and BF16 is the upper half of F32. Codes are arrays of unsigned integers of any shape, one a number.
"""

from __future__ import annotations

from functools import cache
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.dtypes import DType

Codes = NDArray[Any]
_NATIVE = {"float": "f", "signed": "i", "unsigned": "u"}


def native_view(codes: Codes, dtype: DType) -> NDArray[Any]:
    """View codes as the NumPy type of the same bits: floats of 16, 32 or 64 bits but BF16, integers of 8 or more.

    >>> from wcx.core.dtypes import DTYPES
    >>> native_view(np.array([0xBF800000], np.uint32), DTYPES["F32"]).tolist()
    [-1.0]
    """
    return codes.view(f"<{_NATIVE[dtype.kind]}{codes.itemsize}")


def float64_values(codes: Codes, dtype: DType) -> NDArray[np.float64]:
    """Return the numbers of codes as float64: exact, but for 64-bit integers beyond 2^53.

    Integers are their codes, whatever zero point and scale go with them. E8M0 are powers of two, BOOL is 0 or 1.

    >>> from wcx.core.dtypes import DTYPES
    >>> float64_values(np.array([0x38, 0xFF], np.uint8), DTYPES["F8_E4M3"]).tolist()
    [1.0, nan]
    """
    if _by_table(dtype):
        return _table(dtype, np.float64)[codes]
    numbers = _bfloat16(codes) if dtype.name == "BF16" else native_view(codes, dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return numbers.astype(np.float64)


def float32_values(codes: Codes, dtype: DType) -> NDArray[np.float32]:
    """Return the numbers of codes as float32, those of 64 bits and large integers rounded once.

    NaNs keep their payloads as in torch: those of F32 and BF16 bit by bit, those of F16 and F64 made quiet.

    >>> from wcx.core.dtypes import DTYPES
    >>> float32_values(np.array([0x3F80, 0xFF80], np.uint16), DTYPES["BF16"]).tolist()
    [1.0, -inf]
    """
    if dtype.name == "BF16":
        return _bfloat16(codes)
    if _by_table(dtype):
        return _table(dtype, np.float32)[codes]
    numbers = native_view(codes, dtype)
    with np.errstate(all="ignore"):  # a signalling NaN, a double beyond float32
        if dtype.name == "F16":
            numbers = numbers.astype(np.float64)  # NumPy's own F16 to F32 may leave a NaN as it is
        return numbers.astype(np.float32, copy=False)


def integer_values(codes: Codes, dtype: DType) -> NDArray[np.integer]:
    """Return the numbers of integer or boolean codes as integers that hold them.

    >>> from wcx.core.dtypes import DTYPES
    >>> integer_values(np.array([7, 8, 15], np.uint8), DTYPES["I4"]).tolist()
    [7, -8, -1]
    """
    return _table(dtype, np.int8)[codes] if _by_table(dtype) else native_view(codes, dtype)


def plain_values(codes: Codes, dtype: DType) -> list[float | int | None]:
    """Return the numbers of a row of codes for a report: integers whole, None for NaN and infinity."""
    if dtype.kind in ("float", "scale"):
        return [value if isfinite(value) else None for value in float64_values(codes, dtype).tolist()]
    whole: list[float | int | None] = integer_values(codes, dtype).tolist()
    return whole


def _bfloat16(codes: Codes) -> NDArray[np.float32]:
    wide: NDArray[np.uint32] = codes.astype(np.uint32) << np.uint32(16)
    return wide.view(np.float32)


def _by_table(dtype: DType) -> bool:
    """Return True for the dtypes that NumPy lacks, all of at most 8 bits, and for BOOL."""
    return dtype.bits < 8 or (dtype.bits == 8 and dtype.kind not in ("signed", "unsigned"))


@cache
def _table(dtype: DType, kind: Any) -> NDArray[Any]:  # noqa: ANN401
    """Return the number of each byte; 0 for bytes that are not codes of a dtype of fewer than 8 bits."""
    table = np.zeros(256, kind)
    table[: 1 << dtype.bits] = [dtype.value(code) for code in range(1 << dtype.bits)]
    table.flags.writeable = False
    return table


def unpack(packed: NDArray[np.uint8], bits: int, skipped: int, number: int) -> NDArray[np.uint8]:
    """Return `number` codes of 2, 4 or 6 bits as uint8, `skipped` bits after the beginning of `packed`.

    >>> unpack(np.array([0x21, 0x43], np.uint8), 4, 4, 3).tolist()
    [2, 3, 4]
    """
    if bits == 4:
        codes = np.empty((packed.size, 2), np.uint8)
        codes[:, 0] = packed & 15
        codes[:, 1] = packed >> 4
        start = skipped // 4
        return codes.reshape(-1)[start : start + number]
    stream = np.unpackbits(packed, bitorder="little")[skipped : skipped + number * bits]
    spread = np.zeros((number, 8), np.uint8)
    spread[:, :bits] = stream.reshape(number, bits)
    return np.packbits(spread, axis=1, bitorder="little").reshape(-1)
