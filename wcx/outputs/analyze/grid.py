"""Which columns fit, how wide each is, and each line as a row of padded cells.

The names get what the numbers leave. With room for whole names more columns come, the least needed last; where not
even 16 characters are left for names, columns go in the opposite order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wcx.outputs.analyze.columns import BAR, Column, Line, bar_share
from wcx.outputs.shared.bars import Bars
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.fit import BASE_RANK, choose

_NAME_UNBROKEN = 100
_BAR_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns with their widths; `gap` stands between two."""

    columns: Sequence[Column]
    widths: Sequence[int]
    name_width: int
    gap: str
    tight: bool
    bars: Bars
    longest: float

    @property
    def width(self) -> int:
        """Of a whole row."""
        return self.name_width + sum(self.widths) + len(self.gap) * len(self.columns)

    def heads(self, row: int) -> str:
        """The first or second line of the heading."""
        cells = [_heads(column, self.tight)[row] for column in self.columns]
        name = "layer" if row else ""
        return name.ljust(self.name_width) + "".join(cell.text for cell in self._padded(Cell(cell) for cell in cells))

    def cells(self, line: Line) -> Iterator[Cell]:
        """The cells of a line after its name, each with the gap before it."""
        return self._padded(self._cell(column, line) for column in self.columns)

    def _cell(self, column: Column, line: Line) -> Cell:
        cell = column.cell(line)
        if column.key != BAR:
            return cell
        return Cell(self.bars.draw(bar_share(line), self.longest, self._bar_width), cell.tone)

    @property
    def _bar_width(self) -> int:
        return next(width for column, width in zip(self.columns, self.widths, strict=True) if column.key == BAR)

    def _padded(self, cells: Iterable[Cell]) -> Iterator[Cell]:
        for column, width, cell in zip(self.columns, self.widths, cells, strict=True):
            text = cell.text.ljust(width) if column.look.left else cell.text.rjust(width)
            yield Cell(self.gap + text, cell.tone)


def lay_out(
    columns: Sequence[Column], lines: Sequence[Line], names: Sequence[int], width: int, whole: bool, bars: Bars
) -> Grid:
    """Fit columns into `width`; `names` are the widths of the names, which stay as they are where `whole`."""
    longest_name = min(max((*names, len("layer"))), _NAME_UNBROKEN if whole else width)
    bar = 11 if width >= 110 else 6
    base = [column for column in columns if column.rank < BASE_RANK]
    widths = {column.key: _width(column, lines, bar, tight=False) for column in columns}
    tight = longest_name + sum(widths[column.key] + 2 for column in base) > width
    if tight:
        widths = {column.key: _width(column, lines, bar, tight) for column in columns}
    gap = 1 if tight else 2
    chosen = choose(columns, {key: value + gap for key, value in widths.items()}, width, longest_name)
    room = width - sum(widths[column.key] + gap for column in chosen)
    name_width = longest_name if whole else max(min(longest_name, room), 1)
    kept = [widths[column.key] for column in chosen]
    return Grid(chosen, kept, name_width, " " * gap, tight, bars, longest_bar(lines))


def longest_bar(lines: Sequence[Line]) -> float:
    """The share that fills a bar: the largest of these lines, but no small one."""
    return max((*(abs(bar_share(line) or 0.0) for line in lines), _BAR_FLOOR))


def _heads(column: Column, tight: bool) -> tuple[str, str]:
    look = column.look
    return (look.heads[0], look.tight) if tight and look.tight else look.heads


def _width(column: Column, lines: Sequence[Line], bar: int, tight: bool) -> int:
    if column.key == BAR:
        return bar
    heads = _heads(column, tight)
    return max(len(heads[0]), len(heads[1]), *(len(column.cell(line).text) for line in lines))
