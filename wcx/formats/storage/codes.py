"""The few numbers that describe other tensors, such as zero points and scales: bytes to codes to numbers."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from wcx.core.dtypes import DTYPES, DType

if TYPE_CHECKING:
    from numpy.typing import NDArray


def integers_of(raw: bytes, dtype: str, *, big_endian: bool = False) -> tuple[int, ...]:
    """Return the integers that bytes hold; of 2 or 4 bits those in the low bits of a byte first."""
    from wcx.core.decode import plain_numbers

    kind = DTYPES[dtype]
    codes = _codes(raw, kind, big_endian=big_endian)
    return tuple(value for value in plain_numbers(codes, kind) if isinstance(value, int))


def float_of(raw: bytes, dtype: str) -> float | None:
    """Return the one float that bytes hold; None where it is not finite."""
    from wcx.core.decode import numbers

    kind = DTYPES[dtype]
    value = float(numbers(_codes(raw, kind), kind)[0])
    return value if isfinite(value) else None


def _codes(raw: bytes, dtype: DType, *, big_endian: bool = False) -> NDArray[Any]:
    import numpy as np

    from wcx.core.decode import unpack

    if dtype.bits < 8:
        return unpack(np.frombuffer(raw, np.uint8), dtype.bits, 0, len(raw) * 8 // dtype.bits)
    width = dtype.bits // 8
    return np.frombuffer(raw, f"{'>' if big_endian else '<'}u{width}").astype(f"u{width}")
