"""Tensors that are not simply one run of their file: views with strides, deflated and variable-length numbers, CRCs.

A storage is decoded as a sequence of bytes that can be read from any position; a view picks elements out of it. What
is held is bounded whatever the sizes: a few slabs of strided views (`_SLAB`), and for compressed storages the state of
the decoder at intervals, so that reading on from a position never begins at the front again.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from functools import partial
from math import prod
from threading import Lock
from typing import TYPE_CHECKING

from wcx.core.checkpoint import Storage, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.storage.crc import _Sum
from wcx.formats.storage.deflate import _Deflated
from wcx.formats.storage.streams import _STREAMS, Fill, _Raw, _Stream, _StreamError
from wcx.formats.storage.strided import _gather, _slab_shape
from wcx.formats.storage.varints import _Varints

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLABS = 6


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


def _itemsize(tensor: TensorInfo) -> int:
    return max(1, DTYPES[tensor.dtype].bits // 8)


def _swap(out: memoryview, itemsize: int) -> None:
    """Turn big-endian numbers around in place."""
    import numpy as np

    np.frombuffer(out, f"u{itemsize}").byteswap(inplace=True)
