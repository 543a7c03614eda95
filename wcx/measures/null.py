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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from wcx.measures.rarefied import rarefied_terms
from wcx.measures.support import SMALLEST_WEIGHT, log2_of_whole, reach
from wcx.measures.tables import CtmTable

__all__ = ["NULL_MEASURES", "Expectation", "Margins", "has_closed_form", "permutation_null"]

Floats = NDArray[np.float64]

NULL_MEASURES = ("bdm", "mean_ctm", "block_entropy", "bdm_rarefied")
"""The measures that have a null, in the order they are reported."""

_FEW_WEIGHTS = 1024
_FEW_ONES = 100
_LONG = 20_000.0
_LONG_RAREFIED = 2_000.0


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
    cells = [_cells(plane, table.cells) for plane in planes]
    null = _Null(planes, table, _Cells.add(cells), np.array([some.mean for some in cells]))
    found: dict[str, Expectation] = {}
    for measure in measures:
        if measure == "mean_ctm":
            found[measure] = _mean_ctm(planes, table)
        elif measure == "bdm":
            found[measure] = null.bdm()
        elif measure == "block_entropy":
            found[measure] = null.block_entropy()
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

    @classmethod
    def add(cls, parts: Sequence[_Cells]) -> _Cells:
        """Independent counts added up."""
        mean = np.cumsum([part.mean for part in parts], axis=0)[-1]
        variance = np.cumsum([part.variance for part in parts], axis=0)[-1]
        return cls(mean, variance, sum(part.blocks for part in parts))

    def drawn(self, number: int) -> _Cells:
        """The counts in a random subset of `number` blocks."""
        share = number / self.blocks
        pairs = share * (number - 1) / (self.blocks - 1)
        spread = share * (self.blocks - number) / (self.blocks * (self.blocks - 1))
        variance = self.mean * share + (self.variance - self.mean) * pairs - self.mean**2 * spread
        return _Cells(self.mean * share, variance, number)


@lru_cache(maxsize=1024)
def _cells(plane: Margins, cells: int) -> _Cells:
    """Exact mean and variance of the count of one code of each class under a permutation of the plane."""
    ones, zeros, blocks = plane.ones, plane.symbols - plane.ones, plane.blocks
    chance = _chances(plane, cells, cells)
    k = np.arange(cells + 1)
    log_ratio = _log_falling(ones, k) + _log_falling(zeros, cells - k) - _log_falling(plane.symbols, np.array([cells]))
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
    chances: Floats = down[0] * down[1][::-1] / every
    return chances


def _log_falling(number: int, k: NDArray[np.integer]) -> Floats:
    """log of [number - k]_k / [number]_k for each k; -inf where the first is 0."""
    steps = np.arange(int(k.max()))
    left = number - steps - k[:, None]  # [k, steps]
    used = steps < k[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.log1p(-k[:, None] / np.maximum(number - steps, 1.0))
    terms = np.where(left > 0, terms, -np.inf)
    sums: Floats = np.where(used, terms, 0.0).sum(axis=1)
    return sums


# ------------------------------------------------------------------------------------------ weights of the counts


@dataclass(frozen=True, slots=True)
class _Weights:
    """Distributions of the count, one a row: where (whole numbers, or three real points) and how likely."""

    rows: NDArray[np.intp]
    points: Floats
    weights: Floats
    whole: bool

    def log2(self) -> Floats:
        """log2 of the points, 0 for 0."""
        if self.whole:
            return log2_of_whole(self.points)
        return np.array([[log2(point) for point in row] for row in self.points.tolist()]).reshape(self.points.shape)

    def expect(self, values: Floats) -> Floats:
        """Mean of a function of the points, one a row."""
        mean: Floats = (self.weights * values).sum(axis=1)
        return mean


def _weights(mean: Floats, variance: Floats | None, longest: float) -> list[_Weights]:
    """Distributions with those means and variances (None: Poisson), in one or two parts that cover all rows."""
    spread = mean if variance is None else variance
    few = (mean > longest) | ((mean > 30) & (spread < mean / 2))
    parts = []
    rows = np.flatnonzero(~few)
    if rows.size:
        parts.append(_outward(rows, mean[rows], None if variance is None else variance[rows]))
    rows = np.flatnonzero(few)
    if rows.size:
        away = np.sqrt(3 * spread[rows])[:, None] * np.array([0.0, 1.0, -1.0])
        weights = np.broadcast_to(np.array([2 / 3, 1 / 6, 1 / 6]), away.shape)
        parts.append(_Weights(rows, mean[rows][:, None] + away, weights, whole=False))
    return parts


def _outward(rows: NDArray[np.intp], mean: Floats, variance: Floats | None) -> _Weights:
    """Poisson, or binomial weights with a real number of trials, from the mode outward by the ratio of neighbours."""
    if variance is None:
        success = np.zeros_like(mean)
    else:
        success = np.clip(1 - variance / np.where(mean > 0, mean, 1.0), 0.0, 1.0)
    binomial = success > 1e-12  # below, the binomial is the Poisson distribution to the last digit
    trials = np.where(binomial, mean / np.where(binomial, success, 1.0), np.inf)
    with np.errstate(invalid="ignore"):
        mode = np.where(binomial, np.floor((trials + 1) * success), np.floor(mean))
    mode = np.where(binomial, np.minimum(mode, np.ceil(trials)), mode)
    steps = np.arange(reach(float(mean.max())))
    odds = np.where(binomial & (success < 1), success / np.where(success < 1, 1 - success, 1.0), np.inf)

    def gain(x: Floats) -> Floats:
        """Weight of x + 1 over that of x."""
        with np.errstate(invalid="ignore"):
            bound = np.maximum(trials[:, None] - x, 0) * odds[:, None]
        return np.where(binomial[:, None], bound, mean[:, None]) / (x + 1)

    below = np.minimum(steps + 1, mode.max()) if mode.max() else steps[:0]
    below = np.unique(below).astype(float)
    up = np.cumprod(gain(mode[:, None] + steps), axis=1)
    at = mode[:, None] - below
    with np.errstate(divide="ignore"):
        inverse = np.where(at >= 0, 1 / gain(np.maximum(at, 0)), 0.0)
    down = np.cumprod(inverse, axis=1)
    points = np.concatenate([mode[:, None], mode[:, None] + 1 + steps, np.maximum(at, 0)], axis=1)
    weights = np.concatenate([np.ones((mean.size, 1)), up, down], axis=1)
    weights = np.where(weights < SMALLEST_WEIGHT, 0.0, weights)
    return _Weights(rows, points, weights / weights.sum(axis=1, keepdims=True), whole=True)


# --------------------------------------------------------------------------------------------------- the quantities


@dataclass(frozen=True, slots=True)
class _Function:
    """f(n) = CTM a(n) + b(n) on some points: its values, and how much each grows from n to n + 1."""

    a: Floats
    b: Floats
    a_step: Floats
    b_step: Floats


class _Null:
    """Means and standard deviations of the sums over codes, for one plane or several added up."""

    def __init__(self, planes: Sequence[Margins], table: CtmTable, cells: _Cells, means: Floats) -> None:
        self._planes = planes
        self._table = table
        self._cells = cells
        self._means = means  # [planes, classes]

    def bdm(self) -> Expectation:
        return Expectation(self._bdm_mean(self._cells), self._sd(_bdm_function, _LONG))

    def block_entropy(self) -> Expectation:
        blocks = self._cells.blocks
        total = 0.0
        for part in _weights(self._cells.mean, self._cells.variance, _LONG):
            logs = part.expect(part.points * part.log2())
            total += float((self._table.classes[0][part.rows] * logs).sum())

        def function(weights: _Weights) -> _Function:
            n = weights.points
            b = -n * weights.log2() / blocks
            after = _Weights(weights.rows, n + 1, weights.weights, weights.whole)
            nothing = np.zeros_like(n)
            return _Function(nothing, b, nothing, -after.points * after.log2() / blocks - b)

        return Expectation(log2(blocks) - total / blocks, self._sd(function, _LONG))

    def bdm_rarefied(self, rarefy: int) -> Expectation:
        if self._cells.blocks <= rarefy:
            return self.bdm()
        blocks = self._cells.blocks

        def function(weights: _Weights) -> _Function:
            a, b = _rarefied_at(weights.points, blocks, rarefy)
            a_after, b_after = _rarefied_at(weights.points + 1, blocks, rarefy)
            return _Function(a, b, a_after - a, b_after - b)

        return Expectation(self._bdm_mean(self._cells.drawn(rarefy)), self._sd(function, _LONG_RAREFIED))

    def _bdm_mean(self, cells: _Cells) -> float:
        count, first, _ = self._table.classes
        total = 0.0
        for part in _weights(cells.mean, cells.variance, _LONG):
            occurs = part.expect(np.where(part.points > 0, 1.0, 0.0))
            total += float((first[part.rows] * occurs + count[part.rows] * part.expect(part.log2())).sum())
        return total

    def _sd(self, function: _FunctionOf, longest: float) -> float:
        """Standard deviation: counts as independent Poisson numbers, less what a permutation keeps."""
        count, first, second = self._table.classes
        parts = [(part, function(part)) for part in _weights(self._cells.mean, None, longest)]
        slope = np.zeros(count.size)
        for part, f in parts:
            rows = part.rows
            slope[rows] = first[rows] * part.expect(f.a_step) + count[rows] * part.expect(f.b_step)
        linear, left_over = self._regress(slope)
        mean = self._cells.mean
        shared = np.divide((linear * self._means).sum(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
        variance = left_over + float((self._means * (linear - shared) ** 2).sum())
        for part, f in parts:
            rows = part.rows
            n = part.points - part.expect(part.points)[:, None]
            # the slope of the whole class is spread over its codes: what is linear in n is taken out of b
            b = f.b - part.expect(f.b)[:, None]
            a = f.a - part.expect(f.a)[:, None]
            b = b - shared[rows][:, None] * n
            squares = second[rows] * part.expect(a * a) + 2 * first[rows] * part.expect(a * b)
            variance += float((squares + count[rows] * part.expect(b * b)).sum())
        return sqrt(max(variance, 0.0))

    def _regress(self, slope: Floats) -> tuple[Floats, float]:
        """Return each plane's linear part per class [planes, classes], and the variance that left-over cells add."""
        c = self._table.cells
        k = np.arange(c + 1)
        blocks = np.array([plane.blocks for plane in self._planes], float)
        share = np.array([plane.ones / plane.symbols for plane in self._planes])
        others = np.array([plane.symbols for plane in self._planes], float) - c * blocks
        by_blocks = (self._means * slope).sum(axis=1)
        by_ones = (self._means * slope * k).sum(axis=1)
        spread = blocks * c * share * (1 - share)
        uneven = spread > 0
        per_one = np.divide(by_ones - c * share * by_blocks, spread, out=np.zeros_like(spread), where=uneven)
        per_block = by_blocks / blocks - per_one * c * share
        symbols = np.array([plane.symbols for plane in self._planes], float)
        loose = per_one**2 * c * blocks * others * share * (1 - share) / np.maximum(symbols - 1, 1)
        return per_block[:, None] + per_one[:, None] * k, float(loose.sum())


class _FunctionOf:  # pragma: no cover - a name for the type below
    """A function of the weights that gives f on their points."""

    def __call__(self, weights: _Weights) -> _Function:
        raise NotImplementedError


def _bdm_function(weights: _Weights) -> _Function:
    n = weights.points
    occurs = np.where(n > 0, 1.0, 0.0)
    b = weights.log2()
    after = _Weights(weights.rows, n + 1, weights.weights, weights.whole)
    return _Function(occurs, b, 1 - occurs, after.log2() - b)


def _rarefied_at(points: Floats, blocks: int, rarefy: int) -> tuple[Floats, Floats]:
    """P(k > 0) and E[log2 k; k > 0] at any points, between whole numbers along a straight line."""
    points = np.minimum(points, float(blocks))
    low = np.floor(points)
    needed, place = np.unique(np.concatenate([low.ravel(), np.minimum(low.ravel() + 1, blocks)]), return_inverse=True)
    found = rarefied_terms(needed, blocks, rarefy)
    part = (points - low).ravel()
    both = []
    for values in found:
        ends = values[place].reshape(2, -1)
        both.append(((1 - part) * ends[0] + part * ends[1]).reshape(points.shape))
    return both[0], both[1]


# --------------------------------------------------------------------------------------------------------- mean_ctm


def _mean_ctm(planes: Sequence[Margins], table: CtmTable) -> Expectation:
    """Exact mean and variance of the mean complexity; planes weighted by their share of the blocks."""
    blocks = sum(plane.blocks for plane in planes)
    mean = variance = 0.0
    for plane in planes:
        share = plane.blocks / blocks
        found = _mean_ctm_of(plane, table)
        mean += share * found[0]
        variance += share**2 * found[1]
    return Expectation(mean, sqrt(max(variance, 0.0)))


@lru_cache(maxsize=1024)
def _mean_ctm_of(plane: Margins, table: CtmTable) -> tuple[float, float]:
    """Mean and variance for one plane, by the chances of one and of two given blocks."""
    count, first, second = table.classes
    one = _chances(plane, table.cells, table.cells)
    mean = float((first * one).sum())
    centred = first - mean * count
    squares = float(((second - 2 * mean * first + mean * mean * count) * one).sum())
    two = _chances(plane, table.cells, 2 * table.cells)
    both = float((np.convolve(centred, centred) * two).sum()) if plane.symbols >= 2 * table.cells else 0.0
    rest = float((centred * one).sum())
    return mean, squares / plane.blocks + (1 - 1 / plane.blocks) * both - rest * rest
