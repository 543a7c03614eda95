"""A table of sections on a page: its heading, and the rows of each section under names that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from rich.cells import cell_len
from rich.text import Text

from wcx.outputs.shared.grid import Column, Drawing, Grid, LineT, Section, lay_out
from wcx.outputs.shared.names import shorten
from wcx.outputs.shared.page import Page


@dataclass(frozen=True, slots=True)
class Table(Generic[LineT]):
    """Sections laid out on a page; names: each label as it is printed."""

    page: Page
    grid: Grid[LineT]
    names: Mapping[str, str]
    sections: Sequence[Section[LineT]]

    def texts(self, blank_heads: bool = False) -> Iterator[Text]:
        """Yield the lines of the table; blank_heads: the heading has two lines, even if the first is blank."""
        heads = (self.grid.heads(row) for row in (0, 1))
        yield from (Text(head, "bold") for head in heads if head or blank_heads)
        yield self._rule()
        yield from self.rows()

    def rows(self) -> Iterator[Text]:
        """Yield the lines below the heading."""
        for section in self.sections:
            if section.divider:
                yield self._rule() if section.divider == "rule" else Text()
            if section.title:
                yield Text(section.title[: self.page.width], "dim")
            for line in section.lines:
                yield from self._row(line, "bold" if section.bold else "")

    def _rule(self) -> Text:
        return Text(self.page.bars.rule * self.grid.width, "dim")

    def _row(self, line: LineT, style: str) -> Iterator[Text]:
        name = self.names[line.label]
        if cell_len(name) > self.grid.name_width:
            yield Text(name, style)
            name = ""
        yield self.page.row(name, style, self.grid.name_width, self.grid.cells(line))


def make_table(
    page: Page, columns: Sequence[Column[LineT]], sections: Sequence[Section[LineT]], drawing: Drawing[LineT]
) -> Table[LineT]:
    """Lay sections out on a page; names are shortened only on a terminal."""
    lines = [line for section in sections for line in section.lines]
    labels = list(dict.fromkeys(line.label for line in lines))
    printed = [page.printable(label) for label in labels]
    whole = not page.view.terminal
    grid = lay_out(columns, lines, [cell_len(name) for name in printed], page.width, whole, drawing)
    if not whole:
        printed = shorten(printed, grid.name_width, cell_len, page.bars.ellipsis)
    return Table(page, grid, dict(zip(labels, printed, strict=True)), sections)
