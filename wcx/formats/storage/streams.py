"""Decoded storages as seekable streams, with marks to start from again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wcx.core.checkpoint import Storage

Fill = Callable[[int, memoryview], None]
"""Fills memory with the bytes of a file from a position on."""

_STREAMS = 8
_CHUNK = 64 << 10
_MARKS = 256
_MARK_EVERY = 16 << 20


class _StreamError(Exception):
    """What is wrong with the bytes of a storage."""


class _Stream(Protocol):
    """The bytes of a decoded storage."""

    def read_into(self, fill: Fill, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` of the decoded storage on; `fill` reads the file."""


class _Raw:
    """Bytes as they stand in the file."""

    def __init__(self, storage: Storage) -> None:
        self._start = storage.start

    def read_into(self, fill: Fill, start: int, out: memoryview) -> None:
        fill(self._start + start, out)
