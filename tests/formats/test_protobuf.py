"""The walker of protobuf's wire format, against messages built byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protobuf_bytes import fixed, group, length_delimited, number, varint_bytes

from wcx.core.errors import CheckpointError
from wcx.formats.onnx.protobuf import BYTES, FIXED32, FIXED64, VARINT, ProtobufFile, packed_varints, signed, varint
from wcx.formats.sources import open_file


@contextmanager
def _source(path: Path, content: bytes) -> Iterator[ProtobufFile]:
    path.write_bytes(content)
    with open_file(str(path)) as file:
        yield ProtobufFile(file)


def _fields(path: Path, content: bytes) -> list[tuple[int, int, bytes | int]]:
    with _source(path, content) as source:
        return [
            (number, wire, value if wire == VARINT else source.read(begin, end))
            for number, wire, begin, end, value in source.fields(0, len(content))
        ]


_FIELDS = st.one_of(
    st.tuples(st.integers(1, 2**29 - 1), st.just(VARINT), st.integers(0, 2**64 - 1)),
    st.tuples(st.integers(1, 2**29 - 1), st.just(FIXED64), st.binary(min_size=8, max_size=8)),
    st.tuples(st.integers(1, 40), st.just(BYTES), st.binary(max_size=300)),
    st.tuples(st.integers(1, 40), st.just(BYTES), st.integers(15_000, 50_000).map(bytes)),
    st.tuples(st.integers(1, 2**29 - 1), st.just(FIXED32), st.binary(min_size=4, max_size=4)),
)


def _written(fields: list[tuple[int, int, bytes | int]]) -> bytes:
    parts = []
    for which, wire, value in fields:
        if isinstance(value, int):
            parts.append(number(which, value))
        elif wire == BYTES:
            parts.append(length_delimited(which, value))
        else:
            parts.append(fixed(which, wire, value))
    return b"".join(parts)


@given(fields=st.lists(_FIELDS, max_size=40))
def test_what_is_written_is_read(fields: list[tuple[int, int, bytes | int]], tmp_path_factory: object) -> None:
    path = tmp_path_factory.getbasetemp() / "message"  # type: ignore[attr-defined]
    assert _fields(path, _written(fields)) == fields


@given(content=st.binary(max_size=400))
def test_any_bytes_are_fields_or_an_error(content: bytes, tmp_path_factory: object) -> None:
    path = tmp_path_factory.getbasetemp() / "message"  # type: ignore[attr-defined]
    try:
        fields = _fields(path, content)
    except CheckpointError as caught:
        offset = caught.offset
    else:
        offset = 0
        assert (content == b"") == (fields == [])
    assert offset is not None
    assert 0 <= offset <= len(content)


@given(fields=st.lists(_FIELDS, min_size=1, max_size=5), cut=st.integers(1, 10**6))
def test_a_message_that_is_cut_off_is_damaged_unless_between_fields(
    fields: list[tuple[int, int, bytes | int]], cut: int, tmp_path_factory: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "message"  # type: ignore[attr-defined]
    content = _written(fields)
    content = content[: cut % len(content)]
    ends = [len(_written(fields[:count])) for count in range(len(fields))]
    if len(content) in ends:
        assert _fields(path, content) == fields[: ends.index(len(content))]
    else:
        with pytest.raises(CheckpointError, match="damaged message"):
            _fields(path, content)


def test_a_large_field_is_not_read_and_what_follows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "message"
    head = bytes([0x0A]) + varint_bytes(6 << 30)
    with open(path, "wb") as file:
        file.write(head)
        file.seek(len(head) + (6 << 30))
        file.write(number(3, 7))
    with open_file(str(path)) as opened:
        first, second = ProtobufFile(opened).fields(0, opened.nbytes)
    assert first[:4] == (1, BYTES, len(head), len(head) + (6 << 30))
    assert (second[0], second[4]) == (3, 7)


@given(counts=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 3)), max_size=6))
def test_runs_of_floats_can_be_passed_over(counts: list[tuple[int, int]], tmp_path_factory: object) -> None:
    path = tmp_path_factory.getbasetemp() / "message"  # type: ignore[attr-defined]
    parts = [fixed(7, FIXED32, b"\x3d" * 4) * floats + number(1, floats) * others for floats, others in counts]
    content = b"".join(parts)
    with _source(path, content) as source:
        found = [(number, value) for number, _, _, _, value in source.fields(0, len(content), unread=7)]
        assert found == [(1, floats) for floats, others in counts for _ in range(others)]
        if content.endswith(b"\x3d"):
            with pytest.raises(CheckpointError, match=r"ends in the middle of a field|past its end|missing"):
                list(source.fields(0, len(content) - 1, unread=7))


@pytest.mark.parametrize(
    ("content", "reason", "offset"),
    [
        (number(1, 1) + group(3), "wire type 3", 2),
        (b"\x0c", "wire type 4", 0),
        (b"\x0e", "wire type 6", 0),
        (b"\x02\x00", "field number 0", 0),
        (b"\x80" * 4 + b"\x10\x00", "field number", 0),
        (b"\x08" + b"\x80" * 10 + b"\x01", "more than 10 bytes", 0),
        (b"\x08" + b"\xff" * 9 + b"\x02", "above 2\\^64", 0),
        (b"\x0a\x05ab", "3 bytes of a field are missing", 0),
        (b"\x08\x01\x0a" + b"\xff" * 9 + b"\x01", "missing", 2),
        (b"\x09\x00", "missing", 0),
        (b"\x08", "ends in the middle of a field", 0),
        (b"\x08\x80", "ends in the middle of a field", 0),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(content: bytes, reason: str, offset: int, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        _fields(tmp_path / "message", content)
    assert caught.value.offset == offset


def test_a_field_may_not_leave_its_message(tmp_path: Path) -> None:
    content = length_delimited(1, b"\x12\x08ab") + number(2, 1) * 20
    with (
        _source(tmp_path / "message", content) as source,
        pytest.raises(CheckpointError, match="extends 6 bytes past its end") as caught,
    ):
        list(source.fields(2, 6))
    assert caught.value.offset == 2


def test_there_is_an_end_to_fields_memory_and_texts(tmp_path: Path) -> None:
    content = number(1, 1) * 3_000_000
    with _source(tmp_path / "message", content) as source:
        assert sum(1 for _ in source.fields(0, len(content))) == 3_000_000
        with pytest.raises(CheckpointError, match="more fields than wcx reads"):
            list(source.fields(0, len(content)))
        with pytest.raises(CheckpointError, match="300 MiB"):
            source.spend(1 << 30, 0)
        with pytest.raises(CheckpointError, match="a name of 2097152 bytes is above the limit"):
            source.text(0, 2 << 20, "a name")


def test_a_text_is_utf8(tmp_path: Path) -> None:
    with _source(tmp_path / "message", b"caf\xc3\xa9\xff") as source:
        assert source.text(0, 5, "a name") == "café"
        with pytest.raises(CheckpointError, match=r"a name is not valid UTF-8: 'é\\xff' \(byte 5\)"):
            source.text(3, 6, "a name")


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_packed_integers(values: list[int]) -> None:
    assert list(packed_varints(b"".join(map(varint_bytes, values)))) == values


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_integers(value: int) -> None:
    assert signed(varint(varint_bytes(value % 2**64), 0)[0]) == value
