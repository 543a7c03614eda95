"""The table on a terminal, and the same as plain text where a program or a file reads it.

A terminal of any width: the table fits it, names are shortened only where they must be, and of more than 40 layers the
most interesting are shown. Anything else than a terminal gets every layer in the file's order and every name whole.
Colour says nothing that a mark or a sign does not say too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

from wcx.core.report import Report
from wcx.outputs import Output, View, Writer
from wcx.outputs.analyze import prose
from wcx.outputs.analyze.columns import Line, columns, layer_lines, model_lines
from wcx.outputs.analyze.grid import Grid, lay_out
from wcx.outputs.analyze.heat import SHADES, Heat, make_heat
from wcx.outputs.analyze.ranking import Selection, check, select
from wcx.outputs.shared.names import shorten
from wcx.outputs.shared.page import STYLES, Page


def open_writer(stream: TextIO, view: View) -> TableWriter:
    """A writer of tables on `stream`; UsageError for a view with an unknown order."""
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
        main, apart = list(layer_lines(selection.main)), list(layer_lines(selection.apart))
        model = list(model_lines(report.model))
        lines = [*main, *apart, *model]
        yield from self._heading(report)
        if self._view.planes and report.layers:
            heat = make_heat([*selection.main, *selection.apart], report.model, self._view)
            yield from self._heat(heat)
            lines = []
        elif lines:
            yield from self._table(main, apart, model)
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

    def _table(self, main: list[Line], apart: list[Line], model: list[Line]) -> Iterator[Text]:
        grid, names = self._grid([*main, *apart, *model])
        rule = Text(self._page.bars.rule * grid.width, "dim")
        yield from (Text(grid.heads(row).rstrip(), "bold") for row in (0, 1))
        yield rule
        yield from self._rows(grid, main, names)
        if apart:
            yield Text(prose.APART[: self._page.width], "dim")
            yield from self._rows(grid, apart, names)
        yield rule
        yield from self._rows(grid, model, names, "bold")

    def _heat(self, heat: Heat) -> Iterator[Text]:
        """Layers by planes; on a terminal with shades where it has them, elsewhere plain numbers."""
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

    def _grid(self, lines: Sequence[Line]) -> tuple[Grid, dict[str, str]]:
        """The layout of these lines, and each label as it is printed."""
        whole = not self._view.terminal
        labels = list(dict.fromkeys(line.label for line in lines))
        printed = [self._page.printable(label) for label in labels]
        grid = lay_out(
            columns(lines), lines, [cell_len(name) for name in printed], self._page.width, whole, self._page.bars
        )
        if not whole:
            printed = shorten(printed, grid.name_width, cell_len, self._page.bars.ellipsis)
        return grid, dict(zip(labels, printed, strict=True))

    def _rows(self, grid: Grid, lines: Iterable[Line], names: dict[str, str], style: str = "") -> Iterator[Text]:
        for line in lines:
            name = names[line.label]
            if cell_len(name) > grid.name_width:
                yield Text(name, style)
                name = ""
            yield self._page.row(name, style, grid.name_width, grid.cells(line))

    def _explanations(self, report: Report, selection: Selection, lines: Sequence[Line]) -> Iterator[Text]:
        groups = [
            ("bold", prose.left_out(report, selection)),
            ("dim", prose.legend(lines, self._page.bars)),
            ("plain", prose.skipped(report)),
        ]
        texts = [(tone, text) for tone, sentences in groups for text in sentences]
        texts += [(kind, f"{kind}: {text}") for kind, text in prose.remarks(report)]
        if texts:
            yield Text()
        for tone, text in texts:
            yield from self._page.wrapped(Text(self._page.printable(text), STYLES[tone]))


OUTPUT = Output("table", "for people", (), open_writer)
