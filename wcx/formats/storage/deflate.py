"""Deflated storages: the compressed members of zip archives, with states of the inflater to start again from."""

from __future__ import annotations

import zlib
from threading import Lock

from wcx.core.checkpoint import Storage
from wcx.formats.storage.streams import ReadInto, StreamError

_CHUNK = 64 << 10
_MARKS = 256
_MARK_EVERY = 16 << 20
_RECENT = 8


class Deflated:
    """A deflated zip member, inflated as far as it is needed; the inflater's state is kept at intervals."""

    def __init__(self, storage: Storage, itemsize: int) -> None:
        self._start = storage.start
        self._nbytes = storage.nbytes
        self._every = max(_MARK_EVERY, storage.elements * itemsize // _MARKS)
        self._marks = [_Inflater(zlib.decompressobj(-zlib.MAX_WBITS), 0, 0)]
        self._recent: list[_Inflater] = []
        self._lock = Lock()

    def read_into(self, read_file: ReadInto, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` on, from the nearest known state before it."""
        with self._lock:
            known = [mark for mark in (*self._marks, *self._recent) if mark.position <= start]
            state = max(known, key=lambda mark: mark.position).copy()
            while state.position < start:
                self._inflate(read_file, state, start - state.position)
            done = 0
            while done < len(out):
                part = self._inflate(read_file, state, len(out) - done)
                out[done : done + len(part)] = part
                done += len(part)
            self._recent = [state, *self._recent][:_RECENT]

    def _inflate(self, read_file: ReadInto, state: _Inflater, most: int) -> bytes:
        """Return at most `most` further bytes, none behind the next mark; keep the state at a mark."""
        part = state.inflate(self._input(read_file, state), min(most, self._every - state.position % self._every))
        if state.position >= self._marks[-1].position + self._every:
            self._marks.append(state.copy())
        return part

    def _input(self, read_file: ReadInto, state: _Inflater) -> bytes:
        """Return compressed bytes for the next step: what is left over from the last, else the next of the file."""
        if state.rest:
            return state.rest
        buffer = bytearray(min(_CHUNK, self._nbytes - state.consumed))
        if buffer:
            read_file(self._start + state.consumed, memoryview(buffer))
            state.consumed += len(buffer)
        return bytes(buffer)


class _Inflater:
    """The state of an inflater: bytes that came out, bytes that went in, and those still to go in."""

    def __init__(self, state: zlib._Decompress, position: int, consumed: int, rest: bytes = b"") -> None:
        self._state = state
        self.position = position
        self.consumed = consumed
        self.rest = rest

    def copy(self) -> _Inflater:
        return _Inflater(self._state.copy(), self.position, self.consumed, self.rest)

    def inflate(self, data: bytes, most: int) -> bytes:
        """Return at most `most` further bytes; StreamError where there are none to come."""
        try:
            part = self._state.decompress(data, most)
        except zlib.error as error:
            raise StreamError("its deflated bytes are damaged") from error
        self.rest = self._state.unconsumed_tail
        if not part and (self._state.eof or not data):
            raise StreamError("its deflated bytes end early")
        self.position += len(part)
        return part
