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
from wcx.formats.onnx.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Extent,
    Field,
    ProtobufFile,
    merged_fields,
    packed_varints,
    signed,
)

_DTYPES = (
    *("F32", "U8", "I8", "U16", "I16", "I32", "I64", "STRING", "BOOL", "F16", "F64", "U32", "U64", "C64", "C128"),
    *("BF16", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "U4", "I4", "F4", "F8_E8M0", "U2", "I2"),
    *("F6_E2M3", "F6_E3M2"),
)
ONNX_DTYPES = dict(enumerate(_DTYPES, start=1))
"""The dtypes of TensorProto.DataType."""

_DIMS, _DATA_TYPE, _SEGMENT, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 3, 8, 9, 13, 14
_FLOATS, _INT32S, _STRINGS, _INT64S, _DOUBLES, _UINT64S = 4, 5, 6, 7, 10, 11
_LISTS = {
    **{_FLOATS: "float_data", _INT32S: "int32_data", _STRINGS: "string_data"},
    **{_INT64S: "int64_data", _DOUBLES: "double_data", _UINT64S: "uint64_data"},
}
_LIST_OF = {
    **{"F32": _FLOATS, "C64": _FLOATS, "F64": _DOUBLES, "C128": _DOUBLES},
    **{"I64": _INT64S, "U32": _UINT64S, "U64": _UINT64S, "STRING": _STRINGS},
}  # of all others: int32_data
_WIRE_OF = {_FLOATS: FIXED32, _DOUBLES: FIXED64, _INT32S: VARINT, _INT64S: VARINT, _UINT64S: VARINT, _STRINGS: BYTES}
_MAX_RANK = 64  # NumPy's limit
_MAX_BITS = 1 << 66
_MAX_PAIRS = 64
_MAX_KEY = 4096
_COST = 1000  # bytes of memory that a tensor takes, measured
_COUNTED = 1 << 20  # bytes of a run that are looked at together
_CONTINUED = bytes(range(128, 256))


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


@dataclass(slots=True)
class _Runs:
    """The list of the model that a tensor's numbers lie in, and its pieces."""

    number: int = 0
    count: int = 0
    pieces: int = 0
    extent: Extent = (0, 0)


@dataclass(slots=True)
class _Fields:
    """The fields of a tensor that have been read so far."""

    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    raw: Extent | None = None
    runs: _Runs = field(default_factory=_Runs)
    external: list[Extent] = field(default_factory=list)
    is_external: bool = False


def read_tensor(source: ProtobufFile, extents: Sequence[Extent], files: ExternalFiles, known_as: str = "") -> Draft:
    """Describe the tensor whose message is at `extents`; CheckpointError where it contradicts itself.

    known_as: its name in messages, where it has none of its own.
    """
    position = extents[0][0]
    source.spend(_COST, position)
    found = _Fields()
    try:
        for item in merged_fields(source, extents, "tensor"):
            _take(source, found, item)
        return _checked(source, found, files, position)
    except ValueError as error:
        name = found.name or known_as or _name_of(source, extents)
        shown = f"tensor {shortened(name)}" if name else "a tensor without a name"
        raise source.error(f"{shown}: {error}", position) from None


def _name_of(source: ProtobufFile, extents: Sequence[Extent]) -> str:
    """Return the name of a tensor of which not all has been read."""
    for number, wire, begin, end, _value in merged_fields(source, extents, "tensor"):
        if number == _NAME and wire == BYTES:
            return source.text(begin, end, "a tensor's name")
    return ""


def read_pairs(source: ProtobufFile, extent: Extent, what: str, limit: int = _MAX_KEY) -> tuple[str, str]:
    """Return key and value of a StringStringEntryProto; ValueError where one of them is above the limit."""
    texts = {1: "", 2: ""}
    for number, wire, begin, end, _value in source.fields(*extent, what):
        if number in texts and wire == BYTES:
            if end - begin > limit:
                raise ValueError(f"{what} of {end - begin} bytes")
            texts[number] = source.kept_text(begin, end, what)
    return texts[1], texts[2]


# ------------------------------------------------------------------------------------------------------- its fields


def _take(source: ProtobufFile, found: _Fields, item: Field) -> None:
    number, wire, begin, end, value = item
    if number == _DIMS:
        _take_dims(source, found, item)
    elif number in _LISTS:
        _take_run(source, found, item)
    elif number in (_DATA_TYPE, _LOCATION):
        _expect(wire, VARINT, number)
        if number == _DATA_TYPE:
            found.data_type = value
        else:
            found.is_external = _location(value)
    elif number in (_NAME, _RAW, _EXTERNAL):
        _expect(wire, BYTES, number)
        if number == _NAME:
            found.name = source.kept_text(begin, end, "a tensor's name")
        elif number == _RAW:
            found.raw = begin, end
        elif len(found.external) >= _MAX_PAIRS:
            raise ValueError(f"more than {_MAX_PAIRS} entries of external_data")
        else:
            found.external.append((begin, end))
    elif number == _SEGMENT:
        raise ValueError("one segment of a tensor, which no program writes and wcx does not read")


def _expect(wire: int, expected: int, number: int) -> None:
    if wire != expected:
        raise ValueError(f"field {number} has wire type {wire} instead of {expected}")


def _location(value: int) -> bool:
    if value > 1:
        raise ValueError(f"unknown data_location {value}")
    return value == 1


def _take_dims(source: ProtobufFile, found: _Fields, item: Field) -> None:
    _number, wire, begin, end, value = item
    if wire == VARINT:
        found.dims.append(signed(value))
    else:
        _expect(wire, BYTES, _DIMS)
        if end - begin > _MAX_RANK * 10:
            raise ValueError(f"more than {_MAX_RANK} dimensions")
        found.dims += map(signed, _packed(source, begin, end))
    if len(found.dims) > _MAX_RANK:
        raise ValueError(f"more than {_MAX_RANK} dimensions")


def _packed(source: ProtobufFile, begin: int, end: int) -> list[int]:
    try:
        return list(packed_varints(source.read(begin, end)))
    except IndexError:
        raise ValueError("a list of integers that ends within one") from None


def _take_run(source: ProtobufFile, found: _Fields, item: Field) -> None:
    """Count the numbers of one piece of a list: a packed run, or a single number."""
    number, wire, begin, end, _value = item
    runs = found.runs
    if runs.number not in (0, number):
        raise ValueError(f"data both in {_LISTS[runs.number]} and in {_LISTS[number]}")
    one = _WIRE_OF[number]
    if wire == one:
        count = 1
    else:
        _expect(wire, BYTES, number)
        if begin == end:
            return
        count = _count_varints(source, begin, end) if one == VARINT else _count_fixed(end - begin, one)
    runs.number, runs.extent = number, (begin, end)
    runs.count += count
    runs.pieces += 1


def _count_fixed(nbytes: int, wire: int) -> int:
    width = 4 if wire == FIXED32 else 8
    if nbytes % width:
        raise ValueError(f"{nbytes} bytes are no whole number of {width}-byte numbers")
    return nbytes // width


def _count_varints(source: ProtobufFile, begin: int, end: int) -> int:
    """Count the variable-length integers of a run by their last bytes, a piece of the run at a time."""
    source.spend_counted(end - begin, begin)
    count = 0
    last = b""
    for start in range(begin, end, _COUNTED):
        data = source.read(start, min(start + _COUNTED, end))
        count += len(data.translate(None, _CONTINUED))
        last = data[-1:]
    if last >= b"\x80":
        raise ValueError("a list of integers that ends within one")
    return count


# --------------------------------------------------------------------------------------------------------- description


def _checked(source: ProtobufFile, found: _Fields, files: ExternalFiles, position: int) -> Draft:
    dtype = _dtype(found.data_type)
    shape, nbytes = _size(found.dims, dtype)
    draft = Draft(found.name, dtype, shape, nbytes, position)
    inside = (found.raw is not None and found.raw[0] != found.raw[1]) + bool(found.runs.number)
    if inside + found.is_external > 1:
        raise ValueError("data in two places, of raw_data, the list of its type and an external file")
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
            raise ValueError(f"the negative dimension {size}")
        nbits *= size or 1
        if nbits > _MAX_BITS:
            raise ValueError("the shape describes more than 2^63 bytes")
    return tuple(dims), 0 if 0 in dims or dtype == "STRING" else -(-nbits // 8)


def _place_external(source: ProtobufFile, draft: Draft, found: _Fields, files: ExternalFiles) -> None:
    if draft.dtype == "STRING":
        raise ValueError("text in an external file")
    pairs = [read_pairs(source, extent, "an entry of external_data") for extent in found.external]
    draft.file, draft.offset, draft.unsupported = files.locate(pairs, draft.nbytes)


def _place_text(draft: Draft, found: _Fields) -> None:
    if found.raw is not None or found.runs.number not in (0, _STRINGS):
        raise ValueError("text outside of string_data")
    if found.runs.count != prod(draft.shape):
        raise ValueError(f"{found.runs.count} texts, its shape needs {prod(draft.shape)}")
    draft.unsupported = "text"


def _place_raw(draft: Draft, extent: Extent) -> None:
    begin, end = extent
    if begin == end and draft.nbytes:
        raise ValueError("no data")
    if end - begin != draft.nbytes:
        raise ValueError(f"its data have {end - begin} bytes, its shape and dtype need {draft.nbytes}")
    draft.offset = begin


def _place_run(draft: Draft, runs: _Runs) -> None:
    expected = _LIST_OF.get(draft.dtype, _INT32S)
    if runs.number != expected:
        raise ValueError(f"data in {_LISTS[runs.number]}, where {draft.dtype} has {_LISTS[expected]}")
    needed = _numbers_needed(draft)
    if runs.count != needed:
        raise ValueError(f"{_LISTS[expected]} has {runs.count} numbers, its shape and dtype need {needed}")
    begin, end = runs.extent
    draft.offset = begin
    if runs.pieces > 1:
        draft.unsupported = f"{_LISTS[expected]} in {runs.pieces} pieces"
    elif _WIRE_OF[expected] == VARINT:
        draft.storage = Storage(begin, end - begin, prod(draft.shape), encoding="varint")
        if draft.dtype.startswith("F6_"):
            draft.unsupported = "6-bit numbers in int32_data"


def _numbers_needed(draft: Draft) -> int:
    """Return the number of entries of the list: two for each complex number, one a byte for codes below 6 bits."""
    if draft.dtype in ("C64", "C128"):
        return 2 * prod(draft.shape)
    return draft.nbytes if DTYPES[draft.dtype].bits < 6 else prod(draft.shape)
