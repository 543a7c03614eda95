"""The permutation null in closed form: what a plane would score were its bits permuted at random.

A permutation keeps the number of ones K of the N cells and destroys their arrangement. The chance that a given block
has a given code depends on the code's number of ones k alone, so the S codes fall into c + 1 classes, and of the table
only three sums per class are needed. Every quantity here is a sum over codes of f(n) = CTM a(n) + b(n), n being how
often the code occurs.

* Mean: n has the exact mean l and variance v of its class; its distribution is taken as the binomial with those (a real
  number of trials), Poisson where v >= l, or three points where both would be long. mean_ctm is exact.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from wcx.measures.rarefied import rarefied_terms
from wcx.measures.support import log2_of_whole, reach
from wcx.measures.tables import CtmTable

Floats = NDArray[np.float64]
NULL_MEASURES = ("bdm", "mean_ctm", "block_entropy", "bdm_rarefied")
"""The measures that have a null, in the order they are reported."""

_FEW_WEIGHTS = 1024
_FEW_ONES = 100
_ALL_BUT_CONSTANT = 5  # ones; from 10 on the sd of block_entropy would be 19 % low were blocks taken as fixed
_LONG = 20_000.0
_LONG_RAREFIED = 500.0  # its terms cost a sum each; here three points change the sd by less than 0.1 %


@dataclass(frozen=True, slots=True)
class Margins:
    """What a permutation of one plane keeps: its cells, how many are 1, and the number of whole blocks."""

    symbols: int
    ones: int
    blocks: int

    @property
    def constant(self) -> bool:
        """Whether all cells are equal, so that a permutation changes nothing."""
        return self.ones in (0, self.symbols)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Mean and standard deviation of one quantity under the null."""

    mean: float
    sd: float


def has_closed_form(planes: Sequence[Margins]) -> bool:
    """Whether there is enough of everything: 1,024 cells, and 100 of the rarer value; planes are taken together."""
    rarer = min(sum(plane.ones for plane in planes), sum(plane.symbols - plane.ones for plane in planes))
    return sum(plane.symbols for plane in planes) >= _FEW_WEIGHTS and rarer >= _FEW_ONES


def permutation_null(
    planes: Sequence[Margins], table: CtmTable, rarefy: int, measures: Sequence[str] = NULL_MEASURES
) -> dict[str, Expectation]:
    """Return the expectation of each of `measures` for the counts of `planes` added up, each permuted by itself.

    M of docs/measures.md (64 x 64, 2,048 ones): bdm 7763.16784 with sd 39.79, mean_ctm 30.381756648 (0.133143).
    """
    times = Counter(planes)  # layers of one shape and almost one density are the rule
    if times.total() == 1:
        return dict(_null_of_one(planes[0], table, rarefy, tuple(measures)))
    return _expectations(times, table, rarefy, measures)


@lru_cache(maxsize=4096)
def _null_of_one(plane: Margins, table: CtmTable, rarefy: int, measures: tuple[str, ...]) -> dict[str, Expectation]:
    return _expectations({plane: 1}, table, rarefy, measures)


def _expectations(
    planes: Mapping[Margins, int], table: CtmTable, rarefy: int, measures: Sequence[str]
) -> dict[str, Expectation]:
    """The expectations for so many planes of each kind."""
    null = _Null(planes, table)
    found: dict[str, Expectation] = {}
    for measure in measures:
        if measure == "mean_ctm":
            found[measure] = _mean_ctm(planes, table)
        elif measure == "bdm":
            found[measure] = null.bdm
        elif measure == "block_entropy":
            found[measure] = null.block_entropy
        else:
            found[measure] = null.bdm_rarefied(rarefy)
    return found


# ------------------------------------------------------------------------------ how often a code of a class occurs


@dataclass(frozen=True, slots=True)
class _Cells:
    """Mean and variance of the count of one code, by the code's number of ones; float64 [c + 1] each."""

    mean: Floats
    variance: Floats
    blocks: int

    def drawn(self, number: int) -> _Cells:
        """The counts in a random subset of `number` blocks."""
        share = number / self.blocks
        pairs = share * (number - 1) / (self.blocks - 1)
        spread = share * (self.blocks - number) / (self.blocks * (self.blocks - 1))
        variance = self.mean * share + (self.variance - self.mean) * pairs - self.mean**2 * spread
        return _Cells(self.mean * share, np.maximum(variance, 0), number)


@lru_cache(maxsize=1024)
def _cells(plane: Margins, cells: int) -> _Cells:
    """Exact mean and variance of the count of one code of each class under a permutation of the plane."""
    ones, zeros, blocks = plane.ones, plane.symbols - plane.ones, plane.blocks
    chance = _chances(plane, cells, cells)
    if blocks == 1:
        return _Cells(chance, chance * (1 - chance), 1)
    log_ratio = _log_falling(ones, cells) + _log_falling(zeros, cells)[::-1] - _log_falling(plane.symbols, cells)[-1]
    excess = np.expm1(log_ratio)  # chance of a second such block, given one, over the chance of the first, less 1
    variance = blocks * chance * (1 - chance) + blocks * (blocks - 1.0) * chance**2 * excess
    return _Cells(blocks * chance, np.maximum(variance, 0), blocks)


def _chances(plane: Margins, cells: int, top: int) -> Floats:
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
    """log of [number - k]_k / [number]_k for k = 0 .. cells; -inf where the first is 0. float64 [cells + 1]."""
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
class _Weights:
    """Distributions of the count, one a row: at which points, how likely, and log2 of the points (0 for 0)."""

    rows: NDArray[np.intp] | slice
    points: Floats
    weights: Floats
    logs: Floats
    whole: bool

    def expect(self, values: Floats) -> Floats:
        """Mean of a function of the points, one a row."""
        return _sum(self.weights * values)

    def moved(self, fixed: Floats) -> _Weights:
        """The same with whole numbers added to the points of each row."""
        points = self.points + fixed[self.rows][:, None]
        return replace(self, points=points, logs=_log2(points, self.whole))

    def next_logs(self) -> Floats:
        """log2 of the points + 1."""
        return _log2(self.points + 1, self.whole)


def _weights(mean: Floats, variance: Floats | None, longest: float, fixed: Floats | None = None) -> list[_Weights]:
    """Distributions with those means and variances (None: Poisson), in one or two parts that cover all rows.

    fixed: what comes on top of every count, a whole number a row.
    """
    if fixed is not None and fixed.any():
        return [part.moved(fixed) for part in _weights(mean, variance, longest)]
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
    parts.append(_Weights(rows, points, weights, _log2(points, whole=False), whole=False))
    return parts


def _log2(points: Floats, whole: bool) -> Floats:
    if whole:
        return log2_of_whole(points)
    return np.array([log2(point) for point in points.ravel().tolist()]).reshape(points.shape)


def _outward(rows: NDArray[np.intp] | slice, mean: Floats, variance: Floats | None) -> _Weights:
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
    return _Weights(rows, points, weights, log2_of_whole(points), whole=True)


# --------------------------------------------------------------------------------------------------- the quantities


@dataclass(frozen=True, slots=True)
class _Function:
    """f(n) = CTM a(n) + b(n) on the points of some weights, and what each grows by at n + 1; a is None for 0."""

    at: _Weights
    a: Floats | None
    b: Floats
    a_step: Floats | None
    b_step: Floats


class _Null:
    """Means and standard deviations of the sums over codes, for one plane or so many of each kind added up."""

    def __init__(self, planes: Mapping[Margins, int], table: CtmTable) -> None:
        self._planes = list(planes)
        self._times = np.array(list(planes.values()), float)[:, None]
        self._table = table
        cells = [_cells(plane, table.cells) for plane in planes]
        means = np.array([some.mean for some in cells])  # [kinds of planes, classes]
        variances = np.array([some.variance for some in cells])
        variance = np.add.reduce(self._times * variances, axis=0)
        blocks = sum(plane.blocks * times for plane, times in planes.items())
        self._cells = _Cells(np.add.reduce(self._times * means, axis=0), variance, blocks)
        # of a plane with few ones (or few zeros) beside others, most blocks are constant in every permutation
        rarer = np.array([min(plane.ones, plane.symbols - plane.ones) for plane in planes])[:, None]
        certain = (rarer < _ALL_BUT_CONSTANT) & (self._times.sum() > 1)
        fixed = np.where(certain, np.floor(np.maximum(means - variances + 1e-6, 0)), 0.0)
        self._fixed = np.add.reduce(self._times * fixed, axis=0)
        self._means = means - fixed
        self._mean = np.add.reduce(self._times * self._means, axis=0)
        self._some_fixed = fixed.any(axis=1)

    @cached_property
    def _exact(self) -> list[_Weights]:
        return _weights(self._mean, self._cells.variance, _LONG, self._fixed)

    @cached_property
    def _poisson(self) -> list[_Weights]:
        return _weights(self._mean, None, _LONG, self._fixed)

    @cached_property
    def bdm(self) -> Expectation:
        """Of bdm: a = [n > 0], b = log2 n."""
        functions = []
        for at in self._poisson:
            occurs = (at.points > 0).astype(float)
            functions.append(_Function(at, occurs, at.logs, 1 - occurs, at.next_logs() - at.logs))
        return Expectation(self._bdm_mean(self._exact), self._sd(functions))

    @cached_property
    def block_entropy(self) -> Expectation:
        """Of block_entropy: b = -(n log2 n) / B, beside log2 B."""
        blocks = self._cells.blocks
        total = sum(
            float(np.add.reduce(self._table.classes[0][at.rows] * at.expect(at.points * at.logs))) for at in self._exact
        )
        functions = []
        for at in self._poisson:
            b = at.points * at.logs / -blocks
            functions.append(_Function(at, None, b, None, (at.points + 1) * at.next_logs() / -blocks - b))
        return Expectation(log2(blocks) - total / blocks, self._sd(functions))

    def bdm_rarefied(self, rarefy: int) -> Expectation:
        """Of bdm_rarefied: a = P(k > 0), b = E[log2 k; k > 0]; its mean is that of bdm for fewer blocks."""
        blocks = self._cells.blocks
        if blocks <= rarefy:
            return self.bdm
        drawn = self._cells.drawn(rarefy)
        functions = []
        for at in _weights(self._mean, None, _LONG_RAREFIED, self._fixed):
            (a, b), (a_next, b_next) = _rarefied_at(at.points, blocks, rarefy)
            functions.append(_Function(at, a, b, a_next - a, b_next - b))
        return Expectation(self._bdm_mean(_weights(drawn.mean, drawn.variance, _LONG)), self._sd(functions))

    def _bdm_mean(self, parts: Sequence[_Weights]) -> float:
        count, first, _ = self._table.classes
        total = 0.0
        for at in parts:
            terms = first[at.rows] * at.expect((at.points > 0).astype(float)) + count[at.rows] * at.expect(at.logs)
            total += float(np.add.reduce(terms))
        return total

    def _sd(self, functions: Sequence[_Function]) -> float:
        """Standard deviation: counts as independent Poisson numbers, less what a permutation keeps.

        What is linear in the number of blocks and of ones is taken out of f before it is squared.
        """
        count, first, second = self._table.classes
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
        """Return the regression on what each plane's permutation keeps, per class, averaged over planes [c + 1].

        Second, the variance that comes on top: of left-over cells, which hold some of the ones, and of the difference
        between the planes' own regressions and their average.
        """
        c = self._table.cells
        k = np.arange(c + 1)
        blocks, symbols, ones = (
            np.array([getattr(plane, name) for plane in self._planes], float) for name in ("blocks", "symbols", "ones")
        )
        share = ones / symbols
        average_ones, spread = c * share, blocks * c * share * (1 - share)
        loose = spread * (symbols - c * blocks) / np.maximum(symbols - 1, 1)
        if self._some_fixed.any():
            random = self._table.classes[0] * self._means
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
        if len(self._planes) == 1:
            return linear[0], extra
        mean = self._mean
        average = np.add.reduce(self._times * linear * self._means, axis=0) / np.where(mean > 0, mean, 1.0)
        uneven = self._table.classes[0] * self._means * (linear - average) ** 2
        return average, extra + float((self._times * uneven).sum())


def _rarefied_at(points: Floats, blocks: int, rarefy: int) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """P(k > 0) and E[log2 k; k > 0] at any points and at the points + 1; between whole numbers along straight lines."""
    points = np.minimum(points, float(blocks))
    low = np.floor(points)
    part = points - low
    whole = np.minimum(low.ravel() + np.arange(3)[:, None], blocks)
    needed, place = np.unique(whole, return_inverse=True)
    at: list[Floats] = []
    after: list[Floats] = []
    for values in rarefied_terms(needed, blocks, rarefy):
        ends = values[place.reshape(-1)].reshape(3, *points.shape)
        at.append((1 - part) * ends[0] + part * ends[1])
        after.append((1 - part) * ends[1] + part * ends[2])
    return (at[0], at[1]), (after[0], after[1])


# --------------------------------------------------------------------------------------------------------- mean_ctm


def _mean_ctm(planes: Mapping[Margins, int], table: CtmTable) -> Expectation:
    """Exact mean and variance of the mean complexity; planes weighted by their share of the blocks."""
    blocks = sum(plane.blocks * times for plane, times in planes.items())
    mean = variance = 0.0
    for plane, times in planes.items():
        share = plane.blocks / blocks
        found = _mean_ctm_of(plane, table)
        mean += times * share * found[0]
        variance += times * share**2 * found[1]
    return Expectation(mean, sqrt(max(variance, 0.0)))


@lru_cache(maxsize=1024)
def _mean_ctm_of(plane: Margins, table: CtmTable) -> tuple[float, float]:
    """Mean and variance for one plane, by the chances of one and of two given blocks."""
    count, first, second = table.classes
    one = _chances(plane, table.cells, table.cells)
    mean = float((first * one).sum())
    centred = first - mean * count
    squares = float(((second - 2 * mean * first + mean * mean * count) * one).sum())
    rest = float((centred * one).sum())
    if plane.blocks == 1:
        return mean, squares - rest * rest
    two = _chances(plane, table.cells, 2 * table.cells)
    both = float((np.convolve(centred, centred) * two).sum())
    return mean, squares / plane.blocks + (1 - 1 / plane.blocks) * both - rest * rest
