"""A sample of tensors, read by wcx and by the library of the format, and compared bit by bit.

The two sides share nothing but the file: each finds the tensor, its dtype and its shape by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from wcx.core.checkpoint import Checkpoint, TensorInfo, TensorReader
from wcx.core.decode import unpack
from wcx.core.dtypes import DTYPES
from wcx.core.text import shortened
from wcx.core.verification import Reading
from wcx.tasks.verify.by_onnx import Onnx
from wcx.tasks.verify.by_safetensors import Safetensors
from wcx.tasks.verify.by_torch import Torch
from wcx.tasks.verify.libraries import Codes, Library, LibraryFile, LibraryTensor, Run, UnreadError, runs_of

_LIBRARIES: dict[str, Library] = {"safetensors": Safetensors(), "onnx": Onnx(), "pytorch": Torch()}
_TENSORS = 20
_RUNS = 4
_ELEMENTS = 1 << 16  # of a run
_MESSAGE = 200  # characters of what a library says

_Draw = Callable[[int], Sequence[int]]  # which of so many to take, in their order


def read_by_library(checkpoint: Checkpoint, reader: TensorReader, seed: int, *, full: bool) -> tuple[Reading, ...]:
    """Compare 20 tensors drawn by the seed, of each at most four runs of 2^16 elements; full: all of all tensors.

    Tensors of every role are drawn, those that are never analysed too. Each is listed, with the reason where nothing
    was compared.
    """
    random = np.random.default_rng([seed, 1])

    def draw(most: int) -> _Draw:
        if full:
            return range
        return lambda count: sorted(random.choice(count, min(count, most), replace=False).tolist())

    tensors = [checkpoint.tensors[index] for index in draw(_TENSORS)(len(checkpoint.tensors))]
    library = _LIBRARIES.get(checkpoint.format)
    if library is None:
        reason = f"no reference library reads the format {checkpoint.format}"
        return tuple(Reading(tensor.name, None, None, None, 0, reason) for tensor in tensors)
    try:
        version = library.version()
    except ImportError:
        reason = f"{library.name} is not installed"
        return tuple(Reading(tensor.name, library.name, None, None, 0, reason) for tensor in tensors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library says of a file is said by wcx
        found = list(_readings(checkpoint, reader, library, tensors, draw(_RUNS)))
    return tuple(replace(reading, library=library.name, version=version) for reading in found)


def _readings(
    checkpoint: Checkpoint, reader: TensorReader, library: Library, tensors: Sequence[TensorInfo], draw: _Draw
) -> Iterator[Reading]:
    """Yield the reading of each tensor; files are opened one after the other."""
    opened: tuple[int, LibraryFile | str] | None = None
    with ExitStack() as stack:
        for tensor in tensors:
            file = 0 if library.name == "onnx" else tensor.file  # which opens external files itself
            if opened is None or opened[0] != file:
                stack.close()
                opened = file, _opened(stack, library, checkpoint, file)
            yield _reading(tensor, reader, opened[1], library.name, draw)


def _opened(stack: ExitStack, library: Library, checkpoint: Checkpoint, file: int) -> LibraryFile | str:
    """Return the opened file, or why the library can't open it."""
    try:
        return stack.enter_context(library.open(checkpoint, file))
    except Exception as error:
        return _refusal(library.name, error)


def _refusal(name: str, error: Exception) -> str:
    """Return the reason for what a library raises, which may be anything: it's no error of wcx."""
    if isinstance(error, UnreadError):
        return str(error)
    sentence = next(iter(str(error).strip().splitlines()), "").partition(". ")[0]
    return f"{name} refuses it: {type(error).__name__} {shortened(sentence, _MESSAGE)}"


def _reading(tensor: TensorInfo, reader: TensorReader, file: LibraryFile | str, name: str, draw: _Draw) -> Reading:
    unread = Reading(tensor.name, None, None, None, 0, None)
    if tensor.unsupported:
        return replace(unread, reason=f"wcx doesn't read it: {tensor.unsupported}")
    if isinstance(file, str):
        return replace(unread, reason=file)
    try:
        found = file.tensor(tensor)
    except Exception as error:
        return replace(unread, reason=_refusal(name, error))
    stored = _as_stored(tensor, found)
    if (stored.dtype, stored.shape) != (found.dtype, found.shape):
        reason = f"wcx reads {_kind(stored.dtype, stored.shape)}, {name} {_kind(found.dtype, found.shape)}"
        return replace(unread, agrees=False, reason=reason)
    return _compared(stored, reader, found, name, draw)


def _as_stored(tensor: TensorInfo, found: LibraryTensor) -> TensorInfo:
    """Return a tensor without the view that an operator has of its bytes, as the codes of MatMulNBits are."""
    if tensor.quantization and found.dtype in ("U8", "I8") and DTYPES[tensor.dtype].bits < 8:
        return replace(tensor, dtype=found.dtype, shape=(*found.shape[:-1], _last(tensor, found)), quantization=None)
    return tensor


def _last(tensor: TensorInfo, found: LibraryTensor) -> int:
    """Return the last dimension that the bytes of a tensor give the shape of the library."""
    rows = int(np.prod(found.shape[:-1], dtype=object))
    return tensor.nbytes // rows if rows else 0


def _kind(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {list(shape)}"


def _compared(tensor: TensorInfo, reader: TensorReader, found: LibraryTensor, name: str, draw: _Draw) -> Reading:
    """Compare runs of elements up to the first that differs."""
    count, run_at = runs_of(tensor.shape, _ELEMENTS)
    elements = 0
    for index in draw(count):
        run = run_at(index)
        own = _own_codes(tensor, reader, run)
        try:
            other = found.codes(run)
        except Exception as error:
            return Reading(tensor.name, None, None, None, 0, _refusal(name, error))
        elements += run.count
        difference = _difference(tensor, run, own, other, name)
        if difference:
            return Reading(tensor.name, None, None, False, elements, difference)
    return Reading(tensor.name, None, None, True, elements, None)


def _own_codes(tensor: TensorInfo, reader: TensorReader, run: Run) -> Codes:
    """Return the bytes of a run as wcx reads them; a byte for a code of fewer than 8 bits."""
    bits = DTYPES[tensor.dtype].bits
    begin, end = run.first * bits, (run.first + run.count) * bits
    raw = np.empty(-(-end // 8) - begin // 8, np.uint8)
    reader.read_into(tensor, begin // 8, raw.data)
    return unpack(raw, bits, begin % 8, run.count) if bits < 8 else raw


def _difference(tensor: TensorInfo, run: Run, own: Codes, other: Codes, name: str) -> str | None:
    """Return the first element that differs, or None."""
    if own.size != other.size:
        return f"{name} gives {other.size} bytes of {run.count} elements, wcx {own.size}"
    differing = np.flatnonzero(own != other)
    if not differing.size:
        return None
    itemsize = own.size // run.count
    at = int(differing[0]) // itemsize
    index = [int(i) for i in np.unravel_index(run.first + at, tensor.shape)] if tensor.shape else []
    codes = [side[at * itemsize : (at + 1) * itemsize][::-1].tobytes().hex() for side in (own, other)]
    return f"element {index} is 0x{codes[0]} by wcx, 0x{codes[1]} by {name}"
