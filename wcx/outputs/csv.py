"""The same rows as --ndjson as CSV (RFC 4180, lines end in a newline alone), written as soon as they are done.

The header stands once, null is an empty cell, the measures asked for with -m are one cell of JSON. A text that a
spreadsheet would take for a formula gets a leading quote; NUL and lone surrogates, which CSV readers stumble over, are
written as escapes, and on a terminal so are all characters that could steer it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from wcx.errors import CheckpointError
from wcx.escape import escape
from wcx.outputs import View
from wcx.outputs.bars import encoding_of
from wcx.outputs.encoding import Encoder
from wcx.outputs.rows import COLUMNS, Row, layer_rows, report_rows
from wcx.types import LayerReport, Report

__all__ = ["Cells", "open_writer"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_SHORT = 200
_MOST_KNOWN = 20_000
_SPECIAL = re.compile('[,"\r\n]')


def open_writer(stream: TextIO, view: View) -> CsvWriter:
    """A writer of CSV on `stream`."""
    return CsvWriter(stream, view)


class CsvWriter:
    """Writes the header at once, then rows as they come; an input that can't be read has no row."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._cells = Cells(stream, view)
        self._stream.write(",".join(COLUMNS) + "\n")
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
            self._stream.write(self._cells.line(row.get(column) for column in COLUMNS))
        self._stream.flush()


class Cells:
    """Values as cells of CSV, in what the stream can take."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._terminal = view.terminal
        self._encoding = encoding_of(stream)
        self._encoder = Encoder.for_stream(stream, indented=False)
        self._known: dict[str, str] = {}

    def line(self, values: Iterable[Any]) -> str:
        """A line of such cells."""
        return ",".join(map(self._cell, values)) + "\n"

    def _cell(self, value: Any) -> str:  # noqa: ANN401
        kind = type(value)
        if kind is str:
            return self._quoted(value)
        if value is None:
            return ""
        if kind is float or kind is int:
            return self._encoder.text(value)
        if isinstance(value, Mapping):
            return _quoted(self._encoder.text(value)) if value else ""
        return self._encoder.text(value)

    def _quoted(self, text: str) -> str:
        """A text in quotes where it needs them; most stand in many rows."""
        known = self._known.get(text)
        if known is None:
            known = _quoted(self._text(text))
            if len(text) <= _SHORT and len(self._known) < _MOST_KNOWN:
                self._known[text] = known
        return known

    def _text(self, text: str) -> str:
        if text.startswith(("=", "+", "-", "@")) and not _NUMBER.fullmatch(text):
            text = "'" + text
        if self._terminal:
            text = escape(text)
        text = _UNREADABLE.sub(lambda found: escape(found[0]), text)
        return text if text.isascii() else text.encode(self._encoding, "backslashreplace").decode(self._encoding)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text
