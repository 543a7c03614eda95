"""The guard of what a run writes: nothing is written over a file that the same run reads, or writes elsewhere.

Files are compared by device and inode, so that neither names nor links hide them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from wcx.core.errors import UsageError

_Identity = tuple[int, int, str]


class _Guard:
    """The files of the runs of this process: those that were read, and the option that claims each one to write."""

    def __init__(self) -> None:
        self.runs = 0
        self.read: set[_Identity] = set()
        self.claims: dict[_Identity, str] = {}
        self.lock = Lock()


_GUARD = _Guard()


@contextmanager
def guarded() -> Iterator[None]:
    """Remember what is read and written until the end of the block; blocks within it, or in other threads, share it."""
    with _GUARD.lock:
        _GUARD.runs += 1
    try:
        yield
    finally:
        with _GUARD.lock:
            _GUARD.runs -= 1
            if not _GUARD.runs:
                _GUARD.read.clear()
                _GUARD.claims.clear()


def note_read(path: str, status: os.stat_result) -> None:
    """Remember that a regular file is read; UsageError where it is claimed to be written."""
    if not _GUARD.runs:
        return
    identity = (status.st_dev, status.st_ino, "")
    with _GUARD.lock:
        _GUARD.read.add(identity)
        claimed = _GUARD.claims.get(identity)
    if claimed is not None:
        raise _overwrites(claimed, path)


def claim(path: str, label: str) -> None:
    """Raise UsageError where `path` is read by this run, or claimed by another option; raise OSError.

    label: the option and its value, for messages. Pipes and devices are free to all.
    """
    identity = _identity(path)
    if identity is None or not _GUARD.runs:
        return
    with _GUARD.lock:
        claimed = _GUARD.claims.setdefault(identity, label)
        is_read = identity in _GUARD.read
    if is_read:
        raise _overwrites(label, path)
    if claimed != label:
        raise UsageError(f"{label}: the same file as {claimed}: choose another name")


def _identity(path: str) -> _Identity | None:
    """Return the identity of a regular file, None for another kind; a new one has that of its directory, and a name."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        directory, name = os.path.split(os.path.realpath(path))
        status = os.stat(directory)
        return status.st_dev, status.st_ino, name
    return (status.st_dev, status.st_ino, "") if stat.S_ISREG(status.st_mode) else None


def _overwrites(label: str, path: str) -> UsageError:
    name = "" if label.endswith(f" {path}") else f" ({path})"
    return UsageError(f"{label}: would be written over what is read{name}: choose another name")
