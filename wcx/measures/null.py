"""The permutation null in closed form: a plane's expected values under random permutations of its bits.

A permutation keeps the number of ones K of the N cells and destroys their arrangement. The chance that a given block
has a given code depends on the code's number of ones k alone, so the S codes fall into c + 1 classes, and of the table
only three sums per class are needed. Every quantity here is a sum over codes of f(n) = CTM a(n) + b(n), n being how
often the code occurs.

The part that they share is here; a and b of each measure are in its own file.

* Mean: n has the exact mean l and variance v of its class; its distribution is taken as the binomial with those (a real
  number of trials), Poisson where v >= l, or three points where both would be long.
* Variance: counts as independent Poisson numbers, less the part that is linear in what a permutation keeps (the number
  of blocks and of ones), taken out before squaring.

The whole model's counts are sums over layers: l and v add, and each layer's own linear part is taken out. Checked
against real shuffles in tests/measures/test_null.py: means within 0.15 sd, sd within 10 %.

Source: the shuffle is the control of QuBD (Bakhtiarifard et al., arXiv 2605.15551); conditioning a Poisson sum on its
linear statistics is Holst, Annals of Statistics 7:551, 1979 (occupancy with known totals); the combination is wcx's own
and derived in docs/null.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import log2, sqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wcx.core.measure import Measure, Null
from wcx.core.quantities import null_places
from wcx.measures import MEASURES
from wcx.measures.support import log2_of_whole, reach
from wcx.measures.tables import CtmTable

Floats = NDArray[np.float64]
Value = TypeVar("Value")

_FEW_WEIGHTS = 1024
_FEW_ONES = 100
_ALL_BUT_CONSTANT = 5  # ones; from 10 on the sd of block_entropy would be 19 % low were blocks taken as fixed
LONG = 20_000.0


@dataclass(frozen=True, slots=True)
class Margins:
    """The invariants of a plane's permutations: its cells, those that are 1, and the number of whole blocks."""

    symbols: int
    ones: int
    blocks: int

    @property
    def constant(self) -> bool:
        """Return True if all cells are equal, so that a permutation changes nothing."""
        return self.ones in (0, self.symbols)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Mean and standard deviation of one quantity under the null."""

    mean: float
    sd: float


def has_closed_form(planes: Sequence[Margins]) -> bool:
    """Return True for at least 1,024 cells and 100 of the rarer value, over all planes together."""
    rarer = min(sum(plane.ones for plane in planes), sum(plane.symbols - plane.ones for plane in planes))
    return sum(plane.symbols for plane in planes) >= _FEW_WEIGHTS and rarer >= _FEW_ONES


def permutation_null(
    planes: Sequence[Margins], table: CtmTable, rarefy: int, measures: Sequence[str] | None = None
) -> dict[str, Expectation]:
    """Return the expectation of each measure for the counts of `planes` added up, each permuted by itself.

    measures: names, all that have a null by default. M of docs/measures.md (64 x 64, 2,048 ones): bdm 7763.16784 with
    sd 39.79, mean_ctm 30.381756648 (0.133143).
    """
    names = tuple(null_places() if measures is None else measures)
    times = Counter(planes)  # layers of one shape and almost one density are the rule
    if times.total() == 1:
        return dict(_null_of_one(planes[0], table, rarefy, names))
    return _expectations(times, table, rarefy, names)


@lru_cache(maxsize=4096)
def _null_of_one(plane: Margins, table: CtmTable, rarefy: int, names: tuple[str, ...]) -> dict[str, Expectation]:
    return _expectations({plane: 1}, table, rarefy, names)


def _expectations(
    planes: Mapping[Margins, int], table: CtmTable, rarefy: int, names: Sequence[str]
) -> dict[str, Expectation]:
    """Return the expectations for that many planes of each kind."""
    shuffled = ClosedForm(planes, table, rarefy)
    return {name: shuffled.once(null_of(name).expect) for name in names}


def null_of(name: str) -> Null:
    """Return the null of a measure."""
    measure = MEASURES[name]
    if not isinstance(measure, Measure) or measure.null is None:
        raise KeyError(name)
    return measure.null


# ----------------------------------------------------------------------------------------- counts of a code of a class


@dataclass(frozen=True, slots=True)
class Cells:
    """Mean and variance of the count of one code, by the code's number of ones; float64 [c + 1] each."""

    mean: Floats
    variance: Floats
    blocks: int

    def drawn(self, number: int) -> Cells:
        """Return the counts in a random subset of `number` blocks."""
        share = number / self.blocks
        pairs = share * (number - 1) / (self.blocks - 1)
        spread = share * (self.blocks - number) / (self.blocks * (self.blocks - 1))
        variance = self.mean * share + (self.variance - self.mean) * pairs - self.mean**2 * spread
        return Cells(self.mean * share, np.maximum(variance, 0), number)


@lru_cache(maxsize=1024)
def _cells(plane: Margins, cells: int) -> Cells:
    """Exact mean and variance of the count of one code of each class under a permutation of the plane."""
    ones, zeros, blocks = plane.ones, plane.symbols - plane.ones, plane.blocks
    chance = chances(plane, cells, cells)
    if blocks == 1:
        return Cells(chance, chance * (1 - chance), 1)
    log_ratio = _log_falling(ones, cells) + _log_falling(zeros, cells)[::-1] - _log_falling(plane.symbols, cells)[-1]
    excess = np.expm1(log_ratio)  # chance of a second such block, given one, over the chance of the first, less 1
    variance = blocks * chance * (1 - chance) + blocks * (blocks - 1.0) * chance**2 * excess
    return Cells(blocks * chance, np.maximum(variance, 0), blocks)


def chances(plane: Margins, cells: int, top: int) -> Floats:
    """Chance that `top` given cells show one given pattern, for patterns of 0 .. top ones: float64 [top + 1].

    [K]_k [N - K]_(top - k) / [N]_top, every falling factorial as a product of shares of N so that none overflows.
    """
    ones, zeros = plane.ones, plane.symbols - plane.ones
    steps = np.arange(top)
    down = [np.concatenate([[1.0], np.cumprod(np.maximum(n - steps, 0) / plane.symbols)]) for n in (ones, zeros)]
    every = np.cumprod((plane.symbols - steps) / plane.symbols)[-1]
    chances: Floats = np.minimum(down[0] * down[1][::-1] / every, 1.0)
    return chances


def _log_falling(number: int, cells: int) -> Floats:
    """Return log([number - k]_k / [number]_k) for k = 0 .. cells; -inf where the first is 0. float64 [cells + 1]."""
    k = np.arange(cells + 1)[:, None]
    steps = np.arange(cells)
    used = steps < k
    left = number - steps - k
    if number > 2 * cells:
        return _sum(np.log1p(-k / (number - steps)) * used)
    possible = np.where(left > 0, left, 1) / np.maximum(number - steps, 1)
    with np.errstate(divide="ignore"):
        terms = np.where(used, np.log(np.where(left > 0, possible, 0.0)), 0.0)
    return _sum(terms)


def _sum(terms: Floats) -> Floats:
    """Sum each row."""
    sums: Floats = np.add.reduce(terms, axis=1)
    return sums


# ------------------------------------------------------------------------------------------ weights of the counts


@dataclass(frozen=True, slots=True)
class Weights:
    """Distributions of the count, one a row: at which points, how likely, and log2 of the points (0 for 0)."""

    rows: NDArray[np.intp] | slice
    points: Floats
    weights: Floats
    logs: Floats
    whole: bool

    def expect(self, values: Floats) -> Floats:
        """Return the mean of a function of the points, one a row."""
        return _sum(self.weights * values)

    def moved(self, fixed: Floats) -> Weights:
        """Return these weights with whole numbers added to the points of each row."""
        points = self.points + fixed[self.rows][:, None]
        return replace(self, points=points, logs=_log2(points, self.whole))

    def next_logs(self) -> Floats:
        """Return the log2 of the points + 1."""
        return _log2(self.points + 1, self.whole)


def distribution(mean: Floats, variance: Floats | None, longest: float, fixed: Floats | None = None) -> list[Weights]:
    """Distributions with those means and variances (None: Poisson), in one or two parts that cover all rows.

    fixed: what comes on top of every count, a whole number a row.
    """
    if fixed is not None and fixed.any():
        return [part.moved(fixed) for part in distribution(mean, variance, longest)]
    spread = mean if variance is None else variance
    few = (mean > longest) | ((mean > 30) & (spread < mean / 2))
    if not few.any():
        return [_outward(slice(None), mean, variance)]
    parts = []
    if not few.all():
        rows = np.flatnonzero(~few)
        parts.append(_outward(rows, mean[rows], None if variance is None else variance[rows]))
    rows = np.flatnonzero(few)
    away = np.sqrt(3 * spread[rows])[:, None] * np.array([0.0, 1.0, -1.0])
    points = mean[rows][:, None] + away
    weights = np.broadcast_to(np.array([2 / 3, 1 / 6, 1 / 6]), away.shape)
    parts.append(Weights(rows, points, weights, _log2(points, whole=False), whole=False))
    return parts


def _log2(points: Floats, whole: bool) -> Floats:
    if whole:
        return log2_of_whole(points)
    return np.array([log2(point) for point in points.ravel().tolist()]).reshape(points.shape)


def _outward(rows: NDArray[np.intp] | slice, mean: Floats, variance: Floats | None) -> Weights:
    """Binomial weights with a real number of trials, Poisson where success is 0, by the ratio of neighbours.

    With l the mean and q the chance of success, w(x + 1) / w(x) = (l - x q) / ((1 - q) (x + 1)).
    """
    if variance is None:
        success: Floats = np.zeros_like(mean)
    else:
        success = np.clip(1 - variance / np.where(mean > 0, mean, 1.0), 0.0, 1 - 1e-12)
    mode = np.floor(mean + success)
    average, q, top = mean[:, None], success[:, None], mode[:, None]
    steps = np.arange(reach(float(mean.max())))
    x = top + steps
    up = np.multiply.accumulate(np.maximum(average - x * q, 0) / ((1 - q) * (x + 1)), axis=1)
    highest = int(mode.max())
    down = steps[:highest]
    x = np.maximum(top - down, 0)
    below = np.multiply.accumulate(x * (1 - q) / np.where(x > 0, average - (x - 1) * q, 1.0), axis=1)
    weights = np.concatenate([np.ones_like(top), up, below], axis=1)
    points = np.maximum(top + np.concatenate([[0], steps + 1, -1 - down]), 0)
    weights /= _sum(weights)[:, None]
    return Weights(rows, points, weights, log2_of_whole(points), whole=True)


# ------------------------------------------------------------------------------------------------ sums over codes


@dataclass(frozen=True, slots=True)
class Function:
    """f(n) = CTM a(n) + b(n) on the points of some weights, and its growth at n + 1; a is None for 0."""

    at: Weights
    a: Floats | None
    b: Floats
    a_step: Floats | None
    b_step: Floats


class ClosedForm:
    """One plane, or that many of each kind added up, under a permutation of its bits.

    cells: mean and variance of the count of one code of each class. mean, fixed: the part of that mean that is random,
    and the whole number that comes on top.
    """

    def __init__(self, planes: Mapping[Margins, int], table: CtmTable, rarefy: int) -> None:
        self.planes = planes
        self.table = table
        self.rarefy = rarefy
        self._known: dict[Any, Any] = {}
        self._kinds = list(planes)
        self._times = np.array(list(planes.values()), float)[:, None]
        counts = [_cells(plane, table.cells) for plane in planes]
        means = np.array([some.mean for some in counts])  # [kinds of planes, classes]
        variances = np.array([some.variance for some in counts])
        variance = np.add.reduce(self._times * variances, axis=0)
        blocks = sum(plane.blocks * times for plane, times in planes.items())
        self.cells = Cells(np.add.reduce(self._times * means, axis=0), variance, blocks)
        # of a plane with few ones (or few zeros) pooled with others, most blocks are constant in every permutation
        rarer = np.array([min(plane.ones, plane.symbols - plane.ones) for plane in planes])[:, None]
        certain = (rarer < _ALL_BUT_CONSTANT) & (self._times.sum() > 1)
        fixed = np.where(certain, np.floor(np.maximum(means - variances + 1e-6, 0)), 0.0)
        self.fixed = np.add.reduce(self._times * fixed, axis=0)
        self._means = means - fixed
        self.mean = np.add.reduce(self._times * self._means, axis=0)
        self._some_fixed = fixed.any(axis=1)

    @property
    def blocks(self) -> int:
        """Number of blocks of all planes."""
        return self.cells.blocks

    def once(self, function: Callable[[ClosedForm], Value]) -> Value:
        """Return function(self), evaluated the first time only."""
        if function not in self._known:
            self._known[function] = function(self)
        value: Value = self._known[function]
        return value

    @cached_property
    def exact(self) -> list[Weights]:
        """The distribution of the counts, by which means are taken."""
        return distribution(self.mean, self.cells.variance, LONG, self.fixed)

    @cached_property
    def poisson(self) -> list[Weights]:
        """The counts as independent Poisson numbers, by which standard deviations are taken."""
        return distribution(self.mean, None, LONG, self.fixed)

    def sd(self, functions: Sequence[Function]) -> float:
        """Return the standard deviation: counts as independent Poisson numbers, less the invariants of a permutation.

        What is linear in the number of blocks and of ones is taken out of f before it is squared.
        """
        count, first, second = self.table.classes
        slope = np.zeros(count.size)
        for f in functions:
            rows = f.at.rows
            slope[rows] = count[rows] * f.at.expect(f.b_step)
            if f.a_step is not None:
                slope[rows] += first[rows] * f.at.expect(f.a_step)
        linear, variance = self._linear_part(slope)
        for f in functions:
            rows, at = f.at.rows, f.at
            b = f.b - linear[rows][:, None] * at.points
            b = b - at.expect(b)[:, None]
            terms = count[rows] * at.expect(b * b)
            if f.a is not None:
                a = f.a - at.expect(f.a)[:, None]
                terms += second[rows] * at.expect(a * a) + 2 * first[rows] * at.expect(a * b)
            variance += float(np.add.reduce(terms))
        return sqrt(max(variance, 0.0))

    def _linear_part(self, slope: Floats) -> tuple[Floats, float]:
        """Return the regression on the invariants of each plane's permutation, per class, averaged over planes [c + 1].

        Second, the variance that comes on top: of left-over cells, which hold some of the ones, and of the difference
        between the planes' own regressions and their average.
        """
        c = self.table.cells
        k = np.arange(c + 1)
        blocks, symbols, ones = (
            np.array([getattr(plane, name) for plane in self._kinds], float) for name in ("blocks", "symbols", "ones")
        )
        share = ones / symbols
        average_ones, spread = c * share, blocks * c * share * (1 - share)
        loose = spread * (symbols - c * blocks) / np.maximum(symbols - 1, 1)
        if self._some_fixed.any():
            random = self.table.classes[0] * self._means
            left = _sum(random)
            left_ones = _sum(random * k) / np.where(left > 0, left, 1.0)
            blocks = np.where(self._some_fixed, left, blocks)
            average_ones = np.where(self._some_fixed, left_ones, average_ones)
            spread = np.where(self._some_fixed, _sum(random * (k - left_ones[:, None]) ** 2), spread)
        weighted = self._means * slope
        by_blocks, by_ones = _sum(weighted), _sum(weighted * k)
        per_one = np.where(spread > 0, by_ones - average_ones * by_blocks, 0.0) / np.where(spread > 0, spread, 1.0)
        per_block = by_blocks / np.where(blocks > 0, blocks, 1.0) - per_one * average_ones
        linear = per_block[:, None] + per_one[:, None] * k  # [planes, classes]
        extra = float(np.add.reduce(self._times[:, 0] * per_one**2 * loose))
        if len(self._kinds) == 1:
            return linear[0], extra
        mean = self.mean
        average = np.add.reduce(self._times * linear * self._means, axis=0) / np.where(mean > 0, mean, 1.0)
        uneven = self.table.classes[0] * self._means * (linear - average) ** 2
        return average, extra + float((self._times * uneven).sum())
