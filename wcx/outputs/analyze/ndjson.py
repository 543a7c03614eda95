"""One JSON object per line for each layer and plane, written as soon as it is done.

Every line has every column of docs/csv.md, null where a row has no value, and then the measures of -m, flattened with
dots too (measures.gzip.ratio).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TextIO

from wcx.core.errors import CheckpointError
from wcx.core.report import LayerReport, Report
from wcx.outputs import Output, View, Writer
from wcx.outputs.analyze.rows import Row, columns, flat_measures, layer_rows, report_rows
from wcx.outputs.shared.json import Encoder, error_fields


def open_writer(stream: TextIO, view: View) -> NdjsonWriter:
    """Return a writer of JSON lines on `stream`."""
    return NdjsonWriter(stream)


class NdjsonWriter(Writer):
    """Writes and flushes rows as they come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoder = Encoder.for_stream(stream, indented=False)

    def layer(self, path: str, layer: LayerReport) -> None:
        """Write a line per plane."""
        self._write(map(_fields, layer_rows(path, layer)))

    def report(self, report: Report) -> None:
        """Write the model's rows and the skipped tensors."""
        self._write(map(_fields, report_rows(report)))

    def error(self, error: CheckpointError) -> None:
        """Write an error object, which has a `schema` where rows have a `row`."""
        self._write([error_fields(error)])

    def _write(self, rows: Iterable[Row]) -> None:
        self._stream.writelines(self._encoder.text(row) + "\n" for row in rows)
        self._stream.flush()


def _fields(row: Row) -> Row:
    fixed = {**_empty(), **row}
    measures = fixed.pop("measures")
    return {**fixed, **dict(flat_measures(measures or {}))}


@cache
def _empty() -> Row:
    return dict.fromkeys(columns())


OUTPUT = Output("ndjson", "a flat object per layer and plane", (".ndjson", ".jsonl"), open_writer)
