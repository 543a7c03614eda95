"""Odd PyTorch and ONNX files that are legal: each says which tensors must come out, and with which numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pickle_asm
import protobuf_asm
from pickle_asm import (
    archive,
    call,
    dict_of,
    integer,
    legacy,
    list_of,
    members_of,
    named,
    pickled,
    state,
    text,
)
from protobuf_asm import field, graph, model
from zip_asm import DEFLATED, Member, deflated, zip_file

__all__ = ["CASES"]

Build = Callable[[Path], Path]
Expected = Mapping[str, tuple[tuple[int, ...], Sequence[float] | None]]

CASES: dict[str, tuple[Build, Expected]] = {}
"""By name: what builds the file; and by tensor its shape and numbers, None where those can't be or are not asked."""

_VALUES = [float(number) for number in range(-8, 8)]
_LITTLE = struct.pack("<16f", *_VALUES)
_BIG = struct.pack(">16f", *_VALUES)
_STORAGE = {"0": _LITTLE}
_W = pickle_asm.tensor()
_EXPECTED: Expected = {"w": ((4, 4), _VALUES)}


def _file(name: str, content: bytes) -> Build:
    def build(directory: Path) -> Path:
        path = directory / name
        path.write_bytes(content)
        return path

    return build


# ---------------------------------------------------------------------------------------------------------- PyTorch


def _pickle(name: str, pickle: bytes, expected: Expected = _EXPECTED) -> None:
    """The pickle in both of torch.save's formats."""
    CASES[f"zip: {name}"] = (_file("model.pt", archive(pickle, _STORAGE)), expected)
    CASES[f"legacy: {name}"] = (_file("model.pt", legacy(pickle, _STORAGE)), expected)


def _zip(name: str, members: Sequence[Member], expected: Expected = _EXPECTED) -> None:
    CASES[f"zip: {name}"] = (_file("model.pt", zip_file(members)), expected)


_MEMBERS = members_of(state(w=_W), _STORAGE)

_pickle("a tensor that is all", pickled(_W), {"tensor": ((4, 4), _VALUES)})
_pickle("a list of tensors", pickled(list_of(_W)), {"0": ((4, 4), _VALUES)})
_pickle("the same tensor under 3 names", state(w=_W + b"q\x00", x=b"h\x00", y=b"h\x00"), {"w": ((4, 4), _VALUES)})
_pickle(
    "names of every kind",
    pickled(b"}(", b"".join(key + _W for key in (b"K\x05", b"N", b"\x88", b"G" + struct.pack(">d", 1.5), b")")), b"u"),
    {"5": ((4, 4), _VALUES)},
)
_pickle("a list that holds itself", state(w=_W, x=b"]q\x00h\x00a"))
_pickle("a dict that holds itself", pickled(b"}q\x00(", text("w"), _W, text("x"), b"h\x00", b"u"))
_pickle("a tuple that holds itself through a list", state(w=_W, x=b"]q\x00h\x00\x85a"))
_pickle("an object whose state is itself", state(w=_W, x=named("a", "b") + b")\x81q\x00h\x00b"))
_pickle("a memo bomb", state(w=_W, x=b"]q\x00" + b"".join(b"0](h\x00h\x00eq\x00" for _ in range(100))))
_pickle("a memo bomb of tuples", state(w=_W, x=b")q\x00" + b"0h\x00h\x00\x86q\x00" * 100))
_pickle("a memo bomb of dicts", state(w=_W, x=b"}q\x00" + b"0}(K\x01h\x00K\x02h\x00uq\x00" * 100))
_pickle("a memo bomb of tuples as key", state(w=_W, x=b"})q\x00" + b"0h\x00h\x00\x86q\x00" * 100 + b"Ns"))
_pickle("a memo bomb of calls", state(w=_W, x=named("a", "b") + b"q\x00" + b"0h\x00h\x00h\x00\x86Rq\x00" * 100))
_pickle("of unknown classes", state(w=_W, x=named("a", "b") + b")\x81}b", y=call(named("c", "d"), named("a", "b"))))
_pickle("a PUT at 999,999", state(w=_W + b"r\x3f\x42\x0f\x00", x=integer(1)))
_pickle("an expanded tensor", state(w=pickle_asm.tensor(offset=3, strides=[0, 0])), {"w": ((4, 4), [-5.0] * 16)})
_pickle(
    "a transposed tensor",
    state(w=pickle_asm.tensor(strides=[1, 4])),
    {"w": ((4, 4), [_VALUES[4 * column + row] for row in range(4) for column in range(4)])},
)
_pickle(
    "overlapping windows",
    state(w=pickle_asm.tensor(strides=[1, 1])),
    {"w": ((4, 4), [_VALUES[i + j] for i in range(4) for j in range(4)])},
)
_pickle("no dimension", state(w=pickle_asm.tensor(offset=15, shape=[], strides=[])), {"w": ((), [7.0])})
_pickle(
    "rank 64",
    state(w=pickle_asm.tensor(shape=[1] * 62 + [4, 4], strides=[1] * 62 + [4, 1])),
    {"w": ((1,) * 62 + (4, 4), _VALUES)},
)
_pickle("no elements", state(w=pickle_asm.tensor(shape=[0, 4], strides=[4, 1])), {"w": ((0, 4), [])})
_pickle(
    "no elements in a shape of 2^60",
    state(w=pickle_asm.tensor(shape=[1 << 60, 0], strides=[1, 1])),
    {"w": ((1 << 60, 0), [])},
)
_pickle(
    "no elements, with strides beyond the storage",
    state(w=pickle_asm.tensor(shape=[0, 4], strides=[1 << 40, 1 << 40])),
    {"w": ((0, 4), [])},
)
_pickle(
    "one element, with strides beyond the storage",
    state(w=pickle_asm.tensor(shape=[1, 1], strides=[1 << 40, 1 << 40])),
    {"w": ((1, 1), [-8.0])},
)
_pickle(
    "odd names",
    pickled(
        b"}(",
        b"".join(text(name) + _W for name in ("\x1b[31mred", "[bold]", "a\nb", "\u202egnp", "\ud800", "a" * 4_000)),
        b"u",
    ),
    {"\x1b[31mred": ((4, 4), _VALUES)},
)
_pickle(
    "two tensors of one name",
    pickled(b"}(", integer(1), _W, text("1"), pickle_asm.tensor(strides=[0, 0]), b"u"),
    {"1": ((4, 4), _VALUES), "1#2": ((4, 4), [-8.0] * 16)},
)
_pickle(
    "two tensors of one name, nested",
    state(**{"a.b": _W, "a": dict_of({"b": pickle_asm.tensor(strides=[0, 0])})}),
    {"a.b": ((4, 4), _VALUES), "a.b#2": ((4, 4), [-8.0] * 16)},
)
_pickle(
    "a whole module",
    pickled(
        named("odd.models", "Net"),
        b")\x81",
        dict_of({"_parameters": dict_of({"w": _W}), "_modules": b"}", "_buffers": b"}", "training": b"\x89"}),
        b"b",
    ),
)

CASES["zip: big-endian"] = (
    _file(
        "model.pt",
        zip_file([_MEMBERS[0], Member("archive/byteorder", b"big"), Member("archive/data/0", _BIG), _MEMBERS[3]]),
    ),
    _EXPECTED,
)
CASES["legacy: of a big-endian machine, which swaps"] = (
    _file("model.pt", legacy(state(w=_W), _STORAGE, little_endian=False)),
    _EXPECTED,
)
_zip("no byteorder", [_MEMBERS[0], *_MEMBERS[2:]])
_zip("deflated", [replace(member, method=DEFLATED) for member in _MEMBERS])
_zip(
    "a deflated storage that would grow to 100 MiB: no more is inflated than it says",
    [_MEMBERS[0], replace(_MEMBERS[2], method=DEFLATED, stored=deflated(_LITTLE + b"\0", repeated=100)), _MEMBERS[3]],
)
_zip("a storage that nobody wants", members_of(state(w=_W), {**_STORAGE, "1": bytes(64)}))
_zip("members beside", [*_MEMBERS, Member("archive/extra/notes.txt", b"hello")])
_zip("a member of a name of 60 KB", [*_MEMBERS, Member("archive/" + "x" * 60_000, b"x")])
_zip("a root with spaces", members_of(state(w=_W), _STORAGE, root="a b"))
_zip("a root that is odd", members_of(state(w=_W), _STORAGE, root="\u00e4\u202e"))
for _suffix in (".safetensors", ".onnx", ".ckpt", ".bin", ".zip", ""):
    CASES[f"zip: called {_suffix}"] = (_file("model" + _suffix, zip_file(_MEMBERS)), _EXPECTED)
    CASES[f"legacy: called {_suffix}"] = (_file("model" + _suffix, legacy(state(w=_W), _STORAGE)), _EXPECTED)

# ------------------------------------------------------------------------------------------------------------- ONNX

_GOOD = protobuf_asm.tensor(raw=_LITTLE)


def _onnx(name: str, content: bytes, expected: Expected = _EXPECTED, suffix: str = ".onnx") -> None:
    CASES[f"onnx: {name}"] = (_file("model" + suffix, content), expected)


def _dequantized(zero: bytes, axis: int = 1) -> bytes:
    """Codes and the node that gives them a zero point."""
    codes, scale = (
        protobuf_asm.tensor("q", dtype=2, raw=bytes(range(16))),
        protobuf_asm.tensor("s", [], raw=_LITTLE[:4]),
    )
    number = field(1, "axis") + field(3, axis) + field(20, 2)
    return model(
        graph(codes, scale, zero, nodes=[protobuf_asm.node("DequantizeLinear", ["q", "s", "z"], ["w"], number)])
    )


def _two(*more: bytes) -> bytes:
    return model(graph(_GOOD, *more))


_onnx("no initializers", model(graph()), {})
_onnx("a graph of no bytes", model(b""), {})
_onnx("the graph first", field(7, graph(_GOOD)) + field(1, 8) + field(8, field(1, "") + field(2, 17)))
_onnx("unknown fields", model(graph(_GOOD), field(5_000, b"x" * 100) + field(5_001, -1)))
_onnx("long varints", model(graph(protobuf_asm.tensor(dims=[], raw=_LITTLE, more=b"\x08\x84\x80\x80\x00" * 2))))
_onnx("packed dims", model(graph(protobuf_asm.tensor(dims=[], raw=_LITTLE, more=field(1, b"\x04\x04")))))
_onnx("fields in reverse", model(graph(field(9, _LITTLE) + field(8, "w") + field(2, 1) + field(1, 4, 4))))
_onnx("a name twice in one tensor: the last counts", model(graph(field(8, "x") + _GOOD)))
_onnx("dims of zero", _two(protobuf_asm.tensor("x", [0, 4], raw=b"")), {**_EXPECTED, "x": ((0, 4), [])})
_onnx("a scalar", _two(protobuf_asm.tensor("x", [], raw=_LITTLE[:4])), {**_EXPECTED, "x": ((), [-8.0])})
_onnx("float_data", model(graph(protobuf_asm.tensor(more=protobuf_asm.floats(4, _VALUES)))))
_onnx(
    "float_data that is not packed: skipped",
    model(graph(protobuf_asm.tensor(more=b"".join(b"\x25" + struct.pack("<f", value) for value in _VALUES)))),
    {"w": ((4, 4), None)},
)
_onnx(
    "odd names",
    _two(protobuf_asm.tensor("\x1b[31m[bold]\n\u202e", raw=_LITTLE)),
    {**_EXPECTED, "\x1b[31m[bold]\n\u202e": ((4, 4), _VALUES)},
)
_onnx("text", _two(protobuf_asm.tensor("x", [1], 8, more=field(6, "hello"))), {**_EXPECTED, "x": ((1,), None)})
_onnx(
    "two graphs are one",
    _two() + field(7, graph(protobuf_asm.tensor("x", raw=_LITTLE))),
    {**_EXPECTED, "x": ((4, 4), _VALUES)},
)
_onnx("raw_data twice: the last counts", model(graph(protobuf_asm.tensor(raw=bytes(64), more=field(9, _LITTLE)))))
_onnx(
    "int32_data beyond int8",
    _two(protobuf_asm.tensor("x", dtype=3, more=protobuf_asm.packed(5, [1 << 20] * 16))),
    {**_EXPECTED, "x": ((4, 4), None)},
)
for _label, _zero in {
    "of another type": protobuf_asm.tensor("z", [], 3, raw=b"\x01"),
    "of float": protobuf_asm.tensor("z", [], 1, raw=bytes(4)),
    "too many": protobuf_asm.tensor("z", [5], 2, raw=bytes(range(5))),
    "of another rank": protobuf_asm.tensor("z", [4, 4, 4], 2, raw=bytes(range(64))),
    "of none": protobuf_asm.tensor("z", [0], 2, raw=b""),
}.items():
    _onnx(f"zero points {_label}: skipped", _dequantized(_zero), {"q": ((4, 4), None)})
_onnx(
    "zero points along an axis that is not there: skipped",
    _dequantized(protobuf_asm.tensor("z", [4], 2, raw=bytes(range(4))), axis=99),
    {"q": ((4, 4), None)},
)
for _suffix in (".pt", ".safetensors", ".bin", ""):
    _onnx(f"called {_suffix}", model(graph(_GOOD)), suffix=_suffix)


def _beside(entries: Mapping[str, str], link: bool = False) -> Build:
    """A tensor in a file of another folder below, or a link to it."""

    def build(directory: Path) -> Path:
        (directory / "sub").mkdir()
        (directory / "sub" / "data.bin").write_bytes(bytes(64) + _LITTLE + bytes(64))
        if link:
            (directory / "link.bin").symlink_to("sub/data.bin")
        return _file("model.onnx", model(graph(protobuf_asm.external(entries))))(directory)

    return build


_PART = {"offset": "64", "length": "64", "checksum": "0"}
CASES["onnx: data below"] = (_beside({"location": "sub/data.bin", **_PART}), _EXPECTED)
CASES["onnx: data behind a link"] = (_beside({"location": "link.bin", **_PART}, link=True), _EXPECTED)
CASES["onnx: data without a length"] = (
    _beside({"location": "./sub/data.bin", "offset": "128"}),
    {"w": ((4, 4), [0.0] * 16)},
)
