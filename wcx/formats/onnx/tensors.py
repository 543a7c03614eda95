"""One tensor of an ONNX model (TensorProto): its type, its shape, and where its numbers lie. Reads no numbers.

Source: onnx.proto3 of ONNX 1.21 and later, whose field numbers these are. Numbers lie in raw_data, in the list of their
type (float_data, int32_data, ...), or in an external file; that list is one run of the file as a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from wcx.core.checkpoint import Quantization, Storage
from wcx.core.dtypes import DTYPES
from wcx.core.text import shortened
from wcx.formats.onnx.external import ExternalFiles
from wcx.formats.onnx.protobuf import VARINT, Extent, ProtobufFile, merged_fields, signed
from wcx.formats.onnx.tensor_fields import (
    INT32S,
    LIST_OF,
    LISTS,
    STRINGS,
    WIRE_OF,
    Runs,
    TensorFields,
    name_of,
    read_pairs,
    take,
)

_DTYPES = (
    *("F32", "U8", "I8", "U16", "I16", "I32", "I64", "STRING", "BOOL", "F16", "F64", "U32", "U64", "C64", "C128"),
    *("BF16", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "U4", "I4", "F4", "F8_E8M0", "U2", "I2"),
    *("F6_E2M3", "F6_E3M2"),
)
ONNX_DTYPES = dict(enumerate(_DTYPES, start=1))
"""The dtypes of TensorProto.DataType."""

_MAX_BITS = 1 << 66
_COST = 1000  # bytes of memory that a tensor takes, measured


@dataclass(frozen=True, slots=True)
class OperatorView:
    """An operator's view of a tensor: dtype, shape, and what its codes mean, or why nothing can say."""

    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None = None
    unsupported: str | None = None


@dataclass(slots=True)
class Draft:
    """A tensor as the file has it, and what is found out about it later: who uses it, and how."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    position: int
    file: int = 0
    offset: int = 0
    storage: Storage | None = None
    unsupported: str | None = None
    place: str = ""
    role: str = "weight"
    uses: list[str] = field(default_factory=list)
    views: list[OperatorView] = field(default_factory=list)


def read_tensor(source: ProtobufFile, extents: Sequence[Extent], files: ExternalFiles, known_as: str = "") -> Draft:
    """Describe the tensor whose message is at `extents`; CheckpointError where it contradicts itself.

    known_as: its name in messages, where it has none of its own.
    """
    position = extents[0][0]
    source.spend(_COST, position)
    found = TensorFields()
    try:
        for item in merged_fields(source, extents, "tensor"):
            take(source, found, item)
        return _checked(source, found, files, position)
    except ValueError as error:
        name = found.name or known_as or name_of(source, extents)
        shown = f"tensor {shortened(name)}" if name else "a tensor without a name"
        raise source.error(f"{shown}: {error}", position) from None


def _checked(source: ProtobufFile, found: TensorFields, files: ExternalFiles, position: int) -> Draft:
    dtype = _dtype(found.data_type)
    shape, nbytes = _size(found.dims, dtype)
    draft = Draft(found.name, dtype, shape, nbytes, position)
    inside = (found.raw is not None and found.raw[0] != found.raw[1]) + bool(found.runs.number)
    if inside + found.is_external > 1:
        raise ValueError("data in more than one place: raw_data, the list of its dtype or an external file")
    if found.is_external:
        _place_external(source, draft, found, files)
    elif dtype == "STRING":
        _place_text(draft, found)
    elif found.runs.number:
        _place_run(draft, found.runs)
    else:
        _place_raw(draft, found.raw or (position, position))
    return draft


def _dtype(data_type: int) -> str:
    if data_type == 0:
        raise ValueError("no data type")
    if data_type not in ONNX_DTYPES:
        raise ValueError(f"unknown data type {signed(data_type)}: wcx knows 1 to {max(ONNX_DTYPES)}")
    return ONNX_DTYPES[data_type]


def _size(dims: list[int], dtype: str) -> tuple[tuple[int, ...], int]:
    """Return the shape and the bytes that it needs; ValueError for what no machine can address."""
    nbits = DTYPES[dtype].bits or 1
    for size in dims:
        if size < 0:
            raise ValueError(f"negative dimension {size}")
        nbits *= size or 1
        if nbits > _MAX_BITS:
            raise ValueError("the shape describes more than 2^63 bytes")
    return tuple(dims), 0 if 0 in dims or dtype == "STRING" else -(-nbits // 8)


def _place_external(source: ProtobufFile, draft: Draft, found: TensorFields, files: ExternalFiles) -> None:
    if draft.dtype == "STRING":
        raise ValueError("text in an external file")
    pairs = [read_pairs(source, extent, "an entry of external_data") for extent in found.external]
    draft.file, draft.offset, draft.unsupported = files.locate(pairs, draft.nbytes)


def _place_text(draft: Draft, found: TensorFields) -> None:
    if found.raw is not None or found.runs.number not in (0, STRINGS):
        raise ValueError("text outside of string_data")
    if found.runs.count != prod(draft.shape):
        raise ValueError(f"{found.runs.count} strings, but its shape needs {prod(draft.shape)}")
    draft.unsupported = "text"


def _place_raw(draft: Draft, extent: Extent) -> None:
    begin, end = extent
    if begin == end and draft.nbytes:
        raise ValueError("no data")
    if end - begin != draft.nbytes:
        raise ValueError(f"its data have {end - begin} bytes, but its shape and dtype need {draft.nbytes}")
    draft.offset = begin


def _place_run(draft: Draft, runs: Runs) -> None:
    expected = LIST_OF.get(draft.dtype, INT32S)
    if runs.number != expected:
        raise ValueError(f"data in {LISTS[runs.number]}, but {draft.dtype} uses {LISTS[expected]}")
    needed = _numbers_needed(draft)
    if runs.count != needed:
        raise ValueError(f"{LISTS[expected]} has {runs.count} numbers, but its shape and dtype need {needed}")
    begin, end = runs.extent
    draft.offset = begin
    if runs.pieces > 1:
        draft.unsupported = f"{LISTS[expected]} in {runs.pieces} pieces"
    elif WIRE_OF[expected] == VARINT:
        draft.storage = Storage(begin, end - begin, prod(draft.shape), encoding="varint")
        if draft.dtype.startswith("F6_"):
            draft.unsupported = "6-bit numbers in int32_data"


def _numbers_needed(draft: Draft) -> int:
    """Return the number of entries of the list: two for each complex number, one a byte for codes below 6 bits."""
    if draft.dtype in ("C64", "C128"):
        return 2 * prod(draft.shape)
    return draft.nbytes if DTYPES[draft.dtype].bits < 6 else prod(draft.shape)
