"""A comparison on a terminal, and the same as plain text where a program or a file reads it.

First the layers, biggest movers first, closed by the model and the training log; then how the model's measures move
with each column of the log, levels beside differences; then what can be concluded, and what could not be compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

from wcx.core.comparison import Comparison, Series
from wcx.outputs import View
from wcx.outputs.compare import prose
from wcx.outputs.compare.agreement import Agreement, EstimateColumn, agreements, estimate_columns
from wcx.outputs.compare.columns import Grid, lay_out
from wcx.outputs.compare.lines import Block, Line, blocks, check, layer_lines, select
from wcx.outputs.compare.sparks import PLAIN, sparks_for
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.fit import BASE_RANK, choose
from wcx.outputs.shared.names import cut, shorten
from wcx.outputs.shared.page import STYLES, Page

_MOST_METRICS = 4


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Print the comparison; UsageError for an order that it does not have."""
    check(view)
    page = Page(stream, view)
    sparks = PLAIN if os.environ.get("TERM") == "dumb" else sparks_for(stream)
    page.print(_Table(comparison, page, sparks.draw).texts())
    page.flush()


class _Table:
    """The lines of one comparison on a page. draw: a series as a sparkline so wide."""

    def __init__(self, comparison: Comparison, page: Page, draw: Callable[[Series, int], str]) -> None:
        self._comparison = comparison
        self._page = page
        self._draw = draw

    def texts(self) -> Iterator[Text]:
        quiet = self._page.view.quiet
        selection = select(self._comparison, self._page.view)
        main = list(layer_lines(self._comparison, selection))
        closing = list(blocks(self._comparison, selection.measure))
        lines = [*main, *(line for block in closing for line in block.lines)]
        if not quiet:
            yield from self._heading()
        if lines:
            grid, names = self._grid(lines, [block.title for block in closing])
            if not quiet:
                yield Text()
                yield from self._sentences("bold", [prose.title(selection)])
            yield from self._rows(main, closing, grid, names)
            if not quiet:
                yield from self._sentences("bold", prose.left_out(selection))
                yield from self._sentences("dim", prose.legend(lines, grid))
        yield from self._agreements()
        if not quiet:
            yield from self._conclusions()
            yield from self._remarks()

    def _heading(self) -> Iterator[Text]:
        yield from self._sentences("bold", [prose.facts(self._comparison)])
        yield from self._sentences("dim", [prose.settings(self._comparison.settings)])
        yield from self._sentences("dim", prose.log_facts(self._comparison))

    def _rows(
        self, main: Sequence[Line], closing: Sequence[Block], grid: Grid, names: Mapping[str, str]
    ) -> Iterator[Text]:
        rule = Text(self._page.bars.rule * grid.width, "dim")
        yield from (Text(grid.heads(row).rstrip(), "bold") for row in (0, 1) if row or grid.heads(row).strip())
        yield rule
        yield from self._lines(main, grid, names)
        for block in closing:
            yield rule if block is closing[0] else Text()
            yield Text(block.title[: self._page.width], "dim")
            yield from self._lines(block.lines, grid, names)

    def _lines(self, lines: Iterable[Line], grid: Grid, names: Mapping[str, str]) -> Iterator[Text]:
        for line in lines:
            name = names[line.label]
            if cell_len(name) > grid.name_width:
                yield Text(name)
                name = ""
            yield self._page.row(name, "", grid.name_width, grid.cells(line, self._draw))

    def _grid(self, lines: Sequence[Line], titles: Sequence[str]) -> tuple[Grid, dict[str, str]]:
        """The layout of these lines, and each label as it is printed."""
        whole = not self._page.view.terminal
        labels = list(dict.fromkeys(line.label for line in lines))
        printed = [self._page.printable(label) for label in labels]
        grid = lay_out(lines, [cell_len(name) for name in printed], self._page.width, whole)
        if not whole:
            printed = shorten(printed, grid.name_width, cell_len, self._page.bars.ellipsis)
        return grid, dict(zip(labels, printed, strict=True))

    def _agreements(self) -> Iterator[Text]:
        found = list(agreements(self._comparison))
        metrics = list(dict.fromkeys(one.metric for one in found))
        most = _MOST_METRICS if self._page.view.terminal else len(metrics)
        shown = [one for one in found if one.metric in metrics[:most]]
        for one in shown:
            yield Text()
            yield from self._sentences("bold", [one.title])
            yield from self._agreement(one)
        if self._page.view.quiet:
            return
        if metrics[most:]:
            yield from self._sentences("bold", [f"not shown: {', '.join(metrics[most:])}; --metric NAME chooses"])
        yield from self._sentences("dim", prose.agreement_legend(shown))
        yield from self._sentences("plain", prose.layer_correlations(self._comparison))

    def _agreement(self, one: Agreement) -> Iterator[Text]:
        names = [self._page.printable(row.label) for row in one.rows]
        longest, width = max(map(cell_len, names)), self._page.width
        columns = estimate_columns(one)
        if longest + sum(column.width + 2 for column in columns if column.rank < BASE_RANK) > width:
            columns = estimate_columns(one, tight=True)
        shown = choose(columns, {column.key: column.width + 2 for column in columns}, width, longest)
        if self._page.view.terminal:
            room = width - sum(column.width + 2 for column in shown)
            names = [cut(name, max(min(longest, room), 1), cell_len, self._page.bars.ellipsis) for name in names]
            longest = max(map(cell_len, names))
        yield Text((" " * longest + "".join(_padded(column, column.head) for column in shown)).rstrip(), "bold")
        for at, name in enumerate(names):
            if one.rows[at].is_difference and not one.rows[at - 1].is_difference:
                yield Text(one.difference_title[:width], "dim")
            cells = (Cell(_padded(column, column.cells[at].text), column.cells[at].tone) for column in shown)
            yield self._page.row(name, "", longest, cells)

    def _conclusions(self) -> Iterator[Text]:
        if not self._comparison.conclusions:
            return
        yield Text()
        yield Text("what can be concluded", "bold")
        for one in self._comparison.conclusions:
            yield from self._sentences("bold" if one.survives else "plain", [f"- {one.text}"])
        yield from self._sentences("dim", [prose.multiplicity(self._comparison)])

    def _remarks(self) -> Iterator[Text]:
        remarks = list(prose.remarks(self._comparison))
        if remarks:
            yield Text()
        for kind, text in remarks:
            yield from self._sentences("note" if kind == "note" else "warning", [f"{kind}: {text}"])

    def _sentences(self, tone: str, sentences: Iterable[str]) -> Iterator[Text]:
        for sentence in sentences:
            yield from self._page.wrapped(Text(self._page.printable(sentence), STYLES[tone]))


def _padded(column: EstimateColumn, text: str) -> str:
    return "  " + (text.ljust(column.width) if column.left else text.rjust(column.width))
