"""Bytes of a part of a file, one piece after the other: raw, or inflated from a deflated zip member.

What a pickle is read from. A piece is at most 64 KiB, whatever the part claims to hold; inflating never makes more.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from wcx.core.errors import CheckpointError
from wcx.formats.sources.source import OpenFile

_PIECE = 64 << 10


class Stream(Protocol):
    """A sequence of bytes that is read once, forwards."""

    def read(self) -> bytes:
        """Return the next piece; no bytes at the end."""

    def skip(self, nbytes: int) -> int:
        """Pass over up to `nbytes` bytes without reading them; return how many."""

    def offset_of(self, position: int) -> int | None:
        """Return the offset in the file of the byte at `position`; None where it is not there as it is."""

    def place_of(self, position: int) -> int:
        """Return the byte of the file to name in a message about `position`."""


class RawStream:
    """The bytes from `start` on as they are, with their checksum as long as nothing is skipped."""

    def __init__(self, file: OpenFile, start: int, nbytes: int, crc32: int | None = None) -> None:
        self._file = file
        self._start = start
        self._next = start
        self._end = start + nbytes
        self._expected = crc32
        self._crc32 = 0

    def read(self) -> bytes:
        """Return the next piece; CheckpointError where the checksum is wrong at the end."""
        piece = self._file.read(self._next, min(_PIECE, self._end - self._next))
        self._next += len(piece)
        if self._expected is not None:
            self._crc32 = zlib.crc32(piece, self._crc32)
            if self._next == self._end and self._crc32 != self._expected:
                reason = "damaged: the pickle's checksum is wrong, download it again"
                raise CheckpointError(self._file.path, reason, self._start)
        return piece

    def skip(self, nbytes: int) -> int:
        """Pass over bytes without reading them; the checksum is given up."""
        nbytes = min(nbytes, self._end - self._next)
        self._next += nbytes
        self._expected = None
        return nbytes

    def offset_of(self, position: int) -> int | None:
        """Return the offset in the file of the byte at `position`."""
        return self._start + position

    def place_of(self, position: int) -> int:
        """Return the byte of the file to name in a message about `position`."""
        return self._start + position


class DeflatedStream:
    """The bytes that a deflated part gives; CheckpointError where it can't be inflated to the size it should have."""

    def __init__(self, file: OpenFile, start: int, packed: int, nbytes: int, crc32: int | None = None) -> None:
        self._raw = RawStream(file, start, packed)
        self._path = file.path
        self._start = start
        self._left = nbytes
        self._expected = crc32
        self._crc32 = 0
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self) -> bytes:
        """Return the next piece."""
        while True:
            packed = self._inflate.unconsumed_tail or self._raw.read()
            try:
                piece = self._inflate.decompress(packed, _PIECE)
            except zlib.error as error:
                raise self._bad(f"can't be inflated ({error})") from error
            if piece or not packed:
                break
        self._left -= len(piece)
        self._crc32 = zlib.crc32(piece, self._crc32)
        ended = self._inflate.eof or not piece
        if self._left < 0 or (ended and self._left):
            raise self._bad("does not have the size that the zip directory gives")
        if self._inflate.eof and (self._inflate.unused_data or self._raw.read()):
            raise self._bad("ends before its last byte")
        if not self._left and self._expected is not None and self._crc32 != self._expected:
            raise self._bad("has a wrong checksum")
        return piece

    def skip(self, nbytes: int) -> int:
        """Pass over nothing: what is deflated must be read."""
        return 0

    def offset_of(self, position: int) -> int | None:
        """Return None: no byte is in the file as it is."""
        return None

    def place_of(self, position: int) -> int:
        """Return the beginning of the deflated part."""
        return self._start

    def _bad(self, reason: str) -> CheckpointError:
        return CheckpointError(self._path, f"damaged: the deflated pickle {reason}, download it again", self._start)
