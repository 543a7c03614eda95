"""Zip archives in one form only: deflated members without gaps, no dates, and a digest of the file as its comment.

Equal members give equal bytes, and reading accepts these bytes alone: the records of an archive are written again from
its members and compared, so that overlaps, gaps, other flags or names that differ between records are all refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

_LOCAL = Struct("<4s5H3I2H")
_CENTRAL = Struct("<4s6H3I5H2I")
_END = Struct("<4s4H2IH")
_VERSION, _DEFLATED, _DATE = 20, 8, 33  # zip 2.0, method 8, 1980-01-01
_DIGEST = 64  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an archive, still packed. nbytes: its size when unpacked, as the archive claims it."""

    name: bytes
    crc: int
    nbytes: int
    packed: bytes | memoryview

    def unpack(self) -> bytes:
        """Return the content, taking no more memory than `nbytes`; raises ValueError if the claims do not hold."""
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            raw = unpacker.decompress(self.packed, self.nbytes + 1)  # 0 would be no limit
        except zlib.error as error:
            raise ValueError("damaged bytes") from error
        if len(raw) != self.nbytes or not unpacker.eof or unpacker.unused_data or zlib.crc32(raw) != self.crc:
            raise ValueError("packed bytes with a wrong length or checksum")
        return raw


def pack(name: str, raw: bytes, level: int, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> Member:
    """Return a member that holds the bytes, deflated."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return Member(name.encode(), zlib.crc32(raw), len(raw), packer.compress(raw) + packer.flush())


def write_archive(members: Sequence[Member]) -> bytes:
    """Return the bytes of a zip archive of less than 4 GiB."""
    body = _body(members)
    return body + _digest(body)


def read_archive(data: bytes) -> list[Member]:
    """Return the members of an archive of write_archive; raises ValueError for any other bytes."""
    body, members, at = memoryview(data)[:-_DIGEST], list[Member](), 0
    if data[-_DIGEST:] != _digest(body):
        raise ValueError("not a counts file, or a damaged one")
    while len(body) - at > _LOCAL.size and bytes(body[at : at + 4]) == b"PK\3\4":
        *_, crc, packed, nbytes, length, _extra = _LOCAL.unpack_from(body, at)
        start = at + _LOCAL.size + length
        members.append(Member(bytes(body[at + _LOCAL.size : start]), crc, nbytes, body[start : start + packed]))
        at = start + packed
    if _body(members) != body:
        raise ValueError("an archive in another format")
    return members


def _body(members: Sequence[Member]) -> bytes:
    """Return all bytes but the digest."""
    parts, directory, at = [], [], 0
    for member in members:
        sizes = member.crc, len(member.packed), member.nbytes, len(member.name), 0
        record = _VERSION, 0, _DEFLATED, 0, _DATE, *sizes
        parts += [_LOCAL.pack(b"PK\3\4", *record), member.name, member.packed]
        directory += [_CENTRAL.pack(b"PK\1\2", _VERSION, *record, 0, 0, 0, 0, at), member.name]
        at += _LOCAL.size + len(member.name) + len(member.packed)
    nbytes = sum(map(len, directory))
    end = _END.pack(b"PK\5\6", 0, 0, len(members), len(members), nbytes, at, _DIGEST)
    return b"".join([*parts, *directory, end])


def _digest(body: bytes | memoryview) -> bytes:
    return blake2b(body, digest_size=_DIGEST // 2).hexdigest().encode()
