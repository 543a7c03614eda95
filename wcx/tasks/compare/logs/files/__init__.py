"""Training logs as rows, whatever they are written in; what a file is, its content says, not its suffix.

A log is hostile until read: sizes are bounded, nothing is evaluated, and a row that can't be read is left out and
counted, never guessed. What a step is, nothing here knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from wcx.core.files import open_regular, read_extent
from wcx.tasks.compare.logs.files.delimited import read_delimited
from wcx.tasks.compare.logs.files.json_lines import is_one_value, read_document, read_lines
from wcx.tasks.compare.logs.files.reading import KINDS, Cell, Lines, Reading, Row

__all__ = ["Cell", "Reading", "Row", "read_rows"]

_MAX_NBYTES = 256 << 20
_HEAD = 1 << 16


def read_rows(reading: Reading) -> Iterator[Row]:
    """Yield the rows of the file at `reading.path` in their order; CheckpointError where it is no training log."""
    with open_regular(reading.path, "a training log") as (descriptor, status):
        if status.st_size > _MAX_NBYTES:
            raise reading.error(f"a training log of {status.st_size:,} bytes is above the limit of 256 MiB")
        head = read_extent(descriptor, reading.path, 0, min(status.st_size, _HEAD))
        encoding = _encoding(reading, head)
        first = head.decode(encoding, "replace").lstrip()[:1]
        if not first:
            raise reading.error("an empty file")
        if first == "[" or (first == "{" and is_one_value(Lines(reading, descriptor, encoding))):
            yield from read_document(reading, descriptor, status.st_size, encoding)
            return
        read = read_lines if first == "{" else read_delimited
        yield from read(reading, Lines(reading, descriptor, encoding))


def _encoding(reading: Reading, head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise reading.error(f"not a text file; a training log is {KINDS}")
    return "utf-8-sig"
