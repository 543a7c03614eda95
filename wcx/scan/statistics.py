"""Statistics of a tensor as it streams by: integers that add, so that no split of it changes the result.

Types of up to 16 bits need one pass, which counts codes. Of wider ones a first pass takes number, extremes and sums and
counts the upper 16 bits of the order keys; where a quantile is wanted, passes follow that count the next 16 bits of
those keys that begin as its rank says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counter import compiled_kernels
from wcx.core.decode import float64_values, native_view
from wcx.core.dtypes import DType
from wcx.core.exact import ExactSum, mean_of, position, quantile, raw_of_key, total_of_values, value_of_key
from wcx.core.scheme import Statistics
from wcx.quantizers import Needs
from wcx.scan.engine import Tools, Unordered
from wcx.scan.layers import Layer, Piece

Codes = NDArray[Any]
_DIGIT = 16
_BINS = 1 << _DIGIT
_NO_CODES: Codes = np.empty(0, np.uint8)
_FEW = 1 << 14  # of so few codes the distinct ones are sorted


@dataclass(frozen=True, slots=True)
class First(Unordered):
    """The first pass over any layer."""

    dtype: DType
    needs: Needs

    def kernels(self, _layer: Layer) -> Any:  # noqa: ANN401
        """Return the compiled code."""
        return compiled_kernels()

    def begin(self, _layer: Layer, tools: Tools) -> _Counted | _Summed:
        """Return an empty accumulator."""
        made = _Counted if self.dtype.bits <= _DIGIT else _Summed
        return made(self.dtype, self.needs, tools.kernels)


# --------------------------------------------------------------------------------------------- up to 16 bits


class _Counted:
    """Counts of each code."""

    def __init__(self, dtype: DType, needs: Needs, kernels: Any) -> None:  # noqa: ANN401
        self._dtype = dtype
        self._needs = needs
        self._kernels = kernels
        self._histogram: NDArray[np.int64] | None = None
        self._few: Codes | None = None

    def add(self, _piece: Piece, codes: Codes) -> None:
        if self._histogram is None and self._few is None and codes.size <= _FEW:
            self._few = codes.copy()
            return
        _count(codes, 0, self._counts(), self._kernels)

    def _counts(self) -> NDArray[np.int64]:
        """Return the histogram; the few codes that were kept as they were are counted now."""
        if self._histogram is None:
            few = _NO_CODES if self._few is None else self._few
            self._histogram = np.bincount(few, minlength=1 << self._dtype.bits)
        return self._histogram

    def release(self) -> None:
        self._counts()
        self._kernels = None

    def merge(self, other: _Counted) -> None:
        histogram = self._counts()
        histogram += other._counts()

    def finish(self) -> Statistics:
        if self._histogram is None:
            codes, counts = np.unique(_NO_CODES if self._few is None else self._few, return_counts=True)
        else:
            codes = np.flatnonzero(self._histogram).astype(f"<u{self._dtype.itemsize}")
            counts = self._histogram[codes]
        return _from_counts(codes, counts, self._dtype, self._needs)


def _from_counts(codes: Codes, counts: NDArray[np.int64], dtype: DType, needs: Needs) -> Statistics:
    """Return the statistics of codes that occur so often."""
    values = float64_values(codes, dtype)
    finite = np.isfinite(values)
    values, counts = values[finite] + 0.0, counts[finite]
    if not values.size:
        return Statistics()
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    number = int(counts.sum())
    lo, hi = (float(values[0]), float(values[-1])) if needs.range else (None, None)
    mean = mean_of(total_of_values(values, counts), number) if needs.mean else None
    mean_abs = mean_of(total_of_values(np.abs(values), counts), number) if needs.mean_abs else None
    ends = np.cumsum(counts)
    quantiles = []
    for share in needs.quantiles:
        below, above, _ = position(share, number, float32_rank=needs.float32_rank)
        low, high = values[np.searchsorted(ends, [below, above], side="right")].tolist()
        quantiles.append(quantile(low, high, share, number, float32_rank=needs.float32_rank))
    return Statistics(number, lo, hi, mean, mean_abs, tuple(quantiles))


# --------------------------------------------------------------------------------------------- 32 and 64 bits


class _Summed:
    """Number, extremes and sums of the finite values, and how often codes begin with each 16 bits.

    The codes of a small layer are kept instead, and sorted at the end.
    """

    def __init__(self, dtype: DType, needs: Needs, kernels: Any) -> None:  # noqa: ANN401
        self._dtype = dtype
        self._needs = needs
        self._kernels = kernels
        self._number = 0
        self._low = self._high = 0.0
        self._sum = ExactSum(dtype, kernels) if needs.mean or needs.mean_abs else None
        self._few: Codes | None = None
        self._bins: NDArray[np.int64] | None = None

    def add(self, _piece: Piece, codes: Codes) -> None:
        self._see(native_view(codes, self._dtype))
        if self._sum is not None:
            self._sum.add(codes)
        if not self._needs.quantiles:
            return
        if self._bins is None and self._few is None and codes.size <= _FEW:
            self._few = codes.copy()
        else:
            _count(codes, self._dtype.bits - _DIGIT, self._counts(), self._kernels)

    def _counts(self) -> NDArray[np.int64]:
        """Return the histogram; the few codes that were kept as they were are counted now."""
        if self._bins is None:
            self._bins = np.zeros(_BINS, np.int64)
            if self._few is not None:
                _count(self._few, self._dtype.bits - _DIGIT, self._bins, self._kernels)
        return self._bins

    def _see(self, numbers: Codes) -> None:
        """Take in extremes: NumPy's are NaN where any number is, and vectorised."""
        with np.errstate(invalid="ignore"):  # signalling NaN
            low, high = numbers.min(), numbers.max()
        if self._dtype.kind == "float" and not (np.isfinite(low) and np.isfinite(high)):
            numbers = numbers[np.isfinite(numbers)]
            if not numbers.size:
                return
            low, high = numbers.min(), numbers.max()
        self._extend(numbers.size, float(low), float(high))

    def _extend(self, number: int, low: float, high: float) -> None:
        if number:
            self._low, self._high = (min(self._low, low), max(self._high, high)) if self._number else (low, high)
            self._number += number

    def release(self) -> None:
        if self._needs.quantiles:
            self._counts()
        if self._sum is not None:
            self._sum.release()
        self._kernels = None

    def merge(self, other: _Summed) -> None:
        self._extend(other._number, other._low, other._high)
        if self._sum is not None and other._sum is not None:
            self._sum.sums += other._sum.sums
        if self._needs.quantiles:
            bins = self._counts()
            bins += other._counts()

    def finish(self) -> Statistics | Pass:
        number, needs, dtype = self._number, self._needs, self._dtype
        if not number:
            return Statistics()
        found = Statistics(number)
        if needs.range:
            found = replace(found, lo=self._low + 0.0, hi=self._high + 0.0)
        if self._sum is not None:
            total, total_abs = self._sum.totals()
            mean = mean_of(total, number) if needs.mean else None
            found = replace(found, mean=mean, mean_abs=mean_of(total_abs, number) if needs.mean_abs else None)
        ranks = {rank for q in needs.quantiles for rank in position(q, number, float32_rank=needs.float32_rank)[:2]}
        if self._bins is None:
            return _with_quantiles(found, needs, self._sorted(ranks))
        bins = {0: _in_order(self._bins, dtype)}
        return _descend(dtype, needs, found, {rank: (0, rank) for rank in ranks}, dtype.bits, bins)

    def _sorted(self, ranks: set[int]) -> dict[int, float]:
        """Return the values of those ranks among the few that were kept."""
        if self._few is None:
            return {}
        numbers = native_view(self._few, self._dtype)
        with np.errstate(invalid="ignore"):  # signalling NaN
            numbers = np.sort(numbers[np.isfinite(numbers)])
        return {rank: float(numbers[rank]) + 0.0 for rank in ranks}


def _count(codes: Codes, shift: int, bins: NDArray[np.int64], kernels: Any) -> None:  # noqa: ANN401
    """Add to bins how often codes have each value of bits, `shift` bits from their end."""
    if kernels is not None:
        kernels.add_codes(codes, shift, bins)
    else:
        digits = (codes >> codes.dtype.type(shift)).astype(np.uint16) if shift else codes
        bins += np.bincount(digits, minlength=bins.size)


def _in_order(bins: NDArray[np.int64], dtype: DType) -> NDArray[np.int64]:
    """Counts by the highest 16 bits of raw codes as counts by those of order keys, of finite numbers."""
    plus, minus = bins[: _BINS // 2], bins[_BINS // 2 :]
    if dtype.kind != "float":
        return np.concatenate([minus, plus]) if dtype.kind == "signed" else bins
    infinite = dtype.nonfinite.first >> (dtype.bits - _DIGIT)
    none = np.zeros(_BINS // 2 - infinite, np.int64)
    return np.concatenate([none, minus[:infinite][::-1], plus[:infinite], none])


@dataclass(frozen=True, slots=True)
class Refining(Unordered):
    """A pass that counts the next 16 bits of those keys that begin as some ranks' values do.

    ranks: for each rank, the upper bits of the key that has it, and its rank among the keys that share these bits.
    bits: how many lower bits are not yet known.
    """

    dtype: DType
    needs: Needs
    found: Statistics
    ranks: dict[int, tuple[int, int]]
    bits: int

    def kernels(self, _layer: Layer) -> Any:  # noqa: ANN401
        """Return the compiled code."""
        return compiled_kernels()

    def begin(self, _layer: Layer, tools: Tools) -> _Refined:
        """Return an empty accumulator."""
        return _Refined(self, tools.kernels)


Pass = First | Refining
"""One pass over a layer; it knows what the passes before have found."""


class _Refined:
    """Counts of the next 16 bits of the raw codes, for each sought beginning."""

    def __init__(self, plan: Refining, kernels: Any) -> None:  # noqa: ANN401
        self._plan = plan
        self._kernels = kernels
        self._keys = sorted({upper for upper, _ in plan.ranks.values()})
        known = plan.dtype.bits - plan.bits
        self._uppers = np.array([raw_of_key(key, known, plan.dtype) for key in self._keys], np.uint64)
        self._bins = np.zeros((len(self._keys), _BINS), np.int64)

    def add(self, _piece: Piece, codes: Codes) -> None:
        bits = self._plan.bits
        if self._kernels is not None:
            self._kernels.add_digits(codes, bits, self._uppers, bits - _DIGIT, self._bins)
            return
        kind = codes.dtype.type
        beginnings = codes >> kind(bits)
        for upper, bins in zip(self._uppers, self._bins, strict=True):
            some = codes[np.flatnonzero(beginnings == kind(upper))] >> kind(bits - _DIGIT)
            if some.size:
                bins += np.bincount(some.astype(np.uint16), minlength=_BINS)

    def release(self) -> None:
        self._kernels = None

    def merge(self, other: _Refined) -> None:
        self._bins += other._bins

    def finish(self) -> Statistics | Pass:
        plan = self._plan
        bins = {}
        for key, some in zip(self._keys, self._bins, strict=True):
            negative = plan.dtype.kind == "float" and key >> (plan.dtype.bits - plan.bits - 1) == 0
            bins[key] = some[::-1] if negative else some  # the larger its code, the smaller a negative number
        return _descend(plan.dtype, plan.needs, plan.found, plan.ranks, plan.bits, bins)


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
    return _with_quantiles(found, needs, {rank: value_of_key(key, dtype) for rank, (key, _) in deeper.items()})


def _with_quantiles(found: Statistics, needs: Needs, values: dict[int, float]) -> Statistics:
    """Return the statistics with the quantiles, from the values of the ranks that they lie at."""
    quantiles = []
    for share in needs.quantiles:
        below, above, _ = position(share, found.number, float32_rank=needs.float32_rank)
        quantiles.append(quantile(values[below], values[above], share, found.number, float32_rank=needs.float32_rank))
    return replace(found, quantiles=tuple(quantiles))
