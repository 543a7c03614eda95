"""Views of a storage with strides, gathered in slabs of bounded size that are kept for the next pieces."""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from threading import Lock
from typing import TYPE_CHECKING

from wcx.core.checkpoint import Storage, TensorInfo
from wcx.formats.storage.streams import ReadInto

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLABS = 6
_SLAB = 16 << 20
_SPAN = 1 << 20  # read at once to pick elements from
_RUN = 4 << 10  # runs as long as this are read on their own where much lies between them
_GAP = 16 << 10

_SlabKey = tuple[int, Storage, tuple[int, ...], str, int, int]


class StridedViews:
    """A reader of views in C order, for several threads at once; it keeps the last slabs of all views."""

    def __init__(self) -> None:
        self._slabs: OrderedDict[_SlabKey, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def read_into(
        self, read: ReadInto, tensor: TensorInfo, storage: Storage, itemsize: int, start: int, out: memoryview
    ) -> None:
        """Fill `out` with the view's elements from byte `start` on, little-endian; `read` reads the decoded storage."""
        axis, group = _slab_shape(tensor.shape, itemsize)
        inner = prod(tensor.shape[axis + 1 :]) * itemsize  # bytes of one index along the axis
        done = 0
        while done < len(out):
            outer, within = divmod(start + done, inner * tensor.shape[axis])
            begin = within // (inner * group) * group
            key = tensor.file, storage, tensor.shape, tensor.dtype, outer, begin
            with self._lock:
                if key not in self._slabs:
                    shape = min(group, tensor.shape[axis] - begin), *tensor.shape[axis + 1 :]
                    first = _first(tensor.shape, storage, outer, axis, begin)
                    self._slabs[key] = _slab(read, storage, first, shape, itemsize)
                    if len(self._slabs) > _SLABS:
                        self._slabs.popitem(last=False)
                self._slabs.move_to_end(key)
                slab = self._slabs[key]
            skip = within - begin * inner
            count = min(len(slab) - skip, len(out) - done)
            out[done : done + count] = slab[skip : skip + count].data
            done += count


def _slab_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """Return the axis along which a view is cut into slabs, and the number of its indices in one."""
    inner = itemsize
    for axis in range(len(shape) - 1, 0, -1):
        if inner * shape[axis] > _SLAB:
            return axis, max(1, _SLAB // inner)
        inner *= shape[axis]
    return 0, max(1, _SLAB // inner)


def _first(shape: tuple[int, ...], storage: Storage, outer: int, axis: int, begin: int) -> int:
    """Return the element of the storage at [outer, begin]; `outer` counts through the dimensions before `axis`."""
    strides = storage.strides or ()
    first = storage.first + begin * strides[axis]
    for size, stride in zip(reversed(shape[:axis]), reversed(strides[:axis]), strict=True):
        outer, index = divmod(outer, size)
        first += index * stride
    return first


def _slab(read: ReadInto, storage: Storage, first: int, shape: tuple[int, ...], itemsize: int) -> NDArray[np.uint8]:
    """Return a part of a view as bytes, little-endian, read in the order in which it lies in the storage."""
    import numpy as np

    strides = (storage.strides or ())[-len(shape) :]
    distinct = tuple(1 if stride == 0 else size for size, stride in zip(shape, strides, strict=True))
    found: NDArray[np.unsignedinteger] = np.empty(distinct, f"<u{itemsize}")
    order = sorted(range(len(distinct)), key=lambda axis: -strides[axis])
    _collect(read, found.transpose(order), tuple(strides[axis] for axis in order), first)
    elements = np.broadcast_to(found, shape)
    whole = elements.byteswap() if storage.big_endian else np.ascontiguousarray(elements)
    return whole.reshape(-1).view(np.uint8)


def _collect(read: ReadInto, out: NDArray[np.unsignedinteger], strides: tuple[int, ...], first: int) -> None:
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
    separate = strides[0] * itemsize >= _GAP or (inner * itemsize >= _RUN and strides[0] > 4 * inner)
    group = 1 if separate else max(1, (_SPAN // itemsize - inner) // strides[0] + 1)
    for begin in range(0, out.shape[0], group):
        _collect(read, out[begin : begin + group], strides, first + begin * strides[0])
