"""The rows of --ndjson as CSV, written as soon as they are done: the header once, then a row per layer and plane.

The measures asked for with -m are one cell of JSON; an input that can't be read has no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from wcx.core.report import LayerReport, Report
from wcx.outputs import Output, View, Writer
from wcx.outputs.analyze.rows import Row, columns, layer_rows, report_rows
from wcx.outputs.shared.csv import CsvRows


def open_writer(stream: TextIO, view: View) -> CsvWriter:
    """Return a writer of CSV on `stream`."""
    return CsvWriter(stream, view)


class CsvWriter(Writer):
    """Writes the header at once, then rows as they come."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._csv = CsvRows(stream, view)
        self._csv.rows([columns()])

    def layer(self, path: str, layer: LayerReport) -> None:
        """Write a row per plane."""
        self._write(layer_rows(path, layer))

    def report(self, report: Report) -> None:
        """Write the model's rows and the skipped tensors."""
        self._write(report_rows(report))

    def _write(self, rows: Iterable[Row]) -> None:
        self._csv.rows([row.get(column) for column in columns()] for row in rows)


OUTPUT = Output("csv", "a flat row per layer and plane", (".csv",), open_writer)
