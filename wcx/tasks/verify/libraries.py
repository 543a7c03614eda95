"""The contract of a reference library: it opens a file, and hands out tensors as it reads them itself.

A library may hold a whole file or tensor in memory, up to MOST_NBYTES; beyond that it gives a reason instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.decode import unpack
from wcx.core.dtypes import DTYPES

MOST_NBYTES = 32 << 20
"""Size of a file, or of a tensor, that is loaded whole where a library can't read a part of it."""

Codes = NDArray[np.uint8]


class UnreadError(Exception):
    """Says why a library gives no value of a tensor; no error of the checkpoint."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of elements of a tensor in C order; slices: one for each dimension, which cut out the same elements."""

    first: int
    count: int
    slices: tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class LibraryTensor:
    """A tensor as a library reads it; codes: bytes of a run, little-endian, a byte for a code of fewer than 8 bits."""

    dtype: str
    shape: tuple[int, ...]
    codes: Callable[[Run], Codes]


class LibraryFile(Protocol):
    """A file that a library has opened."""

    def tensor(self, tensor: TensorInfo) -> LibraryTensor:
        """Read a tensor by its name or an alias; UnreadError, with the reason, where the library gives none."""


class Library(Protocol):
    """A reference library; name: of its package."""

    name: str

    def version(self) -> str:
        """Import the library and return its version; ImportError where it is not installed."""

    def open(self, checkpoint: Checkpoint, file: int) -> AbstractContextManager[LibraryFile]:
        """Open a file of a checkpoint; UnreadError where the file is too large for a library that loads it whole."""


def runs_of(shape: tuple[int, ...], most: int) -> tuple[int, Callable[[int], Run]]:
    """Return the number of runs of at most `most` elements that a tensor falls into, and the run of each index."""
    if 0 in shape:
        return 0, lambda index: Run(0, 0, ())
    axis = next((axis for axis in range(len(shape)) if prod(shape[axis + 1 :]) <= most), len(shape))
    size, inner = (1, 1) if axis == len(shape) else (shape[axis], prod(shape[axis + 1 :]))
    step = min(size, most // inner)
    per_row = -(-size // step)

    def run(index: int) -> Run:
        row, part = divmod(index, per_row)
        begin, end = part * step, min(size, (part + 1) * step)
        leading = np.unravel_index(row, shape[:axis]) if axis else ()
        cut = [slice(int(at), int(at) + 1) for at in leading]
        cut += [slice(begin, end), *(slice(0, length) for length in shape[axis + 1 :])] if shape else []
        return Run((row * size + begin) * inner, (end - begin) * inner, tuple(cut))

    return prod(shape[:axis]) * per_row, run


def by_name(found: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return tensors by their names; None for a name of several, of which wcx makes two that a library doesn't know."""
    tensors: dict[str, Any] = {}
    for name, tensor in found:
        tensors[name] = None if name in tensors else tensor
    return tensors


def named(tensors: Mapping[str, Any], tensor: TensorInfo, library: str) -> Any:  # noqa: ANN401
    """Return the tensor of a library by its name or an alias; UnreadError where there is none, or several."""
    names = [name for name in (tensor.name, *tensor.aliases) if name in tensors]
    if not names:
        raise UnreadError(f"no tensor of this name is found with {library}")
    if tensors[names[0]] is None:
        raise UnreadError(f"several tensors of this name are found with {library}")
    return tensors[names[0]]


def check_size(nbytes: int, what: str, library: str) -> None:
    """Raise UnreadError for what is too large to be loaded whole."""
    if nbytes > MOST_NBYTES:
        raise UnreadError(f"{library} loads it whole, and {what} has more than {MOST_NBYTES >> 20} MiB")


def packed_codes(raw: Codes, dtype: str, run: Run) -> Codes:
    """Return the codes of a run of packed or whole bytes."""
    bits = DTYPES[dtype].bits
    begin, end = run.first * bits, (run.first + run.count) * bits
    part = raw[begin // 8 : -(-end // 8)]
    return unpack(part, bits, begin % 8, run.count) if bits < 8 else part


def array_codes(array: NDArray[Any], dtype: str) -> Codes:
    """Return the codes of an array's elements; those of ml_dtypes' small types without the bits that they don't use."""
    little = array.astype(array.dtype.newbyteorder("<")) if array.dtype.byteorder == ">" else array
    codes = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    bits = DTYPES[dtype].bits
    return codes & np.uint8((1 << bits) - 1) if bits < 8 else codes
