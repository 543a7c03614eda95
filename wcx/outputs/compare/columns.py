"""The columns of a comparison's table and how they fit: the same on a terminal, in Markdown and in a notebook.

Next to a name stands where its series began, where it ended, the change and the shape of the way; then how many bits
changed, and whether the changed bits are less complex than their own shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wcx.core.comparison import Series
from wcx.core.quantities import leading_ratios
from wcx.outputs.compare.lines import Line
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.figures import MISSING
from wcx.outputs.shared.fit import BASE_RANK, choose

SPARK = "spark"
"""The key of the column that each output draws its own way."""

ABSENT = "*"
"""Stands by a first or last value that is not of the run's first or last checkpoint."""

_SPARK_LEAST = 10
_SPARK_MOST = 60
_FEWEST = 3
_NAME_UNBROKEN = 100
_WHOLE = 1000
_HARDLY = 0.005  # a change below half a per cent is small print


@dataclass(frozen=True, slots=True)
class Column:
    """One column. heads: its heading in two lines. rank: the order in which columns are given up, the highest first."""

    key: str
    heads: tuple[str, str]
    cell: Callable[[Line], Cell]
    rank: int
    left: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns with their widths; `gap` stands between two."""

    columns: Sequence[Column]
    widths: Sequence[int]
    name_width: int
    gap: str

    @property
    def width(self) -> int:
        """Of a whole row."""
        return self.name_width + sum(self.widths) + len(self.gap) * len(self.columns)

    def heads(self, row: int) -> str:
        """The first or second line of the heading."""
        cells = (Cell(column.heads[row]) for column in self.columns)
        return ("layer" if row else "").ljust(self.name_width) + "".join(cell.text for cell in self._padded(cells))

    def cells(self, line: Line, spark: Callable[[Series, int], str]) -> Iterator[Cell]:
        """The cells of a line after its name, each with the gap before it. spark: draws a series that wide."""
        return self._padded(
            Cell(spark(line.values, width)) if column.key == SPARK else column.cell(line)
            for column, width in zip(self.columns, self.widths, strict=True)
        )

    def _padded(self, cells: Iterable[Cell]) -> Iterator[Cell]:
        for column, width, cell in zip(self.columns, self.widths, cells, strict=True):
            text = cell.text.ljust(width) if column.left else cell.text.rjust(width)
            yield Cell(self.gap + text, cell.tone)


def columns(lines: Sequence[Line]) -> list[Column]:
    """The columns that have something to say of these lines, in the order they stand."""
    return [column for column in _COLUMNS if _is_needed(column, lines)]


def _is_needed(column: Column, lines: Sequence[Line]) -> bool:
    if column.key == "plane":
        return any(line.plane not in ("", "sign") for line in lines)  # one plane goes without saying
    if column.key == SPARK:
        return any(len(line.values) >= _FEWEST for line in lines)
    return any(column.cell(line).text.strip() not in ("", MISSING) for line in lines)


def lay_out(lines: Sequence[Line], names: Sequence[int], width: int, whole: bool) -> Grid:
    """Fit the columns into `width`; `names` are the widths of the names, which stay as they are where `whole`.

    The sparkline takes what is left beside whole names, up to one character a checkpoint.
    """
    shown = columns(lines)
    longest = min(max((*names, len("layer"))), _NAME_UNBROKEN if whole else width)
    widths = {column.key: _width(column, lines) for column in shown}
    tight = longest + sum(widths[column.key] + 2 for column in shown if column.rank < BASE_RANK) > width
    gap = 1 if tight else 2
    chosen = choose(shown, {key: value + gap for key, value in widths.items()}, width, longest)
    room = width - sum(widths[column.key] + gap for column in chosen)
    if SPARK in widths:
        spare = max(room - longest, 0)
        most = min(max(len(line.values) for line in lines), _SPARK_MOST)
        widths[SPARK] = max(min(widths[SPARK] + spare, most), len("over time"))
        room = width - sum(widths[column.key] + gap for column in chosen)
    name_width = longest if whole else max(min(longest, room), 1)
    return Grid(chosen, [widths[column.key] for column in chosen], name_width, " " * gap)


def _width(column: Column, lines: Sequence[Line]) -> int:
    if column.key == SPARK:
        return _SPARK_LEAST
    return max(len(column.heads[0]), len(column.heads[1]), *(len(column.cell(line).text) for line in lines))


def of_measure(measure: str, value: float | None) -> str:
    """A value of a series as short as its measure allows.

    >>> of_measure("null.bdm.ratio", 0.98765), of_measure("bdm", 17923.06), of_measure("block_entropy", 9.2061)
    ('0.9877', '17,923', '9.206')
    """
    if value is not None and measure.endswith("ratio"):
        return f"{value:.4f}"
    if value is not None and abs(value) >= _WHOLE:
        return figures.count(value)
    return figures.any_number(value)


def delta_measure(line: Line) -> str | None:
    """Which null ratio of its changed bits a line has."""
    return next(
        (name for name in leading_ratios() if any(value is not None for value in line.delta.get(name, ()))), None
    )


def _first(line: Line) -> Cell:
    return Cell(of_measure(line.measure, line.first) + (ABSENT if line.begins_late else ""))


def _last(line: Line) -> Cell:
    return Cell(of_measure(line.measure, line.last) + (ABSENT if line.ends_early else ""))


def _change(line: Line) -> Cell:
    ratio = line.change
    tone = "plain" if ratio is None else "dim" if abs(ratio - 1) < _HARDLY else "less" if ratio < 1 else "more"
    return Cell(figures.change(ratio), tone)


def _extreme(pick: Callable[[list[float]], float]) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        known = [value for value in line.values if value is not None]
        return Cell(of_measure(line.measure, pick(known) if known else None))

    return cell


def _since_first(line: Line) -> Cell:
    return Cell(figures.share(line.flips_from_first[-1]) if line.flips_from_first else "")


def _per_step(line: Line) -> Cell:
    known = [value for value in line.flips if value is not None]
    return Cell(figures.share(sum(known) / len(known) if known else None) if line.flips else "")


def _delta(attribute: str) -> Callable[[Line], Cell]:
    def cell(line: Line) -> Cell:
        name = delta_measure(line)
        there: Mapping[str, Series] = getattr(line, attribute)
        if name is None or not there.get(name):
            return Cell(MISSING if line.flips else "")
        return Cell(figures.change(there[name][-1]))

    return cell


def _shape(line: Line) -> Cell:
    return Cell("x".join(map(str, line.shape)) if line.shape and line.label else "", "dim")


_COLUMNS = (
    Column("plane", ("", "plane"), lambda line: Cell(line.plane), 0, left=True),
    Column("run", ("", "run"), lambda line: Cell(line.run), 0, left=True),
    Column("shape", ("", "shape"), _shape, 12),
    Column("first", ("", "first"), _first, 3),
    Column("last", ("", "last"), _last, 2),
    Column("change", ("", "change"), _change, 0),
    Column(SPARK, ("", "over time"), lambda line: Cell("spark"), 1, left=True),
    Column("least", ("", "least"), _extreme(min), 13),
    Column("most", ("", "most"), _extreme(max), 14),
    Column("since", ("differ", "from 1st"), _since_first, 4),
    Column("step", ("flips", "a step"), _per_step, 5),
    Column("delta_first", ("XOR vs", "shuffle"), _delta("delta_from_first"), 6),
    Column("delta", ("last XOR", "shuffle"), _delta("delta"), 11),
)
