"""Tensors that are not simply one run of their file: views with strides, deflated and variable-length numbers, CRCs.

A storage is decoded as a stream of bytes that can be read from any position; a view picks elements out of it. What is
held is bounded whatever the sizes: a few slabs of strided views, and for compressed storages the state of the decoder
at intervals, so that reading on from a position never begins at the front again.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from threading import Lock

from wcx.core.checkpoint import Storage, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.storage.crc import Checksums
from wcx.formats.storage.deflate import Deflated
from wcx.formats.storage.streams import Raw, ReadInto, Stream, StreamError
from wcx.formats.storage.strided import StridedViews
from wcx.formats.storage.varints import Varints

_STREAMS = 8


class StorageReader:
    """A reader of tensors that have a Storage, for several threads at once."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[int, int], Stream] = OrderedDict()
        self._views = StridedViews()
        self._checksums = Checksums()
        self._lock = Lock()

    def read_into(
        self, read_file: ReadInto, path: str, tensor: TensorInfo, storage: Storage, start: int, out: memoryview
    ) -> None:
        """Fill `out` with the elements of `tensor` from byte `start` on, little-endian, in C order.

        read_file: reads the tensor's file. Raises CheckpointError for a compressed storage that ends early or is
        damaged, and for one whose bytes, read as a whole, do not have their CRC.
        """
        itemsize = max(1, DTYPES[tensor.dtype].bits // 8)
        try:
            read = partial(self._stream(tensor, storage, itemsize).read_into, read_file)
            if storage.strides is not None:
                self._views.read_into(read, tensor, storage, itemsize, start, out)
                return
            read(storage.first * itemsize + start, out)
            self._check(tensor, storage, itemsize, start, out)
        except StreamError as error:
            reason = f"tensor {shortened(tensor.name)}: {error}: download or copy the file again"
            raise CheckpointError(path, reason, storage.start) from error
        if storage.big_endian:
            _swap(out, itemsize)

    def _stream(self, tensor: TensorInfo, storage: Storage, itemsize: int) -> Stream:
        """Return the decoder of a storage, the one that has read it before if that is still there."""
        if storage.encoding == "raw":
            return Raw(storage)
        key = tensor.file, storage.start
        with self._lock:
            if key not in self._streams:
                kind = Deflated if storage.encoding == "deflate" else Varints
                self._streams[key] = kind(storage, itemsize)
                while len(self._streams) > _STREAMS:
                    self._streams.popitem(last=False)
            self._streams.move_to_end(key)
            return self._streams[key]

    def _check(self, tensor: TensorInfo, storage: Storage, itemsize: int, start: int, out: memoryview) -> None:
        """Check the CRC of a storage that the tensor is all of, once its last piece has been read."""
        nbytes = storage.nbytes if storage.encoding == "raw" else storage.elements * itemsize
        if storage.crc32 is not None and tensor.nbytes == nbytes:
            self._checksums.check((tensor.file, storage.start), nbytes, storage.crc32, start, out)


def _swap(out: memoryview, itemsize: int) -> None:
    """Reverse the bytes of big-endian numbers in place."""
    import numpy as np

    np.frombuffer(out, f"u{itemsize}").byteswap(inplace=True)
