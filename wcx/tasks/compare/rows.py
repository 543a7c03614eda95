"""From the report of one checkpoint to plain rows of numbers, by the names that their series have.

A row is a dict from a measure's name to a number or None: a plane's field with dots (null.bdm.ratio), a compressor of
its packed bits (gzip.nbytes). Numbers of a layer as a whole are under the plane None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wcx.blocks.counts import BlockCounts
from wcx.core.quantities import (
    DENSITY,
    change_fields,
    change_nulls,
    main_measures,
    null_measures,
    plane_getter,
    plane_measures,
    summed_measures,
)
from wcx.core.report import LayerReport, ModelReport, PlaneReport
from wcx.core.settings import Settings
from wcx.scan.layers import Layer
from wcx.tasks.analyze.evaluate import PlaneValues, evaluate_counts, permutation, plane_report
from wcx.tasks.analyze.model import Model
from wcx.tasks.analyze.plan import evaluation_of
from wcx.tasks.analyze.settings import SAMPLED_DRAWS

Row = dict[str, float | None]


@dataclass(slots=True)
class Rows:
    """All numbers of one checkpoint, or of the change between two.

    layers: by name, then by plane. model: `pooled`, `sum` by plane; `total`, `measures`, `concatenated` under None.
    Empty where the checkpoint has not all layers that the model's rows are made of.
    """

    layers: dict[str, dict[str | None, Row]] = field(default_factory=dict)
    model: dict[str, dict[str | None, Row]] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """Return the rows as JSON can hold them."""
        layers = [[name, list(planes.items())] for name, planes in self.layers.items()]
        model = [[name, list(planes.items())] for name, planes in self.model.items()]
        return {"layers": layers, "model": model, "warnings": self.warnings, "notes": self.notes}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Rows:
        """Return the rows that to_plain made plain; raises KeyError, TypeError or ValueError for anything else."""
        layers = {name: dict(planes) for name, planes in plain["layers"]}
        model = {name: dict(planes) for name, planes in plain["model"]}
        return cls(layers, model, [(name, text) for name, text in plain["warnings"]], list(plain["notes"]))


def plane_fields(settings: Settings) -> list[str]:
    """Return the fields of a plane that have a series."""
    measures = [measure for measure in plane_measures() if measure.is_number and measure.name in settings.measures]
    fields = [DENSITY, *(measure.name for measure in measures)]
    if settings.null != "none":
        nulls = [measure.name for measure in null_measures() if measure.name in settings.measures]
        fields += [f"null.{name}.{what}" for name in nulls for what in ("ratio", "z")]
    return fields + (["reference.bdm", "reference.ratio"] if settings.reference is not None else [])


def layer_rows(layer: LayerReport, settings: Settings) -> dict[str | None, Row]:
    """Return the rows of one layer: of each plane, and of the layer as a whole where there is something."""
    fields = plane_fields(settings)
    rows: dict[str | None, Row] = {plane.plane: _plane_row(plane, fields) for plane in layer.planes}
    own, of_planes = _measures(layer.measures)
    for plane, row in of_planes.items():
        rows[plane] |= row
    if settings.reference is not None and len(layer.planes) > 1:
        own["total.reference_ratio"] = layer.total.reference_ratio
    return rows | ({None: own} if own else {})


def model_rows(model: ModelReport, settings: Settings) -> dict[str, dict[str | None, Row]]:
    """Return the model's rows."""
    fields = plane_fields(settings)
    own, of_planes = _measures({name: value for name, value in model.measures.items() if name != "concatenated"})
    pooled: dict[str | None, Row] = {}
    sums: dict[str | None, Row] = {}
    for item in model.planes:
        if item.pooled is not None:
            pooled[item.plane] = _plane_row(item.pooled, fields) | of_planes.get(item.plane, {})
        sums[item.plane] = {name: getattr(item.sum, name) for name in summed_measures()}
        if settings.reference is not None:
            sums[item.plane]["reference.ratio"] = item.sum.reference_ratio
    found: dict[str, dict[str | None, Row]] = {
        "pooled": pooled,
        "sum": sums,
        "total": {None: {name: getattr(model.total, name) for name in summed_measures()}},
        "measures": {None: own},
    }
    if model.concatenated is not None:
        vector, of_vector = _measures(model.measures.get("concatenated", {}))
        row = _plane_row(model.concatenated, fields) | vector
        for plane, more in of_vector.items():
            row |= {f"{plane}.{name}": value for name, value in more.items()}
        found["concatenated"] = {None: row}
    return found


def _plane_row(plane: PlaneReport, fields: Sequence[str]) -> Row:
    return {name: plane_getter(name)(plane) for name in fields}


def _measures(measures: Mapping[str, Any]) -> tuple[Row, dict[str, Row]]:
    """Stream measures of a layer as a whole, and those of its planes."""
    own: Row = {}
    planes: dict[str, Row] = {}
    for name, value in measures.items():
        if not isinstance(value, Mapping):
            own[name] = value
            continue
        for key, item in value.items():
            if key != "planes" and not (key == "ratio" and item is None) and not _is_nothing(value):
                own.update(_flat(f"{name}.{key}", item))
        for plane, sizes in value.get("planes", {}).items():
            planes.setdefault(plane, {}).update({f"{name}.{key}": item for key, item in sizes.items()})
    return own, planes


def _is_nothing(value: Mapping[str, Any]) -> bool:
    """Return True if a compressor did not take the stored bytes."""
    return value.get("ratio", 0) is None and value.get("nbytes") == 0


def _flat(name: str, value: Any) -> Iterator[tuple[str, float | None]]:  # noqa: ANN401
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    else:
        yield name, value


class ChangeRows:
    """The changed bits of the layers, evaluated one after the other; then of the model."""

    def __init__(self, settings: Settings) -> None:
        null = (
            replace(settings, null="permutation", null_draws=SAMPLED_DRAWS) if settings.null == "shuffle" else settings
        )
        self._evaluation = evaluation_of(null, main_measures(), change_nulls())
        self._rows = Rows()
        self._model = Model(self._evaluation)

    def add(
        self, layer: Layer, name: str, planes: Sequence[str], counts: tuple[BlockCounts, ...] | None, core: bool
    ) -> None:
        """Take in the changed bits of a layer; None where they are unknown."""
        if counts is None:
            return
        values = [
            evaluate_counts(self._evaluation, plane, some, [(layer.tensor.name, index)])
            for index, (plane, some) in enumerate(zip(planes, counts, strict=True))
        ]
        self._rows.layers.setdefault(name, {}).update(self._of_planes(values))
        if core:
            self._model.add(layer.weights, values, counts)

    def finish(self, complete: bool) -> Rows:
        """Return the rows; those of the model only where it is complete."""
        if complete:
            self._rows.model["pooled"] = self._of_planes(self._model.pooled())
        return self._rows

    def _of_planes(self, planes: Sequence[PlaneValues]) -> dict[str | None, Row]:
        reports = [plane_report(plane, permutation(self._evaluation, plane)) for plane in planes]
        return {report.plane: _change_row(report) for report in reports}


def _change_row(plane: PlaneReport) -> Row:
    """Return the fraction of changed bits, and the measures of these bits as a plane; empty if nothing changed."""
    none = plane.ones == 0
    return {"flips": plane.density} | {name: None if none else plane_getter(name)(plane) for name in change_fields()}
