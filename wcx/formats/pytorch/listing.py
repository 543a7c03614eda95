"""List the tensors that a walk has found: each once, with its role and its other names."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from wcx.core.checkpoint import Storage, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.formats.pytorch.roles import EMA_COPY
from wcx.formats.pytorch.tensors import Place, View
from wcx.formats.pytorch.visit import NamedTensor
from wcx.formats.roles import role_of

_Key = tuple[object, ...]


def list_tensors(found: Iterable[NamedTensor], file: int = 0) -> tuple[TensorInfo, ...]:
    """Describe every tensor once, in the order of their first names.

    Of tensors that are the same view of the same storage (tied weights) the first that is a weight gives the name,
    the others are its aliases. Names that come twice get a number.
    """
    found = _numbered(found)
    copies = _are_copies(found)
    groups: dict[_Key, list[NamedTensor]] = {}
    for tensor in found:
        groups.setdefault(_key(tensor), []).append(tensor)
    return tuple(_described(group, file, copies=copies) for group in groups.values())


def _numbered(found: Iterable[NamedTensor]) -> list[NamedTensor]:
    """Return the tensors with unique names: name, name#2, ..."""
    taken: dict[str, int] = {}  # by its name, the last number that it was given
    numbered = []
    for tensor in found:
        name, count = tensor.name, taken.get(tensor.name, 1)
        while name in taken:
            count += 1
            name = f"{tensor.name}#{count}"
        taken[tensor.name] = count
        taken.setdefault(name, 1)
        numbered.append(
            tensor if count == 1 else NamedTensor(name, tensor.view, tensor.role, tensor.ema, tensor.source)
        )
    return numbered


def _are_copies(found: list[NamedTensor]) -> bool:
    """Return True if all EMA tensors are copies of weights: every shape of them is one of the model's too."""
    model = {tensor.view.shape for tensor in found if not tensor.ema and tensor.role != "optimizer"}
    return all(tensor.view.shape in model for tensor in found if tensor.ema and len(tensor.view.shape) > 1)


def _key(tensor: NamedTensor) -> _Key:
    """Return a key that two names of the same elements share."""
    view = tensor.view
    if view.place is None:
        return (tensor.name,)
    return view.place.start, view.place.key, view.first, view.shape, view.strides, view.dtype, view.unsupported


def _described(group: list[NamedTensor], file: int, *, copies: bool) -> TensorInfo:
    roles = [_role(tensor, copies=copies) for tensor in group]
    index = next((index for index, (role, _source) in enumerate(roles) if role != "optimizer"), 0)
    tensor, (role, source) = group[index], roles[index]
    view = tensor.view
    bits = DTYPES[view.dtype].bits
    unsupported = view.unsupported
    if bits < 8 and not unsupported and (view.strides is not None or view.first * bits % 8):
        unsupported = f"a view of {view.dtype} that splits bytes"
    offset, storage = (0, None) if view.place is None else _located(view, view.place, bits)
    return TensorInfo(
        name=tensor.name,
        dtype=view.dtype,
        shape=view.shape,
        nbytes=(prod(view.shape) * bits + 7) // 8,
        file=file,
        offset=offset,
        role=role,
        source=source,
        aliases=tuple(other.name for other in group if other is not tensor),
        storage=None if unsupported else storage,
        quantization=view.quantization,
        unsupported=unsupported,
    )


def _role(tensor: NamedTensor, *, copies: bool) -> tuple[str, str | None]:
    if tensor.ema and copies:
        return "optimizer", EMA_COPY
    return tensor.role or role_of(tensor.name), tensor.source


def _located(view: View, place: Place, bits: int) -> tuple[int, Storage | None]:
    """Return the offset of a view, and its storage unless its elements are one little-endian run of the file.

    Of a storage of less than 8 bits, bytes are counted instead of elements.
    """
    plain = place.encoding == "raw" and view.strides is None
    if plain and place.crc32 is None and (bits <= 8 or not place.big_endian):
        return place.start + view.first * bits // 8, None
    unit = min(8, bits)
    storage = Storage(
        start=place.start,
        nbytes=place.packed,
        elements=view.elements * unit // 8,
        first=view.first * unit // 8,
        strides=view.strides,
        encoding=place.encoding,
        big_endian=place.big_endian,
        crc32=place.crc32,
    )
    return place.start + (view.first * bits // 8 if plain else 0), storage


def overlap_note(tensors: Iterable[TensorInfo]) -> str | None:
    """Return a note on tensors that share numbers of one storage without being the same; None where none do."""
    extents: dict[int, list[tuple[int, int]]] = {}  # bits, by the storage if it is encoded, else of the file
    for tensor in tensors:
        storage = tensor.storage
        if tensor.unsupported or tensor.nbytes == 0 or (storage is None and not tensor.offset):
            continue
        if storage is None:
            extents.setdefault(0, []).append((tensor.offset * 8, (tensor.offset + tensor.nbytes) * 8))
            continue
        bits = DTYPES[tensor.dtype].bits
        count = prod(tensor.shape)
        if storage.strides is not None:
            count = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, storage.strides, strict=True))
        raw = storage.encoding == "raw"
        first = (storage.start * 8 if raw else 0) + storage.first * max(8, bits)
        extents.setdefault(0 if raw else storage.start, []).append((first, first + count * bits))
    overlapping = sum(_overlapping(sorted(items)) for items in extents.values())
    if not overlapping:
        return None
    return f"{overlapping} tensors are views that overlap others: shared elements are counted in each"


def _overlapping(extents: list[tuple[int, int]]) -> int:
    """Count the extents, in order, that begin before an earlier one has ended."""
    count = 0
    end = 0
    for first, last in extents:
        count += first < end
        end = max(end, last)
    return count
