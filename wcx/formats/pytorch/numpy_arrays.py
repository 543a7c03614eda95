"""NumPy arrays inside a pickle: those whose bytes lie in the file as they are, as views of them.

Source: numpy/_core/multiarray.py and numeric.py (_reconstruct, _frombuffer) and ndarray.__setstate__. Arrays of
objects, of structures and of dates have no numbers that wcx could give.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from wcx.formats.pytorch.inert import Blob, Call, Value
from wcx.formats.pytorch.tensors import Place, View, function_of, numbers_of

_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_RECONSTRUCT = frozenset(f"{module}._reconstruct" for module in _MODULES)
_FROM_BUFFER = frozenset({"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"})
ARRAYS = _RECONSTRUCT | _FROM_BUFFER
"""The functions that make arrays."""

_TYPES = {
    **{"f2": "F16", "f4": "F32", "f8": "F64", "b1": "BOOL", "c8": "C64", "c16": "C128"},
    **{f"{kind}{size}": f"{kind.upper()}{8 * size}" for kind in "iu" for size in (1, 2, 4, 8)},
}
_LONGEST = 8  # characters of a dtype's name, such as <f4 or <M8[ns]


def array_of(call: Call) -> View | None:
    """Return the array that a call makes; None for a call that makes none, or one of other things than numbers.

    An array that can't be read where it lies has an unsupported reason. ValueError where shape and bytes do not fit.
    """
    function = function_of(call)
    if function in _RECONSTRUCT and isinstance(call.state, tuple) and len(call.state) == 5:
        _version, shape, dtype, fortran, data = call.state
        return _array(shape, dtype, data, fortran=bool(fortran))
    if function in _FROM_BUFFER and isinstance(call.args, tuple) and len(call.args) == 4:
        data, dtype, shape, order = call.args
        return _array(shape, dtype, data, fortran=order == "F")
    return None


def _array(shape: Value, dtype: Value, data: Value, *, fortran: bool) -> View | None:
    name, big_endian = _dtype(dtype)
    if name not in _TYPES:
        return None
    sizes = numbers_of(shape, "shape")
    itemsize = int(name[1:])
    nbytes = prod(sizes) * itemsize
    view = View(_TYPES[name], sizes)
    if not isinstance(data, Blob) or data.offset is None:
        return replace(view, unsupported="a NumPy array whose bytes are not stored as they are")
    if data.nbytes != nbytes:
        raise ValueError(f"it has {data.nbytes} bytes, but its shape and dtype need {nbytes}")
    place = Place(f"array at {data.offset}", data.offset, nbytes, nbytes, big_endian=big_endian)
    strides = _fortran_strides(sizes) if fortran and len(sizes) > 1 and nbytes else None
    return replace(view, place=place, elements=prod(sizes), strides=strides)


def _fortran_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[:dimension]) for dimension in range(len(shape)))


def _dtype(value: Value) -> tuple[str, bool]:
    """Return the kind and size of a numpy.dtype, such as f4, and True if it is big-endian."""
    if not isinstance(value, Call) or function_of(value) != "numpy.dtype" or not isinstance(value.args, tuple):
        return "", False
    name = value.args[0] if value.args and isinstance(value.args[0], str) and len(value.args[0]) <= _LONGEST else ""
    state = value.state if isinstance(value.state, tuple) else ()
    structured = len(state) > 2 and any(item is not None for item in state[2:5])
    return "" if structured else name.lstrip("<>|="), len(state) > 1 and state[1] == ">"
