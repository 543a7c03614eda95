"""Hostile PyTorch files: what each is, and what must be said of it.

Most are built twice, as the zip of torch.save and as the legacy format before it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pickle_asm as asm
from checkpoint_files import write_index, write_tensors
from pickle_asm import call, dict_of, integer, list_of, named, numbers, pickled, state, storage, tensor, text, tuple_of
from zip_asm import DEFLATED, Member, deflated, end_record, zip_file

__all__ = ["CANARY", "CASES", "CODE", "DATA", "HEAVY"]

Build = Callable[[Path], Path]

CASES: dict[str, tuple[Build, str]] = {}
CODE: dict[str, Build] = {}
"""Pickles that run code where they are loaded, beside an honest tensor."""
DATA: dict[str, tuple[Build, str]] = {}
"""Those whose header is right: they can be inspected, not analysed."""
HEAVY: dict[str, tuple[Build, str]] = {}
"""Those of many megabytes or many opcodes, whose time and memory are measured one by one."""

CANARY = "canary"
"""The file that code in a pickle would make, in the directory of the file."""


def _file(content: bytes | Callable[[], bytes], name: str = "model.pt") -> Build:
    def build(directory: Path) -> Path:
        path = directory / name
        path.write_bytes(content() if callable(content) else content)
        return path

    return build


def _pickle(name: str, content: bytes, expected: str, storages: Mapping[str, bytes] | None = None) -> None:
    CASES[name] = (_file(asm.archive(content, storages)), expected)
    held = storages if b"FloatStorage" in content else {}  # one that no tensor asks for would be refused itself
    CASES[f"{name}, legacy"] = (_file(asm.legacy(content, held)), expected)


def _zip(name: str, content: bytes, expected: str) -> None:
    CASES[name] = (_file(content), expected)


_W = tensor()
_GOOD = state(w=_W)
_MEMBERS = asm.members_of(_GOOD)

# -------------------------------------------------------------------------------------------- code in the pickle


def _code(name: str, build: Callable[[Path], bytes]) -> None:
    """`build` is given the canary's path and makes the opcodes of one value."""

    def build_zip(directory: Path) -> Path:
        return _file(asm.archive(state(w=_W, x=build(directory / CANARY))))(directory)

    def build_legacy(directory: Path) -> Path:
        return _file(asm.legacy(state(x=build(directory / CANARY), w=_W)))(directory)

    CODE[name], CODE[f"{name}, legacy"] = build_zip, build_legacy


def _python(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w')"


def _nested(canary: Path) -> bytes:
    return pickled(call(named("os", "system"), text(f"touch {canary}")))


def _bytes(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


_code("os.system", lambda path: call(named("os", "system"), text(f"touch {path}")))
_code("posix.system", lambda path: call(named("posix", "system"), text(f"touch {path}")))
_code("subprocess", lambda path: call(named("subprocess", "check_call"), list_of(text("touch"), text(str(path)))))
_code("eval", lambda path: call(named("builtins", "eval"), text(_python(path))))
_code("eval of Python 2", lambda path: call(named("__builtin__", "eval"), text(_python(path))))
_code("exec", lambda path: call(named("builtins", "exec"), text(_python(path))))
_code("open", lambda path: call(named("builtins", "open"), text(str(path)), text("w")))
_code(
    "getattr", lambda path: call(call(named("builtins", "getattr"), named("os", "path"), text("os")), text(str(path)))
)
_code(
    "getattr of a module",
    lambda path: call(
        call(named("builtins", "getattr"), call(named("builtins", "__import__"), text("os")), text("system")),
        text(f"touch {path}"),
    ),
)
_code("runpy", lambda path: call(named("runpy", "_run_code"), text(_python(path)), dict_of({})))
_code("pickle.loads", lambda path: call(named("pickle", "loads"), _bytes(_nested(path))))
_code("_pickle.loads", lambda path: call(named("_pickle", "loads"), _bytes(_nested(path))))
_code("torch.load", lambda path: call(named("torch", "load"), text(str(path))))
_code("torch.storage loads", lambda path: call(named("torch.storage", "_load_from_bytes"), _bytes(_nested(path))))
_code("numpy", lambda path: call(named("numpy.testing._private.utils", "runstring"), text(_python(path)), dict_of({})))
_code("by INST", lambda path: b"(" + text(f"touch {path}") + b"ios\nsystem\n")
_code("by OBJ", lambda path: b"(" + named("os", "system") + text(f"touch {path}") + b"o")
_code("by NEWOBJ", lambda path: named("subprocess", "Popen") + tuple_of(text(f"touch {path}")) + b"\x81")
_code(
    "by NEWOBJ_EX",
    lambda path: named("subprocess", "Popen") + tuple_of(text(f"touch {path}")) + dict_of({"shell": b"\x88"}) + b"\x92",
)
_code("by STACK_GLOBAL", lambda path: call(text("os") + text("system") + b"\x93", text(f"touch {path}")))
_code("by a dotted name", lambda path: call(text("shutil") + text("os.system") + b"\x93", text(f"touch {path}")))
_code("by EXT1", lambda path: call(b"\x82\x01", text(f"touch {path}")))
_code(
    "BUILD with __setstate__",
    lambda path: (
        named("collections", "OrderedDict")
        + b")\x81"
        + dict_of({"__setstate__": named("os", "system")})
        + b"b"
        + text(f"touch {path}")
        + b"b"
    ),
)
_code(
    "BUILD of a class",
    lambda path: (
        named("torch.nn", "Module")
        + tuple_of(asm.NONE, dict_of({"__setstate__": named("os", "system")}))
        + b"b"
        + text(f"touch {path}")
        + b"b"
    ),
)
_code(
    "an object that compares by code",
    lambda path: b"}" + call(named("os", "system"), text(f"touch {path}")) + b"K\x01s",
)
_code(
    "in a tensor's hooks",
    lambda path: call(
        named("torch._utils", "_rebuild_tensor_v2"),
        storage(),
        integer(0),
        numbers([4, 4]),
        numbers([4, 1]),
        b"\x89",
        call(named("os", "system"), text(f"touch {path}")),
    ),
)
_code(
    "_rebuild_from_type_v2",
    lambda path: call(
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("os", "system"),
        named("torch", "Tensor"),
        tuple_of(text(f"touch {path}")),
        dict_of({}),
    ),
)
_code(
    "functools.partial",
    lambda path: call(call(named("functools", "partial"), named("os", "system"), text(f"touch {path}"))),
)
_code("lstrip of a module", lambda path: call(named("os ", "system"), text(f"touch {path}")))

# ------------------------------------------------------------------------------------------- lengths that lie

for _name, _opcode in {
    "BINUNICODE of 4 GB": b"X\xff\xff\xff\xff",
    "BINBYTES of 4 GB": b"B\xff\xff\xff\xff",
    "BINSTRING of 2 GB": b"T\xff\xff\xff\x7f",
    "BINSTRING of -1": b"T\xff\xff\xff\xff",
    "BINUNICODE8 of 2^62": b"\x8d" + struct.pack("<Q", 1 << 62),
    "BINBYTES8 of 2^62": b"\x8e" + struct.pack("<Q", 1 << 62),
    "BINBYTES8 of 2^64-1": b"\x8e" + b"\xff" * 8,
    "BYTEARRAY8 of 2^62": b"\x96" + struct.pack("<Q", 1 << 62),
    "FRAME of 2^62": b"\x95" + struct.pack("<Q", 1 << 62),
    "LONG4 of 2 GB": b"\x8b\xff\xff\xff\x7f",
    "LONG4 of -1": b"\x8b\xff\xff\xff\xff",
    "LONG1 of 255": b"\x8a\xff",
    "SHORT_BINUNICODE of 255": b"\x8c\xff",
}.items():
    _zip(_name, asm.archive(pickled(_opcode)), "pickle")
_pickle("LONG4 of 1 KB", pickled(b"\x8b" + struct.pack("<i", 1000) + b"\x01" * 1000), "integer")
_pickle("INT text of 20,000 digits", pickled(b"I" + b"1" * 20_000 + b"\n"), "a line of more than")
_pickle("LONG text of 20,000 digits", pickled(b"L" + b"1" * 20_000 + b"L\n"), "a line of more than")
_pickle("GLOBAL of 100 KB", pickled(named("a" * 100_000, "b")), "pickle")
_pickle("LONG_BINPUT 0xFFFFFFF0", pickled(b"Nr\xf0\xff\xff\xff"), "memo")
_pickle("PUT of -1", pickled(b"Np-1\n"), "where a number should be")
_pickle("PUT of 10^30", pickled(b"Np" + b"9" * 30 + b"\n"), "memo")
_pickle("PUT of no number", pickled(b"Npx\n"), "pickle")
_pickle("GET of what was not put", pickled(b"g7\n"), "memo")
_pickle("BINGET of what was not put", pickled(b"h\x07"), "memo")
_pickle("LONG_BINGET of what was not put", pickled(b"j\xff\xff\xff\xff"), "memo")
_pickle("MEMOIZE of nothing", pickled(b"\x94"), "pickle")
_pickle("BINPUT of a MARK", pickled(b"(q\x00"), "pickle")

# ------------------------------------------------------------------------------------------- broken pickles

_zip("an empty pickle", asm.archive(b""), "truncated")
_zip("a truncated pickle", asm.archive(_GOOD[:-20]), "pickle")
_zip("a pickle without STOP", asm.archive(_GOOD[:-1]), "pickle")
_zip("a pickle that is one STOP", asm.archive(b"."), "pickle")
_zip("a pickle that is only its protocol", asm.archive(b"\x80\x02"), "pickle")
_zip("two STOPs", asm.archive(_GOOD + b"."), "pickle")
_zip("two pickles", asm.archive(_GOOD + _GOOD), "pickle")
_zip("protocol 99", asm.archive(b"\x80\x63" + _GOOD[2:]), "protocol 99")
_pickle("protocol in the middle", pickled(b"}\x80\x63"), "protocol 99")
_zip("an unknown opcode", asm.archive(pickled(b"\xff")), "opcode")
_zip("an opcode of zero", asm.archive(pickled(b"\0")), "opcode")
_zip("zeros as pickle", asm.archive(bytes(1000)), "pickle")
for _name, _opcodes in {
    "TUPLE without MARK": b"Nt",
    "POP of nothing": b"0",
    "POP_MARK without MARK": b"1",
    "DUP of nothing": b"2",
    "APPEND to nothing": b"Na",
    "APPEND to a dict": b"}Na",
    "APPEND to a MARK": b"(Na",
    "APPENDS without MARK": b"]Ne",
    "SETITEM of a list": b"]NNs",
    "SETITEMS of a list": b"](NNu",
    "SETITEMS of an odd number": b"}(Nu",
    "SETITEMS without MARK": b"}NNu",
    "DICT of an odd number": b"(Nd",
    "DICT without MARK": b"NNd",
    "TUPLE3 of two": b"NN\x87",
    "TUPLE1 of a MARK": b"(\x85",
    "REDUCE of no tuple": named("a", "b") + b"NR",
    "REDUCE of no function": b"NN\x85R",
    "REDUCE of nothing": b"R",
    "NEWOBJ of no tuple": named("a", "b") + b"N\x81",
    "NEWOBJ of no class": b"N)\x81",
    "NEWOBJ_EX without arguments": named("a", "b") + b")\x92",
    "NEWOBJ_EX of no dict": named("a", "b") + b")N\x92",
    "BUILD of nothing": b"b",
    "BUILD of a number": b"K\x01}b",
    "BUILD of a string": text("a") + b"}b",
    "OBJ without a class": b"(o",
    "INST without MARK": b"ia\nb\n",
    "STACK_GLOBAL of numbers": b"K\x01K\x02\x93",
    "STACK_GLOBAL of lists": b"]]\x93",
    "STACK_GLOBAL of nothing": b"\x93",
    "ADDITEMS to a list": b"](N\x90",
    "FROZENSET without MARK": b"\x91",
    "a list as key": b"}](NeNs",
    "a dict as key": b"}}Ns",
    "a list as member of a set": b"\x8f(]\x90",
    "a list deep in a key": b"}" + b"]" + b"\x85" * 50 + b"Ns",
    "BINUNICODE of invalid UTF-8": b"X\x02\0\0\0\xff\xff",
    "UNICODE of a bad escape": b"V\\u12\n",
    "STRING without quotes": b"Sabc\n",
    "FLOAT of no number": b"Fabc\n",
    "INT of no number": b"Iabc\n",
    "INT of nothing": b"I\n",
    "INT with underscores": b"I1_0\n",
    "EXT1 of 0": b"\x82\0",
    "EXT4 of -1": b"\x84\xff\xff\xff\xff",
    "NEXT_BUFFER": b"\x97",
    "READONLY_BUFFER": b"\x98",
    "a MARK left over": b"(",
    "two values left over": b"NN",
    "a persistent id of text": b"Pstorage\n",
    "a persistent id that is no tuple": text("storage") + b"Q",
    "a persistent id that is a list": list_of(text("storage")) + b"Q",
    "a persistent id of nothing": b")Q",
    "a persistent id of one": asm.persistent(text("storage")),
    "a persistent id of no storage": asm.persistent(text("module"), *[text("a")] * 4),
    "a persistent id with a nameless class": asm.persistent(text("storage"), *[text("a")] * 3, integer(16)),
    "a persistent id with a key of a list": asm.persistent(
        text("storage"), named("torch", "FloatStorage"), b"]", text("cpu"), integer(16)
    ),
    "a persistent id without numel": asm.persistent(
        text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), asm.NONE
    ),
}.items():
    _pickle(_name, pickled(_opcodes), "pickle|storage")

# nesting, in opcodes that fit the budget
_pickle("100,000 nested tuples", pickled(b")" + b"\x85" * 100_000), "nested")
_pickle("100,000 nested lists", pickled(b"]" * 100_000 + b"a" * 99_999), "nested")
_pickle("100,000 nested dicts", pickled(b"}" + b"K\x01}" * 100_000 + b"s" * 100_000), "nested")
_pickle("100,000 nested calls", pickled(named("a", "b") * 100_000 + b")R" + b"\x85R" * 99_999), "nested")
_pickle("100,000 nested states", pickled((named("a", "b") + b")\x81") * 100_000 + b"b" * 99_999), "nested")
_pickle("100,000 MARKs", pickled(b"(" * 100_000 + b"N" + b"t" * 100_000), "nested")

# ------------------------------------------------------------------------------------------------ tensors that lie

for _name, _tensor in {
    "a shape beyond the storage": tensor(shape=[4, 5], strides=[5, 1]),
    "an offset beyond the storage": tensor(offset=1),
    "an offset of 2^62": tensor(offset=1 << 62),
    "an offset of 2^64": tensor(offset=1 << 64),
    "an offset of -1": tensor(offset=-1),
    "a negative stride": tensor(offset=3, strides=[4, -1]),
    "a stride beyond the storage": tensor(strides=[4, 2]),
    "a stride of 2^62": tensor(strides=[1 << 62, 1]),
    "strides that overflow to fit": tensor(strides=[1 << 63, 1 << 63]),
    "more strides than dimensions": tensor(strides=[4, 1, 1]),
    "fewer strides than dimensions": tensor(strides=[1]),
    "a negative dimension": tensor(shape=[-4, -4]),
    "a shape whose product overflows": tensor(shape=[1 << 32, 1 << 32], strides=[0, 0]),
    "a dimension of 2^64": tensor(shape=[4, 1 << 64], strides=[0, 0]),
    "expand to 2^40": tensor(storage(numel=1), shape=[1 << 20, 1 << 20], strides=[0, 0]),
    "rank 65": tensor(shape=[1] * 65, strides=[1] * 65),
    "rank 100,000": tensor(shape=[1] * 100_000, strides=[1] * 100_000),
    "a shape that is no tuple": call(
        named("torch._utils", "_rebuild_tensor_v2"), storage(), integer(0), integer(16), numbers([1]), b"\x89", b"}"
    ),
    "a shape of text": call(
        named("torch._utils", "_rebuild_tensor_v2"),
        storage(),
        integer(0),
        tuple_of(text("4"), text("4")),
        numbers([4, 1]),
        b"\x89",
        b"}",
    ),
    "a shape of a float": call(
        named("torch._utils", "_rebuild_tensor_v2"),
        storage(),
        integer(0),
        tuple_of(b"G" + struct.pack(">d", 4.0), integer(4)),
        numbers([4, 1]),
        b"\x89",
        b"}",
    ),
    "an offset of None": call(
        named("torch._utils", "_rebuild_tensor_v2"),
        storage(),
        asm.NONE,
        numbers([4, 4]),
        numbers([4, 1]),
        b"\x89",
        b"}",
    ),
    "a tensor of no storage": tensor(text("0")),
    "a tensor of a tensor": tensor(_W),
    "a tensor of nothing": call(named("torch._utils", "_rebuild_tensor_v2")),
    "a tensor of two arguments": call(named("torch._utils", "_rebuild_tensor_v2"), storage(), integer(0)),
    "a storage of negative numel": tensor(storage(numel=-16)),
}.items():
    _pickle(_name, state(w=_tensor), "tensor 'w'")
_pickle("one storage of two types", state(w=_W, x=tensor(storage(kind="DoubleStorage"), shape=[2, 4])), "storage")

# ------------------------------------------------------------------------------------------------ storages that lie

_zip("a missing storage", asm.archive(state(w=tensor(storage("1")))), "archive/data/1")
_zip("a storage above", asm.archive(state(w=tensor(storage("../../x")))), "x")
_zip("a storage of an empty key", asm.archive(state(w=tensor(storage("")))), "storage")
_zip("a storage of a long key", asm.archive(state(w=tensor(storage("0" * 100_000)))), "storage")
_zip("a storage shorter than its numel", asm.archive(_GOOD, {"0": bytes(60)}), "60")
_zip("a storage of no bytes", asm.archive(_GOOD, {"0": b""}), "storage|bytes")
_zip("a storage of numel 2^62", asm.archive(state(w=tensor(storage(numel=1 << 62)))), "storage|bytes")
_zip("a storage of numel 2^64", asm.archive(state(w=tensor(storage(numel=1 << 64)))), "storage|bytes")
_zip("a storage is the pickle", asm.archive(state(w=tensor(storage("../data.pkl")))), "storage")
_zip(
    "byteorder of no meaning",
    zip_file([*_MEMBERS[:1], Member("archive/byteorder", b"middle"), *_MEMBERS[2:]]),
    "byteorder",
)
_zip(
    "byteorder of 1 MB",
    zip_file([*_MEMBERS[:1], Member("archive/byteorder", b"little" * 170_000), *_MEMBERS[2:]]),
    "byteorder",
)
_zip("version of no number", zip_file([*_MEMBERS[:3], Member("archive/version", b"x")]), "version")
_zip("version 99", zip_file([*_MEMBERS[:3], Member("archive/version", b"99\n")]), "version")

# --------------------------------------------------------------------------------------------------- zips that lie


def _changed(index: int, **changes: Any) -> bytes:  # noqa: ANN401
    """The good zip with one member changed."""
    members = list(_MEMBERS)
    members[index] = replace(members[index], **changes)
    return zip_file(members)


_good_zip = zip_file(_MEMBERS)
_PKL, _DATA = 0, 2
_zip("CRC mismatch of the pickle", _changed(_PKL, local={"crc": 1}, central={"crc": 1}), "CRC|checksum")
_zip("CRC of the pickle disagrees", _changed(_PKL, local={"crc": 1}), "disagree|header")
_zip("an encrypted pickle", _changed(_PKL, local={"flags": 1}, central={"flags": 1}), "encrypted")
_zip("an encrypted storage", _changed(_DATA, local={"flags": 1}, central={"flags": 1}), "encrypted")
_zip("an encrypted storage, locally", _changed(_DATA, local={"flags": 1}), "encrypted|disagree|header")
_zip("strong encryption", _changed(_DATA, local={"flags": 0x41}, central={"flags": 0x41}), "encrypted")
_zip("a masked directory", _changed(_DATA, local={"flags": 0x2000}, central={"flags": 0x2000}), "encrypted|flag")
_zip("patched data", _changed(_DATA, local={"flags": 0x20}, central={"flags": 0x20}), "flag")
_zip("unused flags", _changed(_DATA, local={"flags": 0x8080}, central={"flags": 0x8080}), "flag")
for _method, _label in {
    1: "shrunk",
    9: "deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "zstd",
    99: "AES",
    65535: "unknown",
}.items():
    _zip(f"a storage that is {_label}", _changed(_DATA, method=_method), f"method|compress|{_label}")
    _zip(f"a pickle that is {_label}", _changed(_PKL, method=_method), f"method|compress|{_label}")
_zip("a deflated pickle of rubbish", _changed(_PKL, method=DEFLATED, stored=b"\xff" * 50), "the deflated pickle")
_zip(
    "a deflated pickle that is truncated",
    _changed(_PKL, method=DEFLATED, stored=deflated(_GOOD)[:-9]),
    "the deflated pickle",
)
_zip(
    "a deflated pickle with a tail",
    _changed(_PKL, method=DEFLATED, stored=deflated(_GOOD) + b"tail"),
    "the deflated pickle",
)
_zip(
    "a deflated pickle shorter than it says",
    _changed(_PKL, method=DEFLATED, local={"size": 9999}, central={"size": 9999}),
    "the deflated pickle",
)
_zip(
    "a deflated pickle longer than it says",
    _changed(_PKL, method=DEFLATED, local={"size": 9}, central={"size": 9}),
    "the deflated pickle",
)
_zip("a stored member of two sizes", _changed(_DATA, local={"packed": 32}, central={"packed": 32}), "size|disagree")
_zip("a stored member of two sizes, 2", _changed(_DATA, local={"size": 999}, central={"size": 999}), "size|disagree")
_zip("a storage twice", zip_file([*_MEMBERS, _MEMBERS[_DATA]]), "duplicate name in the zip directory")
_zip(
    "a pickle twice",
    zip_file([*_MEMBERS, Member("archive/data.pkl", pickled(b"}"))]),
    "duplicate name in the zip directory",
)
_zip("junk before the zip", b"junk" * 100 + _good_zip, "an unknown format|before|zip")
_zip("junk that is a zip", _good_zip + _good_zip, "zip")
_zip("a pickle before the zip", pickled(b"}") + _good_zip, "zip|pickle|after|follow")
_zip("names that disagree", _changed(_DATA, local={"name": b"archive/data/1"}), "disagree|header|name")
_zip("names of two lengths", _changed(_DATA, local={"name": b"a"}), "overlaps|header")
_zip("methods that disagree", _changed(_DATA, local={"method": 8}), "disagree|header|method")
_zip("sizes that disagree", _changed(_DATA, local={"size": 9, "packed": 9}), "disagree|header|size")
_zip("no local header", _changed(_DATA, central={"offset": 5}), "overlaps|header")
_zip("a local header beyond the end", _changed(_DATA, central={"offset": 1 << 30}), "overlaps what follows|end")
_zip(
    "a local header in the directory", _changed(_DATA, central={"offset": len(_good_zip) - 60}), "overlaps what follows"
)
_zip("an extra field into the directory", _changed(_DATA, local={"extra": bytes(60_000)}, stored=b""), "archive/data/0")
_zip("on another disk", _changed(_DATA, central={"disk": 1}), "is on another disk")
_zip("several disks", zip_file(_MEMBERS, {"disk": 1}), "a multi-part zip archive")
_zip(
    "a member beyond the end",
    _changed(_DATA, local={"size": 1 << 30, "packed": 1 << 30}, central={"size": 1 << 30, "packed": 1 << 30}),
    "archive/data/0",
)
_zip(
    "overlapping members",
    _changed(_DATA, local={"size": 100, "packed": 100}, central={"size": 100, "packed": 100}),
    "overlap",
)


def _quoted() -> bytes:
    """A member whose data are another member, as in the overlapping zip bombs."""
    inner = Member("archive/data/1", bytes(64))
    whole = zip_file([inner])
    local = whole[: whole.index(b"PK\x01\x02")]
    members = [*asm.members_of(state(w=_W, x=tensor(storage("1"))))[:2], Member("archive/data/0", local)]
    start = len(zip_file(members)[: zip_file(members).index(b"PK\x01\x02")]) - len(local)
    return zip_file(
        [
            *members,
            _MEMBERS[3],
            Member("archive/data/1", bytes(64), stored=b"", central={"offset": start, "packed": 64, "size": 64}),
        ]
    )


_zip("a member inside a member", _quoted(), "overlap")
for _label, _evil in {
    "../../x": "../../x",
    "absolute": "/etc/x",
    "backslash": "archive\\x",
    "NUL": "archive/x\0y",
}.items():
    _zip(f"a member called {_label}", zip_file([*_MEMBERS, Member(_evil, b"x")]), "name|member")
_zip("a member of no name", zip_file([*_MEMBERS, Member("", b"x")]), "name|member")
_zip("the pickle above", zip_file([replace(_MEMBERS[0], name="../data.pkl"), *_MEMBERS[1:]]), "name|data.pkl")
_zip("no data.pkl", zip_file(_MEMBERS[1:]), "data.pkl")
_zip("data.pkl is a directory", zip_file([Member("archive/data.pkl/", b""), *_MEMBERS[1:]]), "data.pkl")
_zip("two roots", zip_file([*_MEMBERS, *asm.members_of(_GOOD, root="b")]), "two|several|root|data.pkl")
_zip("no members", zip_file([]), "zip")
_zip("truncated", _good_zip[:-1], "truncated|end")
_zip("truncated by half", _good_zip[: len(_good_zip) // 2], "truncated|end")
_zip("only its end", _good_zip[-22:], "zip")
_zip("a directory that is elsewhere", zip_file(_MEMBERS, {"start": 1 << 30}), "directory|end")
_zip("a directory that is too long", zip_file(_MEMBERS, {"nbytes": 1 << 30}), "directory|end")
_zip("a directory that is too short", zip_file(_MEMBERS, {"nbytes": 46}), "directory|end")
_zip("more members than there are", zip_file(_MEMBERS, {"count": 9}), "directory|members")
_zip("fewer members than there are", zip_file(_MEMBERS, {"count": 1}), "directory|members")
_zip("a comment", zip_file(_MEMBERS, {"comment": b"made by hand"}), "12 bytes follow the end")
_zip("a comment that hides an end", zip_file(_MEMBERS, {"comment": zip_file([])}), "comment|zip|end|directory")
_zip("a comment longer than the file", zip_file(_MEMBERS, {"comment_length": 999}), "comment|zip|end|truncated")
_zip("something after the end", _good_zip + b"tail", "comment|zip|end|follow")
_zip("a gap before the end", zip_file(_MEMBERS, between=bytes(999)), "directory|end|zip")


def _zip64(offset: int = 0, count: int = 4, record: int = 44, start: int | None = None) -> bytes:
    """The good zip, its end in the form of zip64."""
    central = _good_zip.index(b"PK\x01\x02")
    nbytes = len(_good_zip) - 22 - central
    end64 = b"PK\x06\x06" + struct.pack(
        "<QHHLLQQQQ", record, 45, 45, 0, 0, count, count, nbytes, central if start is None else start
    )
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, central + nbytes + offset, 1)
    return _good_zip[:-22] + end64 + locator + end_record(65535, 0xFFFFFFFF, 0xFFFFFFFF)


_zip("a zip64 end elsewhere", _zip64(offset=1), "zip64|zip|end|directory")
_zip("a zip64 end beyond", _zip64(offset=1 << 60), "zip64|zip|end|directory")
_zip("a zip64 end before", _zip64(offset=-(10**2)), "zip64|zip|end|directory")
_zip("a zip64 of 2^62 members", _zip64(count=1 << 62), "zip64|members|directory")
_zip("a zip64 directory at 2^62", _zip64(start=1 << 62), "zip64|zip|end|directory")
_zip("a zip64 end of 2^62 bytes", _zip64(record=1 << 62), "zip64|zip|end|directory")
_zip(
    "a zip64 end that is missing",
    _good_zip[:-22] + end_record(65535, 0xFFFFFFFF, 0xFFFFFFFF),
    "zip64|zip|end|directory|beyond",
)
for _label, _extra in {
    "of 2^62": struct.pack("<HHQQ", 1, 16, 1 << 62, 1 << 62),
    "that is missing": b"",
    "that is too short": struct.pack("<HHL", 1, 4, 64),
    "that runs over": struct.pack("<HHQQ", 1, 999, 64, 64),
}.items():
    _zip(
        f"a zip64 size {_label}",
        _changed(
            _DATA,
            local={"extra": _extra, "size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
            central={"extra": _extra, "size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
        ),
        "zip64|archive/data/0",
    )
_zip("constants.pkl that is broken", zip_file([*_MEMBERS, Member("archive/constants.pkl", b"\xff")]), "pickle")

# --------------------------------------------------------------------------------------------------- legacy files


def _legacy(name: str, content: bytes, expected: str) -> None:
    CASES[f"legacy: {name}"] = (_file(content), expected)


_good_legacy = asm.legacy(_GOOD)
_begin = _good_legacy[: _good_legacy.index(_GOOD[:40])]
_legacy("truncated", _good_legacy[:-1], "truncated|bytes")
_legacy("no storages", _good_legacy[:-72], "truncated|storage")
_legacy("half a storage's length", _good_legacy[:-68], "truncated|storage")
_legacy("only its magic", pickled(integer(0x1950A86A20F9469CFC6C)), "truncated|pickle|end")
_legacy("another magic", pickled(integer(0x1950A86A20F9469CFC6D)) + _good_legacy[15:], "pickle")
_legacy(
    "magic of another protocol",
    pickled(integer(0x1950A86A20F9469CFC6C)) + pickled(integer(1002)) + _good_legacy[15:],
    "protocol|version",
)
_legacy("something after the storages", _good_legacy + b"tail", "follow|after|bytes")
_legacy("numel of a storage is -1", asm.legacy(_GOOD, numels={"0": -1}), "storage")
_legacy("numel of a storage is 2^62", asm.legacy(_GOOD, numels={"0": 1 << 62}), "storage")
_legacy("numel of a storage is 15", asm.legacy(_GOOD, numels={"0": 15}), "storage")
_legacy("numel of a storage is 17", asm.legacy(_GOOD, numels={"0": 17}), "storage")
_legacy("a key too few", asm.legacy(_GOOD, keys=pickled(b"]")), "storage|bytes")
_legacy("a key too many", asm.legacy(_GOOD, keys=pickled(list_of(text("0"), text("1")))), "'1'|storage|key")
_legacy("a key twice", asm.legacy(_GOOD, keys=pickled(list_of(text("0"), text("0")))), "'0'|twice|key")
_legacy("keys are a string", asm.legacy(_GOOD, keys=pickled(text("0"))), "no list of storages")
_legacy("keys are a tensor", asm.legacy(_GOOD, keys=pickled(_W)), "key|storage")
_legacy(
    "keys are code", asm.legacy(_GOOD, keys=pickled(call(named("os", "system"), text("touch canary")))), "would run"
)
_legacy("keys are missing", _good_legacy[:-88], "truncated|end|pickle")
_legacy("a million keys", asm.legacy(_GOOD, keys=pickled(list_of(*[text("0")] * 100_000))), "key|twice")
_legacy(
    "a view of a storage",
    asm.legacy(
        state(
            w=tensor(
                asm.persistent(
                    text("storage"),
                    named("torch", "FloatStorage"),
                    text("0"),
                    text("cpu"),
                    integer(16),
                    tuple_of(text("v"), integer(8), integer(16)),
                )
            )
        ),
        views=True,
    ),
    "view|storage",
)
_legacy(
    "a view that is no tuple",
    asm.legacy(
        state(
            w=tensor(
                asm.persistent(
                    text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), integer(16), integer(8)
                )
            )
        ),
        views=True,
    ),
    "view|storage",
)
_legacy("a plain pickle", pickled(dict_of({"a": integer(1)})), "pickle")
_legacy("a plain pickle that runs code", pickled(call(named("os", "system"), text("touch canary"))), "pickle")
_legacy("protocol 0", b"(dp0\nS'a'\np1\nI1\ns.", "pickle|nothing")
_legacy("the magic, then zeros", _begin + bytes(1000), "pickle")

# ------------------------------------------------------------------------------------------------- index and shards


def _shards(weight_map: object, **shards: bytes) -> Build:
    def build(directory: Path) -> Path:
        for name, content in shards.items():
            (directory / f"{name}.bin").write_bytes(content)
        write_tensors(directory / "c.safetensors", {"c": ("F32", [4, 4])})
        return write_index(directory / "pytorch_model.bin.index.json", weight_map)

    return build


_shard = {"a": asm.archive(state(a=_W)), "b": asm.archive(state(b=_W))}
CASES["shard: missing"] = (_shards({"a": "a.bin", "b": "d.bin"}, **_shard), r"the shard 'd\.bin' is missing")
CASES["shard: above"] = (_shards({"a": "../a.bin"}, **_shard), r"a path with '\.\.'")
CASES["shard: absolute"] = (_shards({"a": "/etc/passwd"}, **_shard), "an absolute path")
CASES["shard: tensor of no shard"] = (
    _shards({"a": "a.bin", "b": "a.bin"}, **_shard),
    "the tensor 'b' is not in its shard",
)
CASES["shard: tensor elsewhere"] = (_shards({"a": "b.bin", "b": "a.bin"}, **_shard), "the tensor '[ab]' is in")
CASES["shard: tensor too many"] = (_shards({"a": "a.bin"}, a=asm.archive(state(a=_W, x=_W))), "'x'")
CASES["shard: of two formats"] = (_shards({"a": "a.bin", "c": "c.safetensors"}, **_shard), "shards of two formats")
CASES["shard: broken"] = (_shards({"a": "a.bin", "b": "b.bin"}, a=_shard["a"], b=_good_zip[:-1]), "truncated|end")
CASES["shard: code"] = (
    _shards({"a": "a.bin"}, a=asm.archive(pickled(call(named("os", "system"), text("touch canary"))))),
    "would run",
)

# ------------------------------------------------------------------------- what shows only where data are read


def _data(name: str, content: Callable[[], bytes], expected: str) -> None:
    DATA[name] = (_file(content), expected)


_STORED = bytes(range(64))
_data("CRC mismatch", lambda: _changed(_DATA, local={"crc": 1}, central={"crc": 1}), "CRC-32")
_data("deflated rubbish", lambda: _changed(_DATA, method=DEFLATED, stored=b"\xff" * 50), "damaged")
_data(
    "deflated, truncated", lambda: _changed(_DATA, method=DEFLATED, stored=deflated(_STORED)[:-9]), "end early|damaged"
)
_data("deflated, shorter", lambda: _changed(_DATA, method=DEFLATED, stored=deflated(_STORED[:-1])), "end early|damaged")
_data(
    "deflated, CRC mismatch",
    lambda: _changed(_DATA, method=DEFLATED, local={"crc": 1}, central={"crc": 1}),
    "CRC-32",
)
# ------------------------------------------------------------------------ many megabytes, or what takes many steps


def _heavy(name: str, content: Callable[[], bytes], expected: str) -> None:
    HEAVY[name] = (_file(content), expected)


def _heavy_pickle(name: str, content: Callable[[], bytes], expected: str) -> None:
    _heavy(name, lambda: asm.archive(content()), expected)


def _deep_key() -> bytes:
    return pickled(b"}", b")" + b"\x85" * 1_000_000, b"Ns")


_heavy_pickle("a tuple a million deep as key", _deep_key, "nested|deep|opcodes")
_heavy_pickle("a tuple a million deep", lambda: pickled(b")" + b"\x85" * 1_900_000), "nested|deep|opcodes")
_heavy_pickle("three million opcodes", lambda: pickled(b"N0" * 1_500_000 + b"N"), "opcodes")
_heavy_pickle("65 MiB of pickle", lambda: pickled(_bytes(bytes(65 << 20))), "without PyTorch tensors")
_heavy_pickle("two million memo entries", lambda: pickled(b"N" + b"\x94" * 1_900_000), "memo")
_heavy_pickle("INT text of 10 MB", lambda: pickled(b"I" + b"1" * 10_000_000 + b"\n"), "a line of more than")
_heavy_pickle(
    "LONG4 of 10 MB", lambda: pickled(b"\x8b" + struct.pack("<i", 10_000_000) + b"\x01" * 10_000_000), "integer|bytes"
)
_heavy_pickle("PUT text of 10 MB", lambda: pickled(b"Np" + b"1" * 10_000_000 + b"\n"), "a line of more than")
_heavy_pickle("FLOAT text of 10 MB", lambda: pickled(b"F" + b"1" * 10_000_000 + b"\n"), "pickle")
_heavy_pickle("a line without end of 10 MB", lambda: pickled(b"V" + b"x" * 10_000_000), "pickle")
_heavy_pickle(
    "1.9 million empty dicts", lambda: pickled(b"](" + b"}" * 1_900_000 + b"e"), "pickle|memory|opcodes|values"
)
_heavy_pickle("a million sets", lambda: pickled(b"](" + b"\x8f" * 1_900_000 + b"e"), "pickle|memory|opcodes|values")
_heavy_pickle("60 MB of escapes", lambda: pickled(b"V" + b"\\u0041" * 10_000_000 + b"\n"), "pickle")
_heavy_pickle(
    "60 MB of wide text",
    lambda: pickled(b"X" + struct.pack("<I", 60_000_004) + "\U0001f600".encode() + b"x" * 60_000_000),
    "pickle",
)
_heavy_pickle(
    "colliding keys",
    lambda: pickled(
        b"}("
        + b"".join(
            b"\x8a\x0c" + (((1 << 61) - 1) * (1 + number)).to_bytes(12, "little") + b"N" for number in range(200_000)
        )
        + b"u"
    ),
    "pickle",
)
_heavy_pickle("a billion elements by DUP", lambda: pickled(b"](" + b"N" * 100 + b"e" + b"2" * 1_000_000), "pickle")


def _growing() -> bytes:
    """A list that is turned into a tuple of all it has and is appended to, over and over: quadratic."""
    return pickled(b"(" + b"N" * 1_000 + b"t" + b"".join(b"q\x00" + b"(" + b"h\x00" * 1000 + b"t" for _ in range(900)))


_heavy_pickle("a tuple of a thousand of itself, over and over", _growing, "pickle|nested")


def _referred(value: bytes, times: int = 900_000) -> bytes:
    """One object that a list refers to many times, which costs two bytes each."""
    return pickled(b"](" + value + b"q\x00" + b"h\x00" * times + b"e")


def _named_again(key: bytes, value: bytes) -> bytes:
    """One key that a dict has many times, with one value."""
    return pickled(b"}(" + key + b"q\x00" + value + b"q\x01" + b"h\x00h\x01" * 900_000 + b"u")


_NO_TENSORS = "without PyTorch tensors"
_ARRAY = call(named("numpy.core.multiarray", "_reconstruct"))
_HUGE_NAME = call(named("numpy", "dtype"), text("<" * (1 << 20)))
_OBJECT = call(named("a", "B")) + dict_of({f"k{number}": asm.NONE for number in range(400)}) + asm.BUILD
_heavy_pickle(
    "an array of a dtype with a name of 1 MiB, over and over",
    lambda: _referred(_ARRAY + tuple_of(integer(1), b")", _HUGE_NAME, b"\x89", asm.NONE) + asm.BUILD),
    _NO_TENSORS,
)
_heavy_pickle(
    "arrays of a dtype with a name of 1 MiB",
    lambda: pickled(
        b"]("
        + _HUGE_NAME
        + b"q\x00"
        + (_ARRAY + tuple_of(asm.NONE, b")", b"h\x00", b"\x89", asm.NONE) + asm.BUILD) * 50_000
        + b"e"
    ),
    _NO_TENSORS,
)
_heavy_pickle(
    "an object of a long class, over and over", lambda: _referred(call(named("m" * 450, "n" * 450))), _NO_TENSORS
)
_heavy_pickle(
    "a long key that is not ASCII, over and over", lambda: _named_again(text("\u4e2d" * 4000), asm.NONE), _NO_TENSORS
)
_heavy_pickle(
    "metadata of one name, over and over", lambda: _named_again(text("\u4e2d" * 900), text("a" * 1000)), _NO_TENSORS
)
_heavy_pickle(
    "an object called optimizer, over and over", lambda: _named_again(text("optimizer"), _OBJECT), _NO_TENSORS
)
_heavy_pickle(
    "one name of a class, over and over", lambda: pickled(b"](" + named("a", "b") * 1_900_000 + b"e"), _NO_TENSORS
)
_heavy_pickle(
    "a set of itself, over and over", lambda: pickled(b"\x8fq\x00(" + b"h\x00" * 1_900_000 + b"\x90"), _NO_TENSORS
)
_heavy_pickle(
    "a tuple of 15 numbers and a dict, over and over",
    lambda: _referred(b"(" + b"K\x01" * 15 + b"}t", 1_900_000),
    _NO_TENSORS,
)
_heavy_pickle(
    "a long key above new tuples, over and over",
    lambda: pickled(b"}(" + text("a" * 4000) + b"q\x00]]aq\x01" + b"h\x00h\x01\x85" * 450_000 + b"u"),
    _NO_TENSORS,
)


def _zero_points(method: int) -> bytes:
    """Many tensors with one zero point each, all of which lie in one storage of 8 MiB."""
    quantized = tuple_of(
        storage("0", 4, "QInt8Storage"), integer(0), numbers((1, 4)), numbers((4, 1)), b"h\x01", b"\x89", asm.NONE
    )
    points = tensor(storage("1", 1 << 20, "LongStorage"), 0, (1,), (1,))
    parameters = tuple_of(named("torch", "per_channel_affine"), asm.NONE, points, integer(0))
    one = b"h\x00" + quantized + b"R"
    content = pickled(
        b"](" + named("torch._utils", "_rebuild_qtensor") + b"q\x00" + parameters + b"q\x01" + one * 20_000 + b"e"
    )
    members = asm.members_of(content, {"0": bytes(4), "1": bytes(8 << 20)})
    return zip_file([replace(member, method=method) if member.name.endswith("/1") else member for member in members])


_heavy("zero points in a deflated storage of 8 MiB, over and over", lambda: _zero_points(DEFLATED), "zero points")


def _many_members(count: int, claimed: int) -> bytes:
    """A pickle and many empty members, the last of which stands twice; `claimed` is what the end says they are."""
    names = [b"archive/data.pkl", *(b"archive/%08d" % min(number, count - 2) for number in range(1, count))]
    one = zip_file([Member("archive/data.pkl", b"")])
    size = one.index(b"PK\x01\x02")
    local, entry = one[: size - 16], one[size : -22 - 16]
    body = b"".join(local + name for name in names)
    directory = b"".join(entry[:-4] + struct.pack("<L", size * number) + name for number, name in enumerate(names))
    whole = (claimed, claimed, len(directory), len(body))
    end64 = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, *whole)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, len(body) + len(directory), 1)
    return body + directory + end64 + locator + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def _bomb(index: int, content: bytes) -> bytes:
    """A deflated member that says how large it gets: many MiB of one byte."""
    bomb = deflated(content, repeated=256)
    lies = {"size": len(content) + (256 << 20), "packed": len(bomb), "crc": 0}
    return _changed(index, method=DEFLATED, data=b"", stored=bomb, local=lies, central=lies)


def _sparse(directory: Path) -> Path:
    """A legacy file whose storage is 1 TB long, in a file that takes no room."""
    path = directory / "model.pt"
    path.write_bytes(asm.legacy(_GOOD))
    os.truncate(path, 1 << 40)
    return path


_heavy("a million members", lambda: _many_members(1_000_000, 1_000_000), "members")
_heavy("200,000 members", lambda: _many_members(200_000, 200_000), "duplicate name in the zip directory")
_heavy("a million members that say to be ten", lambda: _many_members(1_000_000, 10), "members|directory")
_heavy("a deflated pickle of 256 MiB", lambda: _bomb(_PKL, b"\x80\x02N"), "opcodes")
_heavy("a deflated storage of 256 MiB", lambda: _bomb(_DATA, b"\0"), "268435457")
HEAVY["1 TB after a legacy file"] = (_sparse, "follow|after|bytes")
