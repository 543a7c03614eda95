"""Storages of protobuf varints, one variable-length integer a number."""

from __future__ import annotations

from bisect import bisect_right
from threading import Lock
from typing import TYPE_CHECKING

from wcx.core.checkpoint import Storage
from wcx.formats.storage.streams import _CHUNK, Fill, _StreamError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Varints:
    """Protobuf's variable-length integers, each decoded to the low bytes of its value."""

    def __init__(self, storage: Storage, itemsize: int) -> None:
        self._start = storage.start
        self._nbytes = storage.nbytes
        self._itemsize = itemsize
        self._marks = [(0, 0)]  # decoded bytes, encoded bytes: where chunks begin
        self._lock = Lock()

    def read_into(self, fill: Fill, start: int, out: memoryview) -> None:
        done = 0
        while done < len(out):
            begin, chunk = self._chunk_at(fill, start + done)
            skip = start + done - begin
            count = min(len(chunk) - skip, len(out) - done)
            out[done : done + count] = chunk[skip : skip + count].data
            done += count

    def _chunk_at(self, fill: Fill, position: int) -> tuple[int, NDArray[np.uint8]]:
        """The decoded chunk that holds a byte, and at which byte it begins."""
        with self._lock:
            while True:
                decoded, encoded = self._marks[bisect_right(self._marks, position, key=lambda mark: mark[0]) - 1]
                chunk, nbytes = self._decode(fill, encoded)
                if decoded + len(chunk) > position:
                    return decoded, chunk
                self._marks.append((decoded + len(chunk), encoded + nbytes))

    def _decode(self, fill: Fill, encoded: int) -> tuple[NDArray[np.uint8], int]:
        """Decode the integers that are whole in the next bytes; also says how many bytes they take."""
        import numpy as np

        count = min(_CHUNK, self._nbytes - encoded)
        data = np.empty(count, np.uint8)
        fill(self._start + encoded, data.data)
        ends = np.flatnonzero(data < 0x80)
        if ends.size == 0:
            raise _StreamError("its numbers end early" if count < _CHUNK else "a number is longer than 10 bytes")
        starts = np.concatenate([[0], ends[:-1] + 1])
        lengths = ends - starts + 1
        if lengths.max() > 10:
            raise _StreamError("a number is longer than 10 bytes")
        values = np.zeros(ends.size, np.uint64)
        for index in range(int(lengths.max())):
            there = lengths > index
            values[there] |= (data[starts[there] + index] & np.uint64(0x7F)) << np.uint64(7 * index)
        return values.astype(f"<u{self._itemsize}").view(np.uint8), int(ends[-1]) + 1
