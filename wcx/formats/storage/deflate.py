"""Deflated storages: the compressed members of zip archives."""

from __future__ import annotations

import zlib
from threading import Lock

from wcx.core.checkpoint import Storage
from wcx.formats.storage.streams import _CHUNK, _MARK_EVERY, _MARKS, _STREAMS, Fill, _StreamError


class _Deflated:
    """A deflated zip member, inflated as far as it is asked for; the inflater's state is kept at intervals."""

    def __init__(self, storage: Storage, itemsize: int) -> None:
        self._start = storage.start
        self._nbytes = storage.nbytes
        self._every = max(_MARK_EVERY, storage.elements * itemsize // _MARKS)
        self._marks = [_Inflater(zlib.decompressobj(-15), 0, 0)]
        self._recent: list[_Inflater] = []
        self._lock = Lock()

    def read_into(self, fill: Fill, start: int, out: memoryview) -> None:
        with self._lock:
            known = [mark for mark in (*self._marks, *self._recent) if mark.position <= start]
            state = max(known, key=lambda mark: mark.position).copy()
            while state.position < start:
                state.inflate(self._input(fill, state), min(start - state.position, self._to_next_mark(state)))
                self._mark(state)
            done = 0
            while done < len(out):
                part = state.inflate(self._input(fill, state), min(len(out) - done, self._to_next_mark(state)))
                out[done : done + len(part)] = part
                done += len(part)
                self._mark(state)
            self._recent = [state, *self._recent][:_STREAMS]

    def _to_next_mark(self, state: _Inflater) -> int:
        return self._every - state.position % self._every

    def _mark(self, state: _Inflater) -> None:
        if state.position >= self._marks[-1].position + self._every:
            self._marks.append(state.copy())

    def _input(self, fill: Fill, state: _Inflater) -> bytes:
        """Compressed bytes for the next step: what is left over from the last, else the next of the file."""
        if state.rest:
            return state.rest
        count = min(_CHUNK, self._nbytes - state.consumed)
        if count == 0:
            return b""
        buffer = bytearray(count)
        fill(self._start + state.consumed, memoryview(buffer))
        state.consumed += count
        return bytes(buffer)


class _Inflater:
    """How far a storage has been inflated: bytes that came out, bytes that went in, and those still to go in."""

    def __init__(self, state: zlib._Decompress, position: int, consumed: int, rest: bytes = b"") -> None:
        self._state = state
        self.position = position
        self.consumed = consumed
        self.rest = rest

    def copy(self) -> _Inflater:
        return _Inflater(self._state.copy(), self.position, self.consumed, self.rest)

    def inflate(self, data: bytes, most: int) -> bytes:
        """Return at most `most` further bytes; _StreamError where there is none to come."""
        try:
            part = self._state.decompress(data, most)
        except zlib.error as error:
            raise _StreamError("its deflated bytes are damaged") from error
        self.rest = self._state.unconsumed_tail
        if not part and (self._state.eof or not data):
            raise _StreamError("its deflated bytes end early")
        self.position += len(part)
        return part
