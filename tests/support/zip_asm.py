"""A small assembler of zip archives, record by record, so that each can lie. Source: PKWARE's APPNOTE.TXT 6.3.10."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DEFLATED", "Member", "deflated", "end_record", "zip_file"]

DEFLATED = 8


@dataclass(frozen=True)
class Member:
    """One member. stored: its bytes in the file, where they are not its data.

    local, central: fields of its two headers that are not what they should be: flags, method, crc, packed, size, name,
    extra, and of the central one offset, disk and comment.
    """

    name: str
    data: bytes
    method: int = 0
    stored: bytes | None = None
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)


def deflated(data: bytes, repeated: int = 0) -> bytes:
    """The data as a zip archive compresses them, and so many MiB of their last byte behind them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    mebibyte = data[-1:] * (1 << 20)
    return packer.compress(data) + b"".join(packer.compress(mebibyte) for _ in range(repeated)) + packer.flush()


def _stored(member: Member) -> bytes:
    if member.stored is not None:
        return member.stored
    return deflated(member.data) if member.method == DEFLATED else member.data


def _fields(member: Member, changed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "flags": 0,
        "method": member.method,
        "crc": zlib.crc32(member.data),
        "packed": len(_stored(member)),
        "size": len(member.data),
        "name": member.name.encode("utf-8", "surrogateescape"),
        "extra": b"",
        "disk": 0,
        "comment": b"",
        **changed,
    }


def _local(member: Member) -> bytes:
    it = _fields(member, member.local)
    fixed = (it["flags"], it["method"], 0, 33, it["crc"], it["packed"], it["size"], len(it["name"]), len(it["extra"]))
    return b"PK\x03\x04" + struct.pack("<5H3L2H", 20, *fixed) + it["name"] + it["extra"]


def _central(member: Member, offset: int) -> bytes:
    it = {**_fields(member, {}), "offset": offset, **member.central}
    fixed = (it["flags"], it["method"], 0, 33, it["crc"], it["packed"], it["size"], len(it["name"]), len(it["extra"]))
    rest = (len(it["comment"]), it["disk"], 0, 0, it["offset"])
    return b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, 20, *fixed, *rest) + it["name"] + it["extra"] + it["comment"]


def end_record(
    count: int, nbytes: int, start: int, *, comment: bytes = b"", comment_length: int | None = None, disk: int = 0
) -> bytes:
    """The record that ends an archive: how many members its directory has, how many bytes, and where it starts."""
    length = len(comment) if comment_length is None else comment_length
    return b"PK\x05\x06" + struct.pack("<4H2LH", disk, disk, count, count, nbytes, start, length) + comment


def zip_file(members: Sequence[Member], end: Mapping[str, Any] | None = None, between: bytes = b"") -> bytes:
    """An archive. end: arguments of end_record that lie; between: what stands between the directory and its end."""
    body, directory = [], []
    offset = 0
    for member in members:
        directory.append(_central(member, offset))
        body += [_local(member), _stored(member)]
        offset += len(body[-2]) + len(body[-1])
    central = b"".join(directory)
    record = {"count": len(members), "nbytes": len(central), "start": offset, **(end or {})}
    return b"".join(body) + central + between + end_record(**record)
