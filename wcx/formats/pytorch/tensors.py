"""PyTorch's calls that rebuild a tensor, as a view of a storage: dtype, shape, strides, all bounds checked.

Source: torch/_utils.py and torch/_tensor.py of PyTorch 2.13 and of older versions, whose calls old files hold. Nothing
is read here; what can't be right raises ValueError with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wcx.core.checkpoint import Quantization
from wcx.core.text import shortened
from wcx.formats.pytorch.dtypes import BYTES, TorchType, storage_type
from wcx.formats.pytorch.inert import Call, Global, Persistent, Value

_MAX_RANK = 64
_MAX_NUMBER = 1 << 62
_INTEGER = frozenset({int})


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a storage of `nbytes` bytes: `packed` bytes of the file from `start` on."""

    key: str
    start: int
    packed: int
    nbytes: int
    encoding: str = "raw"
    big_endian: bool = False
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A tensor as a view of a storage of `elements` numbers; strides None for C order, place None without a storage."""

    dtype: str
    shape: tuple[int, ...]
    place: Place | None = None
    elements: int = 0
    first: int = 0
    strides: tuple[int, ...] | None = None
    quantization: Quantization | None = None
    unsupported: str | None = None


class Storages(Protocol):
    """The storages of a file."""

    def place(self, key: str, nbytes: int) -> Place:
        """Return the place of the storage of that key; ValueError where it does not have `nbytes` bytes."""

    def read_numbers(self, view: View) -> tuple[int, ...]:
        """Read a small one-dimensional integer tensor; ValueError where it is not one."""


@dataclass(frozen=True, slots=True)
class StoragePart:
    """A storage as a tensor refers to it: `first` and `elements` of its type, where it is part of another."""

    place: Place
    type: TorchType
    elements: int
    first: int = 0


def function_of(call: Call) -> str:
    """Return the dotted name of the callable of a call; the empty text where it has none."""
    target = call.callable
    if isinstance(target, Persistent) and isinstance(target.id, tuple) and len(target.id) > 1:
        target = target.id[1]  # the class of a module, with its source, in files before PyTorch 1.6
    return target.dotted if isinstance(target, Global) else ""


_NO_STORAGES = (("module",), ("reduce_package",))


def is_storage(value: Value) -> bool:
    """Return True if a value refers to a storage."""
    return isinstance(value, Persistent) and not (isinstance(value.id, tuple) and value.id[:1] in _NO_STORAGES)


def storage_of(value: Value, storages: Storages) -> View:
    """Return a storage itself as a tensor of one dimension."""
    storage = storage_in(value, storages)
    return view_in(storage, storage.type, (0, (storage.elements,), (1,)))


# --------------------------------------------------------------------------------------------------------- storages


def storage_in(value: Value, storages: Storages) -> StoragePart:
    """Return the storage that a value refers to; ValueError where that can't be right."""
    if not isinstance(value, Persistent):
        raise ValueError("it refers to a value that is not a storage")
    reference = value.id
    if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
        raise ValueError("its storage is not referred to as ('storage', class, key, location, elements)")
    _kind, storage_class, key, _location, elements = reference[:5]
    type_ = storage_type(storage_class)
    if type_ is None:
        raise ValueError(f"its storage is of the unknown class {named(storage_class)}")
    if not isinstance(key, (str, int)) or not is_natural(elements):
        raise ValueError("its storage has a key that is not a string or integer, or an invalid size")
    storage = StoragePart(storages.place(str(key), type_.nbytes(elements)), type_, elements)
    return _part(storage, reference[5]) if len(reference) == 6 and reference[5] is not None else storage


def named(value: Value) -> str:
    """Return a class for a message; never the text of any other value, which may be nested without end."""
    return shortened(str(value)) if isinstance(value, Global) else "(not a name)"


def _part(storage: StoragePart, metadata: Value) -> StoragePart:
    """Return a part of another storage, as files before PyTorch 1.6 may have: (key, first element, elements)."""
    if not isinstance(metadata, tuple) or len(metadata) != 3 or not all(map(is_natural, metadata[1:])):
        raise ValueError("its storage is a part of another, but is not described by (key, offset, size)")
    _key, first, elements = metadata
    if first + elements > storage.elements:
        raise ValueError(f"its storage ends at element {first + elements} of another that has {storage.elements}")
    return replace(storage, first=first, elements=elements)


# ------------------------------------------------------------------------------------------------------------- views

_Layout = tuple[Value, Value, Value]  # offset, size, stride as the file has them


def view_in(storage: StoragePart, type_: TorchType, layout: _Layout) -> View:
    """Return the view that a layout describes, checked to lie within its storage."""
    first, shape, strides = layout[0], numbers_of(layout[1], "size"), numbers_of(layout[2], "stride")
    if not is_natural(first):
        raise ValueError("its storage offset is not an integer from 0 to 2^62 - 1")
    if len(shape) != len(strides):
        raise ValueError(f"it has {len(shape)} dimensions and {len(strides)} strides")
    elements = storage.elements
    if type_ is not storage.type and storage.type is BYTES:
        elements = elements * 8 // type_.bits
    if type_.counts_numbers:
        elements *= type_.per_element
    numel = checked_numel(shape)
    last = first + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if numel and last >= elements:
        raise ValueError(f"it reaches element {last} of a storage that has {elements}")
    plain = None if numel == 0 or _is_c_order(shape, strides) else strides
    unsupported = type_.unsupported
    if numel > elements:
        unsupported = unsupported or "expanded from fewer elements"
    view = View(type_.dtype, shape, storage.place, elements, first + storage.first, plain, None, unsupported)
    if storage.first:
        view = replace(view, elements=elements + storage.first)
    return with_several(view, type_) if type_.per_element > 1 and not type_.counts_numbers else view


def with_several(view: View, type_: TorchType) -> View:
    """Count the numbers instead of the elements that hold several, along the last dimension."""
    count = type_.per_element
    shape = (*view.shape[:-1], view.shape[-1] * count) if view.shape else (count,)
    strides = view.strides
    unsupported = view.unsupported
    if strides is not None:
        if strides[-1] != 1:
            unsupported = unsupported or f"bytes that hold {view.dtype} numbers of different rows"
        strides = (*(stride * count for stride in strides[:-1]), 1)
    return replace(
        view,
        shape=shape,
        strides=strides,
        first=view.first * count,
        elements=view.elements * count,
        unsupported=unsupported,
    )


def numbers_of(value: Value, what: str) -> tuple[int, ...]:
    """Return the natural numbers of a size or stride, a tuple, a list, or a torch.Size."""
    if isinstance(value, Call) and function_of(value) == "torch.Size" and isinstance(value.args, tuple):
        value = value.args[0] if len(value.args) == 1 else ()
    if isinstance(value, (tuple, list)) and len(value) > _MAX_RANK:
        raise ValueError(f"it has {len(value)} dimensions, more than {_MAX_RANK}")
    if not isinstance(value, (tuple, list)) or not _are_natural(value):
        raise ValueError(f"its {what} is not a tuple of integers from 0 to 2^62 - 1")
    return tuple(value)


def _are_natural(values: Sequence[Value]) -> bool:
    """Do as is_natural of each, in a third of the time: a file may have 100,000 sizes of 64 dimensions."""
    if not _INTEGER.issuperset(map(type, values)):
        return False
    return not values or (min(values) >= 0 and max(values) < _MAX_NUMBER)


def is_natural(value: Value) -> bool:
    """Return True for a natural number that can be a size."""
    return type(value) is int and 0 <= value < _MAX_NUMBER


def checked_numel(shape: tuple[int, ...]) -> int:
    """Return the number of elements; ValueError for more than any machine can address."""
    numel = 1
    for size in shape:
        numel *= size or 1
        if numel >= _MAX_NUMBER:
            raise ValueError("its size describes more than 2^62 elements")
    return 0 if 0 in shape else numel


def _is_c_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
