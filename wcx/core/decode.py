"""Raw codes to numbers: what the stored bits of every real dtype stand for.

Sources: IEEE 754-2019; Micikevicius et al., arXiv 2209.05433 (E4M3, E5M2); OCP Microscaling Formats 1.0 (E8M0, E3M2,
E2M3, E2M1); the FNUZ forms as in ONNX 1.14.
"""

from __future__ import annotations

from functools import cache
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.dtypes import DTYPES, DType

_SMALL = {  # bits of the exponent and of the fraction, bias
    "F8_E4M3": (4, 3, 7),
    "F8_E5M2": (5, 2, 15),
    "F8_E4M3FNUZ": (4, 3, 8),
    "F8_E5M2FNUZ": (5, 2, 16),
    "F6_E2M3": (2, 3, 1),
    "F6_E3M2": (3, 2, 3),
    "F4": (2, 1, 1),
}


def numbers(codes: NDArray[Any], dtype: DType) -> NDArray[np.float64]:
    """Return the numbers that codes stand for as float64: exact, but for 64-bit integers beyond 2^53.

    Integers are their codes, whatever zero point and scale go with them. E8M0 are powers of two, BOOL is 0 or 1.
    """
    if dtype.kind == "float" and dtype.bits >= 16:
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            found: NDArray[np.float64] = _wide_floats(codes, dtype).astype(np.float64)
        return found
    if dtype.kind in ("float", "scale"):
        small: NDArray[np.float64] = _table(dtype.name)[codes]
        return small
    return _integers(codes, dtype).astype(np.float64)


def plain_numbers(codes: NDArray[Any], dtype: DType) -> list[float | int | None]:
    """Return the numbers for a report: integers whole, None for what is not finite."""
    if dtype.kind in ("float", "scale"):
        return [value if abs(value) < inf else None for value in numbers(codes, dtype).tolist()]
    whole: list[float | int | None] = _integers(codes, dtype).tolist()
    return whole


def _wide_floats(codes: NDArray[Any], dtype: DType) -> NDArray[Any]:
    if dtype.name == "BF16":
        single: NDArray[np.uint32] = codes.astype(np.uint32) << np.uint32(16)
        return single.view(np.float32)
    floats: NDArray[Any] = np.ascontiguousarray(codes).view(np.dtype(f"<f{dtype.bits // 8}"))
    return floats


def _integers(codes: NDArray[Any], dtype: DType) -> NDArray[Any]:
    if dtype.kind == "bool":
        true: NDArray[Any] = np.not_equal(codes, 0).astype(np.uint8)
        return true
    if dtype.kind == "unsigned":
        return codes
    unused = 8 * codes.itemsize - dtype.bits  # of a byte that holds 2 or 4 bits
    signed: NDArray[Any] = (codes << unused).view(codes.dtype.str.replace("u", "i"))
    shifted: NDArray[Any] = signed >> unused
    return shifted


@cache
def _table(name: str) -> NDArray[np.float64]:
    """The numbers of all codes of a dtype of at most 8 bits."""
    dtype = DTYPES[name]
    table = np.array([_number(code, dtype) for code in range(1 << dtype.bits)])
    table.flags.writeable = False
    return table


def _number(code: int, dtype: DType) -> float:
    if dtype.kind == "scale":
        return nan if code in dtype.nonfinite else 2.0 ** (code - 127)
    exponent_bits, fraction_bits, bias = _SMALL[dtype.name]
    fraction = code & (1 << fraction_bits) - 1
    exponent = code >> fraction_bits & (1 << exponent_bits) - 1
    sign = -1.0 if code >> (exponent_bits + fraction_bits) else 1.0
    if code in dtype.nonfinite:
        return sign * inf if dtype.name == "F8_E5M2" and not fraction else nan
    significand = fraction + ((1 << fraction_bits) if exponent else 0)
    return float(sign * significand * 2.0 ** (max(exponent, 1) - bias - fraction_bits))


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
