"""PyTorch's functions that rebuild a tensor, each as a view of a storage.

Source: torch/_utils.py and torch/_tensor.py of PyTorch 2.13 and of older versions, whose calls old files hold. Nothing
but zero points is read here; what can't be right raises ValueError with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from wcx.core.checkpoint import Quantization
from wcx.formats.pytorch.dtypes import BYTES, TorchType, tensor_type
from wcx.formats.pytorch.inert import Call, Dict, Global, Value
from wcx.formats.pytorch.tensors import (
    Storages,
    View,
    checked_numel,
    function_of,
    is_natural,
    named,
    numbers_of,
    storage_in,
    view_in,
    with_several,
)


def view_of(call: Call, storages: Storages) -> View | None:
    """Return the view that a call rebuilds; None for a call that rebuilds none; ValueError where it can't be right."""
    rebuild = REBUILD.get(function_of(call))
    if rebuild is None:
        return None
    if not isinstance(call.args, tuple):
        raise ValueError("its arguments are not a tuple")
    return rebuild(call.args, storages)


def _arguments(args: tuple[Value, ...], least: int, most: int) -> tuple[Value, ...]:
    if not least <= len(args) <= most:
        raise ValueError(f"it is rebuilt from {len(args)} arguments, not {least} to {most}")
    return args


def _rebuild_tensor(args: tuple[Value, ...], storages: Storages) -> View:
    storage = storage_in(_arguments(args, 4, 4)[0], storages)
    return view_in(storage, storage.type, args[1:4])


def _rebuild_tensor_v2(args: tuple[Value, ...], storages: Storages) -> View:
    _arguments(args, 6, 7)
    return _with_metadata(_rebuild_tensor(args[:4], storages), args[6:])


def _rebuild_tensor_v3(args: tuple[Value, ...], storages: Storages) -> View:
    _arguments(args, 7, 8)
    storage = storage_in(args[0], storages)
    type_ = _known_type(args[6])
    if storage.type is not BYTES:
        raise ValueError("its storage should be untyped")
    return _with_metadata(view_in(storage, type_, args[1:4]), args[7:])


def _known_type(value: Value) -> TorchType:
    type_ = tensor_type(value)
    if type_ is None:
        raise ValueError(f"its dtype is unknown: {named(value)}")
    return type_


def _with_metadata(view: View, metadata: tuple[Value, ...]) -> View:
    """Note the bits that negate or conjugate what is stored."""
    if not metadata or not metadata[0]:
        return view
    pairs = metadata[0]
    if not isinstance(pairs, Dict) or len(pairs) > 20:
        raise ValueError("its metadata are not a dict of at most 10 entries")
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
    return _without_storage(args[1], args[2], "a wrapper class without its own data")


def _without_storage(dtype: Value, size: Value, unsupported: str) -> View:
    type_ = _known_type(dtype)
    shape = numbers_of(size, "size")
    checked_numel(shape)
    view = View(type_.dtype, shape, unsupported=unsupported)
    return with_several(view, type_) if type_.per_element > 1 else view


def _rebuild_qtensor(args: tuple[Value, ...], storages: Storages) -> View:
    _arguments(args, 7, 7)
    view = _rebuild_tensor(args[:4], storages)
    return _quantized(view, args[4], storages)


def _quantized(view: View, parameters: Value, storages: Storages) -> View:
    """Give integer codes their zero points, from (scheme, scale, zero point) or (scheme, scales, points, axis)."""
    if not isinstance(parameters, tuple) or len(parameters) not in (3, 4):
        raise ValueError("its quantization does not have three or four parameters")
    scheme = str(parameters[0]) if isinstance(parameters[0], Global) else ""
    ones = (1,) * len(view.shape)
    if scheme == "torch.per_tensor_affine" and len(parameters) == 3:
        scale, zero_point = parameters[1:]
        if not isinstance(scale, (int, float)) or type(zero_point) is not int or abs(zero_point) >= 1 << 31:
            raise ValueError("its scale or zero point is not a valid number")
        return replace(view, quantization=Quantization((zero_point,), ones, float(scale)))
    if scheme.startswith("torch.per_channel_affine") and len(parameters) == 4:
        return _quantized_per_channel(view, parameters[2], parameters[3], storages)
    return replace(view, unsupported=view.unsupported or "unknown quantization scheme")


def _quantized_per_channel(view: View, points: Value, axis: Value, storages: Storages) -> View:
    if not is_natural(axis) or axis >= len(view.shape):
        raise ValueError("it is quantized along a dimension that is out of range")
    if isinstance(points, Call):
        points_view = view_of(points, storages)
        if points_view is None or points_view.dtype not in ("I64", "I32"):
            return replace(view, unsupported=view.unsupported or "quantized with zero points that are not integers")
        points = storages.read_numbers(points_view)
    numbers = tuple(points) if isinstance(points, (list, tuple)) and len(points) == view.shape[axis] else ()
    if len(numbers) != view.shape[axis] or not all(type(n) is int and abs(n) < 1 << 31 for n in numbers):
        raise ValueError("it does not have one integer zero point for each channel")
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
