"""The layout of every table of columns: which columns fit, how wide each is, and each line as a row of padded cells.

The names get what the numbers leave. With room for whole names more columns come, the least needed last; where not
even 16 characters are left for names, columns go in the opposite order. One column may be drawn: it is as wide as there
is room for, and what is in it depends on its width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from wcx.core import measure as described
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.figures import MISSING

BASE_RANK = 10
"""Columns of a lower rank belong in 80 characters."""

_NAME_AT_LEAST = 16
_NAME_UNBROKEN = 100


class Labelled(Protocol):
    """A line of a table."""

    @property
    def label(self) -> str:
        """The text in the column of names."""


LineT = TypeVar("LineT", bound=Labelled)


@dataclass(frozen=True, slots=True)
class Column(Generic[LineT]):
    """One column: how it looks, and its cell of each line."""

    key: str
    look: described.Column
    cell: Callable[[LineT], Cell]

    @property
    def rank(self) -> int:
        """The order in which columns are given up, the highest first."""
        return self.look.rank

    @property
    def head(self) -> str:
        """The heading on one line."""
        return " ".join(self.look.heads).strip()

    def heads(self, tight: bool) -> tuple[str, str]:
        """Return the heading on two lines; tight: the shorter one, if there is one."""
        return (self.look.heads[0], self.look.tight) if tight and self.look.tight else self.look.heads


def column(key: str, heads: tuple[str, str], cell: Callable[[LineT], Cell], rank: int, **look: Any) -> Column[LineT]:  # noqa: ANN401
    """Return a column that no measure describes."""
    return Column(key, described.Column(heads, "", rank, **look), cell)


@dataclass(frozen=True, slots=True)
class Section(Generic[LineT]):
    """Lines of a table under one title; divider: `rule`, `space` or nothing, which sets them off from those before."""

    lines: Sequence[LineT]
    title: str = ""
    divider: str = ""
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Drawing(Generic[LineT]):
    """The drawn column: its key, its least and largest width, and what draws a line in a width."""

    key: str
    least: int
    most: int
    draw: Callable[[LineT, int], str]


@dataclass(frozen=True, slots=True)
class Grid(Generic[LineT]):
    """Columns with their widths; `gap` separates two, `corner` is the heading of the names."""

    columns: Sequence[Column[LineT]]
    widths: Sequence[int]
    name_width: int
    gap: str
    tight: bool = False
    drawing: Drawing[LineT] | None = None
    corner: str = "layer"

    @property
    def width(self) -> int:
        """The width of a whole row."""
        return self.name_width + sum(self.widths) + len(self.gap) * len(self.columns)

    def heads(self, row: int) -> str:
        """Return the first or second line of the heading."""
        cells = self._padded(Cell(column.heads(self.tight)[row]) for column in self.columns)
        name = self.corner if row else ""
        return (name.ljust(self.name_width) + "".join(cell.text for cell in cells)).rstrip()

    def cells(self, line: LineT) -> Iterator[Cell]:
        """Yield the cells of a line after its name, each with the gap before it."""
        return self._padded(
            self._cell(column, line, width) for column, width in zip(self.columns, self.widths, strict=True)
        )

    def _cell(self, column: Column[LineT], line: LineT, width: int) -> Cell:
        cell = column.cell(line)
        if self.drawing is None or column.key != self.drawing.key:
            return cell
        return Cell(self.drawing.draw(line, width), cell.tone)

    def _padded(self, cells: Iterable[Cell]) -> Iterator[Cell]:
        for column, width, cell in zip(self.columns, self.widths, cells, strict=True):
            text = cell.text.ljust(width) if column.look.left else cell.text.rjust(width)
            yield Cell(self.gap + text, cell.tone)


def needed(columns: Iterable[Column[LineT]], lines: Sequence[LineT]) -> list[Column[LineT]]:
    """Return the columns with a cell that is not empty; the name of a plane counts as empty if all are `sign`."""
    return [column for column in columns if any(_has_content(column, line) for line in lines)]


def _has_content(column: Column[LineT], line: LineT) -> bool:
    text = column.cell(line).text.strip()
    return text not in ("", MISSING) and (column.key, text) != ("plane", "sign")


def lay_out(
    columns: Sequence[Column[LineT]],
    lines: Sequence[LineT],
    names: Sequence[int],
    width: int,
    whole: bool,
    drawing: Drawing[LineT],
) -> Grid[LineT]:
    """Fit columns into `width`; `names` are the widths of the names, which are not shortened if `whole`."""
    longest = min(max((*names, len("layer"))), _NAME_UNBROKEN if whole else width)
    widths = column_widths(columns, lines, drawing)
    tight = longest + sum(widths[column.key] + 2 for column in columns if column.rank < BASE_RANK) > width
    if tight:
        widths = column_widths(columns, lines, drawing, tight)
    gap = 1 if tight else 2
    chosen = choose(columns, {key: value + gap for key, value in widths.items()}, width, longest)

    def room() -> int:
        return width - sum(widths[column.key] + gap for column in chosen)

    for column in chosen:
        if column.key == drawing.key:
            spare = max(room() - longest, 0)
            widths[column.key] = max(min(drawing.least + spare, drawing.most), *map(len, column.heads(tight)))
    name_width = longest if whole else max(min(longest, room()), 1)
    return Grid(chosen, [widths[column.key] for column in chosen], name_width, " " * gap, tight, drawing)


def column_widths(
    columns: Iterable[Column[LineT]],
    lines: Sequence[LineT],
    drawing: Drawing[LineT] | None = None,
    tight: bool = False,
) -> dict[str, int]:
    """Return the width of each column by its key: of its widest cell or heading, or the least of the drawn one."""
    return {
        column.key: drawing.least
        if drawing is not None and column.key == drawing.key
        else max(*map(len, column.heads(tight)), *(len(column.cell(line).text) for line in lines))
        for column in columns
    }


def choose(
    columns: Sequence[Column[LineT]], costs: Mapping[str, int], width: int, longest_name: int
) -> list[Column[LineT]]:
    """Return columns by rank while they fit, those of the base next to a shortened name, the others to a whole one."""
    kept: set[str] = set()
    room = width
    for column in sorted(columns, key=lambda column: column.rank):
        least = min(longest_name, _NAME_AT_LEAST) if column.rank < BASE_RANK else longest_name
        if room - costs[column.key] < least:
            break
        kept.add(column.key)
        room -= costs[column.key]
    return [column for column in columns if column.key in kept]
