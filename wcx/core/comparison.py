"""The frozen values of a comparison of checkpoints, which compare makes and outputs show.

Fields have the names of the JSON (docs/json.md). A series has one value a checkpoint, in the order of `checkpoints`,
None where there is none. All quantities are in bits unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wcx.core.plain import to_plain
from wcx.core.registry import NOTEBOOK_VIEWS

Series = tuple[float | None, ...]
"""One value a checkpoint."""

SeriesMap = Mapping[str, Series]
"""Series by the name of the measure: a plane's field with dots (null.bdm.ratio), or a stream measure (gzip.nbytes)."""


@dataclass(frozen=True, slots=True)
class ComparedCheckpoint:
    """One checkpoint of the series.

    label: its name without what all names share, distinct within the series. step: the number in its name that it is
    ordered by; unit: `step` or `epoch`, None where the name does not say. epoch: where the name has both. group: the
    run it belongs to. duplicate_of: label of an earlier one with the same tensors. error: why it can't be read. log:
    its values in the training log, by column.
    """

    label: str
    step: int | None
    unit: str | None
    epoch: int | None
    path: str
    format: str | None
    group: str | None
    duplicate_of: str | None
    error: str | None
    log: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LayerSeries:
    """One plane of one layer over the checkpoints, or (plane None) the measures of a layer as a whole.

    flips: fraction of the plane's bits that changed since the previous checkpoint; flips_from_first: since the first.
    delta: the changed bits as a plane of their own, measured (bdm, block_entropy, mean_ctm, density, null.bdm.ratio);
    None where nothing changed.
    """

    name: str
    shape: tuple[int, ...]
    plane: str | None
    series: SeriesMap
    flips: Series
    flips_from_first: Series
    delta: SeriesMap
    delta_from_first: SeriesMap


@dataclass(frozen=True, slots=True)
class ModelPlaneSeries:
    """One plane of the whole model: pooled adds the layers' counts and evaluates once, sum adds the layers' values."""

    plane: str
    pooled: SeriesMap
    sum: SeriesMap
    flips: Series
    flips_from_first: Series
    delta: SeriesMap
    delta_from_first: SeriesMap


@dataclass(frozen=True, slots=True)
class ModelSeries:
    """The model's rows over the checkpoints.

    total: bdm added over planes and layers. measures: stream measures of the whole model. concatenated: of preset
    momos, all parameters as one vector; None without.
    """

    planes: tuple[ModelPlaneSeries, ...]
    total: SeriesMap
    measures: SeriesMap
    concatenated: SeriesMap | None = None


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A correlation coefficient, its p (two-sided, by the effective number of points), its q and 95 % interval."""

    r: float | None
    p: float | None
    q: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """One measure against one column of the log.

    scope: pooled, sum, layer or model. transform: raw, log, detrended or diff. n: pairs of values; n_effective: the
    effective number of independent ones. q: Benjamini-Hochberg over layers, of Spearman's p; None beyond layers.
    """

    scope: str
    layer: str | None
    group: str | None
    plane: str | None
    measure: str
    metric: str
    transform: str
    n: int
    n_effective: float | None
    q: float | None
    pearson: Coefficient
    spearman: Coefficient
    kendall: Coefficient


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two correlations with the same column, on the same resamples.

    difference: r of the measure - r of its baseline. strength: the difference of their absolute values.
    """

    difference: float | None
    ci95: tuple[float, float] | None
    strength: float | None
    strength_ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class CorrelationDifference:
    """The differences between the correlations of two measures with one column of the log."""

    scope: str
    layer: str | None
    group: str | None
    plane: str | None
    measure: str
    against: str
    metric: str
    transform: str
    n: int
    pearson: Difference
    spearman: Difference
    kendall: Difference


@dataclass(frozen=True, slots=True)
class FisherMean:
    """One coefficient over several runs: the mean of Fisher's z, turned back, and its 95 % interval over the runs.

    label: one text for all fields below. n: runs. quantity: `correlation`, or of two correlations with one column
    `difference` (z of the measure - z of `against`) or `strength` (the same of abs(z)), which are not turned back.
    """

    label: str
    n: int
    fisher_mean: float | None
    ci95: tuple[float, float] | None
    quantity: str
    scope: str
    layer: str | None
    plane: str | None
    measure: str
    against: str | None
    metric: str
    transform: str
    coefficient: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The answer to one question in one sentence, for levels and for first differences.

    kind: `tracks` (does the measure correlate with the column?) or `better` (does it track better than `against`?).
    survives: true if the correlation holds for levels and for differences, with the same sign.
    """

    kind: str
    plane: str | None
    measure: str
    against: str | None
    metric: str
    group: str | None
    levels: bool | None
    differences: bool | None
    survives: bool
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The numbers of the log's rows: used by a checkpoint, unused, and replaced by a later one of the same step."""

    rows: int = 0
    used: int = 0
    unused: int = 0
    duplicates: int = 0


TIDY_COLUMNS = ("checkpoint", "step", "layer", "plane", "measure", "value", "scope", "group")
TidyRow = tuple[str, int | None, str, str, str, float | None, str, str]
"""One value for each of TIDY_COLUMNS."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of a series of checkpoints; `to_dict()` is the JSON, `table()` goes into a data frame.

    unmatched: {name, in, reason}: layers that some checkpoints (`in`, by label) lack, or have in another shape.
    """

    schema: str
    wcx: str
    settings: Mapping[str, Any]
    checkpoints: tuple[ComparedCheckpoint, ...]
    layers: tuple[LayerSeries, ...]
    model: ModelSeries
    correlations: tuple[Correlation, ...]
    differences: tuple[CorrelationDifference, ...]
    groups: tuple[FisherMean, ...]
    conclusions: tuple[Conclusion, ...]
    joined: Joined | None
    unmatched: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and lists, exactly the fields of `wcx compare --json`."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def rows(self) -> Iterator[TidyRow]:
        """Yield every known value, one a row: checkpoint by checkpoint, the log's, the model's, then each layer's.

        scope: log, layer, pooled, sum or model; layer and plane are empty where there is none.
        """
        series = list(self._series())
        for index, checkpoint in enumerate(self.checkpoints):
            for scope, layer, plane, measure, values in series:
                if (value := values[index]) is not None:
                    group = checkpoint.group or ""
                    yield checkpoint.label, checkpoint.step, layer, plane, measure, value, scope, group

    def _series(self) -> Iterator[tuple[str, str, str, str, Series]]:
        """Yield scope, layer, plane, measure and values of every series, in the order of the tidy table."""
        for name in dict.fromkeys(name for checkpoint in self.checkpoints for name in checkpoint.log):
            yield "log", "", "", name, tuple(checkpoint.log.get(name) for checkpoint in self.checkpoints)
        model = self.model
        for plane in model.planes:
            yield from (("pooled", "", plane.plane, *named) for named in (*plane.pooled.items(), *_changes(plane)))
            yield from (("sum", "", plane.plane, *named) for named in plane.sum.items())
        yield from (("sum", "", "", f"total.{name}", values) for name, values in model.total.items())
        yield from (("model", "", "", *named) for named in model.measures.items())
        for name, values in (model.concatenated or {}).items():
            yield "model", "", "", f"concatenated.{name}", values
        for layer in self.layers:
            for name, values in (*layer.series.items(), *_changes(layer)):
                yield "layer", layer.name, layer.plane or "", name, values

    def table(self) -> dict[str, list[Any]]:
        """Return the tidy table by column, for pandas.DataFrame(comparison.table())."""
        rows = list(self.rows())
        return {name: [row[column] for row in rows] for column, name in enumerate(TIDY_COLUMNS)}

    def _repr_html_(self) -> str:
        """Return the comparison as HTML tables, which Jupyter shows."""
        return NOTEBOOK_VIEWS[self.schema](self)


def _changes(series: LayerSeries | ModelPlaneSeries) -> Iterator[tuple[str, Series]]:
    """Yield the series of the changed bits by their names in the tidy table."""
    if series.plane is not None:
        yield "flips", series.flips
        yield "flips_from_first", series.flips_from_first
        yield from ((f"delta.{name}", values) for name, values in series.delta.items())
        yield from ((f"delta_from_first.{name}", values) for name, values in series.delta_from_first.items())
