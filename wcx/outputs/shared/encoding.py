"""Strict JSON text of the frozen values, in pieces, so that a report of any length is never one string.

Same text as json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False), except that a string with
characters that don't print (controls, bidi marks, lone surrogates) is all in escapes. Written here because the
library's way (dicts of the whole model, then its indenting encoder) takes 2.5 times as long, and ten times the memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from math import isfinite
from types import NoneType
from typing import Any, TextIO

from wcx.core.plain import members

_STEP = "  "
_FLAT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))


class Encoder:
    """Turns values into JSON text; `indented` gives lines of two spaces per level, else everything is on one line.

    ascii_only: for a stream that can't take every character. inline: lists of numbers and nulls stand on one line,
    which a series of hundreds of values asks for. NaN and infinities raise ValueError, values that are neither
    dataclasses nor plain raise TypeError.
    """

    def __init__(self, indented: bool, ascii_only: bool = False, inline: bool = False) -> None:
        self._indented = indented
        self._ascii_only = ascii_only
        self._inline = inline and indented
        self._colon = ": " if indented else ":"

    @classmethod
    def for_stream(cls, stream: TextIO, indented: bool, inline: bool = False) -> Encoder:
        """An encoder whose text the stream's encoding can take."""
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
        return cls(indented, ascii_only=encoding not in ("utf-8", "utf8"), inline=inline)

    def pieces(self, value: Any) -> Iterator[str]:  # noqa: ANN401
        """The text of a report in pieces: each item of its lists is one, all other fields are one each."""
        separator, last = "{" + self._line(1), self._line(0) + "}"
        for key, item in members(value):
            yield separator + self._string(key) + self._colon
            if isinstance(item, tuple) and item:
                yield from self._elements(item)
            else:
                yield self.text(item, 1)
            separator = "," + self._line(1)
        yield last

    def text(self, value: Any, level: int = 0) -> str:  # noqa: ANN401
        """The text of any value, its inner lines indented for a place at `level`."""
        kind = type(value)
        if kind is float:
            return _number(value)
        if kind is str:
            return self._string(value)
        if value is None or kind is bool or kind is int:
            return _CONSTANTS[value] if kind is not int else int.__repr__(value)
        if isinstance(value, (list, tuple)):
            if self._inline and all(isinstance(item, (int, float, NoneType)) for item in value):
                return f"[{', '.join(map(self.text, value))}]"
            return self._group("[]", (self.text(item, level + 1) for item in value), level)
        if isinstance(value, Mapping) or is_dataclass(value):
            return self._group("{}", self._pairs(value, level + 1), level)
        return json.dumps(value, allow_nan=False)

    def line(self, row: Mapping[str, Any]) -> str:
        """The text of a flat mapping on one line, by the library, which is faster, where no string needs escapes."""
        if self._ascii_only or not all(value.isprintable() for value in row.values() if type(value) is str):
            return self.text(row)
        try:
            return _FLAT.encode(row)
        except ValueError:  # NaN or an infinity: say it in our words
            return self.text(row)

    def _elements(self, items: tuple[Any, ...]) -> Iterator[str]:
        separator = "[" + self._line(2)
        for item in items:
            yield separator + self.text(item, 2)
            separator = "," + self._line(2)
        yield self._line(1) + "]"

    def _pairs(self, value: Any, level: int) -> Iterator[str]:  # noqa: ANN401
        return (self._string(key) + self._colon + self.text(item, level) for key, item in members(value))

    def _group(self, brackets: str, items: Iterable[str], level: int) -> str:
        inner = ("," + self._line(level + 1)).join(items)
        return f"{brackets[0]}{self._line(level + 1)}{inner}{self._line(level)}{brackets[1]}" if inner else brackets

    def _line(self, level: int) -> str:
        return "\n" + _STEP * level if self._indented else ""

    def _string(self, text: str) -> str:
        if self._ascii_only or not text.isprintable():
            return encode_basestring_ascii(text)
        return encode_basestring(text)


_CONSTANTS = {None: "null", True: "true", False: "false"}


def _number(value: float) -> str:
    if not isfinite(value):
        raise ValueError(f"{value} has no place in strict JSON")
    return float.__repr__(value)
