"""Correlations of the model's measures with the training log, as one small table for each column of the log.

A row is a measure, or the difference in strength of two measures' correlations; a column is a transform of the series.
Levels are shown next to first differences, as any two falling curves correlate. Of several runs the means over the runs
are shown. The coefficient is Spearman's; the JSON has the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wcx.core.comparison import Comparison, Correlation, CorrelationDifference, FisherMean
from wcx.core.quantities import leading_ratios, main_measures, model_series
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.grid import Column, Section, column, needed

_OF_MANY_PLANES = 2  # measures
_FEW_PLANES = 2
_MODEL = ("pooled", "model")
_LEVELS = "raw"
_TRANSFORMS = {
    "raw": ("levels", 1),
    "log": ("log levels", 11),
    "detrended": ("detrended", 3),
    "diff": ("differences", 2),
}
_RANK_N_EFFECTIVE = 4  # the highest rank is given up first


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float | None
    ci95: tuple[float, float] | None

    @property
    def is_clear(self) -> bool:
        """True if the interval lies to one side of 0."""
        return self.ci95 is not None and self.ci95[0] * self.ci95[1] > 0

    def text(self, tight: bool = False) -> str:
        """Return the number and its interval; tight: without leading zeros.

        >>> Estimate(-0.703, (-0.82, 0.23)).text(), Estimate(1.0, (-0.004, 1.0)).text(tight=True)
        ('-0.70 [-0.82, 0.23]', '1.00 [.00, 1.00]')
        """
        if self.value is None:
            return figures.MISSING
        ends = "" if self.ci95 is None else f" [{_number(self.ci95[0], tight)}, {_number(self.ci95[1], tight)}]"
        return _number(self.value, tight) + ends


@dataclass(frozen=True, slots=True)
class Row:
    """One measure, or the difference of two, by transform. n_effective: of the levels."""

    label: str
    plane: str
    estimates: dict[str, Estimate]
    n_effective: float | None = None
    is_difference: bool = False


@dataclass(frozen=True, slots=True)
class Agreement:
    """The table of one column of the log. n: points of the levels, or runs where `over_runs`."""

    metric: str
    group: str | None
    n: int
    over_runs: bool
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The title of the table."""
        run = "" if self.group is None else f", {self.group}"
        if self.over_runs:
            return f"{self.metric}: Spearman's correlation, mean of {self.n} runs [95 % interval over runs]"
        return f"{self.metric}{run}: Spearman's correlation over {self.n} checkpoints [95 % interval]"

    @property
    def sections(self) -> list[Section[Row]]:
        """The correlations, and under a title the differences of two."""
        single = [row for row in self.rows if not row.is_difference]
        differences = [row for row in self.rows if row.is_difference]
        return [Section(single), Section(differences, self._difference_title if single and differences else "")]

    @property
    def _difference_title(self) -> str:
        if self.over_runs:
            return "a - b: by how much a's is stronger than b's, mean over runs of Fisher's |z|"
        return "a - b: by how much a's correlation is stronger than b's, |a| - |b|"


def agreements(comparison: Comparison) -> Iterator[Agreement]:
    """Yield the tables in the order of the log's columns: of each run, or of the means over runs if there are any."""
    means = [one for one in comparison.groups if one.coefficient == "spearman" and one.scope in _MODEL]
    return _of_means(means) if means else _of_runs(comparison)


def _of_means(means: Sequence[FisherMean]) -> Iterator[Agreement]:
    for metric in dict.fromkeys(one.metric for one in means):
        mine = [one for one in means if one.metric == metric]
        yield Agreement(metric, None, max(one.n for one in mine), True, tuple(_mean_rows(mine)))


def _of_runs(comparison: Comparison) -> Iterator[Agreement]:
    found = [one for one in comparison.correlations if one.scope in _MODEL]
    apart = [one for one in comparison.differences if one.scope in _MODEL]
    several = len({one.group for one in found}) > 1
    for metric, group in dict.fromkeys((one.metric, one.group) for one in found):
        mine = [one for one in found if (one.metric, one.group) == (metric, group)]
        between = [one for one in apart if (one.metric, one.group) == (metric, group)]
        n = max((one.n for one in mine if one.transform == _LEVELS), default=max(one.n for one in mine))
        yield Agreement(metric, group if several else None, n, False, tuple(_run_rows(mine, between)))


def estimate_columns(agreement: Agreement, tight: bool = False) -> list[Column[Row]]:
    """Return the columns that have values, from left to right. tight: numbers without leading zeros."""
    columns = needed([_column("plane", "plane", lambda row: Cell(row.plane), 0, left=True)], agreement.rows)
    for name, (head, rank) in _TRANSFORMS.items():
        if any(name in row.estimates for row in agreement.rows):
            columns.append(_column(name, head, _estimate(name, tight), rank))
        if name == _LEVELS:
            columns += needed([_column("n_effective", "n_eff", _n_effective, _RANK_N_EFFECTIVE)], agreement.rows)
    return columns


def _column(key: str, head: str, cell: Callable[[Row], Cell], rank: int, left: bool = False) -> Column[Row]:
    return column(key, ("", head), cell, rank, left=left)


def _estimate(name: str, tight: bool) -> Callable[[Row], Cell]:
    """Return what gives the cell of an estimate, dim where the interval holds 0."""

    def cell(row: Row) -> Cell:
        estimate = row.estimates.get(name)
        return Cell("") if estimate is None else Cell(estimate.text(tight), "plain" if estimate.is_clear else "dim")

    return cell


def _n_effective(row: Row) -> Cell:
    return Cell("" if row.n_effective is None else f"{row.n_effective:.1f}", "dim")


def _run_rows(found: Sequence[Correlation], apart: Sequence[CorrelationDifference]) -> Iterator[Row]:
    for measure, plane in _chosen([(one.measure, one.plane) for one in found]):
        mine = {one.transform: one for one in found if (one.measure, one.plane) == (measure, plane)}
        estimates = {name: Estimate(one.spearman.r, one.spearman.ci95) for name, one in mine.items()}
        yield Row(measure, plane or "", estimates, mine[_LEVELS].n_effective if _LEVELS in mine else None)
    for pair in dict.fromkeys((one.measure, one.against, one.plane) for one in apart):
        mine_apart = [one for one in apart if (one.measure, one.against, one.plane) == pair]
        estimates = {one.transform: Estimate(one.spearman.strength, one.spearman.strength_ci95) for one in mine_apart}
        yield Row(f"{pair[0]} - {pair[1]}", pair[2] or "", estimates, is_difference=True)


def _mean_rows(found: Sequence[FisherMean]) -> Iterator[Row]:
    alone = [one for one in found if one.against is None]
    chosen = [(measure, None, plane) for measure, plane in _chosen([(one.measure, one.plane) for one in alone])]
    between = dict.fromkeys((one.measure, one.against, one.plane) for one in found if one.against is not None)
    for measure, against, plane in [*chosen, *between]:
        quantity = "correlation" if against is None else "strength"
        place = quantity, measure, against, plane
        mine = [one for one in found if (one.quantity, one.measure, one.against, one.plane) == place]
        estimates = {one.transform: Estimate(one.fisher_mean, one.ci95) for one in mine}
        label = measure if against is None else f"{measure} - {against}"
        yield Row(label, plane or "", estimates, is_difference=against is not None)


def _chosen(there: Sequence[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Return the measures and planes that get a row: the usual ones, fewer of many planes, or all."""
    pairs = list(dict.fromkeys(there))
    many = len({plane for _, plane in pairs if plane is not None}) > _FEW_PLANES
    wanted = main_measures()[:_OF_MANY_PLANES] if many else (*model_series(), leading_ratios()[0])
    chosen = [pair for name in wanted for pair in pairs if pair[0] == name]
    return chosen or pairs


def _number(value: float, tight: bool) -> str:
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return text.replace("0.", ".", 1) if tight and abs(value) < 0.995 else text
