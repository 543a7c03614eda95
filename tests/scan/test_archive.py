"""Archives of one form: whatever else a zip archive can be is refused, under a right digest too."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from hashlib import blake2b

import hypothesis.strategies as st
import pytest
import zip_asm
from hypothesis import given

from wcx.scan.archive import Member, pack, read_archive, write_archive

members = st.lists(st.tuples(st.text("ab/.", max_size=5), st.binary(max_size=50), st.sampled_from([1, 6])), max_size=4)
OTHER_FORM = "another format|damaged"


def sealed(body: bytes) -> bytes:
    """An archive whose comment was left out, with the digest that belongs to it."""
    body = body[:-2] + b"\x40\0"
    return body + blake2b(body, digest_size=32).hexdigest().encode()


@given(members)
def test_members_are_read_back(made: list[tuple[str, bytes, int]]) -> None:
    found = read_archive(write_archive([pack(*one) for one in made]))
    assert [(one.name.decode(), one.unpack()) for one in found] == [one[:2] for one in made]


@given(members)
def test_zipfile_reads_the_same(made: list[tuple[str, bytes, int]]) -> None:
    data = write_archive([pack(*one) for one in {one[0]: one for one in made}.values()])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {name: raw for name, raw, _ in made}


A, B = (zip_asm.Member(name, name.encode() * 40, zip_asm.DEFLATED) for name in "ab")


def changed(**fields: object) -> zip_asm.Member:
    return zip_asm.Member("b", b"b" * 40, zip_asm.DEFLATED, None, fields, fields)


def test_an_archive_made_by_hand_is_read() -> None:
    assert [one.unpack() for one in read_archive(sealed(zip_asm.zip_file([A, B])))] == [b"a" * 40, b"b" * 40]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "stored": lambda: zip_asm.zip_file([zip_asm.Member("a", b"a" * 40)]),
    "encrypted": lambda: zip_asm.zip_file([changed(flags=1)]),
    "sizes behind the data": lambda: zip_asm.zip_file([changed(flags=8)]),
    "bzip2": lambda: zip_asm.zip_file([changed(method=12)]),
    "extra field": lambda: zip_asm.zip_file([changed(extra=b"\1\0\0\0")]),
    "comment": lambda: zip_asm.zip_file([zip_asm.Member("b", b"", 8, central={"comment": b"c"})]),
    "names that differ": lambda: zip_asm.zip_file([zip_asm.Member("b", b"", 8, central={"name": b"c"})]),
    "sizes that differ": lambda: zip_asm.zip_file([zip_asm.Member("b", b"bb", 8, central={"size": 9})]),
    "checksums that differ": lambda: zip_asm.zip_file([zip_asm.Member("b", b"bb", 8, central={"crc": 9})]),
    "overlap": lambda: zip_asm.zip_file([A, zip_asm.Member("b", b"a" * 40, 8, central={"offset": 0})]),
    "same data twice": lambda: zip_asm.zip_file([A, zip_asm.Member("a", b"a" * 40, 8, b"", central={"offset": 0})]),
    "gap": lambda: zip_asm.zip_file([A, B], between=b"\0"),
    "data before": lambda: b"MZ" + zip_asm.zip_file([A, B]),
    "fewer in the directory": lambda: zip_asm.zip_file([A, B], {"count": 1}),
    "more in the directory": lambda: zip_asm.zip_file([A, B], {"count": 3}),
    "directory elsewhere": lambda: zip_asm.zip_file([A, B], {"start": 0}),
    "other disk": lambda: zip_asm.zip_file([A, B], {"disk": 1}),
    "packed size beyond the end": lambda: zip_asm.zip_file([changed(packed=1 << 31)]),
    "name beyond the end": lambda: zip_asm.zip_file([A])[:-22] + b"PK\3\4" + b"\xff" * 26 + zip_asm.end_record(1, 0, 0),
    "no directory": lambda: zip_asm.end_record(1, 0, 0),
    "nothing": lambda: b"\0\0",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive_of_another_form_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=OTHER_FORM):
        read_archive(sealed(HOSTILE[kind]()))


@pytest.mark.parametrize(
    "member",
    [
        Member(b"a", zlib.crc32(b"aa"), 2, zip_asm.deflated(b"aaa")),
        Member(b"a", zlib.crc32(b"aa"), 4, zip_asm.deflated(b"aaa")),
        Member(b"a", zlib.crc32(b"aab"), 3, zip_asm.deflated(b"aaa")),
        Member(b"a", zlib.crc32(b"aaa"), 3, zip_asm.deflated(b"aaa") + b"\0"),
        Member(b"a", zlib.crc32(b"aaa"), 3, zip_asm.deflated(b"aaa")[:-1]),
        Member(b"a", zlib.crc32(b"aaa"), 3, b"aaa"),
        Member(b"a", 0, 0, b""),
    ],
)
def test_a_member_that_is_not_what_it_claims_is_refused(member: Member) -> None:
    (found,) = read_archive(write_archive([member]))
    with pytest.raises(ValueError, match=r"damaged bytes|wrong length or checksum"):
        found.unpack()
