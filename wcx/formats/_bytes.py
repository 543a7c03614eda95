"""Bytes of regular files: safe opening, and positioned reads by several threads. Knows nothing of any format.

Weights are never mapped: a file truncated under a map kills the process. A read goes into memory that the caller
owns; only `read_extent` allocates, and its callers hold the number against the size of the file first.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock

from wcx.errors import ChangedFileError, CheckpointError
from wcx.formats._storage import StorageReader
from wcx.types import Checkpoint, Signature, TensorInfo

__all__ = ["FileReader", "describe_os_error", "open_regular", "read_extent", "signature_of"]

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
_OPEN_FILES = 16  # a model of hundreds of shards must not exhaust the descriptors of the process

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def open_regular(path: str, wanted: str = "a checkpoint file") -> Iterator[tuple[int, os.stat_result]]:
    """Yield a descriptor of the regular file at `path` and its status; CheckpointError where there is none.

    `wanted` is what a message says should be named instead. Asks what the path is before opening it, since opening a
    pipe waits and opening a device can have effects, and again afterwards, since it may have changed in between.
    """
    descriptor = _open_descriptor(path, wanted)
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _open_descriptor(path: str, wanted: str = "a checkpoint file") -> int:
    try:
        _check_regular(path, os.stat(path), wanted)
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise CheckpointError(path, describe_os_error(path, error)) from error
    try:
        _check_regular(path, os.fstat(descriptor), wanted)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: str, status: os.stat_result, wanted: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "something unknown")
    raise CheckpointError(path, f"{kind}, not a file: name {wanted}")


def describe_os_error(path: str, error: OSError | ValueError) -> str:
    """Say in one line why the file at `path` could not be opened."""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return f"a symbolic link to {os.readlink(path)}, which does not exist"
    if isinstance(error, FileNotFoundError):
        return "no such file or directory"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, ValueError):
        return "not a possible file name (it has a NUL or a character that can't be encoded)"
    if error.strerror == "Too many levels of symbolic links":
        return "symbolic links that lead in a circle"
    return f"can't be read: {error.strerror or error}"


def signature_of(status: os.stat_result) -> Signature:
    """What of a file's status tells that it is still the same."""
    return Signature(nbytes=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)


def read_extent(descriptor: int, path: str, start: int, nbytes: int) -> bytes:
    """Return `nbytes` bytes from byte `start` on; the caller has held both against the size of the file."""
    parts = []
    while nbytes:
        try:
            part = os.pread(descriptor, nbytes, start)
        except OSError as error:
            raise _failed_read(path, error, start) from error
        if not part:
            raise _shorter(path, start)
        parts.append(part)
        start += len(part)
        nbytes -= len(part)
    return b"".join(parts)


def _fill(descriptor: int, path: str, start: int, out: memoryview) -> None:
    """Fill `out` from byte `start` on, however many reads it takes."""
    done = 0
    while done < len(out):
        try:
            count = os.preadv(descriptor, [out[done:]], start + done)
        except OSError as error:
            raise _failed_read(path, error, start + done) from error
        if count == 0:
            raise _shorter(path, start + done)
        done += count


def _failed_read(path: str, error: OSError, offset: int) -> CheckpointError:
    return CheckpointError(path, f"can't be read: {error.strerror or error}", offset)


def _shorter(path: str, offset: int) -> ChangedFileError:
    return ChangedFileError(path, "the file got shorter while it was read: run again once it is complete", offset)


@dataclass(slots=True)
class _OpenFile:
    """A descriptor and how many reads are using it: one in use is never closed."""

    descriptor: int
    users: int = 0


class FileReader:
    """Reads the tensors of a checkpoint; safe from several threads, holds few files open.

    Files are opened when first read and must still be those whose headers were read (ChangedFileError).
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._paths = tuple(os.path.join(checkpoint.directory, name) for name in checkpoint.files)
        self._signatures = checkpoint.signatures
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()  # the least recently used first
        self._lock = Lock()
        self._storages = StorageReader()

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file; a later read opens its file again."""
        with self._lock:
            for held in self._open.values():
                os.close(held.descriptor)
            self._open.clear()

    def read_into(self, tensor: TensorInfo, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of `tensor` from byte `start` on, in C order; CheckpointError where it can't."""
        out = out.cast("B")
        if start < 0 or start + len(out) > tensor.nbytes:
            raise ValueError(f"bytes {start}..{start + len(out)} of a tensor that has {tensor.nbytes}")
        path = self._paths[tensor.file]
        with self._borrow(tensor.file) as descriptor:
            if tensor.storage is None:
                _fill(descriptor, path, tensor.offset + start, out)
            else:
                self._storages.read_into(partial(_fill, descriptor, path), path, tensor, tensor.storage, start, out)

    def check_unchanged(self) -> None:
        """Raise ChangedFileError when a file is no longer the one whose header was read."""
        for file, path in enumerate(self._paths):
            try:
                status = os.stat(path)
            except OSError as error:
                raise ChangedFileError(path, f"gone while it was read ({error.strerror}): run again") from error
            self._check(file, status)
        with self._lock:
            for file, held in self._open.items():
                self._check(file, os.fstat(held.descriptor))

    def _check(self, file: int, status: os.stat_result) -> None:
        if signature_of(status) != self._signatures[file]:
            raise ChangedFileError(self._paths[file], "the file was changed or replaced while it was read: run again")

    @contextmanager
    def _borrow(self, file: int) -> Iterator[int]:
        """Yield the descriptor of a file, which stays open at least until it is given back."""
        with self._lock:
            held = self._open.get(file) or self._add(file)
            self._open.move_to_end(file)
            held.users += 1
        try:
            yield held.descriptor
        finally:
            with self._lock:
                held.users -= 1

    def _add(self, file: int) -> _OpenFile:
        idle = [key for key, held in self._open.items() if not held.users]
        for key in idle[: max(0, len(self._open) + 1 - _OPEN_FILES)]:
            os.close(self._open.pop(key).descriptor)
        held = _OpenFile(_open_descriptor(self._paths[file]))
        try:
            self._check(file, os.fstat(held.descriptor))
        except ChangedFileError:
            os.close(held.descriptor)
            raise
        self._open[file] = held
        return held
