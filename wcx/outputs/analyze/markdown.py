"""The table as GitHub's Markdown, for a README or an issue; what stands in a file can't be Markdown or HTML itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from wcx.core.report import Report
from wcx.outputs import Output, View, Writer
from wcx.outputs.analyze import prose
from wcx.outputs.analyze.columns import Column, Line, bar_share, columns, layer_lines, model_lines
from wcx.outputs.analyze.grid import longest_bar
from wcx.outputs.analyze.heat import Heat, make_heat
from wcx.outputs.analyze.ranking import check, select
from wcx.outputs.shared.bars import bars_for, encoding_of
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.markdown import code, row, text

_BAR_WIDTH = 6
_MOST_RANK = 11


def open_writer(stream: TextIO, view: View) -> MarkdownWriter:
    """A writer of Markdown on `stream`; UsageError for a view with an unknown order."""
    check(view)
    return MarkdownWriter(stream, view)


class MarkdownWriter(Writer):
    """Writes a heading and a table for each report."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._view = view
        self._bars = bars_for(stream)
        self._encoding = encoding_of(stream)
        self._first = True

    def report(self, report: Report) -> None:
        """Write the report."""
        written = "\n".join(self._lines(report)) + "\n"
        written = ("" if self._first else "\n") + written
        self._first = False
        self._stream.write(written.encode(self._encoding, "xmlcharrefreplace").decode(self._encoding))
        self._stream.flush()

    def _lines(self, report: Report) -> Iterator[str]:
        selection = select(report.layers, self._view)
        main, apart = list(layer_lines(selection.main)), list(layer_lines(selection.apart))
        model = list(model_lines(report.model))
        if not self._view.quiet:
            yield from (f"### {code(report.checkpoint.path)}", "")
            yield from (text(f"{prose.facts(report)}; {prose.settings(report.settings)}"), "")
        lines = [*main, *apart, *model]
        if self._view.planes and report.layers:
            view = make_heat([*selection.main, *selection.apart], report.model, self._view)
            yield from _heat(view)
            lines = []
        elif lines:
            yield from self._table(main, apart, model)
        if not self._view.quiet:
            sentences = [*prose.left_out(report, selection), *prose.legend(lines, self._bars)]
            sentences += [*prose.skipped(report), *(f"{kind}: {text}" for kind, text in prose.remarks(report))]
            yield ""
            yield from (f"- {text(sentence)}" for sentence in sentences)

    def _table(self, main: list[Line], apart: list[Line], model: list[Line]) -> Iterator[str]:
        lines = [*main, *apart, *model]
        shown = [column for column in columns(lines) if column.rank < _MOST_RANK]
        longest = longest_bar(lines)
        yield row(["layer", *(" ".join(column.look.heads).strip() for column in shown)])
        yield row([":--", *(":--" if column.look.left else "--:" for column in shown)])
        for line in [*main, *apart]:
            if apart and line is apart[0]:
                yield row([f"*{prose.APART}*", *("" for _ in shown)])
            yield row([code(line.label) if line.label else "", *self._cells(shown, line, longest)])
        for line in model:
            yield row([f"**{line.label}**" if line.label else "", *self._cells(shown, line, longest)])

    def _cells(self, shown: Sequence[Column], line: Line, longest: float) -> Iterator[str]:
        for column in shown:
            cell = column.cell(line)
            if column.key == "bar":
                cell = Cell(self._bars.draw(bar_share(line), longest, _BAR_WIDTH))
            yield cell.text.strip()


def _heat(view: Heat) -> Iterator[str]:
    yield row(["layer", *view.planes])
    yield row([":--", *("--:" for _ in view.planes)])
    for name, values in view.rows:
        yield row([code(name), *(view.text(value, 3) for value in values)])
    for name, values in view.model:
        yield row([f"**{name}**", *(view.text(value, 3) for value in values)])
    yield f"\n{text(prose.heat(view))}"


OUTPUT = Output("markdown", "the table in Markdown", (".md",), open_writer)
