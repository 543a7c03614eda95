"""The same rows as --ndjson as CSV (RFC 4180, lines end in a newline alone), written as soon as they are done.

The header stands once, null is an empty cell, the measures asked for with -m are one cell of JSON. A text that a
spreadsheet would take for a formula gets a leading quote; NUL and lone surrogates, which CSV readers stumble over, are
written as escapes, and on a terminal so are all characters that could steer it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from wcx.core.errors import CheckpointError
from wcx.core.report import LayerReport, Report
from wcx.outputs import View
from wcx.outputs.analyze.rows import Row, columns, layer_rows, report_rows
from wcx.outputs.shared.cells import Cells


def open_writer(stream: TextIO, view: View) -> CsvWriter:
    """A writer of CSV on `stream`."""
    return CsvWriter(stream, view)


class CsvWriter:
    """Writes the header at once, then rows as they come; an input that can't be read has no row."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._cells = Cells(stream, view)
        self._stream.write(",".join(columns()) + "\n")
        self._stream.flush()

    def layer(self, path: str, layer: LayerReport) -> None:
        """Write a row per plane."""
        self._write(layer_rows(path, layer))

    def report(self, report: Report) -> None:
        """Write the model's rows and the skipped tensors."""
        self._write(report_rows(report))

    def error(self, error: CheckpointError) -> None:
        """Write nothing: a row of a table is no place for an error."""

    def end(self) -> None:
        """Nothing is left to write."""

    def _write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._stream.write(self._cells.line(row.get(column) for column in columns()))
        self._stream.flush()
