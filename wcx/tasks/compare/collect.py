"""The series of a comparison, built up from the results of each checkpoint as they come in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wcx.core.comparison import LayerSeries, ModelPlaneSeries, ModelSeries, Series, SeriesMap
from wcx.core.errors import CheckpointError
from wcx.core.quantities import change_fields
from wcx.tasks.compare.rows import Row, Rows
from wcx.tasks.compare.series.matching import MatchedLayer
from wcx.tasks.compare.visit import Outcome

_Place = tuple[str, str | None]


class _Table:
    """Series by place (a layer's name, or a section of the model; and a plane) and measure, None where none was put."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._series: dict[_Place, dict[str, list[float | None]]] = {}

    def put(self, number: int, place: _Place, row: Row) -> None:
        """The row of one checkpoint."""
        series = self._series.setdefault(place, {})
        for name, value in row.items():
            if name not in series:
                series[name] = [None] * self._number
            series[name][number] = value

    def planes(self, name: str) -> list[str | None]:
        """Return the planes that there is something of, in the order in which they came."""
        return [plane for place, plane in self._series if place == name]

    def series(self, name: str, plane: str | None) -> SeriesMap:
        """Return all series of a place."""
        return {measure: tuple(values) for measure, values in self._series.get((name, plane), {}).items()}


class Collected:
    """All results of the visits. number: of checkpoints. null: True if there is a null model.

    errors, incomplete: checkpoints that can't be read, and those without rows of the model, by number. warnings: of
    layers, by name and text, with the checkpoints that have it. lost: checkpoints whose change is unknown, since
    which one (previous, first), and why that can't be read any more. notes: of the last checkpoint.
    """

    def __init__(self, number: int, null: bool) -> None:
        self._number = number
        self._null = null
        self._layers, self._model = _Table(number), _Table(number)
        self._changes = {kind: (_Table(number), _Table(number)) for kind in ("previous", "first")}
        self._planes: dict[str, dict[str | None, None]] = {}
        self.errors: dict[int, CheckpointError] = {}
        self.notes: list[str] = []
        self.warnings: dict[tuple[str, str], list[int]] = {}
        self.incomplete: list[int] = []
        self.lost: list[tuple[int, str, CheckpointError]] = []

    def add(self, number: int, outcome: Outcome) -> None:
        """Take in one checkpoint."""
        if outcome.error is not None:
            self.errors[number] = outcome.error
        if outcome.planes is None:
            return
        for kind, error in outcome.lost.items():
            self.lost.append((number, kind, error))
        _put(self._layers, self._model, number, outcome.planes)
        if not outcome.planes.model:
            self.incomplete.append(number)
        for name, planes in outcome.planes.layers.items():
            self._planes.setdefault(name, {}).update(dict.fromkeys(planes))
        for kind, rows in (("previous", outcome.previous), ("first", outcome.first)):
            if rows is not None:
                _put(*self._changes[kind], number, rows)
        if outcome.previous is None and not outcome.lost:
            self._begin(number, outcome.planes)
        self.notes = outcome.planes.notes
        for warning in outcome.planes.warnings:
            self.warnings.setdefault(warning, []).append(number)

    @property
    def has_layers(self) -> bool:
        """True if any layer has results."""
        return bool(self._planes)

    def _begin(self, number: int, rows: Rows) -> None:
        """The first checkpoint of a run has not changed since itself."""
        layers, model = self._changes["first"]
        for name, planes in rows.layers.items():
            for plane in planes:
                layers.put(number, (name, plane), {"flips": 0.0})
        for plane in rows.model.get("pooled", {}):
            model.put(number, ("pooled", plane), {"flips": 0.0})

    def layers(self, matched: Sequence[MatchedLayer]) -> Iterator[LayerSeries]:
        """Yield the series of each layer and plane."""
        previous, first = self._changes["previous"][0], self._changes["first"][0]
        for layer in matched:
            for plane in self._planes.get(layer.name, {}):
                series = self._layers.series(layer.name, plane)
                changed = (previous.series(layer.name, plane), first.series(layer.name, plane))
                yield LayerSeries(layer.name, layer.shape, plane, series, *self._changed(plane, *changed))

    def model(self) -> ModelSeries:
        """Return the model's series."""
        table = self._model
        previous, first = self._changes["previous"][1], self._changes["first"][1]
        planes = []
        for plane in dict.fromkeys((*table.planes("pooled"), *table.planes("sum"))):
            if plane is not None:
                changed = (previous.series("pooled", plane), first.series("pooled", plane))
                pooled, total = table.series("pooled", plane), table.series("sum", plane)
                planes.append(ModelPlaneSeries(plane, pooled, total, *self._changed(plane, *changed)))
        vector = table.series("concatenated", None) if table.planes("concatenated") else None
        return ModelSeries(tuple(planes), table.series("total", None), table.series("measures", None), vector)

    def _changed(
        self, plane: str | None, previous: SeriesMap, first: SeriesMap
    ) -> tuple[Series, Series, SeriesMap, SeriesMap]:
        """Flips and measures of the changed bits, since the previous checkpoint and since the first."""
        nothing: Series = (None,) * self._number
        flips = previous.get("flips", nothing), first.get("flips", nothing)
        if plane is None:
            return *flips, {}, {}
        fields = [name for name in change_fields() if self._null or not name.startswith("null.")]
        deltas = ({name: some.get(name, nothing) for name in fields} for some in (previous, first))
        return *flips, *deltas  # type: ignore[return-value]


def _put(layers: _Table, model: _Table, number: int, rows: Rows) -> None:
    for name, planes in rows.layers.items():
        for plane, row in planes.items():
            layers.put(number, (name, plane), row)
    for section, planes in rows.model.items():
        for plane, row in planes.items():
            model.put(number, (section, plane), row)
