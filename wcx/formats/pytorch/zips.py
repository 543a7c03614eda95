"""The directory of a zip archive, read strictly: where each member lies, or why the archive is refused.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 (records) and 4.4 (fields), with zip64. Two readers of a zip can see two
different archives (a prefix, a second directory, duplicate names, headers that disagree); whatever allows that
is refused here. The members' own headers are read only for those that are used, by `data_start`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.file_names import check_relative
from wcx.formats.sources.source import OpenFile

STORED = 0
DEFLATED = 8
_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MAGIC = b"PK\x06\x07"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_MAGIC = b"PK\x06\x06"
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_CENTRAL_MAGIC = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_ZIP64 = 1  # the extra field for values of more than 32 bits
_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_SIZES_FOLLOW = 0x0008
_KNOWN_FLAGS = 0x0006 | _SIZES_FOLLOW | 0x0800  # how well deflated, sizes behind the data, names in UTF-8
_MAX_MEMBERS = 200_000
_MAX_DIRECTORY = 32 << 20
_TAIL = (64 << 10) + _END.size


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive: `packed` bytes of it that give `nbytes` once unpacked.

    header: where its own header begins. limit: where the next member or the directory begins. crc32: None where the
    archive gives none (torch.save writes 0 where it computes none).
    """

    name: str
    method: int
    flags: int
    crc32: int | None
    packed: int
    nbytes: int
    header: int
    limit: int


def read_directory(file: OpenFile) -> dict[str, Member]:
    """Return the members of the archive by name, in the order of their data; CheckpointError where it is damaged.

    Folders (members without data whose name ends in a slash) are left out.
    """
    path = file.path
    start, nbytes, count = _find_directory(file)
    text = file.read(start, nbytes)
    entries = sorted(_entries(path, text, start, count), key=attrgetter("header"))
    if entries and entries[0].header != 0:
        raise CheckpointError(path, f"{entries[0].header} extra bytes before the zip archive: download it again", 0)
    return _checked(path, entries, start)


def data_start(file: OpenFile, member: Member) -> int:
    """Return where the data of a member begin; CheckpointError where its own header and the directory disagree."""
    path = file.path
    if member.header + _LOCAL.size > member.limit:
        raise _bad(path, member, "its header overlaps what follows")
    fields = _LOCAL.unpack(file.read(member.header, _LOCAL.size))
    magic, _version, flags, method, _time, _date, crc32, packed, nbytes, name_nbytes, extra_nbytes = fields
    if magic != _LOCAL_MAGIC:
        raise _bad(path, member, "no header at its offset in the zip directory")
    start = int(member.header + _LOCAL.size + name_nbytes + extra_nbytes)
    if start + member.packed > member.limit:
        raise _bad(path, member, "its data overlap what follows")
    rest = file.read(member.header + _LOCAL.size, name_nbytes + extra_nbytes)
    if rest[:name_nbytes] != member.name.encode() or flags != member.flags or method != member.method:
        raise _bad(path, member, "its header disagrees with the zip directory")
    try:
        sizes = _wide((nbytes, packed), rest[name_nbytes:])
    except ValueError as error:
        raise _bad(path, member, str(error)) from None
    _check_sizes(path, member, (crc32, *sizes))
    return start


# --------------------------------------------------------------------------------------------- the end of the archive


def _find_directory(file: OpenFile) -> tuple[int, int, int]:
    """Return where the directory begins, its bytes, and how many members it has."""
    path = file.path
    end = file.nbytes - _END.size
    raw = file.read(end, _END.size) if end >= 0 else b""
    if not raw.startswith(_END_MAGIC) or raw[-2:] != b"\0\0":
        raise CheckpointError(path, _no_end(file))
    _magic, disk, first_disk, here, count, nbytes, start, _comment = _END.unpack(raw)
    stop = end
    locator = file.read(end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if locator.startswith(_LOCATOR_MAGIC):
        stop, wide = _read_end64(file, end, locator)
        narrow = (disk, first_disk, here, count, nbytes, start)
        if any(n not in (w, full) for n, w, full in zip(narrow, wide, _FULL_END, strict=True)):
            raise CheckpointError(path, "the two ends of the zip directory disagree: download it again", end)
        disk, first_disk, here, count, nbytes, start = wide
    if disk or first_disk or here != count:
        raise CheckpointError(path, "a multi-part zip archive, which wcx does not read", end)
    if start + nbytes != stop:
        reason = "the zip directory is not where its end record says: bytes before it are extra or missing"
        raise CheckpointError(path, reason, end)
    if count > _MAX_MEMBERS or nbytes > _MAX_DIRECTORY:
        reason = f"{count} members in a zip directory of {nbytes} bytes: above the limits of {_MAX_MEMBERS} and 32 MiB"
        raise CheckpointError(path, reason, end)
    return start, nbytes, count


_FULL_END = (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32)


def _read_end64(file: OpenFile, end: int, locator: bytes) -> tuple[int, tuple[int, ...]]:
    """Return the position of the zip64 end record, and its fields in the order of the short one."""
    path = file.path
    start = _LOCATOR.unpack(locator)[2]
    if start + _END64.size != end - _LOCATOR.size:
        raise CheckpointError(path, "the zip64 end record is not where its locator says: download it again", end)
    raw = file.read(start, _END64.size)
    if not raw.startswith(_END64_MAGIC) or _END64.unpack(raw)[1] != _END64.size - 12:
        raise CheckpointError(path, "no zip64 end record where its locator says: download it again", start)
    fields = _END64.unpack(raw)
    return start, fields[4:]


def _no_end(file: OpenFile) -> str:
    """Return why there is no end record at the end of the file."""
    nbytes = min(_TAIL, file.nbytes)
    tail = file.read(file.nbytes - nbytes, nbytes)
    found = tail.rfind(_END_MAGIC)
    if found < 0:
        return "truncated: a zip archive without its directory, download it again"
    follow = nbytes - found - _END.size
    if follow < int.from_bytes(tail[found + _END.size - 2 : found + _END.size], "little") or follow <= 0:
        return "truncated: a zip archive whose end is not complete, download it again"
    return f"{follow} bytes follow the end of the zip archive"


# ------------------------------------------------------------------------------------------------------ the members


def _entries(path: str, text: bytes, start: int, count: int) -> Iterator[Member]:
    """Yield the entries of the directory as they are, each checked alone; `limit` is still missing."""
    position = 0
    for _ in range(count):
        try:
            member, nbytes = _entry(text, position)
        except ValueError as error:
            raise CheckpointError(path, f"bad zip directory: {error}", start + position) from None
        yield member
        position += nbytes
    if position != len(text):
        raise CheckpointError(path, f"the zip directory has more than its {count} entries", start + position)


def _entry(text: bytes, position: int) -> tuple[Member, int]:
    """Return one entry and its size; ValueError with what is wrong."""
    if position + _CENTRAL.size > len(text):
        raise ValueError("it has fewer entries than its end record says")
    fields = _CENTRAL.unpack_from(text, position)
    magic, _made, _needed, flags, method, _time, _date, crc32, packed, nbytes = fields[:10]
    name_nbytes, extra_nbytes, comment_nbytes, disk, _internal, _external, header = fields[10:]
    if magic != _CENTRAL_MAGIC:
        raise ValueError("an entry is missing")
    begin = position + _CENTRAL.size
    total = _CENTRAL.size + name_nbytes + extra_nbytes + comment_nbytes
    if position + total > len(text):
        raise ValueError("an entry extends past its end")
    name = _checked_name(text[begin : begin + name_nbytes])
    extra = text[begin + name_nbytes : begin + name_nbytes + extra_nbytes]
    nbytes, packed, header = _wide((nbytes, packed, header), extra)
    _check_how(name, flags, method, packed, nbytes)
    if disk not in (0, _FULL16):
        raise ValueError(f"the member {shortened(name)} is on another disk")
    return Member(name, method, flags, crc32 or None, packed, nbytes, header, 0), total


def _checked_name(raw: bytes) -> str:
    try:
        name = raw.decode()
        check_relative(name.removesuffix("/"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the member {shortened(raw.decode(errors='replace'))} has a name that is not valid UTF-8"
        ) from error
    except ValueError as error:
        raise ValueError(f"the member {shortened(name)} has {error}") from None
    return name


def _check_how(name: str, flags: int, method: int, packed: int, nbytes: int) -> None:
    if flags & _ENCRYPTED:
        raise ValueError(f"the member {shortened(name)} is encrypted")
    if flags & ~_KNOWN_FLAGS:
        raise ValueError(f"the member {shortened(name)} has unknown flags {flags:#06x}")
    if method not in (STORED, DEFLATED):
        raise ValueError(f"the member {shortened(name)} is compressed by method {method}: only deflate is read")
    if method == STORED and packed != nbytes:
        raise ValueError(f"the member {shortened(name)} is stored, but has two different sizes, {packed} and {nbytes}")


def _wide(values: tuple[int, ...], extra: bytes) -> tuple[int, ...]:
    """Replace each value that 32 bits can't hold by the next of the zip64 field, in the order of APPNOTE 4.5.3."""
    if _FULL32 not in values:
        return values
    numbers = iter(_zip64_numbers(extra))
    try:
        return tuple(next(numbers) if value == _FULL32 else value for value in values)
    except (StopIteration, RuntimeError):
        raise ValueError("a size of 4 GiB or more without a zip64 field") from None


def _zip64_numbers(extra: bytes) -> tuple[int, ...]:
    position = 0
    while position + 4 <= len(extra):
        kind, nbytes = struct.unpack_from("<2H", extra, position)
        if kind == _ZIP64:
            if position + 4 + nbytes > len(extra):
                raise ValueError("a zip64 field that extends past its entry")
            return struct.unpack_from(f"<{nbytes // 8}Q", extra, position + 4)
        position += 4 + nbytes
    return ()


def _checked(path: str, entries: list[Member], directory_start: int) -> dict[str, Member]:
    """Return the members by name, none twice, none overlapping the next as far as the directory tells."""
    members: dict[str, Member] = {}
    limits = [*(member.header for member in entries[1:]), directory_start]
    for member, limit in zip(entries, limits, strict=False):  # one limit more than members where there are none
        if member.name in members:
            raise _bad(path, member, "duplicate name in the zip directory")
        if member.header + _LOCAL.size + len(member.name.encode()) + member.packed > limit:
            raise _bad(path, member, "it overlaps what follows, or extends past the archive")
        members[member.name] = replace(member, limit=limit)
    return {name: member for name, member in members.items() if not name.endswith("/")}


def _check_sizes(path: str, member: Member, found: tuple[int, ...]) -> None:
    """Check a member's own checksum and sizes against the directory; zeros mean that they follow later."""
    expected = (member.crc32 or 0, member.nbytes, member.packed)
    for value, wanted in zip(found, expected, strict=True):
        if value != wanted and not (member.flags & _SIZES_FOLLOW and value == 0):
            raise _bad(path, member, "its header disagrees with the zip directory")


def _bad(path: str, member: Member, reason: str) -> CheckpointError:
    return CheckpointError(path, f"the zip member {shortened(member.name)}: {reason}", member.header)
