"""Gathering what a file is recognised by: its first and last 64 KB."""

from __future__ import annotations

import os

from wcx.core.files import open_regular, read_extent
from wcx.formats.format import FileHead

_PIECE = 64 << 10


def gather(path: str) -> FileHead:
    """Read both ends of the file at `path`; CheckpointError where it can't be read."""
    with open_regular(path) as (descriptor, status):
        nbytes = status.st_size
        head = read_extent(descriptor, path, 0, min(_PIECE, nbytes))
        tail = read_extent(descriptor, path, max(0, nbytes - _PIECE), min(_PIECE, nbytes))
    return FileHead(os.path.basename(path), nbytes, head, tail)
