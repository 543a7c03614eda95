"""Correlations of the model's measures with the training log, as one small table for each column of the log.

A row is a measure, or the difference in strength of two measures' correlations; a column is a transform of the series.
Levels are shown next to first differences, as any two falling curves correlate. Of several runs the means over the runs
are shown. The coefficient is Spearman's; the JSON has the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wcx.core.comparison import Comparison, Correlation, CorrelationDifference, FisherMean
from wcx.core.groups import ItemT, grouped
from wcx.core.quantities import leading_ratios, main_measures, model_series
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.grid import Column, Section, column, needed

CorrelatedT = TypeVar("CorrelatedT", Correlation, CorrelationDifference)
MeasurePlane = tuple[str, str | None]

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
            return f"{self.metric}: Spearman correlation, mean of {self.n} runs [95 % interval over runs]"
        return f"{self.metric}{run}: Spearman correlation over {self.n} checkpoints [95 % interval]"

    @property
    def sections(self) -> list[Section[Row]]:
        """The correlations, and under a title the differences of two."""
        single = [row for row in self.rows if not row.is_difference]
        differences = [row for row in self.rows if row.is_difference]
        return [Section(single), Section(differences, self._difference_title if single and differences else "")]

    @property
    def _difference_title(self) -> str:
        if self.over_runs:
            return "a - b: difference in strength, mean over runs of |z(a)| - |z(b)| (Fisher's z)"
        return "a - b: difference in strength, |a| - |b|"


def agreements(comparison: Comparison) -> Iterator[Agreement]:
    """Yield the tables in the order of the log's columns: of each run, or of the means over runs if there are any."""
    means = [mean for mean in comparison.groups if mean.coefficient == "spearman" and mean.scope in _MODEL]
    return _of_means(means) if means else _of_runs(comparison)


def _of_means(means: Sequence[FisherMean]) -> Iterator[Agreement]:
    for metric, of_metric in grouped(means, lambda mean: mean.metric).items():
        yield Agreement(metric, None, max(mean.n for mean in of_metric), True, tuple(_mean_rows(of_metric)))


def _of_runs(comparison: Comparison) -> Iterator[Agreement]:
    correlations = _by_table(comparison.correlations)
    differences = _by_table(comparison.differences)
    several = len({group for _, group in correlations}) > 1
    for (metric, group), of_table in correlations.items():
        levels = [item for item in of_table if item.transform == _LEVELS] or of_table
        rows = tuple(_run_rows(of_table, differences.get((metric, group), [])))
        yield Agreement(metric, group if several else None, max(item.n for item in levels), False, rows)


def _by_table(items: Sequence[CorrelatedT]) -> dict[tuple[str, str | None], list[CorrelatedT]]:
    """Return the items of the model by column of the log and run."""
    return grouped((item for item in items if item.scope in _MODEL), lambda item: (item.metric, item.group))


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


def _run_rows(correlations: Sequence[Correlation], differences: Sequence[CorrelationDifference]) -> Iterator[Row]:
    for (measure, plane), of_row in _chosen(grouped(correlations, lambda item: (item.measure, item.plane))):
        by_transform = {item.transform: item for item in of_row}
        estimates = {name: Estimate(item.spearman.r, item.spearman.ci95) for name, item in by_transform.items()}
        n_effective = by_transform[_LEVELS].n_effective if _LEVELS in by_transform else None
        yield Row(measure, plane or "", estimates, n_effective)
    pairs = grouped(differences, lambda item: (item.measure, item.against, item.plane))
    for (measure, against, plane), of_pair in pairs.items():
        strengths = {item.transform: Estimate(item.spearman.strength, item.spearman.strength_ci95) for item in of_pair}
        yield Row(f"{measure} - {against}", plane or "", strengths, is_difference=True)


def _mean_rows(means: Sequence[FisherMean]) -> Iterator[Row]:
    correlations = [mean for mean in means if mean.quantity == "correlation" and mean.against is None]
    for (measure, plane), of_row in _chosen(grouped(correlations, lambda mean: (mean.measure, mean.plane))):
        yield Row(measure, plane or "", _mean_estimates(of_row))
    strengths = [mean for mean in means if mean.quantity == "strength" and mean.against is not None]
    pairs = grouped(strengths, lambda mean: (mean.measure, mean.against, mean.plane))
    for (measure, against, plane), of_pair in pairs.items():
        yield Row(f"{measure} - {against}", plane or "", _mean_estimates(of_pair), is_difference=True)


def _mean_estimates(means: Sequence[FisherMean]) -> dict[str, Estimate]:
    return {mean.transform: Estimate(mean.fisher_mean, mean.ci95) for mean in means}


def _chosen(rows: Mapping[MeasurePlane, ItemT]) -> list[tuple[MeasurePlane, ItemT]]:
    """Return the measures and planes that get a row: the usual ones, fewer of many planes, or all."""
    many = len({plane for _, plane in rows if plane is not None}) > _FEW_PLANES
    wanted = main_measures()[:_OF_MANY_PLANES] if many else (*model_series(), leading_ratios()[0])
    chosen = [(row, item) for name in wanted for row, item in rows.items() if row[0] == name]
    return chosen or list(rows.items())


def _number(value: float, tight: bool) -> str:
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return text.replace("0.", ".", 1) if tight and abs(value) < 0.995 else text
