"""The lines and columns of a table for people, the same on a terminal, in Markdown and in a notebook.

A cell is a short text and a tone; what a tone looks like is up to the output. The first question of a reader is which
layers are less complex than their own shuffle and by how much, so this comes next to the name: the relative change of
the leading measure, its z and a bar. The complexity of a layer follows, then the columns that qualify it. Measures
describe their columns themselves. Cells of numbers are ASCII; names are not in cells, as only the output knows what its
reader can take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wcx.core import measure as described
from wcx.core.plain import members
from wcx.core.quantities import leading, null_measures, plane_measures
from wcx.core.report import LayerReport, ModelReport, NullStatistic, PlaneReport
from wcx.outputs.analyze.ranking import deviation
from wcx.outputs.analyze.rows import flat_measures, split_measures
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.grid import Column, column, needed

CROWDED = "~"
SATURATED = "!"
BAR = "bar"
"""The key of the column that each output draws its own way."""

_CROWDED_LOAD = 0.25
_STRING = 12  # symbols of a block of the concatenated plane


@dataclass(frozen=True, slots=True)
class Line:
    """One plane of a layer or of the model.

    label: the layer's name, empty on all but the first of its lines; pooled, sum or total for the model. values: those
    of the plane, or what a sum has. measures: those of the layer or model, on one of its lines.
    """

    label: str
    plane_name: str
    weights: int
    values: Mapping[str, Any]
    plane: PlaneReport | None
    layer: LayerReport | None = None
    measures: Mapping[str, Any] | None = None
    reference_ratio: float | None = None


def layer_lines(layers: Sequence[LayerReport]) -> Iterator[Line]:
    """Yield one line for each plane of each layer."""
    for layer in layers:
        for index, plane in enumerate(layer.planes):
            label = (layer.name or '""') if index == 0 else ""
            measures = layer.measures if index == 0 else None
            ratio = _reference_ratio(plane)
            yield Line(label, plane.plane, layer.weights, plane.values, plane, layer, measures, ratio)


def model_lines(model: ModelReport) -> Iterator[Line]:
    """Yield the lines a table closes with: pooled counts, the sums of the layers' bdm, all parameters as one string."""
    pooled = [item.pooled for item in model.planes if item.pooled is not None]
    for index, plane in enumerate(pooled):
        label, ratio = "" if index else "pooled", _reference_ratio(plane)
        yield Line(label, plane.plane, model.weights, plane.values, plane, reference_ratio=ratio)
    usual, of_vector = split_measures(model)
    for index, item in enumerate(model.planes):
        measures, added = None if index else usual, item.sum
        label = "" if index else "sum"
        yield Line(label, item.plane, model.weights, dict(members(added)), None, None, measures, added.reference_ratio)
    if len(model.planes) > 1:
        ratio = model.total.reference_ratio
        yield Line("total", "all", model.weights, dict(members(model.total)), None, reference_ratio=ratio)
    one = model.concatenated
    if one is not None:
        symbols = one.blocks * _STRING + (one.left_over or 0)
        yield Line(one.plane, "", symbols, one.values, one, None, of_vector)


def _reference_ratio(plane: PlaneReport) -> float | None:
    return plane.reference.ratio if plane.reference else None


def mark(plane: PlaneReport) -> str:
    """Return the mark of a bdm: CROWDED or SATURATED if it is not to be trusted, else empty."""
    if plane.regime == "saturated":
        return SATURATED
    return CROWDED if plane.load is not None and plane.load > _CROWDED_LOAD else ""


def bar_share(line: Line) -> float | None:
    """Return the signed length of a line's bar, 0 where chance explains it, None where there is no null model."""
    unexplained = deviation(line.plane) if line.plane else None
    statistic = _null(line, leading()[0])
    if unexplained is None or statistic is None or statistic.ratio is None:
        return None
    return statistic.ratio - 1 if unexplained > 0 else 0.0


def columns(lines: Sequence[Line]) -> list[Column[Line]]:
    """Return the columns that say something of these lines, from left to right."""
    fixed = sorted([*_FIXED, *_plane_columns()], key=lambda column: column.look.place)
    return needed([*fixed, *_measure_columns(lines)], lines)


def _null(line: Line, measure: str) -> NullStatistic | None:
    null = line.plane.null if line.plane else None
    return null.values[measure] if null else None


def _tone(line: Line) -> str:
    share = bar_share(line)
    return "plain" if share is None else "dim" if share == 0 else "less" if share < 0 else "more"


def _plane_name(line: Line) -> Cell:
    return Cell(line.plane_name)


def _reference(line: Line) -> Cell:
    return Cell(figures.ratio(line.reference_ratio))


def _matrix(line: Line) -> Cell:
    return Cell("x".join(map(str, line.layer.matrix)) if line.layer and line.label else "", "dim")


def _dtype(line: Line) -> Cell:
    return Cell(line.layer.dtype if line.layer and line.label else "")


def _weights(line: Line) -> Cell:
    return Cell(figures.count(line.weights) if line.label else "")


def _density(line: Line) -> Cell:
    return Cell(figures.density(line.plane.density) if line.plane else "")


def _plane_columns() -> Iterator[Column[Line]]:
    """Yield the columns that measures of planes and their nulls have."""
    for measure in null_measures():
        for look in measure.null.columns if measure.null else ():
            yield Column(
                BAR if look.format == BAR else f"{measure.name} {look.format}", look, _of_null(measure.name, look)
            )
    for measure in plane_measures():
        for look in measure.columns:
            yield Column(f"{measure.name} {look.format}", look, _of_value(measure.name, look))


def _of_value(name: str, look: described.Column) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        if name not in line.values:
            return Cell("")
        sign = mark(line.plane) if line.plane else ""
        text = _text(look, line.values[name], line.weights) + ((sign or " ") if look.marked else "")
        return Cell(text, "dim" if look.saturates and sign == SATURATED else "plain")

    return cell


def _text(look: described.Column, value: float | None, weights: int) -> str:
    if look.format == "per_weight":
        return figures.per_weight(value, weights)
    write: Callable[[float | None], str] = getattr(figures, look.format)
    return write(value)


def _of_null(name: str, look: described.Column) -> Callable[[Line], Cell]:
    """Return the cell of a null: of the leading one in the tone of its distance from chance."""

    def cell(line: Line) -> Cell:
        tone = _tone(line) if name == leading()[0] else "plain"
        if look.format == BAR:
            return Cell("" if bar_share(line) is None else BAR, tone)
        statistic = _null(line, name)
        number = None if statistic is None else statistic.z if look.format == "score" else statistic.ratio
        return Cell(_text(look, number, line.weights) if line.plane else "", tone)

    return cell


def _measure_columns(lines: Sequence[Line]) -> list[Column[Line]]:
    """Return a column for each number of the compressors and statistics that -m asked for."""
    names = {name: None for line in lines for name, _ in flat_measures(line.measures or {}, "")}
    return [column(name, _two_heads(name), _measure(name), _rank(name)) for name in names]


def _rank(name: str) -> int:
    """A ratio says more than a size, and the stored bytes are asked for more than a plane's."""
    return 19 if ".planes." in name else 18 if name.endswith((".nbytes", ".rate")) else 10


def _two_heads(name: str) -> tuple[str, str]:
    above, _, below = name.rpartition(".")
    return above, below


def _measure(name: str) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        return Cell(figures.any_number(dict(flat_measures(line.measures, "")).get(name)) if line.measures else "")

    return cell


_FIXED = (
    column("plane", ("", "plane"), _plane_name, 0, place=0, left=True),
    column("matrix", ("", "matrix"), _matrix, 6, place=10),
    column("reference", ("ratio to", "reference"), _reference, 3, place=50, tight="ref."),
    column("density", ("", "density"), _density, 7, place=110, tight="dens."),
    column("weights", ("", "weights"), _weights, 17, place=130),
    column("dtype", ("", "dtype"), _dtype, 16, place=140, left=True),
)
