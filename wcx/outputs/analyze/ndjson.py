"""One JSON object per line for each layer and plane, written as soon as it is done.

Every line has every column of docs/csv.md, null where there is nothing, and after them the measures asked for with -m,
flattened with dots too (measures.gzip.ratio).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from wcx.core.errors import CheckpointError
from wcx.core.report import LayerReport, Report
from wcx.outputs import View
from wcx.outputs.analyze.json import error_fields
from wcx.outputs.analyze.rows import Row, columns, flat_measures, layer_rows, report_rows
from wcx.outputs.shared.encoding import Encoder


def open_writer(stream: TextIO, view: View) -> NdjsonWriter:
    """A writer of JSON lines on `stream`."""
    return NdjsonWriter(stream)


class NdjsonWriter:
    """Writes and flushes rows as they come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoder = Encoder.for_stream(stream, indented=False)

    def layer(self, path: str, layer: LayerReport) -> None:
        """Write a line per plane."""
        self._write(layer_rows(path, layer))

    def report(self, report: Report) -> None:
        """Write the model's rows and the skipped tensors."""
        self._write(report_rows(report))

    def error(self, error: CheckpointError) -> None:
        """Write an error object, which has a `schema` where rows have a `row`."""
        self._stream.write(self._encoder.text(error_fields(error)) + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Nothing is left to write."""

    def _write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._stream.write(self._encoder.line(_fields(row)) + "\n")
        self._stream.flush()


def _fields(row: Row) -> Row:
    fixed = {column: row.get(column) for column in columns() if column != "measures"}
    return {**fixed, **dict(flat_measures(row.get("measures") or {}))}
