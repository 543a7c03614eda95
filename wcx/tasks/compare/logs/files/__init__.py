"""Training logs as rows, in any of several formats; the content of a file, not its suffix, decides the format.

A log is hostile until read: sizes are bounded, nothing is evaluated, and a row that can't be read is left out and
counted, never guessed. Nothing here knows which column counts steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wcx.core.files import open_regular, read_extent
from wcx.tasks.compare.logs.files.delimited import read_delimited
from wcx.tasks.compare.logs.files.json_document import is_one_value, read_document
from wcx.tasks.compare.logs.files.json_lines import read_lines
from wcx.tasks.compare.logs.files.reading import KINDS, Lines, LogFile, Row

_MAX_NBYTES = 256 << 20
_HEAD = 1 << 16
_PYTHON = re.compile(r"(?:^|\r)[ \t]*+\[?\{[ \t]*+'", re.MULTILINE)  # a line of print({'loss': 0.5})
_LOGGED = re.compile(r'^[^{\n]{1,200}\| \{"', re.MULTILINE)  # 2026-01-01 12:00:00 | INFO | train | {"epoch": 1}


def read_rows(file: LogFile) -> Iterator[Row]:
    """Yield the rows of a file in their order; CheckpointError where it is not a training log."""
    with open_regular(file.path, "a training log") as (descriptor, status):
        if status.st_size > _MAX_NBYTES:
            raise file.error(f"{status.st_size:,} bytes exceed the limit of 256 MiB for a training log")
        head = read_extent(descriptor, file.path, 0, min(status.st_size, _HEAD))
        encoding = _encoding(file, head)
        text = head.decode(encoding, "replace")
        first = text.lstrip()[:1]
        if not first:
            raise file.error("the file is empty")
        if _PYTHON.search(text):
            raise file.error("Python, not JSON: use trainer_state.json, which the Trainer saves in each checkpoint")
        if _LOGGED.search(text):
            yield from read_lines(Lines(file, descriptor, encoding), prefixed=True)
            return
        if first == "[" or (first == "{" and is_one_value(Lines(file, descriptor, encoding))):
            yield from read_document(file, descriptor, status.st_size, encoding)
            return
        read = read_lines if first == "{" else read_delimited
        yield from read(Lines(file, descriptor, encoding))


def _encoding(file: LogFile, head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise file.error(f"not a text file: a training log must be {KINDS}")
    return "utf-8-sig"
