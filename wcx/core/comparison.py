"""The frozen values of a comparison of checkpoints, and nothing else: what compare makes and outputs show.

Every field has the name that it has in the JSON (docs/json.md). A series has one value a checkpoint, in the order of
`checkpoints`, None where there is none. All quantities are in bits unless the name says otherwise.
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

LOG_SCOPE = "log"


@dataclass(frozen=True, slots=True)
class ComparedCheckpoint:
    """One checkpoint of the series.

    label: its name without what all names share, distinct within the series. step: the number in its name that it is
    ordered by; unit: what that counts, `step` or `epoch`, None where the name does not say. epoch: where the name has
    both. group: the run it belongs to. duplicate_of: label of an earlier one with the same tensors. error: why it
    can't be read. log: what the training log has for it, by column.
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
    """One plane of one layer over the checkpoints, or (plane None) what belongs to a layer as a whole.

    flips: share of the plane's bits that changed since the checkpoint before; flips_from_first: since the first.
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

    scope: pooled, sum, layer or model. transform: raw, log, detrended or diff. n: pairs of values; n_effective: as many
    independent ones say as much. q: Benjamini-Hochberg over layers, of Spearman's p; None beyond layers.
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

    difference: r of the measure - r of what it is set against. strength: the same of their absolute values.
    """

    difference: float | None
    ci95: tuple[float, float] | None
    strength: float | None
    strength_ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class CorrelationDifference:
    """Whether one measure tracks a column of the log better than another measure does."""

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

    label: all of the following in one text. n: runs. quantity: `correlation`, or of two correlations with one column
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
    """What can be said of one question, in one sentence, and whether it holds for differences too and not only levels.

    kind: `tracks` (does the measure move with the column?) or `better` (does it track better than `against`?).
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
    """What became of the training log's rows."""

    rows: int = 0
    used: int = 0
    unused: int = 0
    duplicates: int = 0


TidyRow = tuple[str, int | None, str, str, str, float | None, str, str]
"""checkpoint, step, layer, plane, measure, value, scope, group."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that wcx says of a series of checkpoints; `to_dict()` is the JSON, `table()` goes into a data frame.

    unmatched: {name, in, reason}: layers that some checkpoints (`in`, by label) have not, or not in that shape.
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
        """The comparison as plain dicts and lists, exactly the fields of `wcx compare --json`."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def rows(self) -> Iterator[TidyRow]:
        """Every number that is there, one a row: checkpoint by checkpoint, the log's, the model's, then each layer's.

        scope: log, layer, pooled, sum or model; layer and plane are empty where there is none.
        """
        for at, checkpoint in enumerate(self.checkpoints):
            for scope, layer, plane, measure, values in self._series():
                if values[at] is not None:
                    yield self._row(checkpoint, layer, plane, measure, values[at], scope)

    def _row(
        self, checkpoint: ComparedCheckpoint, layer: str, plane: str, measure: str, value: float | None, scope: str
    ) -> TidyRow:
        return checkpoint.label, checkpoint.step, layer, plane, measure, value, scope, checkpoint.group or ""

    def _series(self) -> list[tuple[str, str, str, str, Series]]:
        """scope, layer, plane, measure and values of every series, in the order of the tidy table."""
        found: list[tuple[str, str, str, str, Series]] = []
        columns = {name: None for checkpoint in self.checkpoints for name in checkpoint.log}
        for name in columns:
            found.append((LOG_SCOPE, "", "", name, tuple(one.log.get(name) for one in self.checkpoints)))
        model = self.model
        for plane in model.planes:
            found += [("pooled", "", plane.plane, *one) for one in (*plane.pooled.items(), *_changes(plane))]
            found += [("sum", "", plane.plane, *one) for one in plane.sum.items()]
        found += [("sum", "", "", f"total.{name}", values) for name, values in model.total.items()]
        found += [("model", "", "", *one) for one in model.measures.items()]
        found += [
            ("model", "", "", f"concatenated.{name}", values) for name, values in (model.concatenated or {}).items()
        ]
        for layer in self.layers:
            for name, values in (*layer.series.items(), *_changes(layer)):
                found.append(("layer", layer.name, layer.plane or "", name, values))
        return found

    def table(self) -> dict[str, list[Any]]:
        """The tidy table by column, for pandas.DataFrame(comparison.table())."""
        names = ("checkpoint", "step", "layer", "plane", "measure", "value", "scope", "group")
        rows = list(self.rows())
        return {name: [row[place] for row in rows] for place, name in enumerate(names)}

    def _repr_html_(self) -> str:
        """The comparison as HTML tables, which Jupyter shows."""
        return NOTEBOOK_VIEWS[self.schema](self)


def _changes(series: LayerSeries | ModelPlaneSeries) -> Iterator[tuple[str, Series]]:
    """The series of what changed, by the name that they have in the tidy table."""
    if series.plane is None:
        return
    yield "flips", series.flips
    yield "flips_from_first", series.flips_from_first
    yield from ((f"delta.{name}", values) for name, values in series.delta.items())
    yield from ((f"delta_from_first.{name}", values) for name, values in series.delta_from_first.items())
