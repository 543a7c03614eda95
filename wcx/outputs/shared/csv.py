"""CSV (RFC 4180, lines end in a newline alone) that no spreadsheet takes for formulas and every reader can take."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

from wcx.core.text import escape
from wcx.outputs import View
from wcx.outputs.shared.bars import encodable
from wcx.outputs.shared.json import Encoder

_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")


class CsvRows:
    """Writes rows of values: None is an empty cell, a mapping one cell of JSON, empty where it is empty.

    A text that a spreadsheet would take for a formula gets a leading quote; NUL and lone surrogates, which CSV readers
    stumble over, are written as escapes, and on a terminal so are all characters that could steer it. Raises ValueError
    for NaN or an infinity.
    """

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._terminal = view.terminal
        self._encoder = Encoder.for_stream(stream, indented=False)
        self._writer = csv.writer(self, lineterminator="\r\n")  # so that it quotes both, before Python 3.13 too

    def write(self, line: str) -> int:
        """Write a line of the csv module, ended by a newline alone."""
        return self._stream.write(line.removesuffix("\r\n") + "\n")

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows and flush."""
        self._writer.writerows(map(self._cell, row) for row in rows)
        self._stream.flush()

    def _cell(self, value: Any) -> str:  # noqa: ANN401
        if type(value) is str:
            return self._text(value)
        return "" if value is None or value == {} else self._encoder.text(value)

    def _text(self, text: str) -> str:
        if text.startswith(("=", "+", "-", "@")) and not _NUMBER.fullmatch(text):
            text = "'" + text
        if text.isascii() and text.isprintable():
            return text
        if self._terminal:
            text = escape(text)
        return encodable(_UNREADABLE.sub(lambda found: escape(found[0]), text), self._stream)
