"""Hostile safetensors files: what each is, and what must be said of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from checkpoint_files import entry, write_header

__all__ = ["CASES", "HEAVY"]

Build = Callable[[Path], Path]

CASES: dict[str, tuple[Build, str]] = {}
HEAVY: dict[str, tuple[Build, str]] = {}
"""Those of many megabytes, whose time and memory are measured one by one."""


def _header(header: object | Callable[[], bytes], data: bytes = b"", length: int | None = None) -> Build:
    def build(directory: Path) -> Path:
        text = header() if callable(header) else header
        return write_header(directory / "model.safetensors", text, data, length)

    return build


def _case(name: str, header: object, expected: str, data: bytes = b"", length: int | None = None) -> None:
    CASES[name] = (_header(header, data, length), expected)


def _one(dtype: str = "F32", shape: Sequence[Any] = (1,), data_offsets: Sequence[Any] = (0, 4)) -> dict[str, Any]:
    return {"a": entry(dtype, shape, data_offsets)}


_A = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'

# the header's length
_case("header length 2^63", {}, "header length 9223372036854775808 is above 100 MB", length=1 << 63)
_case("header length 2^64-1", {}, "header length 18446744073709551615 is above", length=(1 << 64) - 1)
_case("header length 101 MB", {}, "header length 101000000 is above 100 MB", length=101_000_000)
_case("header beyond the end", {}, "should have 1000 bytes, but the file has 10", length=1000)
_case("header of no bytes", b"\x07", "no JSON object after the header length", data=b"{}", length=0)

# the header's text
_case("not JSON", b"{a: 1}" + b" " * 10, "bad header: not valid JSON: expected a string")
_case("a list", b"[1, 2, 3]", "no JSON object after the header length")
_case("space before the object", b"  {}", "no JSON object after the header length")
_case("nested 100,000 lists", b"[" * 100_000, "no JSON object")
_case("nested 100,000 lists in a tensor", b'{"a":' + b"[" * 100_000, "expected an object of")
_case("nested 100,000 objects", b'{"a":' * 100_000, "expected an object of")
_case("nested 100,000 lists in a dtype", b'{"a":{"dtype":' + b"[" * 100_000 + b"}}", "not an object of")
_case("nested object in a tensor", b'{"a":{"dtype":"F32","x":{}}}', "expected an object of")
_case("two objects", b"{}{}", "unexpected data after the JSON object")
_case("NUL behind the object", b"{}\0\0", "unexpected data after the JSON object")
_case("no end", b'{"a"', "expected a ':'")
_case("a comma too many", b"{" + _A + b",}", "expected a string", data=b"1234")
_case("invalid UTF-8", b'{"\xff":' + _A[4:] + b"}", r"invalid UTF-8 \(byte 10\)", data=b"1234")
_case("encoded surrogate", b'{"\xed\xa0\x80":' + _A[4:] + b"}", "invalid UTF-8", data=b"1234")
_case("UTF-16", json.dumps(_one()).encode("utf-16-le"), "not valid JSON", data=b"1234")
_case("BOM", b"\xef\xbb\xbf{}", "no JSON object after")
_case("lone surrogate", b'{"\\ud800":' + _A[4:] + b"}", "a string with an unpaired surrogate", data=b"1234")
_case("raw control character", b'{"a\x01":' + _A[4:] + b"}", "expected a string", data=b"1234")
_case("unknown escape", b'{"\\q":' + _A[4:] + b"}", "a string with an invalid escape", data=b"1234")
_case("NaN as shape", b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', "not an object of", data=b"1234")
_case("Infinity as shape", b'{"a":{"dtype":"F32","shape":Infinity,"data_offsets":[0,4]}}', "not an object of")
_case("NaN as tensor", b'{"a":NaN}', "expected an object of")

# duplicates
_case("a tensor twice", b"{" + _A + b"," + _A + b"}", "duplicate key 'a'", data=b"1234")
_case("a tensor twice, once escaped", b"{" + _A + b',"\\u0061"' + _A[3:] + b"}", "duplicate key 'a'", data=b"1234")
_case("a field twice", b'{"a":{"dtype":"F32",' + _A[5:] + b"}", "an object with a duplicate key", data=b"1234")
_case("metadata twice", b'{"__metadata__":{},"__metadata__":{}}', "duplicate key '__metadata__'")
_case("a metadata key twice", b'{"__metadata__":{"a":"1","a":"2"}}', "duplicate key 'a'")

# what describes a tensor
_case("tensor is null", {"a": None}, "expected an object of")
_case("tensor is a list", {"a": ["F32", [1], [0, 4]]}, "expected an object of", data=b"1234")
_case("no fields", {"a": {}}, "it has nothing instead of")
_case("a field missing", {"a": {"dtype": "F32", "shape": [1]}}, "it has 'dtype, shape' instead of")
_case("an unknown field", {"a": {**entry(), "strides": [1]}}, "strides' instead of", data=b"1234")
_case("unknown dtype", _one("F99"), "tensor 'a': unknown dtype 'F99'", data=b"1234")
_case("dtype of other formats", _one("C128", data_offsets=(0, 16)), "unknown dtype 'C128'", data=bytes(16))
_case("dtype is a list", {"a": {**entry(), "dtype": []}}, "the dtype is not a string", data=b"1234")
_case("shape is a number", {"a": {**entry(), "shape": 1}}, "the shape is not a list", data=b"1234")
_case("shape negative", _one(shape=[-1]), "the shape is not a list of integers", data=b"1234")
_case("shape float", _one(shape=[1.0]), "the shape is not a list of integers", data=b"1234")
_case("shape bool", _one(shape=[True]), "the shape is not a list of integers", data=b"1234")
_case("shape 2^64", _one(shape=[1 << 64]), "the shape is not a list of integers", data=b"1234")
_case(
    "shape of 5,000 digits", b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', "not an obj"
)
_case("shape product overflows", _one(shape=[1 << 40, 1 << 40]), r"more than 2\^63 bytes", data=b"1234")
_case("shape overflows beside a 0", _one(shape=[1 << 62, 1 << 62, 0], data_offsets=(0, 0)), r"more than 2\^63 bytes")
_case("shape product is 2^64 + 4 bytes", _one(shape=[(1 << 62) + 1]), r"more than 2\^63 bytes", data=b"1234")
_case("rank 65", _one(shape=[1] * 65), "65 dimensions, more than 64", data=b"1234")
_case("rank 100,000", _one(shape=[1] * 100_000), "100000 dimensions, more than 64", data=b"1234")
_case("F4 of one element", _one("F4", data_offsets=(0, 1)), "4 bits of F4 are not a whole number of bytes", data=b"1")
_case("F6 of two elements", _one("F6_E2M3", [2], (0, 2)), "12 bits of F6_E2M3 are not a whole", data=b"12")

# where tensors lie
_case(
    "overlap", {"a": entry(), "b": entry()}, "tensor 'b': its data overlap those of another tensor by 4 bytes", b"1234"
)
_case("gap", {"a": entry(), "b": entry(data_offsets=(8, 12))}, "'b': a gap of 4 bytes before its data", data=bytes(12))
_case("gap at the beginning", _one(data_offsets=(4, 8)), "'a': a gap of 4 bytes", data=bytes(8))
_case("trailing bytes", _one(), r"1 bytes after the last tensor belong to no tensor \(byte 73\)", data=b"12345")
_case("truncated data", _one(), "truncated: 1 bytes are missing, download it again", data=b"123")
_case("no data", _one(), "truncated: 4 bytes are missing")
_case("size against shape", _one(shape=[2]), "its data have 4 bytes, but its shape and dtype need 8", data=b"1234")
_case("size against dtype", _one("F64"), "its data have 4 bytes, but its shape and dtype need 8", data=b"1234")
_case("scalar of no bytes", _one(shape=[], data_offsets=(0, 0)), "0 bytes, but its shape and dtype need 4")
_case("empty of four bytes", _one(shape=[0]), "4 bytes, but its shape and dtype need 0", data=b"1234")
_case("offsets reversed", _one(data_offsets=(4, 0)), "its data end at 0 before they begin at 4", data=b"1234")
for _label, _offsets in {
    "negative": (-4, 0),
    "float": (0.0, 4.0),
    "2^64-1": (0, (1 << 64) - 1),
    "10^100": (0, 10**100),
    "strings": ("0", "4"),
    "three": (0, 4, 8),
    "one": (0,),
    "null": (None, None),
}.items():
    _case(f"offsets {_label}", _one(data_offsets=_offsets), "data_offsets are not two integers", data=b"1234")
_case("offsets are an object", {"a": {**entry(), "data_offsets": None}}, "data_offsets are not two", data=b"1234")

# metadata
_case("metadata is a list", {"__metadata__": ["a"]}, r"expected a '\{'")
_case("metadata is a string", {"__metadata__": "a"}, r"expected a '\{'")
_case("metadata is a number", {"__metadata__": {"epoch": 3}}, "the metadata value of 'epoch' is not a string")
_case("metadata is nested", {"__metadata__": {"a": {}}}, "the metadata value of 'a' is not a string")
_case("metadata null", {"__metadata__": {"a": None}}, "the metadata value of 'a' is not a string")

# names, in messages
_case(
    "a bad tensor of an odd name", {"a\x1b[31m\n[bold]\u202e": entry("F99")}, r"tensor 'a\\x1b\[31m\\n\[bold\]\\u202e'"
)
_case("a bad tensor of a long name", {"a" * 1_000_000: entry("F99")}, r"tensor 'a{30}\.\.\.a{27}': unknown dtype")

# many megabytes: the same, in bounded time and memory
_MEGABYTES = 99_000_000


def _filled(begin: bytes, unit: bytes, end: bytes) -> Callable[[], bytes]:
    return lambda: begin + unit * (_MEGABYTES // len(unit)) + end


def _tensors_of_no_bytes() -> bytes:
    tensors = b",".join(b'"%x":{"dtype":"F4","shape":[0],"data_offsets":[0,0]}' % number for number in range(1_500_000))
    return b"{" + tensors + b"}"


def _metadata_pairs() -> bytes:
    return b'{"__metadata__":{' + b",".join(b'"%x":""' % number for number in range(7_000_000)) + b"}}"


def _long_names() -> bytes:
    names = (b'"%02d' % number + "é".encode() * 500_000 + b'":' for number in range(90))
    return b"{" + b",".join(name + b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' for name in names) + b"}"


def _sparse(directory: Path) -> Path:
    """100 MB of zero bytes as a header, in a file that takes no room."""
    path = directory / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(8 + 100_000_000)
    return path


_TOO_MUCH = "the header describes more than fits in wcx's memory limit of 300 MiB"
HEAVY["zero bytes as a header"] = (_sparse, "no JSON object after")
HEAVY["lists"] = (_header(_filled(b'{"a":[', b"[],", b"[]]}")), "expected an object of")
HEAVY["a shape"] = (_header(_filled(b'{"a":{"shape":[', b"1,", b"1]}}")), "expected an object of")
HEAVY["nested lists"] = (_header(_filled(b'{"a":', b"[", b"")), "expected an object of")
HEAVY["a name"] = (_header(_filled(b'{"', b"a", b'":{}}')), "a string of more than 1048576 bytes")
HEAVY["escapes in a name"] = (_header(_filled(b'{"', b"\\n", b'":{}}')), "a string of more than 1048576 bytes")
HEAVY["quotes"] = (_header(_filled(b"{", b'"', b"}")), "expected a ':'")
HEAVY["spaces"] = (_header(_filled(b'{"a":', b" ", b"}")), "expected an object of")
HEAVY["tensors of no bytes"] = (_header(_tensors_of_no_bytes), _TOO_MUCH)
HEAVY["names of 1 MB"] = (_header(_long_names), _TOO_MUCH)
HEAVY["pairs of metadata"] = (_header(_metadata_pairs), _TOO_MUCH)
HEAVY["50 MB of metadata"] = (
    _header(lambda: b'{"__metadata__":{"a":"' + b"x" * 50_000_000 + b'"}}'),
    "more than 16 MiB of metadata",
)
