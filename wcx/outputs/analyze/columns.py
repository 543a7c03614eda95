"""What a table for people shows: its lines and its columns, the same on a terminal, in Markdown and in a notebook.

A cell is a short text and a tone; what a tone looks like is up to the output. The first question of a reader is which
layers are less complex than their own shuffle and by how much, so this stands next to the name: the relative change of
bdm_rarefied, its z and a bar. How complex a layer is comes next, and how far to trust that last. Cells of numbers are
ASCII; names are not in cells, as only the output knows what its reader can take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wcx.core.report import LayerReport, ModelReport, NullStatistic, PlaneReport
from wcx.outputs.analyze.ranking import deviation
from wcx.outputs.analyze.rows import flat_measures, split_measures
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.figures import MISSING

CROWDED = "~"
SATURATED = "!"
_CROWDED_LOAD = 0.25
_STRING = 12  # symbols of a block of the concatenated plane


@dataclass(frozen=True, slots=True)
class Line:
    """One plane of a layer or of the model.

    label: the layer's name, empty on all but the first of its lines; pooled, sum or total for the model. bdm and its
    ratio to the reference's stand beside the plane because a sum has nothing else. measures: those of the layer or
    model, on one of its lines.
    """

    label: str
    plane_name: str
    weights: int
    bdm: float | None
    plane: PlaneReport | None
    layer: LayerReport | None = None
    measures: Mapping[str, Any] | None = None
    reference_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column. heads: its heading in two lines. rank: the order in which columns are given up, the highest first.

    A column of rank below 10 belongs in 80 characters. tight: the second line of the heading where space is short.
    """

    key: str
    heads: tuple[str, str]
    cell: Callable[[Line], Cell]
    rank: int
    left: bool = False
    tight: str = ""


def layer_lines(layers: Sequence[LayerReport]) -> Iterator[Line]:
    """One line for each plane of each layer."""
    for layer in layers:
        for index, plane in enumerate(layer.planes):
            label = (layer.name or '""') if index == 0 else ""
            measures = layer.measures if index == 0 else None
            ratio = _reference_ratio(plane)
            yield Line(label, plane.plane, layer.weights, plane.bdm, plane, layer, measures, ratio)


def model_lines(model: ModelReport) -> Iterator[Line]:
    """The lines a table closes with: pooled counts, the sums of the layers' bdm, all parameters as one string."""
    pooled = [item.pooled for item in model.planes if item.pooled is not None]
    for index, plane in enumerate(pooled):
        label, ratio = "" if index else "pooled", _reference_ratio(plane)
        yield Line(label, plane.plane, model.weights, plane.bdm, plane, reference_ratio=ratio)
    usual, of_vector = split_measures(model)
    for index, item in enumerate(model.planes):
        measures, added = None if index else usual, item.sum
        label = "" if index else "sum"
        yield Line(label, item.plane, model.weights, added.bdm, None, None, measures, added.reference_ratio)
    if len(model.planes) > 1:
        ratio = model.total.reference_ratio
        yield Line("total", "all", model.weights, model.total.bdm, None, reference_ratio=ratio)
    one = model.concatenated
    if one is not None:
        symbols = one.blocks * _STRING + (one.left_over or 0)
        yield Line(one.plane, "", symbols, one.bdm, one, None, of_vector)


def _reference_ratio(plane: PlaneReport) -> float | None:
    return plane.reference.ratio if plane.reference else None


def mark(plane: PlaneReport) -> str:
    """Whether bdm can be trusted: empty, CROWDED or SATURATED."""
    if plane.regime == "saturated":
        return SATURATED
    return CROWDED if plane.load is not None and plane.load > _CROWDED_LOAD else ""


def bar_share(line: Line) -> float | None:
    """The signed length of a line's bar, 0 where chance explains it, None where there is no null model."""
    unexplained = deviation(line.plane) if line.plane else None
    statistic = _null(line, "bdm_rarefied")
    if unexplained is None or statistic is None or statistic.ratio is None:
        return None
    return statistic.ratio - 1 if unexplained > 0 else 0.0


def columns(lines: Sequence[Line]) -> list[Column]:
    """The columns that have something to say of these lines, in the order they stand."""
    candidates = [*_COLUMNS, *_measure_columns(lines)]
    if all(line.plane_name in ("", "sign") for line in lines):  # one plane goes without saying
        candidates = [column for column in candidates if column.key != "plane"]
    return [column for column in candidates if any(_says_something(column.cell(line)) for line in lines)]


def _says_something(cell: Cell) -> bool:
    return cell.text.strip() not in ("", MISSING)


def _null(line: Line, measure: str) -> NullStatistic | None:
    null = line.plane.null if line.plane else None
    return getattr(null, measure) if null else None


def _tone(line: Line) -> str:
    share = bar_share(line)
    return "plain" if share is None else "dim" if share == 0 else "less" if share < 0 else "more"


def _change(measure: str) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        statistic = _null(line, measure)
        text = figures.change(statistic.ratio if statistic else None) if line.plane else ""
        return Cell(text, _tone(line) if measure == "bdm_rarefied" else "plain")

    return cell


def _score(line: Line) -> Cell:
    statistic = _null(line, "bdm_rarefied")
    return Cell(figures.score(statistic.z if statistic else None) if line.plane else "", _tone(line))


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


def _per_weight(line: Line) -> Cell:
    sign = mark(line.plane) if line.plane else ""
    return Cell(figures.per_weight(line.bdm, line.weights) + (sign or " "), "dim" if sign == SATURATED else "plain")


def _bdm(line: Line) -> Cell:
    saturated = line.plane is not None and mark(line.plane) == SATURATED
    return Cell(figures.count(line.bdm), "dim" if saturated else "plain")


def _of_plane(attribute: str, write: Callable[[float | None], str]) -> Callable[[Line], Cell]:
    return lambda line: Cell(write(getattr(line.plane, attribute)) if line.plane else "")


def _measure_columns(lines: Sequence[Line]) -> list[Column]:
    """A column for each number among the measures that were asked for beside the usual ones."""
    names = {name: None for line in lines for name, _ in flat_measures(line.measures or {}, "")}
    return [Column(name, _two_heads(name), _measure(name), _rank(name)) for name in names]


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


_COLUMNS = (
    Column("plane", ("", "plane"), _plane_name, 0, left=True),
    Column("matrix", ("", "matrix"), _matrix, 6),
    Column("change", ("vs own", "shuffle"), _change("bdm_rarefied"), 0),
    Column("z", ("", "z"), _score, 1),
    Column("bar", ("", ""), lambda line: Cell("" if bar_share(line) is None else "bar", _tone(line)), 2, left=True),
    Column("ctm_change", ("mean ctm", "vs own"), _change("mean_ctm"), 12),
    Column("bdm_change", ("bdm", "vs own"), _change("bdm"), 14),
    Column("reference", ("ratio to", "reference"), _reference, 3, tight="ref."),
    Column("per_weight", ("bdm per", "weight "), _per_weight, 3),
    Column("bdm", ("", "bdm"), _bdm, 11),
    Column("mean_ctm", ("mean", "ctm"), _of_plane("mean_ctm", figures.two_places), 13),
    Column("block_entropy", ("block", "entropy"), _of_plane("block_entropy", figures.two_places), 5, tight="entr."),
    Column("distinct", ("distinct", "blocks"), _of_plane("distinct", figures.count), 15),
    Column("density", ("", "density"), _of_plane("density", figures.density), 7, tight="dens."),
    Column("load", ("", "load"), _of_plane("load", figures.load), 4),
    Column("weights", ("", "weights"), _weights, 17),
    Column("dtype", ("", "dtype"), _dtype, 16, left=True),
)
