"""Cells of tables and of CSV files, which no spreadsheet takes for a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TextIO

from wcx.core.text import escape
from wcx.outputs import View
from wcx.outputs.shared.bars import encoding_of
from wcx.outputs.shared.encoding import Encoder


class Cell(NamedTuple):
    """A text and its tone: plain, dim, less or more (complex than its shuffle)."""

    text: str
    tone: str = "plain"


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_SHORT = 200
_MOST_KNOWN = 20_000
_SPECIAL = re.compile('[,"\r\n]')


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
