"""Exact arithmetic on raw codes: order keys and sums, and the floats that are made of them once, at the end.

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

from wcx.core.dtypes import DType

Codes = NDArray[Any]
UNIT = 1074
"""Sums are in units of 2^-1074."""

_TORCH_LIMIT = 1 << 24
_SHORT = 16
FRACTION = 26  # bits of the lower part of a double's fraction: sums of either part stay exact


def raw_of_key(key: int, bits: int, dtype: DType) -> int:
    """Return the upper `bits` bits of the raw codes whose order keys begin with `key`."""
    sign = 1 << (bits - 1)
    if dtype.kind == "float":
        return key ^ sign if key & sign else key ^ (2 * sign - 1)
    return key ^ sign if dtype.kind == "signed" else key


def value_of_key(key: int, dtype: DType) -> float:
    """Return the number of an order key; 0.0 for -0.0.

    >>> from wcx.core.dtypes import DTYPES
    >>> value_of_key(1082130431, DTYPES["F32"])
    -1.0
    """
    return dtype.value(raw_of_key(key, dtype.bits, dtype)) + 0.0


class ExactSum:
    """The sums of numbers of 32 or 64 bits and of their magnitudes, as integers that add without rounding.

    sums: int64 [3, cells]. Of floats there is a cell for each sign and exponent: how many such numbers there are, and
    what the lower 26 and the upper bits of their fractions add up to; infinities and NaN have cells of their own, which
    are left out at the end. Of integers there are two cells, not negative and negative: number, lower and upper 32
    bits. Exact for up to 2^31 integers of 64 bits and 2^36 other numbers.
    """

    def __init__(self, dtype: DType, kernels: Any = None) -> None:  # noqa: ANN401
        self._dtype = dtype
        self._kernels = kernels
        self.sums = np.zeros((3, 1 << (dtype.bits - dtype.mantissa) if dtype.kind == "float" else 2), np.int64)

    def release(self) -> None:
        """Let go of the compiled code: from here on the sum pickles."""
        self._kernels = None

    def add(self, codes: Codes) -> None:
        """Add some numbers: fewer than 2^24 at once."""
        if self._dtype.kind != "float":
            self._add_integers(codes)
        elif self._kernels is not None:
            self._kernels.add_fractions(codes, self._dtype.mantissa, self.sums)
        else:
            self._add_floats(codes)

    def _add_floats(self, codes: Codes) -> None:
        kind, mantissa = codes.dtype.type, self._dtype.mantissa
        cells = (codes >> kind(mantissa)).astype(np.int64)
        fractions = codes & kind((1 << mantissa) - 1)
        lower, upper = fractions & kind((1 << FRACTION) - 1), fractions >> kind(FRACTION)
        for sums, weights in zip(self.sums, (None, lower, upper), strict=True):
            if weights is not upper or mantissa > FRACTION:  # doubles hold these sums exactly
                sums += np.bincount(cells, weights, sums.size).astype(np.int64)

    def _add_integers(self, codes: Codes) -> None:
        kind = codes.dtype.type
        negative = codes >> kind(self._dtype.bits - 1) > 0
        if self._dtype.kind == "unsigned":
            negative[:] = False
        sizes = np.where(negative, -codes, codes).astype(np.uint64)  # that of the smallest number fits too
        for cell, some in enumerate((sizes[~negative], sizes[negative])):
            lower, upper = some & np.uint64(2**32 - 1), some >> np.uint64(32)
            self.sums[:, cell] += np.array([some.size, lower.sum(), upper.sum()], np.int64)

    def totals(self) -> tuple[int, int]:
        """Return the sum of the numbers and that of their magnitudes, in units of 2^-1074."""
        if self._dtype.kind != "float":
            plus, minus = ((int(low) + (int(high) << 32)) << UNIT for _, low, high in self.sums.T)
            return plus - minus, plus + minus
        parts = [0, 0]
        exponents = self.sums.shape[1] // 2
        for cell in np.flatnonzero(self.sums[0]).tolist():
            negative, exponent = divmod(cell, exponents)
            if exponent == exponents - 1:
                continue
            number, lower, upper = self.sums[:, cell].tolist()
            fractions = lower + (upper << FRACTION) + (number << self._dtype.mantissa if exponent else 0)
            parts[negative] += fractions << (UNIT - self._dtype.bias - self._dtype.mantissa + max(exponent, 1))
        return parts[0] - parts[1], parts[0] + parts[1]


def total_of_values(values: NDArray[np.float64], counts: NDArray[np.int64]) -> int:
    """Return the sum of numbers with up to 16 significant bits, each times its count, in units of 2^-1074.

    >>> total_of_values(np.array([0.5, -3.0]), np.array([2, 1])) == -2 << 1074
    True
    """
    fractions, exponents = np.frexp(values)
    least = int(exponents.min())
    sums = np.zeros(int(exponents.max()) - least + 1, np.int64)
    np.add.at(sums, exponents - least, (fractions * (1 << _SHORT)).astype(np.int64) * counts)
    return sum(int(part) << (UNIT + least + number - _SHORT) for number, part in enumerate(sums) if part)


def mean_of(total: int, number: int) -> float:
    """Return a sum in units of 2^-1074, rounded to the nearest double, over a number.

    Where the sum is beyond the largest double, return the exact quotient rounded.

    >>> mean_of(3 << 1074, 2)
    1.5
    """
    try:
        return total / (1 << UNIT) / number
    except OverflowError:
        return total / (number << UNIT)


def position(share: float, number: int, *, float32_rank: bool) -> tuple[int, int, float]:
    """Return the position of a quantile among so many values: the ranks below and above it, and the weight between.

    float32_rank: compute the rank share * (number - 1) in float32, as torch.quantile does, which takes no more than
    2^24 values; beyond that, and otherwise, in double.

    >>> position(0.5, 4, float32_rank=False)
    (1, 2, 0.5)
    """
    if float32_rank and number <= _TORCH_LIMIT:
        rank = float(np.float32(share) * np.float32(number - 1))
    else:
        rank = share * (number - 1)
    below = min(floor(rank), number - 1)
    weight = rank - below
    return below, min(below + (weight > 0), number - 1), weight


def quantile(low: float, high: float, share: float, number: int, *, float32_rank: bool) -> float:
    """Return the quantile of a share among so many values, from the two at its position.

    float32_rank: return a float32; for up to 2^24 values that of torch.quantile.

    >>> quantile(1.0, 2.0, 0.5, 4, float32_rank=False)
    1.5
    """
    weight = position(share, number, float32_rank=float32_rank)[2]
    if float32_rank and number <= _TORCH_LIMIT:
        return _interpolate_float32(low, high, weight)
    found = _interpolate(low, high, share, weight)
    return _to_float32(Fraction(found)) if float32_rank else found


def _interpolate(low: float, high: float, share: float, weight: float) -> float:
    """Return low + (high - low) * weight where weight < 1/2, else high - (high - low) * (1 - weight), as NumPy.

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


def _interpolate_float32(low: float, high: float, weight: float) -> float:
    """Interpolate as torch.lerp: fma(weight, high - low, low) where weight < 1/2, else fma(weight - 1, .., high)."""
    start, end = _to_float32(Fraction(low)), _to_float32(Fraction(high))
    width = _to_float32(Fraction(end) - Fraction(start))
    if weight < 0.5:
        return _to_float32(Fraction(weight) * Fraction(width) + Fraction(start))
    return _to_float32((Fraction(weight) - 1) * Fraction(width) + Fraction(end))


_LARGEST = float(np.finfo(np.float32).max)


def _to_float32(number: Fraction) -> float:
    """Return the nearest float32, ties to even; the largest where the number is beyond them."""
    if abs(number) >= _LARGEST:
        return _LARGEST if number > 0 else -_LARGEST
    nearest = np.float32(float(number))
    for other in (np.nextafter(nearest, np.float32(-inf)), np.nextafter(nearest, np.float32(inf))):
        if isfinite(other) and abs(Fraction(float(other)) - number) < abs(Fraction(float(nearest)) - number):
            nearest = other
    return float(nearest)
