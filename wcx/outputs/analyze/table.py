"""The table on a terminal, and the same as plain text for a program or a file.

On a terminal the table fits any width, names are shortened only where they must be, and of more than 40 layers those of
highest deviation are shown. Everything else gets all layers in the file's order and whole names. Each colour repeats a
mark or a sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

from wcx.core.report import Report
from wcx.outputs import Output, View, Writer
from wcx.outputs.analyze import prose
from wcx.outputs.analyze.columns import Line, columns
from wcx.outputs.analyze.heat import SHADES, Heat, make_heat
from wcx.outputs.analyze.ranking import Selection, check, select
from wcx.outputs.analyze.sections import bar_drawing, sections
from wcx.outputs.shared.names import shorten
from wcx.outputs.shared.page import STYLES, Page
from wcx.outputs.shared.table import make_table

_WIDE = 110
_BAR_WIDTH = {False: 6, True: 11}


def open_writer(stream: TextIO, view: View) -> TableWriter:
    """Return a writer of tables on `stream`; raise UsageError for a view with an unknown order."""
    check(view)
    return TableWriter(stream, view)


class TableWriter(Writer):
    """Prints a table when its report is done, with an empty line between two."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._view = view
        self._page = Page(stream, view)
        self._first = True

    def report(self, report: Report) -> None:
        """Print the report."""
        if not self._first:
            self._page.print([Text()])
        self._first = False
        self._page.print(self._texts(report))
        self._page.flush()

    def _texts(self, report: Report) -> Iterator[Text]:
        selection = select(report.layers, self._view)
        shown = sections(report, selection)
        lines = [line for section in shown for line in section.lines]
        yield from self._heading(report)
        if self._view.planes and report.layers:
            yield from self._heat(make_heat([*selection.main, *selection.apart], report.model, self._view))
            lines = []
        elif lines:
            drawing = bar_drawing(lines, self._page.bars, _BAR_WIDTH[self._page.width >= _WIDE])
            yield from make_table(self._page, columns(lines), shown, drawing).texts(blank_heads=True)
        if not self._view.quiet:
            yield from self._explanations(report, selection, lines)

    def _heading(self, report: Report) -> Iterator[Text]:
        path = Text(self._page.printable(report.checkpoint.path), "bold")
        if self._view.quiet:
            yield from self._page.wrapped(path) if self._view.several else ()
            return
        yield from self._page.wrapped(path.append(f": {prose.facts(report)}", "not bold"))
        yield from self._page.wrapped(Text(self._page.printable(prose.settings(report.settings)), "dim"))
        if report.layers:
            yield Text()

    def _heat(self, heat: Heat) -> Iterator[Text]:
        """Yield layers by planes: shaded on a terminal that has shades, elsewhere plain numbers."""
        printed = [self._page.printable(name) for name, _ in (*heat.rows, *heat.model)]
        shades = SHADES if self._view.terminal and self._page.bars.parts else ""
        longest = max(map(cell_len, printed))
        places, cell = heat.width(longest, self._page.width if self._view.terminal else None, shaded=bool(shades))
        room = self._page.width - cell * len(heat.planes)
        width = min(longest, max(room, 1)) if self._view.terminal else longest
        if self._view.terminal:
            printed = shorten(printed, width, cell_len, self._page.bars.ellipsis)
        rule = Text(self._page.bars.rule * (width + cell * len(heat.planes)), "dim")
        yield Text("layer".ljust(width) + heat.heads(places, cell), "bold")
        yield rule
        for number, ((_, row), name) in enumerate(zip((*heat.rows, *heat.model), printed, strict=True)):
            if number == len(heat.rows):
                yield rule
            yield self._page.row(name, "", width, heat.cells(row, places, cell, shades))
        if not self._view.quiet:
            yield Text()
            yield from self._page.wrapped(Text(prose.heat(heat), "dim"))

    def _explanations(self, report: Report, selection: Selection, lines: Sequence[Line]) -> Iterator[Text]:
        sentences = list(prose.explanations(report, selection, lines, self._page.bars))
        if sentences:
            yield Text()
        for tone, sentence in sentences:
            yield from self._page.wrapped(Text(self._page.printable(sentence), STYLES[tone]))


OUTPUT = Output("table", "for people", (), open_writer)
