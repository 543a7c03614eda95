"""The columns of a comparison's table, for terminals, Markdown and notebooks.

Next to a name: the first and last value of its series, the change, and a sparkline; then the fraction of bits that
changed, and whether the changed bits are less complex than their own shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wcx.core.comparison import Series
from wcx.core.groups import mean
from wcx.core.quantities import leading_ratios
from wcx.outputs.compare.lines import SeriesLine
from wcx.outputs.compare.sparks import Sparks
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.figures import MISSING
from wcx.outputs.shared.grid import BASE_RANK, Column, Drawing, column, needed

SPARK = "spark"
"""The key of the drawn column."""

ABSENT = "*"
"""Marks a first or last value that is not of the run's first or last checkpoint."""

_SPARK_LEAST = 10
_SPARK_MOST = 60
_FEWEST = 3
_WHOLE = 1000
_HARDLY = 0.005  # a change below half a per cent is small print


def columns(lines: Sequence[SeriesLine]) -> list[Column[SeriesLine]]:
    """Return the columns that have values in these lines, from left to right."""
    return needed(_COLUMNS, lines)


def base_columns(lines: Sequence[SeriesLine]) -> list[Column[SeriesLine]]:
    """Return those columns that belong in 80 characters."""
    return [column for column in columns(lines) if column.rank < BASE_RANK]


def spark_drawing(lines: Sequence[SeriesLine], sparks: Sparks) -> Drawing[SeriesLine]:
    """Return what draws the sparklines of these lines: in what is left by whole names, up to one sign a checkpoint."""
    most = min(max((len(line.values) for line in lines), default=0), _SPARK_MOST)
    return Drawing(SPARK, _SPARK_LEAST, most, lambda line, width: sparks.draw(line.values, width))


def of_measure(measure: str, value: float | None) -> str:
    """Return a value of a series, as short as its measure allows.

    >>> of_measure("null.bdm.ratio", 0.98765), of_measure("bdm", 17923.06), of_measure("block_entropy", 9.2061)
    ('0.9877', '17,923', '9.206')
    """
    if value is not None and measure.endswith("ratio"):
        return f"{value:.4f}"
    if value is not None and abs(value) >= _WHOLE:
        return figures.count(value)
    return figures.any_number(value)


def delta_measure(line: SeriesLine) -> str | None:
    """Return the first of the leading null ratios that a line has of its changed bits."""
    return next(
        (name for name in leading_ratios() if any(value is not None for value in line.delta.get(name, ()))), None
    )


def _first(line: SeriesLine) -> Cell:
    return Cell(of_measure(line.measure, line.first) + (ABSENT if line.begins_late else ""))


def _last(line: SeriesLine) -> Cell:
    return Cell(of_measure(line.measure, line.last) + (ABSENT if line.ends_early else ""))


def _change(line: SeriesLine) -> Cell:
    ratio = line.change
    tone = "plain" if ratio is None else "dim" if abs(ratio - 1) < _HARDLY else "less" if ratio < 1 else "more"
    return Cell(figures.change(ratio), tone)


def _extreme(pick: Callable[[list[float]], float]) -> Callable[[SeriesLine], Cell]:
    def cell(line: SeriesLine) -> Cell:
        known = [value for value in line.values if value is not None]
        return Cell(of_measure(line.measure, pick(known) if known else None))

    return cell


def _since_first(line: SeriesLine) -> Cell:
    return Cell(figures.share(line.flips_from_first[-1]) if line.flips_from_first else "")


def _per_step(line: SeriesLine) -> Cell:
    return Cell(figures.share(mean(line.flips)) if line.flips else "")


def _delta(attribute: str) -> Callable[[SeriesLine], Cell]:
    def cell(line: SeriesLine) -> Cell:
        name = delta_measure(line)
        series: Mapping[str, Series] = getattr(line, attribute)
        if name is None or not series.get(name):
            return Cell(MISSING if line.flips else "")
        return Cell(figures.change(series[name][-1]))

    return cell


def _shape(line: SeriesLine) -> Cell:
    return Cell("x".join(map(str, line.shape)) if line.shape and line.label else "", "dim")


def _spark(line: SeriesLine) -> Cell:
    return Cell(SPARK if len(line.values) >= _FEWEST else "")


_COLUMNS: tuple[Column[SeriesLine], ...] = (
    column("plane", ("", "plane"), lambda line: Cell(line.plane), 0, left=True),
    column("run", ("", "run"), lambda line: Cell(line.run), 0, left=True),
    column("shape", ("", "shape"), _shape, 12),
    column("first", ("", "first"), _first, 3),
    column("last", ("", "last"), _last, 2),
    column("change", ("", "change"), _change, 0),
    column(SPARK, ("", "over time"), _spark, 1, left=True),
    column("min", ("", "min"), _extreme(min), 13),
    column("max", ("", "max"), _extreme(max), 14),
    column("since", ("changed", "from 1st"), _since_first, 4),
    column("step", ("mean", "flips"), _per_step, 5),
    column("delta_first", ("XOR vs", "shuffle"), _delta("delta_from_first"), 6),
    column("delta", ("last XOR", "vs shuffle"), _delta("delta"), 11),
)
