"""Builders of PyTorch files for tests, without torch: Python's own pickler with stand-ins for torch's names."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["Made", "Name", "Tensor", "pickled", "write_legacy", "write_zip"]

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_ITEMSIZES = {"Float": 4, "Double": 8, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Char": 1, "Byte": 1, "QUInt8": 1}


@dataclass(frozen=True)
class Name:
    """The name of a class or function, which is written and never imported."""

    module: str
    name: str

    def __call__(self, *_arguments: object) -> None:
        """Only so that the pickler takes it for a function."""


@dataclass(frozen=True)
class Made:
    """An object that is made by calling `function` with `args`, and given a state."""

    function: Name
    args: tuple[Any, ...] = ()
    state: Any = None

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return (self.function, self.args) if self.state is None else (self.function, self.args, self.state)


@dataclass(frozen=True)
class StorageRef:
    """A storage: what stands in the pickle for it."""

    kind: str
    key: str
    elements: int


def Tensor(
    key: str, shape: tuple[int, ...], kind: str = "Float", strides: tuple[int, ...] | None = None, first: int = 0,
    elements: int | None = None, metadata: dict[str, bool] | None = None,
) -> Made:  # fmt: skip
    """A tensor as torch.save describes it: a view of the storage `key`, which has as many elements as it."""
    numel = 1
    c_order: list[int] = []
    for size in reversed(shape):
        c_order.insert(0, numel)
        numel *= size
    storage = StorageRef(kind, key, numel if elements is None else elements)
    args = (storage, first, shape, tuple(c_order) if strides is None else strides, False, OrderedDict())
    return Made(Name("torch._utils", "_rebuild_tensor_v2"), args if metadata is None else (*args, metadata))


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]
    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]
    legacy = False

    def persistent_id(self, obj: object) -> object:
        if not isinstance(obj, StorageRef):
            return None
        reference = ("storage", Name("torch", f"{obj.kind}Storage"), obj.key, "cpu", obj.elements)
        return (*reference, None) if self.legacy else reference

    def save_name(self, obj: Name) -> None:
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        self.memoize(obj)

    dispatch[Name] = save_name


def pickled(value: object, protocol: int = 2, *, legacy: bool = False) -> bytes:
    """The pickle of a value with the stand-ins in it."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol)
    pickler.legacy = legacy
    pickler.dump(value)
    return stream.getvalue()


def write_zip(
    path: Path,
    value: object,
    storages: Mapping[str, bytes],
    *,
    records: Mapping[str, bytes] | None = None,
    method: int = zipfile.ZIP_STORED,
    protocol: int = 2,
) -> Path:
    """Write the zip archive of torch.save; `value` may be the pickle itself."""
    content = value if isinstance(value, bytes) else pickled(value, protocol)
    members = {"data.pkl": content, "byteorder": b"little", **{f"data/{key}": raw for key, raw in storages.items()}}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, raw in {**members, "version": b"3\n", **(records or {})}.items():
            archive.writestr(f"archive/{name}", raw)
    return path


def write_legacy(path: Path, value: object, storages: Mapping[str, tuple[str, bytes]], *, tail: bytes = b"") -> Path:
    """Write the layout before PyTorch 1.6; storages: kind and bytes by key."""
    parts = [pickled(part) for part in (MAGIC_NUMBER, 1001, {"protocol_version": 1001, "little_endian": True})]
    parts += [pickled(value, legacy=True), pickled(list(storages))]
    for kind, raw in storages.values():
        parts.append(struct.pack("<q", len(raw) // _ITEMSIZES[kind]) + raw)
    path.write_bytes(b"".join(parts) + tail)
    return path
