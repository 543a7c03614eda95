"""Storages of protobuf varints: one variable-length integer for each number."""

from __future__ import annotations

from bisect import bisect_right
from threading import Lock
from typing import TYPE_CHECKING

from wcx.core.checkpoint import Storage
from wcx.formats.storage.streams import ReadInto, StreamError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK = 64 << 10


class Varints:
    """Protobuf's variable-length integers, each decoded to the low bytes of its value."""

    def __init__(self, storage: Storage, itemsize: int) -> None:
        self._start = storage.start
        self._nbytes = storage.nbytes
        self._itemsize = itemsize
        self._marks = [(0, 0)]  # decoded bytes, encoded bytes: where chunks begin
        self._lock = Lock()

    def read_into(self, read_file: ReadInto, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` of the decoded numbers on."""
        done = 0
        while done < len(out):
            begin, chunk = self._chunk_at(read_file, start + done)
            skip = start + done - begin
            count = min(len(chunk) - skip, len(out) - done)
            out[done : done + count] = chunk[skip : skip + count].data
            done += count

    def _chunk_at(self, read_file: ReadInto, position: int) -> tuple[int, NDArray[np.uint8]]:
        """Return the byte at which the decoded chunk that holds `position` begins, and the chunk."""
        with self._lock:
            while True:
                decoded, encoded = self._marks[bisect_right(self._marks, position, key=lambda mark: mark[0]) - 1]
                chunk, nbytes = self._decode(read_file, encoded)
                if decoded + len(chunk) > position:
                    return decoded, chunk
                self._marks.append((decoded + len(chunk), encoded + nbytes))

    def _decode(self, read_file: ReadInto, encoded: int) -> tuple[NDArray[np.uint8], int]:
        """Decode the integers that are whole in the next bytes; return them and the bytes that they take."""
        import numpy as np

        count = min(_CHUNK, self._nbytes - encoded)
        data = np.empty(count, np.uint8)
        read_file(self._start + encoded, data.data)
        ends = np.flatnonzero(data < 0x80)
        if ends.size == 0:
            raise StreamError("its numbers end early" if count < _CHUNK else "a number is longer than 10 bytes")
        starts = np.concatenate([[0], ends[:-1] + 1])
        lengths = ends - starts + 1
        if lengths.max() > 10:
            raise StreamError("a number is longer than 10 bytes")
        values = np.zeros(ends.size, np.uint64)
        for index in range(int(lengths.max())):
            there = lengths > index
            values[there] |= (data[starts[there] + index] & np.uint64(0x7F)) << np.uint64(7 * index)
        return values.astype(f"<u{self._itemsize}").view(np.uint8), int(ends[-1]) + 1
