"""PyTorch, where it is installed: torch.load with weights_only=True alone, which runs nothing in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.tasks.verify.libraries import (
    Codes,
    LibraryFile,
    LibraryTensor,
    UnreadError,
    by_name,
    check_size,
    named,
    packed_codes,
)

_DTYPES = {
    **{f"float{bits}": f"F{bits}" for bits in (64, 32, 16)},
    **{f"int{bits}": f"I{bits}" for bits in (64, 32, 16, 8)},
    **{f"uint{bits}": f"U{bits}" for bits in (64, 32, 16, 8)},
    **{f"complex{bits}": f"C{bits}" for bits in (128, 64, 32)},
    "bfloat16": "BF16",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float4_e2m1fn_x2": "F4",
}


@dataclass(frozen=True, slots=True)
class _File:
    """The tensors that torch.load gives of one file, by the way to them."""

    torch: Any
    tensors: dict[str, Any]

    def tensor(self, tensor: TensorInfo) -> LibraryTensor:
        found = named(self.tensors, tensor, "torch")
        if str(found.layout) != "torch.strided":
            raise UnreadError(f"torch gives a tensor of the layout {found.layout}")
        if found.is_quantized:
            found = found.int_repr()
        dtype = _DTYPES.get(str(found.dtype).removeprefix("torch."))
        if dtype is None:
            raise UnreadError(f"torch gives a tensor of {found.dtype}")
        shape = tuple(found.shape)
        if DTYPES[dtype].bits >= 8:
            return LibraryTensor(dtype, shape, lambda run: self._bytes(found[run.slices]))
        check_size(tensor.nbytes, "the tensor", "torch")
        raw = self._bytes(found)
        return LibraryTensor(dtype, (*shape[:-1], shape[-1] * 2), lambda run: packed_codes(raw, dtype, run))

    def _bytes(self, part: Any) -> Codes:  # noqa: ANN401
        flat = part.detach().contiguous().reshape(-1).view(self.torch.uint8)
        codes: Codes = np.asarray(flat.numpy())
        return codes


class Torch:
    """Reads PyTorch files, also shards."""

    name = "torch"

    def version(self) -> str:
        """Return the version of the library."""
        return str(import_module("torch").__version__)

    @contextmanager
    def open(self, checkpoint: Checkpoint, file: int) -> Iterator[LibraryFile]:
        """Load one file; mapped into memory where its format allows that."""
        if any(_is_compressed(tensor, file) for tensor in checkpoint.tensors):
            raise UnreadError("the file is compressed: torch doesn't map it, and inflates it without a bound")
        check_size(checkpoint.signatures[file].nbytes, "the file", "torch")
        torch = import_module("torch")
        path = os.path.join(checkpoint.directory, checkpoint.files[file])
        mapped = checkpoint.version == "zip 3"
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        yield _File(torch, by_name(_tensors(loaded, torch.Tensor)))


def _is_compressed(tensor: TensorInfo, file: int) -> bool:
    return tensor.file == file and tensor.storage is not None and tensor.storage.encoding == "deflate"


def _tensors(loaded: Any, kind: type) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the tensors in dicts and lists, each container once, by their keys and positions joined by dots."""
    pending, seen = [("", loaded)], set()
    while pending:
        path, value = pending.pop()
        if isinstance(value, kind):
            yield path, value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending.extend((f"{path}.{key}" if path else str(key), item) for key, item in _items(value))


def _items(value: Any) -> Iterable[tuple[Any, Any]]:  # noqa: ANN401
    return value.items() if isinstance(value, dict) else enumerate(value)
