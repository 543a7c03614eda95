"""Bytes of regular files: safe opening, and positioned reads by several threads. Knows nothing of any format.

Weights are never mapped: a file truncated under a map kills the process. A read goes into memory that the caller
owns; only `read_extent` allocates, and its callers hold the number against the size of the file first.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.errors import ChangedFileError
from wcx.core.files import _failed_read, _open_descriptor, _shorter, signature_of
from wcx.formats.storage.reader import StorageReader

_OPEN_FILES = 16  # a model of hundreds of shards must not exhaust the descriptors of the process


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
