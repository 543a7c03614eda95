"""Strict JSON of the frozen values, one item of a list at a time, so that a report of any length is never one string.

The text is that of json.dumps(value.to_dict(), indent=2, ensure_ascii=False, allow_nan=False), except that all
characters of a string are escaped if one of them doesn't print (controls, bidi marks, lone surrogates).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, TextIO

from wcx.core.errors import CheckpointError
from wcx.core.plain import members
from wcx.outputs import Writer

ERROR_SCHEMA = "wcx/error/1"
_STEP = "  "
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_NUMBERS = re.compile(r'\[\n ++([^"\[\]{}]*?)\n *\]')


class Encoder:
    """Turns values into JSON text; `indented` gives lines of two spaces per level, else everything is on one line.

    ascii_only: for a stream that can't take every character. inline: lists of numbers and nulls are on one line, for
    series of hundreds of values. NaN and infinities raise ValueError, values that are neither dataclasses nor plain
    raise TypeError.
    """

    def __init__(self, indented: bool, ascii_only: bool = False, inline: bool = False) -> None:
        self._newline = "\n" if indented else ""
        self._colon = ": " if indented else ":"
        self._inline = inline and indented
        self._encoder = json.JSONEncoder(
            ensure_ascii=ascii_only,
            check_circular=False,
            allow_nan=False,
            indent=_STEP if indented else None,
            separators=(",", self._colon),
            default=_members,
        )

    @classmethod
    def for_stream(cls, stream: TextIO, indented: bool, inline: bool = False) -> Encoder:
        """Return an encoder whose text the stream's encoding can take."""
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
        return cls(indented, ascii_only=encoding not in ("utf-8", "utf8"), inline=inline)

    def text(self, value: Any, level: int = 0) -> str:  # noqa: ANN401
        """Return the text of any value, its inner lines indented for a place at `level`."""
        text = self._encoder.encode(value)
        if not text.isascii() or "\\" in text or "\x7f" in text:
            text = _STRING.sub(_printable, text)
        if self._inline:
            text = _NUMBERS.sub(_on_one_line, text)
        return text.replace("\n", "\n" + _STEP * level)

    def pieces(self, value: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield the text of a report in pieces: each item of its lists is one, all other fields are one each."""
        separator = "{"
        for name, item in _members(value).items():
            yield separator + self._line(1) + self.text(name) + self._colon
            yield from self._elements(item) if isinstance(item, tuple) and item else (self.text(item, 1),)
            separator = ","
        yield self._line(0) + "}"

    def _elements(self, items: tuple[Any, ...]) -> Iterator[str]:
        separator = "["
        for item in items:
            yield separator + self._line(2) + self.text(item, 2)
            separator = ","
        yield self._line(1) + "]"

    def _line(self, level: int) -> str:
        return self._newline and self._newline + _STEP * level


def _printable(string: re.Match[str]) -> str:
    text = json.loads(string[0])
    return string[0] if text.isprintable() else json.dumps(text)


def _on_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def _members(value: Any) -> dict[str, Any]:  # noqa: ANN401
    if not is_dataclass(value) and not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} has no place in JSON")
    return dict(members(value))


def error_fields(error: CheckpointError) -> dict[str, Any]:
    """Return the object that takes the place of the report on an input that can't be read."""
    return {"schema": ERROR_SCHEMA, "path": error.path, "error": error.reason, "offset": error.offset}


def write_json(value: Any, stream: TextIO, *, indented: bool = True, inline: bool = False) -> None:  # noqa: ANN401
    """Write a report as one object and flush; raise ValueError for NaN or an infinity in it."""
    stream.writelines(Encoder.for_stream(stream, indented, inline).pieces(value))
    stream.write("\n")
    stream.flush()


class JsonWriter(Writer):
    """Writes reports of checkpoints of any command, one line each where there can be several."""

    def __init__(self, stream: TextIO, *, several: bool) -> None:
        self._stream = stream
        self._indented = not several

    def report(self, report: Any) -> None:  # noqa: ANN401
        """Write the whole report."""
        write_json(report, self._stream, indented=self._indented)

    def error(self, error: CheckpointError) -> None:
        """Write an error object in place of the report."""
        write_json(error_fields(error), self._stream, indented=self._indented)
