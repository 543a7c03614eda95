"""The one reader of tensors, for every format: it needs nothing but the description of the checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from wcx.core.checkpoint import Checkpoint, Signature, TensorInfo
from wcx.core.errors import ChangedFileError
from wcx.formats.sources import source_of
from wcx.formats.sources.source import OpenFile
from wcx.formats.storage.reader import StorageReader

_OPEN_FILES = 16  # a model of hundreds of shards must not exhaust the descriptors of the process


@dataclass(slots=True)
class _Borrowed:
    """An open file and the number of reads that are using it: one in use is never closed."""

    file: OpenFile
    users: int = 0


class CheckpointReader:
    """A reader of the tensors of a checkpoint; safe from several threads, holds few files open.

    Files are opened when first read and must still be those whose headers were read (ChangedFileError).
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._source = source_of(checkpoint.directory)
        self._paths = tuple(self._source.join(checkpoint.directory, name) for name in checkpoint.files)
        self._signatures = checkpoint.signatures
        self._open: OrderedDict[int, _Borrowed] = OrderedDict()  # the least recently used first
        self._lock = Lock()
        self._storages = StorageReader()

    def __reduce__(self) -> tuple[type[CheckpointReader], tuple[Checkpoint]]:
        """Pickle as the description, from which another process opens files of its own."""
        return CheckpointReader, (self._checkpoint,)

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file; a later read opens its file again."""
        with self._lock:
            for held in self._open.values():
                held.file.close()
            self._open.clear()

    def read_into(self, tensor: TensorInfo, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of `tensor` from byte `start` on, in C order; CheckpointError where it can't."""
        out = out.cast("B")
        if start < 0 or start + len(out) > tensor.nbytes:
            raise ValueError(f"bytes {start}..{start + len(out)} of a tensor that has {tensor.nbytes}")
        with self._borrow(tensor.file) as file:
            if tensor.storage is None:
                file.read_into(tensor.offset + start, out)
            else:
                self._storages.read_into(file.read_into, file.path, tensor, tensor.storage, start, out)

    def check_unchanged(self) -> None:
        """Raise ChangedFileError if a file has changed since its header was read."""
        for index, path in enumerate(self._paths):
            self._check(index, self._source.signature(path))

    def _check(self, index: int, signature: Signature) -> None:
        if signature != self._signatures[index]:
            raise ChangedFileError(self._paths[index], "the file was changed or replaced while it was read: run again")

    @contextmanager
    def _borrow(self, index: int) -> Iterator[OpenFile]:
        """Yield an open file, which stays open at least until it is given back."""
        with self._lock:
            held = self._open.get(index) or self._add(index)
            self._open.move_to_end(index)
            held.users += 1
        try:
            yield held.file
        finally:
            with self._lock:
                held.users -= 1

    def _add(self, index: int) -> _Borrowed:
        """Open a file, and close the least recently used of those that nobody reads where there are too many."""
        idle = [key for key, held in self._open.items() if not held.users]
        for key in idle[: max(0, len(self._open) + 1 - _OPEN_FILES)]:
            self._open.pop(key).file.close()
        held = _Borrowed(self._source.open(self._paths[index]))
        try:
            self._check(index, held.file.signature)
        except ChangedFileError:
            held.file.close()
            raise
        self._open[index] = held
        return held
