"""The fields of a tensor of an ONNX model (TensorProto), read and counted; what they amount to is for tensors.py.

Source: onnx.proto3 of ONNX 1.21 and later, whose field numbers these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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

_DIMS, _DATA_TYPE, _SEGMENT, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 3, 8, 9, 13, 14
_FLOATS, INT32S, STRINGS, _INT64S, _DOUBLES, _UINT64S = 4, 5, 6, 7, 10, 11
LISTS = {
    **{_FLOATS: "float_data", INT32S: "int32_data", STRINGS: "string_data"},
    **{_INT64S: "int64_data", _DOUBLES: "double_data", _UINT64S: "uint64_data"},
}
LIST_OF = {
    **{"F32": _FLOATS, "C64": _FLOATS, "F64": _DOUBLES, "C128": _DOUBLES},
    **{"I64": _INT64S, "U32": _UINT64S, "U64": _UINT64S, "STRING": STRINGS},
}
"""The list that the numbers of a dtype are in; of all others it is int32_data."""

WIRE_OF = {_FLOATS: FIXED32, _DOUBLES: FIXED64, INT32S: VARINT, _INT64S: VARINT, _UINT64S: VARINT, STRINGS: BYTES}
_MAX_RANK = 64  # NumPy's limit
_MAX_PAIRS = 64
_MAX_KEY = 4096
_COUNTED = 1 << 20  # bytes of a run that are looked at together
_CONTINUED = bytes(range(128, 256))


@dataclass(slots=True)
class Runs:
    """The list of the model that a tensor's numbers lie in, and its pieces."""

    number: int = 0
    count: int = 0
    pieces: int = 0
    extent: Extent = (0, 0)


@dataclass(slots=True)
class TensorFields:
    """The fields of a tensor that have been read so far."""

    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    raw: Extent | None = None
    runs: Runs = field(default_factory=Runs)
    external: list[Extent] = field(default_factory=list)
    is_external: bool = False


def name_of(source: ProtobufFile, extents: Sequence[Extent]) -> str:
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
                raise ValueError(f"{what} has a string of {end - begin} bytes, above the limit of {limit}")
            texts[number] = source.kept_text(begin, end, what)
    return texts[1], texts[2]


def take(source: ProtobufFile, found: TensorFields, item: Field) -> None:
    """Take a field of a tensor in; ValueError where it is not allowed."""
    number, wire, begin, end, value = item
    if number == _DIMS:
        _take_dims(source, found, item)
    elif number in LISTS:
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
        raise ValueError("a segment of a tensor, which wcx does not read")


def _expect(wire: int, expected: int, number: int) -> None:
    if wire != expected:
        raise ValueError(f"field {number} has wire type {wire} instead of {expected}")


def _location(value: int) -> bool:
    if value > 1:
        raise ValueError(f"unknown data_location {value}")
    return value == 1


def _take_dims(source: ProtobufFile, found: TensorFields, item: Field) -> None:
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
        raise ValueError("a list of integers that ends in the middle of one") from None


def _take_run(source: ProtobufFile, found: TensorFields, item: Field) -> None:
    """Count the numbers of one piece of a list: a packed run, or a single number."""
    number, wire, begin, end, _value = item
    runs = found.runs
    if runs.number not in (0, number):
        raise ValueError(f"data both in {LISTS[runs.number]} and in {LISTS[number]}")
    one = WIRE_OF[number]
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
        raise ValueError(f"{nbytes} bytes are not a multiple of {width}")
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
        raise ValueError("a list of integers that ends in the middle of one")
    return count
