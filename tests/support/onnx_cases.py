"""Hostile ONNX files: what each is, and what must be said of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from protobuf_asm import attribute, external, field, floats, graph, key, model, node, packed, tensor, varint

__all__ = ["CASES", "DATA", "HEAVY"]

Build = Callable[[Path], Path]

CASES: dict[str, tuple[Build, str]] = {}
DATA: dict[str, tuple[Build, str]] = {}
"""Those whose header is right: they can be inspected, not analysed."""
HEAVY: dict[str, tuple[Build, str]] = {}
"""Those of many megabytes or many messages, whose time and memory are measured one by one."""

_RAW = bytes(range(64))


def _file(content: bytes | Callable[[], bytes]) -> Build:
    def build(directory: Path) -> Path:
        path = directory / "model.onnx"
        path.write_bytes(content() if callable(content) else content)
        return path

    return build


def _case(name: str, content: bytes, expected: str) -> None:
    CASES[name] = (_file(content), expected)


def _tensor(name: str, content: bytes, expected: str) -> None:
    """A model of this initializer and an honest one; the message must name the tensor."""
    _case(name, model(graph(tensor("good", raw=_RAW), content)), f"'w'.*({expected})")


_GOOD = model(graph(tensor(raw=_RAW)))

# ------------------------------------------------------------------------------------------------- the file

_case("an empty model", field(1, 8), "no graph")
_case("a model of another kind", field(1, "8") + field(7, graph(tensor(raw=_RAW))), "ONNX")
_case("garbage", b"\x08\x08\x12" + b"\xff" * 1000, "damaged model")
_case("garbage that is text", b"onnx model, honestly" * 50, "damaged model|ONNX|an unknown format")
_case("truncated", _GOOD[:-1], "truncated|beyond|past|end")
_case("truncated in the graph", _GOOD[:60], "truncated|beyond|past|end")
_case("something after the model", _GOOD + b"\xff", "ends in the middle of a field")
_case(
    "a graph beyond the end",
    field(1, 8) + key(7, 2) + varint(1 << 20) + graph(tensor(raw=_RAW)),
    "beyond|past|end|truncated",
)
_case("a graph of 2^63 bytes", field(1, 8) + key(7, 2) + varint(1 << 63), "beyond|past|end|truncated|length")
_case("a graph of 2^64-1 bytes", field(1, 8) + key(7, 2) + varint(-1), "beyond|past|end|truncated|length")
_case("a graph that is a number", field(1, 8) + field(7, 5), "graph|wire|field")
_case("a graph that is a fixed64", field(1, 8) + key(7, 1) + bytes(8), "graph|wire|field")
_case("a varint of eleven bytes", field(1, 8) + key(5, 0) + b"\x80" * 10 + b"\x01", "varint|integer")
_case("a varint without end", field(1, 8) + key(7, 2) + b"\xff" * 100, "varint|integer")
_case("a key of eleven bytes", field(1, 8) + b"\xff" * 10 + b"\x01", "varint|integer|key")
_case("field number 0", _GOOD + b"\x00\x00", "field")
_case("field number 2^40", _GOOD + varint(1 << 43) + b"\x00", "field")
_case("wire type 6", _GOOD + key(99, 6) + bytes(8), "wire|type")
_case("wire type 7", _GOOD + key(99, 7) + bytes(8), "wire|type")
_case("a group", _GOOD + key(99, 3) + field(1, 1) + key(99, 4), "group|wire")
_case("a group without end", _GOOD + key(99, 3), "group|wire")
_case("an end without group", _GOOD + key(99, 4), "group|wire")
_case("100,000 groups", _GOOD + key(99, 3) * 100_000, "group|wire")


def _nested(depth: int) -> bytes:
    """Subgraphs in subgraphs."""
    content = tensor(raw=_RAW)
    for _ in range(depth):
        content = graph(nodes=[node("If", ["c"], ["y"], attribute("then_branch", g=content))])
    return model(content)


def _built_from_inside(depth: int) -> bytes:
    """As _nested, but in linear time: every layer is only a length before the others."""
    size, layers = 0, []
    for _ in range(depth):
        inner = key(6, 2) + varint(size)
        attribute_ = key(5, 2) + varint(len(inner) + size)
        node_ = key(1, 2) + varint(len(attribute_) + len(inner) + size)
        layers.append(node_ + attribute_ + inner)
        size += len(layers[-1])
    return field(1, 8) + key(7, 2) + varint(size) + b"".join(reversed(layers))


_case("subgraphs 1,000 deep", _nested(1_000), "levels deep")
_case("subgraphs 50,000 deep", _built_from_inside(50_000), "levels deep")

# --------------------------------------------------------------------------------------------- data in the file

_tensor("dims negative", tensor(dims=[-4, -4], raw=_RAW), "-4|dimension|shape")
_tensor("dims of -1 and bytes", tensor(dims=[-1], raw=b""), "-1|dimension|shape")
_tensor("dims that overflow", tensor(dims=[1 << 32, 1 << 32], raw=b""), "bytes|shape|elements|need")
_tensor("dims that overflow to fit", tensor(dims=[1 << 62, 4, 16], raw=_RAW), "bytes|shape|elements|need")
_tensor("dims of 0 and 2^62", tensor(dims=[0, 1 << 62], raw=b""), "2\\^63 bytes")
_tensor("dims of 2^62", tensor(dims=[1 << 62], raw=_RAW), "bytes|shape|elements|need")
_case("rank 65", model(graph(tensor(dims=[1] * 65, raw=bytes(4)))), "more than 64 dimensions")
_case("rank 100,000", model(graph(tensor(dims=[1] * 100_000, raw=bytes(4)))), "more than 64 dimensions")
_tensor("raw_data too short", tensor(raw=_RAW[:-1]), "63")
_tensor("raw_data too long", tensor(raw=_RAW + b"\0"), "65")
_tensor("raw_data of no bytes", tensor(raw=b""), "0|no ")
_tensor("no data", tensor(), "data|0")
_tensor("raw and typed data", tensor(raw=_RAW, more=floats(4, [1.0] * 16)), "both|raw")
_tensor("two typed data", tensor(more=floats(4, [1.0] * 16) + packed(5, [1] * 16)), "both|two|int32_data|data")
_tensor("typed data of another type", tensor(more=packed(5, [1] * 16)), "int32_data|data")
_tensor("float_data too few", tensor(more=floats(4, [1.0] * 15)), "15|60")
_tensor("float_data too many", tensor(more=floats(4, [1.0] * 17)), "17|68")
_tensor("float_data of 63 bytes", tensor(more=field(4, _RAW[:-1])), "63|float_data")
_tensor("int32_data too few", tensor(dtype=3, more=packed(5, [1] * 15)), "15")
_tensor("int32_data too many", tensor(dtype=3, more=packed(5, [1] * 17)), "17")
_tensor("int32_data without end", tensor(dtype=3, more=field(5, b"\x01" * 15 + b"\x80")), "varint|integer|int32_data")
_tensor("unknown dtype 77", tensor(dtype=77, raw=_RAW), "77")
_tensor("unknown dtype 2^31", tensor(dtype=1 << 31, raw=_RAW), "2147483648|dtype|data type|data_type")
_tensor("unknown dtype -1", tensor(dtype=-1, raw=_RAW), "-1|dtype|data type|data_type")
_tensor("dtype 0", tensor(dtype=0, raw=_RAW), "no data type")
_tensor("no dtype", field(1, 4, 4) + field(8, "w") + field(9, _RAW), "dtype|data type|data_type")
_tensor("a segment", tensor(raw=_RAW, more=field(3, field(1, 0) + field(2, 1))), "segment")
_tensor("data_location 7", tensor(raw=_RAW, more=field(14, 7)), "location|7")
_case(
    "a tensor is truncated",
    model(graph(tensor("good", raw=_RAW), tensor(raw=_RAW)[:-1])),
    "end|beyond|past|truncated",
)
_tensor("dims as text", field(1, "44") + tensor(dims=[], raw=_RAW), "bytes|shape|need|13|52|676")
_case("duplicate names", model(graph(tensor(raw=_RAW), tensor(raw=_RAW))), "duplicate tensor name 'w'")
_case(
    "a name that is no UTF-8",
    model(graph(field(1, 4, 4) + field(2, 1) + field(8, b"\xff\xfe") + field(9, _RAW))),
    "UTF-8",
)
_case("a location that is no UTF-8", model(graph(external({"location": b"\xff.bin"}))), "is not valid UTF-8")
_case("a sparse initializer without values", model(graph(more=field(15, field(3, 4, 4)))), "sparse|values")
_case(
    "a sparse initializer whose values are too few",
    model(
        graph(
            more=field(
                15,
                field(1, tensor("s", [4], raw=bytes(12)))
                + field(2, tensor("i", [4], 7, raw=bytes(32)))
                + field(3, 4, 4),
            )
        )
    ),
    "'s.*12",
)

DATA["int32_data of long varints"] = (
    _file(model(graph(tensor(dtype=3, more=field(5, (b"\x80" * 10 + b"\x01") * 16))))),
    "tensor 'w': a number is longer than 10 bytes",
)

# ------------------------------------------------------------------------------------------------ data elsewhere


def _external(name: str, entries: Mapping[str, str | bytes], expected: str, content: bytes = bytes(64)) -> None:
    """A tensor that lies in data.bin, which has 64 bytes, or where `entries` say."""

    def build(directory: Path) -> Path:
        (directory / "data.bin").write_bytes(content)
        (directory / "sub").mkdir()
        return _file(model(graph(external(entries))))(directory)

    CASES[f"external: {name}"] = (build, f"'w'.*({expected})|({expected}).*'w'")


_external("absolute", {"location": "/etc/passwd"}, "absolute")
_external("above", {"location": "../data.bin"}, r"a path with '\.\.'")
_external("above, later", {"location": "a/../../data.bin"}, r"a path with '\.\.'")
_external("above and back", {"location": "sub/../data.bin"}, r"a path with '\.\.'")
_external("a backslash", {"location": "sub\\data.bin"}, "backslash")
_external("a NUL", {"location": "data.bin\0x"}, "NUL")
_external("a drive", {"location": "C:data.bin"}, "absolute")
_external("a name of 10 KB", {"location": "a" * 10_000}, "of 10000 bytes")
_external("a newline", {"location": "da\nta.bin"}, r"\\n")
_external("no name", {"location": ""}, "empty|location")
_external("a dot", {"location": "."}, "an empty part")
_external("no location", {"offset": "0", "length": "64"}, "location")
_external("missing", {"location": "gone.bin"}, "gone.bin")
_external("a directory", {"location": "sub"}, "directory")
_external("a directory, by a slash", {"location": "data.bin/"}, "directory|path|regular")
_external("a directory of the model", {"location": "./"}, "an empty path")
_external("offset negative", {"location": "data.bin", "offset": "-1"}, "offset")
_external("offset no number", {"location": "data.bin", "offset": "x"}, "offset")
_external("offset of a float", {"location": "data.bin", "offset": "0.0"}, "offset")
_external("offset in hexadecimal", {"location": "data.bin", "offset": "0x0"}, "offset")
_external("offset with an underscore", {"location": "data.bin", "offset": "0_0"}, "offset")
_external("offset in other digits", {"location": "data.bin", "offset": "\u0661"}, "offset")
_external("offset of 10,000 digits", {"location": "data.bin", "offset": "1" * 10_000}, "of 10000 bytes")
_external("offset beyond", {"location": "data.bin", "offset": "1000"}, "64|beyond|truncated|end")
_external("offset that overflows", {"location": "data.bin", "offset": str((1 << 64) - 64)}, "offset")
_external("length negative", {"location": "data.bin", "length": "-64"}, "length")
_external("length no number", {"location": "data.bin", "length": "all"}, "length")
_external("length beyond", {"location": "data.bin", "length": "1000"}, "1000")
_external("length too short", {"location": "data.bin", "length": "60"}, "60")
_external("length of 0", {"location": "data.bin", "length": "0"}, "0")
_external("a file too short", {"location": "data.bin"}, "60|64", content=bytes(60))
_external("a file of no bytes", {"location": "data.bin"}, "0|64|empty", content=b"")
_external("an LFS pointer", {"location": "data.bin"}, "LFS|64", content=b"version https://git-lfs.github.com/spec/v1\n")
for _name, _key in {"__class__": "__class__", "__dict__": "__dict__", "unknown": "x"}.items():
    _external(f"extra key {_name}", {"location": "data.bin", _key: "x"}, _key)
_external("an empty key", {"location": "data.bin", "": "x"}, "key|field|''")


def _twice(directory: Path) -> Path:
    (directory / "data.bin").write_bytes(bytes(64))
    pairs = b"".join(field(13, field(1, "location") + field(2, name)) for name in ("data.bin", "/etc/passwd"))
    return _file(model(graph(tensor(more=pairs + field(14, 1)))))(directory)


def _both(directory: Path) -> Path:
    (directory / "data.bin").write_bytes(bytes(64))
    return _file(model(graph(external({"location": "data.bin"}) + field(9, _RAW))))(directory)


def _at(make: Callable[[Path], object]) -> Build:
    """A tensor that lies in data.bin, which `make` makes."""

    def build(directory: Path) -> Path:
        make(directory / "data.bin")
        return _file(model(graph(external({"location": "data.bin"}))))(directory)

    return build


def _link_out(path: Path) -> None:
    outside = path.parent.parent / f"{path.parent.name}-outside.bin"
    outside.write_bytes(bytes(64))
    path.symlink_to(outside)


def _below_a_link(directory: Path) -> Path:
    outside = directory.parent / f"{directory.name}-outside"
    outside.mkdir()
    (outside / "data.bin").write_bytes(bytes(64))
    (directory / "sub").symlink_to(outside)
    return _file(model(graph(external({"location": "sub/data.bin"}))))(directory)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


CASES["external: two locations"] = (_twice, "'w'.*location")
CASES["external: and raw data"] = (_both, "'w'.*(both|raw|external)")
CASES["external: a link out"] = (_at(_link_out), "a link that leads out|leads out")
CASES["external: below a link out"] = (_below_a_link, "a link that leads out|leads out")
CASES["external: a link in a circle"] = (_at(_loop), "circle|link")
CASES["external: a dangling link"] = (_at(lambda path: path.symlink_to("gone")), "gone|missing|exist")
CASES["external: a FIFO"] = (_at(os.mkfifo), "named pipe")
CASES["external: a link to a device"] = (_at(lambda path: path.symlink_to("/dev/zero")), "device|leads out")
CASES["external: no data_location"] = (
    _file(model(graph(tensor(more=field(13, field(1, "location") + field(2, "/etc/passwd")))))),
    "'w'",
)

# -------------------------------------------------------------------------------------------------- quantized

_SCALE = tensor("s", [], raw=bytes(4))
_CODES = tensor("q", dtype=2, raw=bytes(16))
_NODE = node("DequantizeLinear", ["q", "s", "z"], ["w"])
for _label, _zero in {
    "without data": tensor("z", [], 2),
    "of 2^40": tensor("z", [1 << 20, 1 << 20], 2, raw=b""),
    "that are too short": tensor("z", [4], 2, raw=bytes(3)),
}.items():
    _case(
        f"zero points {_label}", model(graph(_CODES, tensor("s", [], raw=bytes(4)), _zero, nodes=[_NODE])), "tensor 'z'"
    )

# ------------------------------------------------------------------ many megabytes, or what takes many steps


def _heavy(name: str, content: Callable[[], bytes], expected: str) -> None:
    HEAVY[name] = (_file(content), expected)


def _sparse(content: bytes, nbytes: int) -> Build:
    """A file that begins so, ends in zeros, and takes no room."""

    def build(directory: Path) -> Path:
        path = _file(content)(directory)
        os.truncate(path, nbytes)
        return path

    return build


_MANY = "more than|more fields than|more nodes"
_heavy("nested messages 800,000 deep", lambda: _built_from_inside(200_000), "levels deep")
_heavy("a million small fields", lambda: field(1, 8) + b"\x28\x01" * 30_000_000, "fields|graph")
_heavy("30 million empty nodes", lambda: model(b"\x0a\x00" * 30_000_000), _MANY)
_heavy("30 million empty initializers", lambda: model(b"\x2a\x00" * 30_000_000), "no data type")
_heavy(
    "300,000 initializers",
    lambda: model(graph(*[tensor(f"{number:x}", raw=_RAW[:64]) for number in range(300_000)])),
    _MANY,
)
_heavy("30 million dims", lambda: model(graph(tensor(dims=[], more=field(1, b"\x01" * 30_000_000)))), "dimensions|rank")
_heavy("a name of 60 MB", lambda: model(graph(tensor("a" * 60_000_000, raw=_RAW))), "name")
_heavy(
    "metadata of 60 MB",
    lambda: model(graph(tensor(raw=_RAW)), field(14, field(1, "k") + field(2, "a" * 60_000_000))),
    "metadata",
)
_heavy(
    "a million metadata",
    lambda: model(graph(tensor(raw=_RAW)), field(14, field(1, "k") + field(2, "v")) * 1_000_000),
    _MANY,
)
_heavy("a million functions", lambda: model(graph(tensor(raw=_RAW)), field(25, field(1, "f")) * 2_000_000), _MANY)
_heavy(
    "a million external data entries",
    lambda: model(graph(tensor(more=field(13, field(1, "k") + field(2, "v")) * 1_000_000 + field(14, 1)))),
    "'w'",
)
_heavy(
    "a million attributes",
    lambda: model(graph(nodes=[field(4, "Constant") + field(5, field(1, "x")) * 3_000_000])),
    _MANY,
)
HEAVY["a graph of 1 TB of zeros"] = (_sparse(field(1, 8) + key(7, 2) + varint((1 << 40) - 9), 1 << 40), "field")
HEAVY["1 TB of zeros after the model"] = (_sparse(_GOOD, 1 << 40), "field")
