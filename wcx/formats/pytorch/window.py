"""A window on a stream of bytes that a pickle is read through: what lies ahead, a line, a run of bytes passed over."""

from __future__ import annotations

from typing import NoReturn

from wcx.core.errors import CheckpointError
from wcx.formats.pytorch.inert import Blob
from wcx.formats.pytorch.streams import Stream

AHEAD = 300
"""Bytes that refill() makes sure of: more than the fixed part of any opcode and a short text take."""

_MAX_NBYTES = 64 << 20
_KEPT = 255  # of longer runs only the place is kept


class Window:
    """The bytes buffer[at:stop], and methods that move `at`; behind the end of the stream there is padding.

    `at` may be moved past what is there by fewer than AHEAD bytes: the next refill() notices.
    """

    def __init__(self, stream: Stream, path: str) -> None:
        self._stream = stream
        self._path = path
        self._base = 0  # where in the stream the buffer begins
        self._referenced = 0  # bytes that were only passed over
        self._ended = False
        self.buffer = b""
        self.at = 0
        self.stop = 0

    @property
    def position(self) -> int:
        """The position in the stream of the next byte."""
        return self._base + self.at

    def refill(self) -> None:
        """See that AHEAD bytes lie ahead, or padding behind the last; CheckpointError where the stream has ended."""
        while not self._ended and self.at + AHEAD > self.stop:
            self._grow()
        if self.at >= self.stop:
            self.truncated()
        self._check_length()

    def take(self, nbytes: int) -> bytes:
        """Return the next bytes, whose number the caller has limited."""
        while self.at + nbytes > self.stop:
            if self._ended:
                self.truncated()
            self._grow()
        found = self.buffer[self.at : self.at + nbytes]
        self.at += nbytes
        return found

    def line(self, limit: int) -> bytes:
        """Return the bytes up to the end of the line, and pass it."""
        searched = 0
        while (end := self.buffer.find(b"\n", self.at + searched, self.stop)) < 0:
            searched = self.stop - self.at
            if self._ended:
                self.truncated()
            if searched > limit:
                self.fail(f"has a line of more than {limit} bytes")
            self._grow()
        if end - self.at > limit:
            self.fail(f"has a line of more than {limit} bytes")
        found = self.buffer[self.at : end]
        self.at = end + 1
        return found

    def two_lines(self, limit: int) -> bytes:
        """Return the next two lines with the end of the first between them, each up to the limit."""
        first = self.buffer.find(b"\n", self.at, self.stop)
        end = self.buffer.find(b"\n", first + 1, self.stop)
        if first < 0 or not 0 <= end - self.at <= limit:
            return self.line(limit) + b"\n" + self.line(limit)
        found = self.buffer[self.at : end]
        self.at = end + 1
        return found

    def number(self, nbytes: int) -> int:
        """Return an unsigned little-endian number of at most 8 bytes, all of which lie ahead."""
        at = self.at
        self.at = at + nbytes
        return int.from_bytes(self.buffer[at : at + nbytes], "little")

    def blob(self, nbytes: int) -> Blob:
        """Pass over bytes and return where they lie; few are kept."""
        offset = self._stream.offset_of(self.position)
        if nbytes <= _KEPT:
            return Blob(offset, nbytes, self.take(nbytes))
        self._pass_over(nbytes, counted=offset is None)
        return Blob(offset, nbytes)

    def fail(self, reason: str) -> NoReturn:
        """Raise for what is wrong at the opcode whose bytes were read last."""
        place = self._stream.place_of(max(self.position - 1, 0))
        raise CheckpointError(self._path, f"the pickle {reason}", place)

    def truncated(self) -> NoReturn:
        """Raise for a pickle that ends too early."""
        place = self._stream.place_of(self._base + self.stop)
        raise CheckpointError(self._path, "the pickle is truncated: it ends before its STOP, download it again", place)

    def _pass_over(self, nbytes: int, *, counted: bool) -> None:
        if not counted:
            self._referenced += nbytes
        while self.at + nbytes > self.stop:
            nbytes -= self.stop - self.at
            self._base += self.stop
            self.buffer, self.at, self.stop = b"", 0, 0
            skipped = self._stream.skip(nbytes)
            self._base += skipped
            nbytes -= skipped
            if nbytes and self._ended:
                self.truncated()
            self._grow()
            self._check_length()
        self.at += nbytes

    def _grow(self) -> None:
        """Drop what is behind, and add a piece, or the padding."""
        piece = self._stream.read()
        self.buffer = self.buffer[self.at : self.stop] + piece
        self._base += self.at
        self.at = 0
        self.stop = len(self.buffer)
        if not piece:
            self._ended = True
            self.buffer += bytes(AHEAD)

    def _check_length(self) -> None:
        if self.position - self._referenced > _MAX_NBYTES:
            self.fail(f"is longer than {_MAX_NBYTES >> 20} MiB")
