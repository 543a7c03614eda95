"""The table on a terminal, and the same as plain text where a program or a file reads it.

A terminal of any width: the table fits it, names are shortened only where they must be, and of more than 40 layers the
most interesting are shown. Anything else than a terminal gets every layer in the file's order and every name whole.
Colour says nothing that a mark or a sign does not say too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from wcx.errors import CheckpointError
from wcx.escape import escape
from wcx.outputs import View, prose
from wcx.outputs.bars import PLAIN, bars_for, encoding_of
from wcx.outputs.columns import Cell, Line, columns, layer_lines, model_lines
from wcx.outputs.heat import SHADES, Heat, make_heat
from wcx.outputs.layout import Grid, lay_out
from wcx.outputs.names import shorten
from wcx.outputs.ranking import Selection, check, select
from wcx.types import LayerReport, Report

__all__ = ["open_writer"]

_USUAL_WIDTH = 80
_NARROWEST = 20
_STYLES = {
    "plain": "",
    "dim": "dim",
    "bold": "bold",
    "less": "cyan",
    "more": "magenta",
    "note": "dim",
    "warning": "yellow",
}


def open_writer(stream: TextIO, view: View) -> TableWriter:
    """A writer of tables on `stream`; UsageError for a view with an unknown order."""
    check(view)
    return TableWriter(stream, view)


class TableWriter:
    """Prints a table when its report is done, with an empty line between two."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._view = view
        self._width = max(view.width or _USUAL_WIDTH, _NARROWEST if view.terminal else _USUAL_WIDTH)
        self._encoding = encoding_of(stream)
        self._bars = PLAIN if os.environ.get("TERM") == "dumb" else bars_for(stream)
        self._console = _console(stream, view, self._width)
        self._first = True

    def layer(self, path: str, layer: LayerReport) -> None:
        """A table needs all its layers."""

    def report(self, report: Report) -> None:
        """Print the report."""
        if not self._first:
            self._print([Text()])
        self._first = False
        self._print(self._texts(report))
        self._stream.flush()

    def error(self, error: CheckpointError) -> None:
        """Print nothing: the command line has said it."""

    def end(self) -> None:
        """Nothing is left to print."""

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
        path = Text(self._printable(report.checkpoint.path), "bold")
        if self._view.quiet:
            yield from self._wrapped(path) if self._view.several else ()
            return
        yield from self._wrapped(path.append(f": {prose.facts(report)}", "not bold"))
        yield from self._wrapped(Text(self._printable(prose.settings(report.settings)), "dim"))
        if report.layers:
            yield Text()

    def _table(self, main: list[Line], apart: list[Line], model: list[Line]) -> Iterator[Text]:
        grid, names = self._grid([*main, *apart, *model])
        rule = Text(self._bars.rule * grid.width, "dim")
        yield from (Text(grid.heads(row).rstrip(), "bold") for row in (0, 1))
        yield rule
        yield from self._rows(grid, main, names)
        if apart:
            yield Text(prose.APART[: self._width], "dim")
            yield from self._rows(grid, apart, names)
        yield rule
        yield from self._rows(grid, model, names, "bold")

    def _heat(self, heat: Heat) -> Iterator[Text]:
        """Layers by planes; on a terminal with shades where it has them, elsewhere plain numbers."""
        printed = [self._printable(name) for name, _ in (*heat.rows, *heat.model)]
        shades = SHADES if self._view.terminal and self._bars.parts else ""
        longest = max(map(cell_len, printed))
        places, cell = heat.width(longest, self._width if self._view.terminal else None, shaded=bool(shades))
        room = self._width - cell * len(heat.planes)
        width = min(longest, max(room, 1)) if self._view.terminal else longest
        if self._view.terminal:
            printed = shorten(printed, width, cell_len, self._bars.ellipsis)
        rule = Text(self._bars.rule * (width + cell * len(heat.planes)), "dim")
        yield Text("layer".ljust(width) + heat.heads(places, cell), "bold")
        yield rule
        for number, ((_, row), name) in enumerate(zip((*heat.rows, *heat.model), printed, strict=True)):
            if number == len(heat.rows):
                yield rule
            yield _row(name, "", width, heat.cells(row, places, cell, shades))
        if not self._view.quiet:
            yield Text()
            yield from self._wrapped(Text(prose.heat(heat), "dim"))

    def _grid(self, lines: Sequence[Line]) -> tuple[Grid, dict[str, str]]:
        """The layout of these lines, and each label as it is printed."""
        whole = not self._view.terminal
        labels = list(dict.fromkeys(line.label for line in lines))
        printed = [self._printable(label) for label in labels]
        grid = lay_out(columns(lines), lines, [cell_len(name) for name in printed], self._width, whole, self._bars)
        if not whole:
            printed = shorten(printed, grid.name_width, cell_len, self._bars.ellipsis)
        return grid, dict(zip(labels, printed, strict=True))

    def _rows(self, grid: Grid, lines: Iterable[Line], names: dict[str, str], style: str = "") -> Iterator[Text]:
        for line in lines:
            name = names[line.label]
            if cell_len(name) > grid.name_width:
                yield Text(name, style)
                name = ""
            yield _row(name, style, grid.name_width, grid.cells(line))

    def _explanations(self, report: Report, selection: Selection, lines: Sequence[Line]) -> Iterator[Text]:
        groups = [
            ("bold", prose.left_out(report, selection)),
            ("dim", prose.legend(lines, self._bars)),
            ("plain", prose.skipped(report)),
        ]
        texts = [(tone, text) for tone, sentences in groups for text in sentences]
        texts += [(kind, f"{kind}: {text}") for kind, text in prose.remarks(report)]
        if texts:
            yield Text()
        for tone, text in texts:
            yield from self._wrapped(Text(self._printable(text), _STYLES[tone]))

    def _wrapped(self, text: Text) -> Iterator[Text]:
        """A sentence in lines as wide as the terminal, all but the first indented; elsewhere in one."""
        if not self._view.terminal or cell_len(text.plain) <= self._width:
            yield text
            return
        for index, line in enumerate(text.wrap(self._console, self._width - 2)):
            line.rstrip()
            yield Text("  ").append_text(line) if index else line

    def _printable(self, text: str) -> str:
        """Nothing that steers a terminal, nothing that the stream can't take."""
        text = escape(text)
        return text if text.isascii() else text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def _print(self, texts: Iterable[Text]) -> None:
        for text in texts:
            self._console.print(text, soft_wrap=True)


def _row(name: str, style: str, width: int, cells: Iterable[Cell]) -> Text:
    row = Text(name + " " * (width - cell_len(name)), style)
    for cell in cells:
        row.append(cell.text, _STYLES[cell.tone] or None)
    row.rstrip()
    return row


def _console(stream: TextIO, view: View, width: int) -> Console:
    return Console(
        file=stream,
        width=width,
        color_system="standard" if view.color else None,
        force_jupyter=False,
        no_color=not view.color,
        markup=False,
        emoji=False,
        highlight=False,
    )
