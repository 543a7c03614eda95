"""The safetensors library: slices of tensors that NumPy has a type for, else the bytes of the whole file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.tasks.verify.libraries import (
    Codes,
    LibraryFile,
    LibraryTensor,
    array_codes,
    check_size,
    named,
    packed_codes,
)

_SLICED = frozenset(
    ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "C64")
)  # what safetensors 0.8 gives as NumPy arrays, with ml_dtypes


@dataclass(slots=True)
class _File:
    """One file; whole: the bytes of all tensors by name, once a tensor needs them."""

    path: str
    opened: Any
    names: dict[str, str]
    whole: dict[str, Codes] = field(default_factory=dict)

    def tensor(self, tensor: TensorInfo) -> LibraryTensor:
        name = named(self.names, tensor, "safetensors")
        part = self.opened.get_slice(name)
        dtype, shape = part.get_dtype(), tuple(part.get_shape())
        if dtype in _SLICED:
            return LibraryTensor(dtype, shape, lambda run: array_codes(np.asarray(part[run.slices or ...]), dtype))
        raw = self._bytes(name)
        return LibraryTensor(dtype, shape, lambda run: packed_codes(raw, dtype, run))

    def _bytes(self, name: str) -> Codes:
        if not self.whole:
            from safetensors import deserialize

            check_size(os.path.getsize(self.path), "the file", "NumPy has no type for it, safetensors")
            with open(self.path, "rb") as file:
                loaded: Any = deserialize(file.read())  # type: ignore[no-untyped-call]
            self.whole = {found: np.frombuffer(item["data"], np.uint8) for found, item in loaded}
        return self.whole[name]


class Safetensors:
    """Reads safetensors files, also shards."""

    name = "safetensors"

    def version(self) -> str:
        """Return the version of the library."""
        import ml_dtypes  # noqa: F401 (safetensors finds bfloat16 by the name that this gives NumPy)
        import safetensors

        return str(safetensors.__version__)

    @contextmanager
    def open(self, checkpoint: Checkpoint, file: int) -> Iterator[LibraryFile]:
        """Open one file, from which slices are read."""
        from safetensors import safe_open

        path = os.path.join(checkpoint.directory, checkpoint.files[file])
        with safe_open(path, framework="np", backend="pread") as opened:
            names = opened.keys()
            yield _File(path, opened, dict(zip(names, names, strict=True)))
