"""What is kept of a tensor while it streams by: integers that add, so that no split of it changes the result.

Types of up to 16 bits need one pass, which counts codes. Of wider ones a first pass takes number, extremes and sums and
counts the upper 16 bits of the order keys; where a quantile is wanted, passes follow that count the next 16 bits of
those keys that begin as its rank says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wcx.dtypes import DType
from wcx.exact import (
    ExactSum,
    finite_codes,
    mean_of,
    order_keys,
    position,
    quantile,
    total_of_values,
    value_of_key,
)
from wcx.quantizers import Needs
from wcx.types import Statistics

__all__ = ["First", "Pass", "Refining", "Tally"]

Codes = NDArray[Any]

_DIGIT = 16
_BINS = 1 << _DIGIT
_NO_CODES: Codes = np.empty(0, np.uint8)
_FEW = 1 << 14  # of so few codes the distinct ones are sorted


class Tally(Protocol):
    """What one worker has seen of a layer in one pass."""

    def add(self, codes: Codes) -> None:
        """Look at some more codes."""

    def merge(self, other: Any) -> None:  # noqa: ANN401
        """Take over what another has seen of the same layer in the same pass."""

    def finish(self) -> Statistics | Pass:
        """When all was seen: the statistics, or the pass that has to follow."""


class Pass(Protocol):
    """One pass over a layer; it knows what the passes before have found."""

    def begin(self) -> Tally:
        """An empty tally."""


@dataclass(frozen=True, slots=True)
class First:
    """The first pass over any layer."""

    dtype: DType
    needs: Needs

    def begin(self) -> Tally:
        """An empty tally."""
        return _Counted(self.dtype, self.needs) if self.dtype.bits <= _DIGIT else _Summed(self.dtype, self.needs)


# --------------------------------------------------------------------------------------------- up to 16 bits


class _Counted:
    """How often each code occurs."""

    def __init__(self, dtype: DType, needs: Needs) -> None:
        self._dtype = dtype
        self._needs = needs
        self._histogram: NDArray[np.int64] | None = None
        self._few: Codes | None = None

    def add(self, codes: Codes) -> None:
        if self._histogram is None and self._few is None and codes.size <= _FEW:
            self._few = codes.copy()
            return
        histogram = self._counts()
        histogram += np.bincount(codes, minlength=histogram.size)

    def _counts(self) -> NDArray[np.int64]:
        """The histogram; the few codes that were kept as they were are counted now."""
        if self._histogram is None:
            few = _NO_CODES if self._few is None else self._few
            self._histogram = np.bincount(few, minlength=1 << self._dtype.bits)
        return self._histogram

    def merge(self, other: _Counted) -> None:
        histogram = self._counts()
        histogram += other._counts()

    def finish(self) -> Statistics:
        if self._histogram is None:
            codes, counts = np.unique(_NO_CODES if self._few is None else self._few, return_counts=True)
        else:
            codes = np.flatnonzero(self._histogram)
            counts = self._histogram[codes]
        return _from_counts(codes, counts, self._dtype, self._needs)


@cache
def _values(dtype: DType) -> NDArray[np.float64]:
    """The number of each code."""
    return np.array([dtype.value(code) for code in range(1 << dtype.bits)]) + 0.0


def _from_counts(codes: Codes, counts: NDArray[np.int64], dtype: DType, needs: Needs) -> Statistics:
    """The statistics of codes that occur so often."""
    values = _values(dtype)[codes]
    finite = np.isfinite(values)
    values, counts = values[finite], counts[finite]
    if not values.size:
        return Statistics()
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    number = int(counts.sum())
    lo, hi = float(values[0]), float(values[-1])
    mean = mean_of(total_of_values(values, counts), number) if needs.mean else None
    mean_abs = mean_of(total_of_values(np.abs(values), counts), number) if needs.mean_abs else None
    ends = np.cumsum(counts)
    quantiles = []
    for share in needs.quantiles:
        below, above, _ = position(share, number, narrow=needs.narrow_rank)
        low, high = values[np.searchsorted(ends, [below, above], side="right")].tolist()
        quantiles.append(quantile(low, high, share, number, narrow=needs.narrow_rank))
    return Statistics(number, lo, hi, mean, mean_abs, tuple(quantiles))


# --------------------------------------------------------------------------------------------- 32 and 64 bits


class _Summed:
    """Number, extremes and sums of the finite values, and how often their keys begin with each 16 bits."""

    def __init__(self, dtype: DType, needs: Needs) -> None:
        self._dtype = dtype
        self._needs = needs
        self._number = 0
        self._low, self._high = (1 << dtype.bits) - 1, 0
        self._sum = ExactSum(dtype, absolute=False) if needs.mean else None
        self._sum_abs = ExactSum(dtype, absolute=True) if needs.mean_abs else None
        self._bins = np.zeros(_BINS, np.int64) if needs.quantiles else None

    def add(self, codes: Codes) -> None:
        codes = finite_codes(codes, self._dtype)
        if not codes.size:
            return
        self._number += codes.size
        for some in (self._sum, self._sum_abs):
            if some is not None:
                some.add(codes)
        if self._needs.range or self._bins is not None:
            keys = order_keys(codes, self._dtype)
            self._low, self._high = min(self._low, int(keys.min())), max(self._high, int(keys.max()))
            if self._bins is not None:
                self._bins += _digits(keys, self._dtype.bits - _DIGIT)

    def merge(self, other: _Summed) -> None:
        self._number += other._number
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        for mine, others in ((self._sum, other._sum), (self._sum_abs, other._sum_abs)):
            if mine is not None and others is not None:
                mine.sums += others.sums
        if self._bins is not None and other._bins is not None:
            self._bins += other._bins

    def finish(self) -> Statistics | Pass:
        if not self._number:
            return Statistics()
        found = Statistics(self._number)
        if self._needs.range:
            found = replace(found, lo=value_of_key(self._low, self._dtype), hi=value_of_key(self._high, self._dtype))
        if self._sum is not None:
            found = replace(found, mean=mean_of(self._sum.total(), self._number))
        if self._sum_abs is not None:
            found = replace(found, mean_abs=mean_of(self._sum_abs.total(), self._number))
        if self._bins is None:
            return found
        narrow = self._needs.narrow_rank
        ranks = {rank for q in self._needs.quantiles for rank in position(q, self._number, narrow=narrow)[:2]}
        bins = {0: self._bins}
        return _descend(self._dtype, self._needs, found, {rank: (0, rank) for rank in ranks}, self._dtype.bits, bins)


def _digits(keys: Codes, shift: int) -> NDArray[np.int64]:
    """How often each value of 16 bits occurs in keys, `shift` bits from their end."""
    return np.bincount((keys >> keys.dtype.type(shift)).astype(np.uint16), minlength=_BINS)


@dataclass(frozen=True, slots=True)
class Refining:
    """A pass that counts the next 16 bits of those keys that begin as some ranks' values do.

    ranks: of each rank that is sought, the upper bits of the key that stands there, and its rank among the keys that
    have them. bits: how many lower bits are not yet known.
    """

    dtype: DType
    needs: Needs
    found: Statistics
    ranks: dict[int, tuple[int, int]]
    bits: int

    def begin(self) -> Tally:
        """An empty tally."""
        return _Refined(self)


class _Refined:
    """Of each beginning that matters, how often the next 16 bits occur."""

    def __init__(self, plan: Refining) -> None:
        self._plan = plan
        self._bins = {upper: np.zeros(_BINS, np.int64) for upper, _ in plan.ranks.values()}

    def add(self, codes: Codes) -> None:
        plan = self._plan
        keys = order_keys(finite_codes(codes, plan.dtype), plan.dtype)
        uppers = keys >> keys.dtype.type(plan.bits)
        for upper, bins in self._bins.items():
            bins += _digits(keys[uppers == upper], plan.bits - _DIGIT)

    def merge(self, other: _Refined) -> None:
        for upper, bins in self._bins.items():
            bins += other._bins[upper]

    def finish(self) -> Statistics | Pass:
        plan = self._plan
        return _descend(plan.dtype, plan.needs, plan.found, plan.ranks, plan.bits, self._bins)


def _descend(
    dtype: DType,
    needs: Needs,
    found: Statistics,
    ranks: dict[int, tuple[int, int]],
    bits: int,
    bins: dict[int, NDArray[np.int64]],
) -> Statistics | Pass:
    """Find the next 16 bits of the keys of all ranks; the last ones give the quantiles."""
    ends = {upper: np.cumsum(some) for upper, some in bins.items()}
    deeper = {}
    for rank, (upper, inside) in ranks.items():
        digit = int(np.searchsorted(ends[upper], inside, side="right"))
        before = int(ends[upper][digit - 1]) if digit else 0
        deeper[rank] = (upper << _DIGIT | digit, inside - before)
    if bits > _DIGIT:
        return Refining(dtype, needs, found, deeper, bits - _DIGIT)
    values = {rank: value_of_key(key, dtype) for rank, (key, _) in deeper.items()}
    quantiles = []
    for share in needs.quantiles:
        below, above, _ = position(share, found.number, narrow=needs.narrow_rank)
        quantiles.append(quantile(values[below], values[above], share, found.number, narrow=needs.narrow_rank))
    return replace(found, quantiles=tuple(quantiles))
