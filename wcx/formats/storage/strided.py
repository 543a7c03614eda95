"""Views of a storage with strides, gathered in bounded slabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLAB = 16 << 20
_SPAN = 1 << 20  # what is read at once to pick elements from
_RUN = 4 << 10  # runs as long as this are read on their own where much lies between them
_GAP = 16 << 10


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
