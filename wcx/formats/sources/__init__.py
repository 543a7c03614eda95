"""Sources of the bytes of checkpoints, below every format: one for each scheme of paths."""

from __future__ import annotations

from wcx.core.errors import CheckpointError
from wcx.core.registry import Registry
from wcx.formats.sources.source import OpenFile, Source

__all__ = ["SOURCES", "open_file", "refuse_remote", "source_of"]

SOURCES: Registry[Source] = Registry("source", {"file": "wcx.formats.sources.local:SOURCE"})
"""By scheme; `file` are the files of this machine, whose paths have none."""

_REMOTE = ("http", "https", "hf", "s3", "gs", "ftp")


def source_of(path: str) -> Source:
    """Return the source that the scheme of a path names; that of local files for any other path."""
    scheme = _scheme(path)
    return SOURCES[scheme if scheme in SOURCES else "file"]


def open_file(path: str) -> OpenFile:
    """Open the file at `path` in its source; CheckpointError where it can't be read."""
    return source_of(path).open(path)


def refuse_remote(path: str) -> None:
    """Raise CheckpointError for a path that can't be one of a known source."""
    if path == "-":
        raise CheckpointError(path, "standard input is not seekable: save it to a file first")
    scheme = _scheme(path)
    if scheme in _REMOTE and scheme not in SOURCES:
        raise CheckpointError(path, "wcx reads local files only: download it first")


def _scheme(path: str) -> str:
    scheme, separator, _rest = path.partition("://")
    return scheme.lower() if separator else ""
