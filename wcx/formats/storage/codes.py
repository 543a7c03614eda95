"""The few numbers that describe other tensors, such as zero points and scales: from bytes by wcx.core.decode."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from wcx.core.dtypes import DTYPES, DType

if TYPE_CHECKING:
    from numpy.typing import NDArray


def integers_of(raw: bytes, dtype: str, *, big_endian: bool = False) -> tuple[int, ...]:
    """Return the integers that bytes hold; of 2 or 4 bits those in the low bits of a byte first."""
    from wcx.core.decode import integer_values

    return tuple(integer_values(_codes(raw, DTYPES[dtype], big_endian=big_endian), DTYPES[dtype]).tolist())


def float_of(raw: bytes, dtype: str) -> float | None:
    """Return the one float that bytes hold; None where it is not finite."""
    from wcx.core.decode import float64_values

    value = float(float64_values(_codes(raw, DTYPES[dtype]), DTYPES[dtype])[0])
    return value if isfinite(value) else None


def _codes(raw: bytes, dtype: DType, *, big_endian: bool = False) -> NDArray[Any]:
    import numpy as np

    from wcx.core.decode import unpack

    if dtype.bits < 8:
        return unpack(np.frombuffer(raw, np.uint8), dtype.bits, 0, len(raw) * 8 // dtype.bits)
    width = dtype.bits // 8
    return np.frombuffer(raw, f"{'>' if big_endian else '<'}u{width}").astype(f"u{width}")
