"""The interpreter of pickles: what plain pickles say, and one line for every kind of damage."""

from __future__ import annotations

import contextlib
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
from depth import one_of
from hypothesis import given
from hypothesis import strategies as st

from wcx.core.errors import CheckpointError
from wcx.formats.pytorch.inert import Blob, Call, Dict, Global, Set
from wcx.formats.pytorch.pickles import Pickle, read_pickle
from wcx.formats.pytorch.streams import RawStream
from wcx.formats.sources import open_file


class _Bytes:
    """A stream of bytes in memory, in small pieces."""

    def __init__(self, content: bytes, piece: int = 7) -> None:
        self._pieces = [content[start : start + piece] for start in range(0, len(content), piece)]

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def skip(self, _nbytes: int) -> int:
        return 0

    def offset_of(self, position: int) -> int | None:
        return position

    def place_of(self, position: int) -> int:
        return position


def _read(content: bytes) -> Pickle:
    return read_pickle(_Bytes(content), "a.pt")


def _plain(value: Any) -> Any:  # noqa: ANN401
    """An interpreted value as Python would have it."""
    if isinstance(value, Dict):
        return {_plain(value[index]): _plain(value[index + 1]) for index in range(0, len(value), 2)}
    if isinstance(value, Set):
        return {_plain(item) for item in value}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value.data if isinstance(value, Blob) else value


_SCALARS = (
    st.none() | st.booleans() | st.integers(-(1 << 100), 1 << 100) | st.floats(allow_nan=False) | st.text(max_size=300)
)
_VALUES = st.recursive(
    _SCALARS | st.binary(max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES, st.integers(3, 5))
def test_plain_values_come_back(value: object, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    found = _read(content + b"rest")
    assert _plain(found.value) == value
    assert found.nbytes == len(content)


@given(st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=10), st.integers(0, 2))
def test_old_protocols_too(value: object, protocol: int) -> None:
    assert _plain(_read(pickle.dumps(value, protocol)).value) == value


@given(st.binary(max_size=100))
def test_anything_else_is_a_checkpoint_error(content: bytes) -> None:
    with contextlib.suppress(CheckpointError):
        _read(b"\x80\x04" + content)


def test_nothing_is_called() -> None:
    found = _read(b"\x80\x02cmy.module\nDanger\nK\x01\x85R}X\x01\x00\x00\x00aK\x02sb.").value
    assert isinstance(found, Call)
    assert isinstance(found.callable, Global)
    assert (str(found.callable), found.args, found.state) == ("my.module.Danger", (1,), ["a", 2])


def test_long_bytes_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([b"x" * 200_000, 5], 4))
    with open_file(str(path)) as file:
        value = read_pickle(RawStream(file, 0, file.nbytes), str(path)).value
    assert (value[0].nbytes, value[0].data, value[1]) == (200_000, b"", 5)
    assert path.read_bytes()[value[0].offset :][:200_000] == b"x" * 200_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"\x80\x02N", "truncated"),
        (b"\x80\x63.", "protocol 99"),
        (b"\xff", "unknown opcode 0xff"),
        (b"a", "pops more values than its stack has"),
        (b"t.", "no mark"),
        (b"h\x05.", "entry 5 of its memo, which was never written"),
        (b"Nr\xf0\xff\xff\xff.", "above the limit of 1000000"),
        (b"\x8b\xff\xff\xff\x7f", "integer of 2147483647 bytes"),
        (b"I" + b"1" * 50 + b"\n.", "line of more than 40"),
        (b"Ix\n.", "'x' where a number should be"),
        (b"B" + struct.pack("<I", 1 << 31), "truncated"),
        (b"\x8e" + struct.pack("<Q", 1 << 62), "truncated"),
        (b"\x95" + struct.pack("<Q", 1 << 62), "frame"),
        (b"\x82\x01.", "extension registry"),
        (b"\x97.", "out-of-band buffers"),
        (b"NN.", "ends with 2 values"),
        (b"(.", "ends with 0 values"),
        (b"NNb.", "sets the state of a value that is not an object"),
        (b"NNa.", "appends to a value that is not a list"),
        (b"](Nd.", "a key without a value"),
        (b"\x8c\x02\xff\xfe.", "not valid UTF-8"),
        (b"cos\nsystem\n.", "would run 'os.system' when loaded: do not load it with any program"),
        (b"cbuiltins\neval\n.", "would run 'builtins.eval'"),
        (b"ctorch.serialization\nos.system\n.", "would run"),
        (b"cbuiltins\ngetattr\n](R.", "would run|no mark|takes"),
        (b"\x8c\x08builtins\x8c\x04exec\x93.", "would run 'builtins.exec'"),
        (b"(S'ls'\niposix\nsystem\n.", "would run 'posix.system'"),
    ],
)
def test_damage_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        _read(content)


@one_of(4)
@pytest.mark.parametrize("opcode", [b"]", b"}", b"(", b"N\x85"])
def test_two_million_opcodes_are_the_limit(opcode: bytes) -> None:
    with pytest.raises(CheckpointError, match="more opcodes than the limit of 2000000"):
        read_pickle(_Bytes(opcode * 2_100_000, 1 << 16), "a.pt")


def test_a_member_of_an_enum_is_no_danger() -> None:
    found = _read(b"cbuiltins\ngetattr\ncmy.module\nKind\nX\x03\x00\x00\x00ONE\x86R.").value
    assert isinstance(found, Call)
