"""The table as GitHub's Markdown, for a README or an issue; nothing from a file can be Markdown or HTML itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from wcx.core.report import Report
from wcx.outputs import Output, View, Writer
from wcx.outputs.analyze import prose
from wcx.outputs.analyze.columns import BAR, Line, columns
from wcx.outputs.analyze.heat import Heat, make_heat
from wcx.outputs.analyze.ranking import check, select
from wcx.outputs.analyze.sections import bar_drawing, sections
from wcx.outputs.shared.bars import bars_for
from wcx.outputs.shared.grid import Section
from wcx.outputs.shared.markdown import code, row, table, text, write_lines

_BAR_WIDTH = 6
_MOST_RANK = 11


def open_writer(stream: TextIO, view: View) -> MarkdownWriter:
    """Return a writer of Markdown on `stream`; raise UsageError for a view with an unknown order."""
    check(view)
    return MarkdownWriter(stream, view)


class MarkdownWriter(Writer):
    """Writes a heading and a table for each report, with an empty line between two."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._view = view
        self._bars = bars_for(stream)
        self._first = True

    def report(self, report: Report) -> None:
        """Write the report."""
        if not self._first:
            self._stream.write("\n")
        self._first = False
        write_lines(self._stream, self._lines(report))

    def _lines(self, report: Report) -> Iterator[str]:
        selection = select(report.layers, self._view)
        shown = sections(report, selection)
        lines = [line for section in shown for line in section.lines]
        if not self._view.quiet:
            yield from (f"### {code(report.checkpoint.path)}", "")
            yield from (text(f"{prose.facts(report)}; {prose.settings(report.settings)}"), "")
        if self._view.planes and report.layers:
            yield from _heat(make_heat([*selection.main, *selection.apart], report.model, self._view))
            lines = []
        elif lines:
            yield from self._table(shown, lines)
        if not self._view.quiet:
            yield ""
            sentences = prose.explanations(report, selection, lines, self._bars)
            yield from (f"- {text(sentence)}" for _, sentence in sentences)

    def _table(self, shown: Sequence[Section[Line]], lines: Sequence[Line]) -> Iterator[str]:
        drawing = bar_drawing(lines, self._bars, _BAR_WIDTH)
        chosen = [column for column in columns(lines) if column.rank < _MOST_RANK]
        return table(chosen, shown, lambda line: drawing.draw(line, _BAR_WIDTH).strip(), BAR)


def _heat(view: Heat) -> Iterator[str]:
    yield row(["layer", *view.planes])
    yield row([":--", *("--:" for _ in view.planes)])
    for name, values in view.rows:
        yield row([code(name), *(view.text(value, 3) for value in values)])
    for name, values in view.model:
        yield row([f"**{name}**", *(view.text(value, 3) for value in values)])
    yield f"\n{text(prose.heat(view))}"


OUTPUT = Output("markdown", "the table in Markdown", (".md",), open_writer)
