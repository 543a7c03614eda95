"""Read large JSON objects from hostile files member by member, with memory bounded by what the caller keeps.

json.loads builds everything before anything can be checked: 100 MB of `[],[],...` become gigabytes. Here the outer
object is walked with one regular expression a step, and only small flat values reach the json module. Stricter than
RFC 8259 where two readers could disagree: duplicate names, NaN, lone surrogates and invalid UTF-8 are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from wcx.core.text import shortened

_SPACE = rb"[ \t\n\r]*+"
_BEGIN = re.compile(_SPACE + rb"\{" + _SPACE)
_STRING = re.compile(rb'"((?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+)"' + _SPACE)
_COLON = re.compile(rb":" + _SPACE)
_COMMA = re.compile(rb"," + _SPACE)
_END = re.compile(rb"\}" + _SPACE)
_BEGIN_ARRAY = re.compile(_SPACE + rb"\[" + _SPACE)
_END_ARRAY = re.compile(rb"\]" + _SPACE)
_NULL = re.compile(rb"null" + _SPACE)
_FLAT = re.compile(rb"(\{[^{}\\]{0,1048576}+\})" + _SPACE)
_SCALAR = re.compile(rb"([-+.0-9A-Za-z]{1,4096}+)" + _SPACE)
_MAX_NAME = 1 << 20  # bytes
_MAX_VALUE = 1 << 20


class JsonError(Exception):
    """An error in a text and the byte of it; callers turn it into a CheckpointError of their file."""

    def __init__(self, reason: str, position: int) -> None:
        self.reason = reason
        self.position = position
        super().__init__(reason)


class JsonWalker:
    """A text and a position in it; every method reads what is at the position, moves past it and the space behind."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.position = 0

    def members(self) -> Iterator[str]:
        """Read an object: yield the name of each member, whose value the caller must read before the next."""
        self._expect(_BEGIN, "a '{'")
        seen: set[str] = set()
        if self._skip(_END):
            return
        while True:
            start = self.position
            name = self.string(_MAX_NAME)
            if name in seen:
                raise JsonError(f"duplicate key {shortened(name)}", start)
            seen.add(name)
            self._expect(_COLON, "a ':'")
            yield name
            if not self._skip(_COMMA):
                break
        self._expect(_END, "a ',' or '}'")

    def elements(self) -> Iterator[int]:
        """Read an array: yield the place of each element, counted from 1; the caller must read it before the next."""
        self._expect(_BEGIN_ARRAY, "a '['")
        if self._skip(_END_ARRAY):
            return
        for place in count(1):
            yield place
            if not self._skip(_COMMA):
                break
        self._expect(_END_ARRAY, "a ',' or ']'")

    def end(self) -> None:
        """Check that nothing is left."""
        if self.position != len(self._text):
            raise JsonError("unexpected data after the JSON object", self.position)

    def string(self, limit: int = 16 << 20) -> str:
        """Read a string of at most `limit` bytes."""
        start = self.position
        match = self._expect(_STRING, "a string")
        if match.end(1) - match.start(1) > limit:
            raise JsonError(f"a string of more than {limit} bytes", start)
        raw: bytes = match[1]
        try:
            text = raw.decode()
            if b"\\" in raw:
                text = json.loads(f'"{text}"')
                text.encode()
        except UnicodeDecodeError as error:
            raise JsonError("invalid UTF-8", start + 1 + error.start) from error
        except UnicodeEncodeError as error:
            raise JsonError("a string with an unpaired surrogate", start) from error
        except ValueError as error:
            raise JsonError("a string with an invalid escape", start) from error
        return text

    def string_nbytes(self) -> int:
        """Return the size of the string at the position, which is not read."""
        match = _STRING.match(self._text, self.position)
        return match.end(1) - match.start(1) if match else 0

    def at_object(self) -> bool:
        """Return True if an object is at the position."""
        return self._text.startswith(b"{", self.position)

    def at_array(self) -> bool:
        """Return True if an array is at the position."""
        return self._text.startswith(b"[", self.position)

    def at_string(self) -> bool:
        """Return True if a string is at the position."""
        return self._text.startswith(b'"', self.position)

    def null(self) -> bool:
        """Read a null if there is one."""
        return self._skip(_NULL)

    def flat_object(self, expected: str) -> dict[str, Any]:
        """Read an object of at most 1 MiB without objects or escapes in it; `expected` says what it should be."""
        start = self.position
        raw: bytes = self._expect(_FLAT, expected)[1]
        try:
            value: dict[str, Any] = _FLAT_DECODER.decode(raw.decode())
        except JsonError as error:
            raise JsonError(error.reason, start) from error
        except (ValueError, RecursionError) as error:
            raise JsonError(f"not {expected}", start) from error
        return value

    def skip_value(self, depth: int = 100) -> str:
        """Read any value of at most 1 MiB, nested at most `depth` deep; return its text (a string: what it says)."""
        if self.at_string():
            return self.string()
        start = self.position
        if not self._text.startswith((b"{", b"["), start):
            return bytes(self._expect(_SCALAR, "a value")[1]).decode()
        self._skip_nested(depth)
        return self._text[start : self.position].rstrip().decode(errors="replace")

    def _skip_nested(self, depth: int) -> None:
        start = self.position
        level = 0
        while True:
            match = _TOKEN.match(self._text, self.position)
            if match is None:
                raise JsonError("not a JSON value", self.position)
            self.position = match.end()
            level += (match[1] in (b"{", b"[")) - (match[1] in (b"}", b"]"))
            if level > depth:
                raise JsonError(f"nested more than {depth} levels deep", start)
            if self.position - start > _MAX_VALUE:
                raise JsonError(f"a value of more than {_MAX_VALUE} bytes", start)
            if level == 0:
                return

    def _expect(self, pattern: re.Pattern[bytes], expected: str) -> re.Match[bytes]:
        match = pattern.match(self._text, self.position)
        if match is None:
            raise JsonError(f"not valid JSON: expected {expected}", self.position)
        self.position = match.end()
        return match

    def _skip(self, pattern: re.Pattern[bytes]) -> bool:
        match = pattern.match(self._text, self.position)
        if match is None:
            return False
        self.position = match.end()
        return True


_TOKEN = re.compile(rb'("(?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+"|[][{}:,]|[-+.0-9A-Za-z]++)' + _SPACE)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonError("an object with a duplicate key", 0)
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_FLAT_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
