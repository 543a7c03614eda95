"""Exact arithmetic on raw codes: order keys, sums, and what is made of them once, at the end.

Keys are unsigned integers in the order of the numbers: of floats the sign bit is set where it was clear and all bits
are inverted where it was set, of signed integers the sign bit is inverted. Sums are integers, in units of 2^-1074, the
smallest double; only the finished sum is rounded.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor, inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.dtypes import DType

__all__ = [
    "UNIT",
    "ExactSum",
    "finite_codes",
    "mean_of",
    "order_keys",
    "position",
    "quantile",
    "total_of_values",
    "value_of_key",
]

Codes = NDArray[Any]

UNIT = 1074
"""Sums are in units of 2^-1074."""

_TORCH_LIMIT = 1 << 24
_SHORT = 16
_HALF = 26  # bits of the lower part of a double's fraction: sums of either part stay exact


def finite_codes(codes: Codes, dtype: DType) -> Codes:
    """The codes of finite numbers; of floats of 32 or 64 bits, or of integers."""
    if dtype.kind != "float":
        return codes
    kind = codes.dtype.type
    finite = codes & kind((1 << (dtype.bits - 1)) - 1) < kind(dtype.nonfinite.first)
    return codes if finite.all() else codes[finite]


def order_keys(codes: Codes, dtype: DType) -> Codes:
    """Unsigned integers in the order of the numbers, -0.0 just before 0.

    >>> order_keys(np.array([0xBF800000, 0], np.uint32), DTYPES["F32"]).tolist()
    [1082130431, 2147483648]
    """
    kind = codes.dtype.type
    sign = kind(1 << (dtype.bits - 1))
    if dtype.kind == "float":
        shift = kind(dtype.bits - 1)
        keys: Codes = codes ^ (-(codes >> shift) | sign)
        return keys
    return codes ^ sign if dtype.kind == "signed" else codes


def value_of_key(key: int, dtype: DType) -> float:
    """The number whose order key it is; 0.0 for -0.0.

    >>> value_of_key(1082130431, DTYPES["F32"])
    -1.0
    """
    sign = 1 << (dtype.bits - 1)
    if dtype.kind == "float":
        code = key ^ sign if key & sign else key ^ (2 * sign - 1)
    else:
        code = key ^ sign if dtype.kind == "signed" else key
    return dtype.value(code) + 0.0


class ExactSum:
    """The sum of numbers of 32 or 64 bits, or of their magnitudes, as integers that add without rounding.

    sums: int64 [parts, exponents]: what the lower and the upper part of the significands add up to, by exponent; of
    integers, of the lower and the upper half of their bits. Exact for up to 2^36 numbers.
    """

    def __init__(self, dtype: DType, *, absolute: bool) -> None:
        self._dtype = dtype
        self._absolute = absolute
        exponents = 1 << (dtype.bits - 1 - dtype.mantissa) if dtype.kind == "float" else 1
        self.sums = np.zeros((2 if dtype.bits == 64 else 1, exponents), np.int64)

    def add(self, codes: Codes) -> None:
        """Add some finite numbers: fewer than 2^24 at once."""
        if self._dtype.kind == "float":
            self._add_floats(codes)
        else:
            self._add_integers(codes)

    def _add_floats(self, codes: Codes) -> None:
        kind, mantissa = codes.dtype.type, self._dtype.mantissa
        top = self._dtype.bits - 1
        exponents = (codes >> kind(mantissa)).astype(np.int64)
        negative = exponents >> (top - mantissa)
        exponents &= self.sums.shape[1] - 1
        significands = (codes & kind((1 << mantissa) - 1)).astype(np.int64) + (
            (exponents > 0).astype(np.int64) << mantissa
        )
        parts = [significands] if len(self.sums) == 1 else [significands & (1 << _HALF) - 1, significands >> _HALF]
        for sums, part in zip(self.sums, parts, strict=True):
            signed = part if self._absolute else np.where(negative, -part, part)
            sums += np.bincount(exponents, weights=signed, minlength=sums.size).astype(np.int64)

    def _add_integers(self, codes: Codes) -> None:
        bits = self._dtype.bits
        if self._dtype.kind == "signed":
            numbers = codes.view(f"<i{bits // 8}")
            if self._absolute:  # the magnitude of the smallest number fits the unsigned type only
                codes = np.where(numbers < 0, -codes, codes)
            elif bits == 32:
                self.sums[0, 0] += numbers.sum(dtype=np.int64)
                return
            else:
                self.sums[0, 0] += (codes & codes.dtype.type(2**32 - 1)).sum(dtype=np.int64)
                self.sums[1, 0] += (numbers >> 32).sum(dtype=np.int64)
                return
        self.sums[0, 0] += (codes & codes.dtype.type(2**32 - 1)).sum(dtype=np.int64)
        if bits == 64:
            self.sums[1, 0] += (codes >> codes.dtype.type(32)).sum(dtype=np.int64)

    def total(self) -> int:
        """The sum, in units of 2^-1074."""
        if self._dtype.kind != "float":
            return sum(int(part) << (UNIT + 32 * number) for number, part in enumerate(self.sums[:, 0]))
        least = UNIT - self._dtype.bias - self._dtype.mantissa
        return sum(
            int(self.sums[part, exponent]) << (least + max(int(exponent), 1) + _HALF * int(part))
            for part, exponent in np.argwhere(self.sums)
        )


def total_of_values(values: NDArray[np.float64], counts: NDArray[np.int64]) -> int:
    """The sum of numbers with up to 16 significant bits that occur so often, in units of 2^-1074.

    >>> total_of_values(np.array([0.5, -3.0]), np.array([2, 1])) == -2 << 1074
    True
    """
    fractions, exponents = np.frexp(values)
    least = int(exponents.min())
    sums = np.zeros(int(exponents.max()) - least + 1, np.int64)
    np.add.at(sums, exponents - least, (fractions * (1 << _SHORT)).astype(np.int64) * counts)
    return sum(int(part) << (UNIT + least + number - _SHORT) for number, part in enumerate(sums) if part)


def mean_of(total: int, number: int) -> float:
    """A sum in units of 2^-1074, rounded to the nearest double, over a number.

    Where the sum is beyond the largest double, the exact quotient rounded.

    >>> mean_of(3 << 1074, 2)
    1.5
    """
    try:
        return total / (1 << UNIT) / number
    except OverflowError:
        return total / (number << UNIT)


def position(share: float, number: int, *, narrow: bool) -> tuple[int, int, float]:
    """Where a quantile lies among so many values: the ranks below and above it, and how far from one to the other.

    narrow: the rank share * (number - 1) is computed in float32, as torch.quantile does, which takes no more than 2^24
    values; beyond that, and otherwise, in double.

    >>> position(0.5, 4, narrow=False)
    (1, 2, 0.5)
    """
    if narrow and number <= _TORCH_LIMIT:
        rank = float(np.float32(share) * np.float32(number - 1))
    else:
        rank = share * (number - 1)
    below = min(floor(rank), number - 1)
    weight = rank - below
    return below, min(below + (weight > 0), number - 1), weight


def quantile(low: float, high: float, share: float, number: int, *, narrow: bool) -> float:
    """The quantile of that share among so many values, from the two that stand at its position.

    narrow: as float32; up to 2^24 values just as torch.quantile.

    >>> quantile(1.0, 2.0, 0.5, 4, narrow=False)
    1.5
    """
    weight = position(share, number, narrow=narrow)[2]
    if narrow and number <= _TORCH_LIMIT:
        return _interpolate_narrow(low, high, weight)
    found = _interpolate(low, high, share, weight)
    return _narrow(Fraction(found)) if narrow else found


def _interpolate(low: float, high: float, share: float, weight: float) -> float:
    """low + (high - low) * weight where weight < 1/2, else high - (high - low) * (1 - weight), as numpy.quantile.

    The median (share 1/2) of an even number is the half sum.
    """
    if low == high or weight == 0:
        return low
    if share == 0.5:
        half = (low + high) / 2
        return half if isfinite(half) else low / 2 + high / 2
    width = high - low
    if not isfinite(width):
        return low * (1 - weight) + high * weight
    return low + width * weight if weight < 0.5 else high - width * (1 - weight)


def _interpolate_narrow(low: float, high: float, weight: float) -> float:
    """In float32, as torch.lerp: fma(weight, high - low, low) where weight < 1/2, else fma(weight - 1, .., high)."""
    start, end = _narrow(Fraction(low)), _narrow(Fraction(high))
    width = _narrow(Fraction(end) - Fraction(start))
    if weight < 0.5:
        return _narrow(Fraction(weight) * Fraction(width) + Fraction(start))
    return _narrow((Fraction(weight) - 1) * Fraction(width) + Fraction(end))


_LARGEST = float(np.finfo(np.float32).max)


def _narrow(number: Fraction) -> float:
    """The nearest float32, ties to even; the largest where it is beyond them."""
    if abs(number) >= _LARGEST:
        return _LARGEST if number > 0 else -_LARGEST
    nearest = np.float32(float(number))
    for other in (np.nextafter(nearest, np.float32(-inf)), np.nextafter(nearest, np.float32(inf))):
        if isfinite(other) and abs(Fraction(float(other)) - number) < abs(Fraction(float(nearest)) - number):
            nearest = other
    return float(nearest)
