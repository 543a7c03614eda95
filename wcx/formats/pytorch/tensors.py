"""PyTorch's calls that rebuild a tensor, as a view of a storage: dtype, shape, strides, all bounds checked.

Source: torch/_utils.py and torch/_tensor.py of PyTorch 2.13 and of older versions, whose calls old files hold. Nothing
is read here; what can't be right raises ValueError with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol

from wcx.core.checkpoint import Quantization
from wcx.core.text import shortened
from wcx.formats.pytorch.dtypes import BYTES, TorchType, storage_type, tensor_type
from wcx.formats.pytorch.inert import Call, Dict, Global, Persistent, Value

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
class _Storage:
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
    storage = _storage(value, storages)
    return _view(storage, storage.type, (0, (storage.elements,), (1,)))


def view_of(call: Call, storages: Storages) -> View | None:
    """Return the view that a call rebuilds; None for a call that rebuilds none; ValueError where it can't be right."""
    rebuild = REBUILD.get(function_of(call))
    if rebuild is None:
        return None
    if not isinstance(call.args, tuple):
        raise ValueError("its arguments are no tuple")
    return rebuild(call.args, storages)


# --------------------------------------------------------------------------------------------------------- storages


def _storage(value: Value, storages: Storages) -> _Storage:
    if not isinstance(value, Persistent):
        raise ValueError("its storage is none")
    reference = value.id
    if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
        raise ValueError("its storage is not referred to as ('storage', class, key, location, elements)")
    _kind, storage_class, key, _location, elements = reference[:5]
    type_ = storage_type(storage_class)
    if type_ is None:
        raise ValueError(f"its storage is of the unknown class {_named(storage_class)}")
    if not isinstance(key, (str, int)) or not _is_natural(elements):
        raise ValueError("its storage has a key that is no text, or a size that is no number")
    storage = _Storage(storages.place(str(key), type_.nbytes(elements)), type_, elements)
    return _part(storage, reference[5]) if len(reference) == 6 and reference[5] is not None else storage


def _named(value: Value) -> str:
    """Return a class for a message; never the text of any other value, which may be nested without end."""
    return shortened(str(value)) if isinstance(value, Global) else "(not a name)"


def _part(storage: _Storage, metadata: Value) -> _Storage:
    """Return a part of another storage, as files before PyTorch 1.6 may have: (key, first element, elements)."""
    if not isinstance(metadata, tuple) or len(metadata) != 3 or not all(map(_is_natural, metadata[1:])):
        raise ValueError("its storage is a part of another that is not described by (key, offset, size)")
    _key, first, elements = metadata
    if first + elements > storage.elements:
        raise ValueError(f"its storage is a part of another that ends at {first + elements} of {storage.elements}")
    return replace(storage, first=first, elements=elements)


# ------------------------------------------------------------------------------------------------------------- views

_Layout = tuple[Value, Value, Value]  # offset, size, stride as the file has them


def _view(storage: _Storage, type_: TorchType, layout: _Layout) -> View:
    """Check that a view lies within its storage, and say which view it is."""
    first, shape, strides = layout[0], numbers_of(layout[1], "size"), numbers_of(layout[2], "stride")
    if not _is_natural(first):
        raise ValueError("its storage offset is no natural number")
    if len(shape) != len(strides):
        raise ValueError(f"it has {len(shape)} dimensions and {len(strides)} strides")
    elements = storage.elements
    if type_ is not storage.type and storage.type is BYTES:
        elements = elements * 8 // type_.bits
    if type_.counts_numbers:
        elements *= type_.per_element
    numel = _checked_numel(shape)
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
    return _with_several(view, type_) if type_.per_element > 1 and not type_.counts_numbers else view


def _with_several(view: View, type_: TorchType) -> View:
    """Count the numbers instead of the elements that hold several, along the last dimension."""
    count = type_.per_element
    shape = (*view.shape[:-1], view.shape[-1] * count) if view.shape else (count,)
    strides = view.strides
    unsupported = view.unsupported
    if strides is not None:
        if strides[-1] != 1:
            unsupported = unsupported or f"{view.dtype} numbers of a byte in different rows"
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
        raise ValueError(f"its {what} is no tuple of natural numbers")
    return tuple(value)


def _are_natural(values: Sequence[Value]) -> bool:
    """Do as _is_natural of each, in a third of the time: a file may have 100,000 sizes of 64 dimensions."""
    if not _INTEGER.issuperset(map(type, values)):
        return False
    return not values or (min(values) >= 0 and max(values) < _MAX_NUMBER)


def _is_natural(value: Value) -> bool:
    return type(value) is int and 0 <= value < _MAX_NUMBER


def _checked_numel(shape: tuple[int, ...]) -> int:
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


# ------------------------------------------------------------------------------------------------- the calls, by name


def _arguments(args: tuple[Value, ...], least: int, most: int) -> tuple[Value, ...]:
    if not least <= len(args) <= most:
        raise ValueError(f"it is rebuilt from {len(args)} arguments, not {least} to {most}")
    return args


def _rebuild_tensor(args: tuple[Value, ...], storages: Storages) -> View:
    storage = _storage(_arguments(args, 4, 4)[0], storages)
    return _view(storage, storage.type, args[1:4])


def _rebuild_tensor_v2(args: tuple[Value, ...], storages: Storages) -> View:
    _arguments(args, 6, 7)
    return _with_metadata(_rebuild_tensor(args[:4], storages), args[6:])


def _rebuild_tensor_v3(args: tuple[Value, ...], storages: Storages) -> View:
    _arguments(args, 7, 8)
    storage = _storage(args[0], storages)
    type_ = _known_type(args[6])
    if storage.type is not BYTES:
        raise ValueError("its storage should be untyped")
    return _with_metadata(_view(storage, type_, args[1:4]), args[7:])


def _known_type(value: Value) -> TorchType:
    type_ = tensor_type(value)
    if type_ is None:
        raise ValueError(f"its dtype is unknown: {_named(value)}")
    return type_


def _with_metadata(view: View, metadata: tuple[Value, ...]) -> View:
    """Note the bits that negate or conjugate what is stored."""
    if not metadata or not metadata[0]:
        return view
    pairs = metadata[0]
    if not isinstance(pairs, Dict) or len(pairs) > 20:
        raise ValueError("its metadata are no small dict")
    names = [key if isinstance(key, str) else "" for key, value in zip(pairs[::2], pairs[1::2], strict=True) if value]
    if not names:
        return view
    known = {"neg": "negated view", "conj": "conjugated view"}
    return replace(view, unsupported=view.unsupported or known.get(names[0], "a view of an unknown kind"))


def _rebuild_meta(args: tuple[Value, ...], _storages: Storages) -> View:
    _arguments(args, 4, 4)
    return _without_storage(args[0], args[1], "on the meta device: no data")


def _rebuild_wrapper(args: tuple[Value, ...], _storages: Storages) -> View:
    _arguments(args, 7, 8)
    return _without_storage(args[1], args[2], "a wrapper class without data of its own")


def _without_storage(dtype: Value, size: Value, unsupported: str) -> View:
    type_ = _known_type(dtype)
    shape = numbers_of(size, "size")
    _checked_numel(shape)
    view = View(type_.dtype, shape, unsupported=unsupported)
    return _with_several(view, type_) if type_.per_element > 1 else view


def _rebuild_qtensor(args: tuple[Value, ...], storages: Storages) -> View:
    _arguments(args, 7, 7)
    view = _rebuild_tensor(args[:4], storages)
    return _quantized(view, args[4], storages)


def _quantized(view: View, parameters: Value, storages: Storages) -> View:
    """Give integer codes their zero points, from (scheme, scale, zero point) or (scheme, scales, points, axis)."""
    if not isinstance(parameters, tuple) or len(parameters) not in (3, 4):
        raise ValueError("its quantization has neither three nor four parameters")
    scheme = str(parameters[0]) if isinstance(parameters[0], Global) else ""
    ones = (1,) * len(view.shape)
    if scheme == "torch.per_tensor_affine" and len(parameters) == 3:
        scale, zero_point = parameters[1:]
        if not isinstance(scale, (int, float)) or type(zero_point) is not int or abs(zero_point) >= 1 << 31:
            raise ValueError("its scale and zero point are no numbers")
        return replace(view, quantization=Quantization((zero_point,), ones, float(scale)))
    if scheme.startswith("torch.per_channel_affine") and len(parameters) == 4:
        return _quantized_per_channel(view, parameters[2], parameters[3], storages)
    return replace(view, unsupported=view.unsupported or "quantized in an unknown way")


def _quantized_per_channel(view: View, points: Value, axis: Value, storages: Storages) -> View:
    if not _is_natural(axis) or axis >= len(view.shape):
        raise ValueError("it is quantized along a dimension that it does not have")
    if isinstance(points, Call):
        points_view = view_of(points, storages)
        if points_view is None or points_view.dtype not in ("I64", "I32"):
            return replace(view, unsupported=view.unsupported or "quantized with zero points that are no integers")
        points = storages.read_numbers(points_view)
    numbers = tuple(points) if isinstance(points, (list, tuple)) and len(points) == view.shape[axis] else ()
    if len(numbers) != view.shape[axis] or not all(type(n) is int and abs(n) < 1 << 31 for n in numbers):
        raise ValueError("its zero points are not one integer for each channel")
    grid = tuple(len(numbers) if dimension == axis else 1 for dimension in range(len(view.shape)))
    return replace(view, quantization=Quantization(numbers, grid) if prod(grid) else None)


def _uninitialized(_args: tuple[Value, ...], _storages: Storages) -> View:
    """Return a parameter of a lazy module that has never run: neither its shape nor its numbers exist."""
    return View("F32", (0,), unsupported="not initialised: no shape and no data yet")


REBUILD: dict[str, Callable[[tuple[Value, ...], Storages], View]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_qtensor": _rebuild_qtensor,
    "torch._utils._rebuild_meta_tensor_no_storage": _rebuild_meta,
    "torch._utils._rebuild_wrapper_subclass": _rebuild_wrapper,
    "torch.nn.parameter.UninitializedParameter": _uninitialized,
    "torch.nn.parameter.UninitializedBuffer": _uninitialized,
}
