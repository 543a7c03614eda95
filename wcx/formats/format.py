"""The contract of a format: the functions that each gives, and the head and tail that a file is recognised by.

* `sniff` sees the head and tail of any file and answers with a Match; the strongest answer opens the file, whatever its
  name. It never raises and reads nothing.
* `open` describes a checkpoint without reading its weights, or raises CheckpointError with one line that says what is
  wrong, where, and what to do. It reads through `open_file` only and leaves nothing open.
* Files are hostile. Every offset and size is checked against the file before it is used or handed out; nothing is
  allocated by a number that a header states; time and memory are bounded (300 MiB, Python included); nothing is run.
* The description is all that a reader needs: the bytes of a tensor are a run of a file, or a Storage says how they are
  encoded there. A tensor whose values can't be given is listed with the reason, never left out or guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from wcx.core.checkpoint import Checkpoint, Signature, TensorInfo
from wcx.formats.sources import open_file, source_of

_PIECE = 64 << 10


class Match(IntEnum):
    """The certainty of a format that a file is its own; the strongest wins."""

    NO = 0
    SUFFIX = 1
    STRUCTURE = 2
    MAGIC = 3


CheckName = Callable[[str], None]
"""Raises CheckpointError for the name of a tensor that can't be in a file."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """The name of a file, its size, and its first and last bytes (at most 64 KB of each), by which it is recognised."""

    name: str
    nbytes: int
    head: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of one file: its tensors, its plain values as text, notes, and the version of the format."""

    signature: Signature
    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]
    notes: tuple[str, ...] = ()
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """One format: `sniff` never raises, `open` describes a file or raises CheckpointError."""

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[FileHead], Match]
    open: Callable[[str], Checkpoint]


def read_head(path: str) -> FileHead:
    """Read both ends of the file at `path`; CheckpointError where it can't be read."""
    with open_file(path) as file:
        size = min(_PIECE, file.nbytes)
        name = source_of(path).split(path)[1]
        return FileHead(name, file.nbytes, file.read(0, size), file.read(file.nbytes - size, size))


def describe_file(path: str, format_: str, content: FileContent, producer: str | None = None) -> Checkpoint:
    """Return the description of a checkpoint that is one file."""
    directory, name = source_of(path).split(path)
    return Checkpoint(
        path=path,
        format=format_,
        directory=directory,
        files=(name,),
        signatures=(content.signature,),
        metadata=content.metadata,
        tensors=content.tensors,
        notes=content.notes,
        version=content.version,
        producer=producer,
    )
