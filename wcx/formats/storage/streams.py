"""Decoded storages as streams of bytes that can be read from any position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wcx.core.checkpoint import Storage

ReadInto = Callable[[int, memoryview], None]
"""Fills memory with the bytes of a file, or of a stream, from a position on."""


class StreamError(Exception):
    """A storage whose bytes are damaged; the message says how."""


class Stream(Protocol):
    """The bytes of a decoded storage, read by several threads at once."""

    def read_into(self, read_file: ReadInto, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` of the decoded storage on; StreamError where it can't."""


class Raw:
    """A storage whose bytes are in the file as they are."""

    def __init__(self, storage: Storage) -> None:
        self._start = storage.start

    def read_into(self, read_file: ReadInto, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` of the storage on."""
        read_file(self._start + start, out)
