"""Raw codes to exact moments: sums and sums of squares as integers, so that no order of the codes changes a digit.

Of types of up to 16 bits the codes are counted, and each is looked at once, at the end. Wider numbers are taken apart
into significand and exponent; their squares are added up by exponent, as products of limbs of 16 bits, so small that
the sum over a piece is a whole number below 2^53.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.decode import native_view
from wcx.core.dtypes import DTYPES, DType
from wcx.core.exact import ExactSum
from wcx.measures.statistics import UNIT_BITS, Moments
from wcx.scan.engine import Tools, Unordered
from wcx.scan.layers import Layer, Piece

Codes = NDArray[Any]
Integers = NDArray[np.int64]
_COUNTED_BITS = 16
_AT_ONCE = 1 << 16  # numbers whose significands are in memory together; of fewer than 2^19 the sums are exact
_SCALE = 150  # every finite number of up to 16 bits is a multiple of 2^-150
_LIMB = 16


@dataclass(frozen=True, slots=True)
class SumValues(Unordered):
    """The moments of a layer, as a spec of the engine."""

    def begin(self, layer: Layer, _tools: Tools) -> MomentsTally:
        """Return an empty accumulator."""
        return begin_tally(layer.dtype)


def begin_tally(dtype: DType) -> MomentsTally:
    """Return an empty accumulator for codes of that dtype."""
    return _Counted(dtype) if dtype.bits <= _COUNTED_BITS else _Summed(dtype)


class _Counted:
    """Counts of each code, of types of up to 16 bits."""

    def __init__(self, dtype: DType) -> None:
        self._dtype = dtype
        self._histogram = np.zeros(1 << dtype.bits, np.int64)

    def add(self, _piece: Piece | None, codes: Codes) -> None:
        """Look at some more codes."""
        self._histogram += np.bincount(codes, minlength=self._histogram.size)

    def release(self) -> None:
        """Do nothing: there are integers only."""

    def merge(self, other: _Counted) -> None:
        """Add the codes that another has seen."""
        self._histogram += other._histogram

    def finish(self) -> Moments:
        """Return the moments of all codes seen."""
        codes = np.flatnonzero(self._histogram)
        name = self._dtype.name
        pairs = [
            (_scaled(name, code), count)
            for code, count in zip(codes.tolist(), self._histogram[codes].tolist(), strict=True)
            if code not in self._dtype.nonfinite
        ]
        if not pairs:
            return Moments()
        lo, hi = min(pairs)[0], max(pairs)[0]
        total = sum(number * count for number, count in pairs) << UNIT_BITS - _SCALE
        squares = sum(number * number * count for number, count in pairs) << 2 * (UNIT_BITS - _SCALE)
        number = sum(count for _, count in pairs)
        scale = 1 << _SCALE
        return Moments(number=number, lo=lo / scale, hi=hi / scale, total=total, squares=squares)


@cache
def _scaled(name: str, code: int) -> int:
    """Return the number that a code of a type of up to 16 bits spells, in units of 2^-150."""
    numerator, denominator = DTYPES[name].value(code).as_integer_ratio()
    return (numerator << _SCALE) // denominator


class _Summed:
    """Extremes and exact sums of types of 32 and 64 bits. squares: integers, [coefficients of the limbs, exponents]."""

    def __init__(self, dtype: DType) -> None:
        self._dtype = dtype
        self._number = 0
        self._lo, self._hi = inf, -inf
        self._sum = ExactSum(dtype)
        self._limbs = 2 if dtype.bits == 32 else 4
        exponents = 1 << (dtype.bits - 1 - dtype.mantissa) if dtype.kind == "float" else 1
        self._squares = np.zeros((2 * self._limbs - 1, exponents), object)

    def add(self, _piece: Piece | None, codes: Codes) -> None:
        """Look at some more codes."""
        for at in range(0, codes.size, _AT_ONCE):
            finite = _finite(codes[at : at + _AT_ONCE], self._dtype)
            if finite.size:
                self._add(finite)

    def _add(self, finite: Codes) -> None:
        numbers = native_view(finite, self._dtype)
        self._lo, self._hi = min(self._lo, float(numbers.min())), max(self._hi, float(numbers.max()))
        self._number += finite.size
        self._sum.add(finite)
        magnitudes, exponents = _taken_apart(finite, self._dtype)
        limbs = [
            (magnitudes >> np.uint64(_LIMB * place) & np.uint64(0xFFFF)).astype(float) for place in range(self._limbs)
        ]
        for place, sums in enumerate(self._squares):
            some = range(max(0, place - self._limbs + 1), min(place, self._limbs - 1) + 1)
            products = sum((limbs[one] * limbs[place - one] for one in some), start=np.zeros(finite.size))
            sums += np.bincount(exponents, weights=products, minlength=sums.size).astype(np.int64).astype(object)

    def release(self) -> None:
        """Do nothing: there are integers only."""

    def merge(self, other: _Summed) -> None:
        """Add the codes that another has seen."""
        self._number += other._number
        self._lo, self._hi = min(self._lo, other._lo), max(self._hi, other._hi)
        self._sum.sums += other._sum.sums
        self._squares += other._squares

    def finish(self) -> Moments:
        """Return the moments of all codes seen."""
        if not self._number:
            return Moments()
        least = UNIT_BITS if self._dtype.kind != "float" else UNIT_BITS - self._dtype.bias - self._dtype.mantissa
        first = 0 if self._dtype.kind != "float" else 1  # subnormal numbers have the exponent of the next
        squares = sum(
            int(self._squares[place, exponent]) << 2 * (least + max(int(exponent), first)) + _LIMB * int(place)
            for place, exponent in np.argwhere(self._squares)
        )
        return Moments(
            number=self._number, lo=self._lo + 0.0, hi=self._hi + 0.0, total=self._sum.totals()[0], squares=squares
        )


def _finite(codes: Codes, dtype: DType) -> Codes:
    """Return the codes of finite numbers."""
    if dtype.kind != "float":
        return codes
    kind = codes.dtype.type
    found: Codes = codes[codes & kind((1 << dtype.bits - 1) - 1) < kind(dtype.nonfinite.first)]
    return found


def _taken_apart(codes: Codes, dtype: DType) -> tuple[NDArray[np.uint64], Integers]:
    """Return the significands of finite numbers, without their sign, and their exponents as stored; of integers 0."""
    if dtype.kind == "unsigned":
        return codes.astype(np.uint64), np.zeros(codes.size, np.int64)
    if dtype.kind == "signed":
        return np.where(native_view(codes, dtype) < 0, -codes, codes).astype(np.uint64), np.zeros(codes.size, np.int64)
    wide = codes.astype(np.uint64)
    mantissa = dtype.mantissa
    exponents = (wide >> np.uint64(mantissa)).astype(np.int64) & (1 << (dtype.bits - 1 - mantissa)) - 1
    fractions = wide & np.uint64((1 << mantissa) - 1)
    return fractions | (exponents > 0).astype(np.uint64) << np.uint64(mantissa), exponents


MomentsTally = _Counted | _Summed
"""An accumulator of moments."""
