"""Tensors that are not simply one run of their file: views with strides, deflated and variable-length numbers, CRCs.

A storage is decoded as a sequence of bytes that can be read from any position; a view picks elements out of it. What
is held is bounded whatever the sizes: a few slabs of strided views (`_SLAB`), and for compressed storages the state of
the decoder at intervals, so that reading on from a position never begins at the front again.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from wcx.dtypes import DTYPES
from wcx.errors import CheckpointError
from wcx.formats._json import shortened
from wcx.types import Storage, TensorInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Fill", "StorageReader", "combined_crc32"]

Fill = Callable[[int, memoryview], None]
"""Fills memory with the bytes of a file from a position on."""

_SLAB = 16 << 20
_SLABS = 6
_SPAN = 1 << 20  # what is read at once to pick elements from
_RUN = 4 << 10  # runs as long as this are read on their own where much lies between them
_GAP = 16 << 10
_STREAMS = 8
_CHUNK = 64 << 10
_MARKS = 256
_MARK_EVERY = 16 << 20


class StorageReader:
    """Reads tensors that have a Storage, from several threads at once."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[int, int], _Stream] = OrderedDict()
        self._slabs: OrderedDict[_SlabKey, NDArray[np.uint8]] = OrderedDict()
        self._sums: dict[tuple[int, int], _Sum] = {}
        self._lock = Lock()
        self._gathering = Lock()

    def read_into(
        self, fill: Fill, path: str, tensor: TensorInfo, storage: Storage, start: int, out: memoryview
    ) -> None:
        """Fill `out` with the elements of `tensor` from byte `start` on, little-endian, in C order.

        fill: reads the tensor's file. Raises CheckpointError for a compressed storage that ends early or is damaged,
        and for one whose bytes, read as a whole, do not have their CRC.
        """
        try:
            if storage.strides is not None:
                self._read_strided(fill, tensor, storage, start, out)
                return
            if storage.encoding == "raw":
                fill(tensor.offset + start, out)
            else:
                first = storage.first * _itemsize(tensor)
                self._stream(tensor, storage).read_into(fill, first + start, out)
            self._check(tensor, storage, start, out)
        except _StreamError as error:
            reason = f"tensor {shortened(tensor.name)}: {error}: download or copy the file again"
            raise CheckpointError(path, reason, storage.start) from error
        if storage.big_endian:
            _swap(out, _itemsize(tensor))

    def _stream(self, tensor: TensorInfo, storage: Storage) -> _Stream:
        if storage.encoding == "raw":
            return _Raw(storage)
        key = tensor.file, storage.start
        with self._lock:
            if key not in self._streams:
                kind = _Deflated if storage.encoding == "deflate" else _Varints
                self._streams[key] = kind(storage, _itemsize(tensor))
                while len(self._streams) > _STREAMS:
                    self._streams.popitem(last=False)
            self._streams.move_to_end(key)
            return self._streams[key]

    # ------------------------------------------------------------------------------------------------ strided views

    def _read_strided(self, fill: Fill, tensor: TensorInfo, storage: Storage, start: int, out: memoryview) -> None:
        """Copy from slabs: runs of the view's C order that are gathered as a whole and kept for the next pieces."""
        itemsize = _itemsize(tensor)
        axis, group = _slab_shape(tensor.shape, itemsize)
        inner = prod(tensor.shape[axis + 1 :]) * itemsize  # bytes of one index along the axis
        done = 0
        while done < len(out):
            outer, within = divmod(start + done, inner * tensor.shape[axis])
            begin = within // (inner * group) * group
            slab = self._slab(fill, tensor, storage, outer, axis, begin, group)
            skip = within - begin * inner
            count = min(len(slab) - skip, len(out) - done)
            out[done : done + count] = slab[skip : skip + count].data
            done += count

    def _slab(
        self, fill: Fill, tensor: TensorInfo, storage: Storage, outer: int, axis: int, begin: int, group: int
    ) -> NDArray[np.uint8]:
        """The elements [outer, begin : begin + group] of a view; `outer` counts through the dimensions before axis."""
        import numpy as np

        strides = storage.strides or ()
        key = tensor.file, storage, tensor.shape, tensor.dtype, outer, begin
        with self._gathering:
            if key in self._slabs:
                self._slabs.move_to_end(key)
                return self._slabs[key]
            first = storage.first + begin * strides[axis]
            for size, stride in zip(reversed(tensor.shape[:axis]), reversed(strides[:axis]), strict=True):
                outer, index = divmod(outer, size)
                first += index * stride
            shape = min(group, tensor.shape[axis] - begin), *tensor.shape[axis + 1 :]
            read = partial(self._stream(tensor, storage).read_into, fill)
            found = _gather(read, first, shape, strides[axis:], _itemsize(tensor))
            slab = (found.byteswap() if storage.big_endian else np.ascontiguousarray(found)).reshape(-1).view(np.uint8)
            self._slabs[key] = slab
            while len(self._slabs) > _SLABS:
                self._slabs.popitem(last=False)
            return slab

    # --------------------------------------------------------------------------------------------------------- CRCs

    def _check(self, tensor: TensorInfo, storage: Storage, start: int, out: memoryview) -> None:
        """Take in a piece; once all of a storage has been seen, hold its CRC-32 against the one in the file."""
        nbytes = storage.nbytes if storage.encoding == "raw" else storage.elements * _itemsize(tensor)
        if storage.crc32 is None or tensor.nbytes != nbytes:
            return
        piece = zlib.crc32(out), len(out)
        key = tensor.file, storage.start
        with self._lock:
            seen = self._sums.setdefault(key, _Sum())
            seen.add(start, piece)
            if seen.nbytes < nbytes:
                return
            del self._sums[key]
        if seen.crc32() not in (None, storage.crc32):
            raise _StreamError("its bytes do not match their CRC-32, so they are damaged")


_SlabKey = tuple[int, Storage, tuple[int, ...], str, int, int]


class _Sum:
    """The CRCs of the pieces of a storage that have been read, whatever their order."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[int, int]] = {}
        self.nbytes = 0

    def add(self, start: int, piece: tuple[int, int]) -> None:
        """Take in the CRC and length of a piece; one that was read before counts once."""
        self.nbytes += piece[1] - self._pieces.get(start, (0, 0))[1]
        self._pieces[start] = piece

    def crc32(self) -> int | None:
        """The CRC of all pieces one after the other; None where they overlap."""
        found = position = 0
        for start, (crc, nbytes) in sorted(self._pieces.items()):
            if start != position:
                return None
            found = combined_crc32(found, crc, nbytes)
            position += nbytes
        return found


def _itemsize(tensor: TensorInfo) -> int:
    return max(1, DTYPES[tensor.dtype].bits // 8)


def _swap(out: memoryview, itemsize: int) -> None:
    """Turn big-endian numbers around in place."""
    import numpy as np

    np.frombuffer(out, f"u{itemsize}").byteswap(inplace=True)


def _slab_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """The axis along which a view is cut into slabs, and how many of its indices make one."""
    inner = itemsize
    for axis in range(len(shape) - 1, 0, -1):
        if inner * shape[axis] > _SLAB:
            return axis, max(1, _SLAB // inner)
        inner *= shape[axis]
    return 0, max(1, _SLAB // inner)


_Read = Callable[[int, memoryview], None]


def _gather(
    read: _Read, first: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int
) -> NDArray[np.unsignedinteger]:
    """Return a view's elements, read in the order in which they lie in the storage."""
    import numpy as np

    distinct = tuple(1 if stride == 0 else size for size, stride in zip(shape, strides, strict=True))
    found: NDArray[np.unsignedinteger] = np.empty(distinct, f"<u{itemsize}")
    order = sorted(range(len(distinct)), key=lambda axis: -strides[axis])
    _collect(read, found.transpose(order), tuple(strides[axis] for axis in order), first)
    return np.broadcast_to(found, shape)


def _collect(read: _Read, out: NDArray[np.unsignedinteger], strides: tuple[int, ...], first: int) -> None:
    """Fill `out`, whose dimensions go from the widest stride to the narrowest."""
    import numpy as np

    itemsize = out.itemsize
    span = 1 + sum((size - 1) * stride for size, stride in zip(out.shape, strides, strict=True))
    if span * itemsize <= _SPAN:
        buffer = np.empty(span, out.dtype)
        read(first * itemsize, buffer.view(np.uint8).data)
        steps = [stride * itemsize for stride in strides]
        out[...] = np.lib.stride_tricks.as_strided(buffer, out.shape, steps, writeable=False)
        return
    if out.shape[0] == 1:
        _collect(read, out[0], strides[1:], first)
        return
    inner = span - (out.shape[0] - 1) * strides[0]
    apart = strides[0] * itemsize >= _GAP or (inner * itemsize >= _RUN and strides[0] > 4 * inner)
    group = 1 if apart else max(1, (_SPAN // itemsize - inner) // strides[0] + 1)
    for begin in range(0, out.shape[0], group):
        _collect(read, out[begin : begin + group], strides, first + begin * strides[0])


# --------------------------------------------------------------------------------------------- decoded storages


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


# ------------------------------------------------------------------------------------------------------- CRC-32

_POLYNOMIAL = 0xEDB88320  # of CRC-32, reflected
_ONE = 1 << 31  # the polynomial 1; lower powers of x stand in higher bits


def combined_crc32(first: int, second: int, nbytes: int) -> int:
    """Return the CRC-32 of two texts one after the other, from those of each; nbytes: the length of the second.

    Appending n bytes multiplies the first's by x^(8n) modulo the polynomial (as zlib's crc32_combine does).

    >>> combined_crc32(zlib.crc32(b"weights "), zlib.crc32(b"and bits"), 8) == zlib.crc32(b"weights and bits")
    True
    """
    return _times(_power_of_x(8 * nbytes), first) ^ second


def _times(left: int, right: int) -> int:
    """The product of two polynomials over GF(2), modulo CRC-32's."""
    product = 0
    bit = _ONE
    while bit and left:
        if left & bit:
            product ^= right
            left ^= bit
        bit >>= 1
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
    return product


@lru_cache(maxsize=64)
def _power_of_x(exponent: int) -> int:
    """x^exponent modulo the polynomial, by squaring."""
    power, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            power = _times(square, power)
        square = _times(square, square)
        exponent >>= 1
    return power
