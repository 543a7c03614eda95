"""Files of this machine: regular ones only, opened safely, read at positions.

Weights are never mapped: a file truncated under a map kills the process.
"""

from __future__ import annotations

import os

from wcx.core.checkpoint import Signature
from wcx.core.errors import ChangedFileError, CheckpointError
from wcx.core.files import open_descriptor, read_extent, read_extent_into, signature_of
from wcx.formats.sources.source import Kind


class LocalFile:
    """A regular file of this machine."""

    def __init__(self, path: str) -> None:
        self._descriptor = open_descriptor(path)
        self.path = self.local_path = path
        self.signature = signature_of(os.fstat(self._descriptor))
        self.nbytes = self.signature.nbytes

    def __enter__(self) -> LocalFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def read(self, start: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from byte `start` on."""
        return read_extent(self._descriptor, self.path, start, nbytes)

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` on."""
        read_extent_into(self._descriptor, self.path, start, out)


class LocalSource:
    """The files of this machine."""

    def open(self, path: str) -> LocalFile:
        """Open the regular file at `path`; CheckpointError where there is none."""
        return LocalFile(path)

    def signature(self, path: str) -> Signature:
        """Return the signature of the file at `path` as it is now; ChangedFileError where it is gone."""
        try:
            return signature_of(os.stat(path))
        except OSError as error:
            raise ChangedFileError(path, f"it disappeared while it was read ({error.strerror}): run again") from error

    def kind(self, path: str) -> Kind | None:
        """Return the kind of what has this path, links followed; None where nothing has it."""
        if os.path.isdir(path):
            return "directory"
        if os.path.isfile(path):
            return "file"
        return "other" if os.path.lexists(path) else None

    def list(self, directory: str) -> list[str]:
        """Return the names in a directory; CheckpointError where it can't be listed."""
        try:
            return os.listdir(directory)
        except OSError as error:
            raise CheckpointError(directory, f"can't list the directory: {error.strerror or error}") from error

    def split(self, path: str) -> tuple[str, str]:
        """Return the directory of a path, `.` where it names none, and the name in it."""
        directory, name = os.path.split(path)
        return directory or ".", name

    def join(self, directory: str, name: str) -> str:
        """Return the path of a name in a directory."""
        return os.path.join(directory, name)

    def check_inside(self, directory: str, name: str) -> None:
        """Raise ValueError where links lead `name` out of `directory`.

        A link is followed only within the directory, or within the same repository of the Hugging Face cache, whose
        snapshots/ are links into its blobs/.
        """
        home = _repository(os.path.realpath(directory))
        target = os.path.realpath(os.path.join(directory, name))
        if os.path.commonpath([home, target]) != home:
            raise ValueError(f"a link that leads out of its directory, to {target}: copy the file here")


def _repository(directory: str) -> str:
    """Return the repository of the Hugging Face cache that a directory is a snapshot of, else the directory."""
    head, _, _tail = directory.rpartition(f"{os.sep}snapshots{os.sep}")
    return head if head and os.path.isdir(os.path.join(head, "blobs")) else directory


SOURCE = LocalSource()
