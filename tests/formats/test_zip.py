"""The strict reader of zip directories: legal archives, and one line for each that could be read in two ways."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wcx.core.errors import CheckpointError
from wcx.formats.pytorch.zips import Member, data_start, read_directory
from wcx.formats.sources import open_file


def _archive(*names: str, method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in names:
            archive.writestr(name, f"content of {name}".encode() * 3)
    return stream.getvalue()


def _read(path: Path, content: bytes) -> dict[str, tuple[Member, bytes]]:
    path.write_bytes(content)
    with open_file(str(path)) as file:
        members = read_directory(file)
        starts = {name: data_start(file, member) for name, member in members.items()}
    return {name: (member, content[starts[name] :][: member.packed]) for name, member in members.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.pt"


def test_members_lie_where_they_lie(path: Path) -> None:
    found = _read(path, _archive("a/data.pkl", "a/data/0", "a/"))
    assert list(found) == ["a/data.pkl", "a/data/0"]
    assert found["a/data/0"][1] == b"content of a/data/0" * 3


def test_an_empty_archive(path: Path) -> None:
    assert _read(path, _archive()) == {}


def _replace(old: bytes, new: bytes, *, last: bool = False) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        index = content.rfind(old) if last else content.find(old)
        assert index >= 0
        return content[:index] + new + content[index + len(old) :]

    return change


def _patch(signature: bytes, offset: int, raw: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        start = content.find(signature) + offset
        return content[:start] + raw + content[start + len(raw) :]

    return change


_CENTRAL, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: b"junk" + content, "is not where its end record says"),
        (lambda content: content + b"junk", "4 bytes follow the end of the zip archive"),
        (lambda content: content[:-30], "truncated: a zip archive without its directory"),
        (lambda content: content + content, "is not where its end record says"),
        (_patch(_CENTRAL, 8, b"\x01\x00"), "'a/data.pkl' is encrypted"),
        (_patch(_CENTRAL, 10, b"\x0c\x00"), "compressed by method 12"),
        (_patch(_CENTRAL, 20, struct.pack("<I", 1 << 30)), "stored, but has two different sizes"),
        (_patch(_CENTRAL, 20, struct.pack("<II", 1 << 30, 1 << 30)), "overlaps what follows, or extends past"),
        (_patch(_CENTRAL, 42, struct.pack("<I", 5)), "5 extra bytes before the zip archive|overlaps"),
        (_patch(_LOCAL, 8, b"\x08\x00"), "its header disagrees with the zip directory"),
        (_patch(_LOCAL, 6, b"\x00\x08"), "its header disagrees with the zip directory"),
        (_patch(_LOCAL, 14, b"\x01\x02\x03\x04"), "its header disagrees with the zip directory"),
        (_patch(_LOCAL, 30, b"b"), "its header disagrees with the zip directory"),
        (_replace(b"a/data/0", b"a/../../", last=True), "a path with '..'"),
        (_replace(b"a/data/0", b"/a/data/", last=True), "an absolute path"),
        (_replace(b"a/data/0", b"a\\data\\0", last=True), "a backslash"),
        (_replace(b"a/data/0", b"a/data/\0", last=True), "a NUL"),
        (_patch(_END, 10, b"\x05\x00"), "a multi-part zip archive"),
        (_patch(_END, 8, b"\x01\x00\x01\x00"), "more than its 1 entries"),
        (_patch(_END, 4, b"\x01\x00"), "a multi-part zip archive"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(change: Callable[[bytes], bytes], reason: str, path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        _read(path, change(_archive("a/data.pkl", "a/data/0")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_may_not_stand_twice(path: Path) -> None:
    with pytest.raises(CheckpointError, match="duplicate name in the zip directory"):
        _read(path, _archive("a/data.pkl", "a/data.pkl"))
