"""The contract of a source: where the bytes of checkpoints come from, below every format.

A source gives files by their paths. A path is text: on this machine as the user writes it, elsewhere with the source's
scheme in front (`mem://model/weights.pt`), so that what a Checkpoint names can be opened again by anyone who has it.

* `open` raises CheckpointError for all but readable files, before any of it is read.
* A read is positioned and whole: it gives exactly the bytes that are wanted, or raises CheckpointError
  (ChangedFileError where the file got shorter). Several threads read one file at once.
* `read` allocates what it returns, so its callers check the number of bytes against `nbytes` first.
* A signature is equal as long as the file is the same. It is taken when a file is opened.
* `kind` never raises; `list` raises CheckpointError.
* Nothing here knows a format.
"""

from __future__ import annotations

from typing import Literal, Protocol

from wcx.core.checkpoint import Signature

Kind = Literal["file", "directory", "other"]
"""Other: what has a name and can't be read, such as a pipe, or a link that leads nowhere."""


class OpenFile(Protocol):
    """One open file; a context manager that closes it. `nbytes` and `signature` are those of its opening."""

    path: str
    nbytes: int
    signature: Signature
    local_path: str | None  # where libraries of this machine can open it too

    def __enter__(self) -> OpenFile: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None:
        """Close the file; nothing is read from it afterwards."""

    def read(self, start: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from byte `start` on."""

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` on."""


class Source(Protocol):
    """A place that holds files under paths."""

    def open(self, path: str) -> OpenFile:
        """Open the file at `path`."""

    def signature(self, path: str) -> Signature:
        """Return the signature of the file at `path` as it is now; ChangedFileError where it is gone."""

    def kind(self, path: str) -> Kind | None:
        """Return the kind of what has this path; None where nothing has it."""

    def list(self, directory: str) -> list[str]:
        """Return the names in a directory, in any order."""

    def split(self, path: str) -> tuple[str, str]:
        """Return the directory of a path and the name in it."""

    def join(self, directory: str, name: str) -> str:
        """Return the path of a name in a directory."""

    def check_inside(self, directory: str, name: str) -> None:
        """Raise ValueError, saying why, where links lead `name` out of `directory`."""
