"""The wire format of protobuf, read by position: which fields a message has and where they lie. Knows no schema.

Source: https://protobuf.dev/programming-guides/encoding. A field is a tag (number and wire type) and a variable-length
integer, 4 or 8 bytes, or a length and its bytes. Fields of bytes are only located, never read, so that a message
may be of any size; what small fields hold is asked for by their extent. Groups, which no schema has used since 2008,
are refused, as is everything that is not well formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.sources.source import OpenFile

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""The wire types that are read."""

Extent = tuple[int, int]
"""Positions in the file: of the first byte, and of the one behind the last."""

Field = tuple[int, int, int, int, int]
"""Number, wire type, begin and end of what it holds, and its value where that is a variable-length integer."""

_WINDOW = 16 << 10  # small, since behind every large field a new one is read
_MAX_HEAD = 20  # bytes of a tag and of a length or an integer
_MAX_TAG = (1 << 32) - 1
_MAX_TEXT = 1 << 20
# Measured: a field takes 0.6 us, a message 2 us more. All that may be walked of a file takes about 3 s.
_MAX_WORK = 5_000_000
_WORK_OF_MESSAGE = 4
_MAX_MEMORY = 150_000_000  # kept of a file; with Python and the lists made of it this stays under 300 MiB
_MAX_COUNTED = 1 << 30


class ProtobufFile:
    """A file that is walked: its bytes by position, and how much more of time and memory it may take."""

    def __init__(self, file: OpenFile) -> None:
        self.path = file.path
        self.nbytes = file.nbytes
        self._file = file
        self._window = b""
        self._begin = 0
        self._work = _MAX_WORK
        self._memory = _MAX_MEMORY
        self._counted = 0

    def fields(self, begin: int, end: int, what: str = "message", unread: int = 0) -> Iterator[Field]:
        """Yield the fields of the message at `begin`..`end`; CheckpointError, with the place, where it is damaged.

        unread: the number of a field of 4 bytes that is left out (below 16); runs of it, such as the floats of an
        attribute, which are in the file one by one, are skipped at once.
        """
        passed = bytes([unread << 3 | FIXED32])
        self._spend_work(_WORK_OF_MESSAGE, begin)
        data, base, index, limit, done, start = b"", begin, 0, 0, 0, 0
        try:
            while True:
                if index >= limit:
                    position = base + index
                    if position == end:
                        return
                    self._spend_work(done, position)
                    data, base = self._piece(position, end)
                    index = position - base
                    last = end - base
                    limit = last if last <= len(data) else len(data) - _MAX_HEAD
                    done = 0
                done += 1
                start = index
                tag = data[index]
                index += 1
                if tag > 127:
                    tag, index = varint(data, start)
                if tag < 8 or tag > _MAX_TAG:
                    raise ValueError(f"invalid field number {tag >> 3}")
                wire = tag & 7
                first = base + index
                value = 0
                if wire in (BYTES, VARINT):
                    value = data[index]
                    index += 1
                    if value > 127:
                        value, index = varint(data, index - 1)
                    if wire == BYTES:
                        first = base + index
                        index += value
                        value = 0
                elif wire == FIXED32:
                    index += 4
                    if tag == passed[0]:
                        run = data[start:limit:5]
                        index = start + 5 * (len(run) - len(run.lstrip(passed)))
                        if base + index > end:
                            raise ValueError(self._beyond(end, base + index))
                        continue
                elif wire == FIXED64:
                    index += 8
                else:
                    raise ValueError(f"unsupported wire type {wire}")
                if base + index > end:
                    raise ValueError(self._beyond(end, base + index))
                yield tag >> 3, wire, first, base + index, value
        except IndexError:
            raise self.error(f"damaged {what}: it ends in the middle of a field", base + start) from None
        except ValueError as error:
            raise self.error(f"damaged {what}: {error}", base + start) from None
        finally:
            self._work -= done

    def _beyond(self, end: int, field_end: int) -> str:
        if end == self.nbytes:
            return f"{field_end - end} bytes of a field are missing (truncated: download it again)"
        return f"a field extends {field_end - end} bytes past its end"

    def _piece(self, position: int, end: int) -> tuple[bytes, int]:
        """Return bytes around `position`, at least the head of a field or up to `end`, and their position."""
        have = self._begin + len(self._window)
        if not self._begin <= position or have < min(end, position + _MAX_HEAD + 1):
            nbytes = min(_WINDOW, self.nbytes - position)
            self._window = self._file.read(position, nbytes)
            self._begin = position
        return self._window, self._begin

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes of an extent; the caller has bounded its size."""
        first = begin - self._begin
        if first >= 0 and end - self._begin <= len(self._window):
            return self._window[first : end - self._begin]
        return self._file.read(begin, end - begin)

    def text(self, begin: int, end: int, what: str) -> str:
        """Return the UTF-8 text of an extent."""
        if end - begin > _MAX_TEXT:
            raise self.error(f"{what} of {end - begin} bytes is above the limit of 1 MiB", begin)
        data = self.read(begin, end)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            shown = shortened(data.decode("utf-8", "backslashreplace"))
            raise self.error(f"{what} is not valid UTF-8: {shown}", begin + error.start) from None

    def kept_text(self, begin: int, end: int, what: str) -> str:
        """Return the UTF-8 text of an extent, and take its memory from the budget."""
        text = self.text(begin, end, what)
        self.spend(60 + len(text) * (1 if text.isascii() else 4), begin)
        return text

    def error(self, reason: str, position: int | None = None) -> CheckpointError:
        """Return the error for what is wrong with the file, at a position."""
        return CheckpointError(self.path, reason, position)

    def spend(self, nbytes: int, position: int) -> None:
        """Take memory from the budget; CheckpointError where it is used up."""
        self._memory -= nbytes
        if self._memory < 0:
            raise self.error("it describes more than fits in wcx's memory limit of 300 MiB", position)

    def spend_counted(self, nbytes: int, position: int) -> None:
        """Take bytes whose numbers have to be counted from the budget of time."""
        self._counted += nbytes
        if self._counted > _MAX_COUNTED:
            reason = f"more than {_MAX_COUNTED >> 20} MiB of variable-length integers: save them as raw data"
            raise self.error(reason, position)

    def _spend_work(self, work: int, position: int) -> None:
        self._work -= work
        if self._work < 0:
            raise self.error("it has more fields than wcx reads (a few million): store weights in tensors", position)


def merged_fields(source: ProtobufFile, extents: Sequence[Extent], what: str) -> Iterator[Field]:
    """Yield the fields of a message in several pieces: protobuf merges them."""
    for begin, end in extents:
        yield from source.fields(begin, end, what)


def varint(data: bytes, index: int) -> tuple[int, int]:
    """Read a variable-length integer: its value, below 2^64, and the index behind it; ValueError where it is none.

    >>> varint(bytes([0xac, 0x02]), 0)
    (300, 2)
    """
    value = shift = 0
    while True:
        byte = data[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise ValueError("an integer of more than 10 bytes")
    if value >> 64:
        raise ValueError("an integer above 2^64")
    return value, index


def signed(value: int) -> int:
    """Return the int64 of a variable-length integer.

    >>> signed(2**64 - 1)
    -1
    """
    return value - (1 << 64) if value >> 63 else value


def packed_varints(data: bytes) -> Iterator[int]:
    """Yield the integers of a packed run; ValueError where one is malformed, IndexError where the last does not end."""
    index = 0
    while index < len(data):
        value, index = varint(data, index)
        yield value
