"""Bytes to tensors: one file a format, recognised by content. Files with a leading underscore are shared helpers.

What leaves this folder is a Checkpoint (a description without data) and a TensorReader. A new format is one file with
a FORMAT in it and one line in FORMATS.
"""

from __future__ import annotations

import os
from dataclasses import replace

from wcx.core.checkpoint import Checkpoint, TensorReader
from wcx.core.errors import CheckpointError, UnknownFormatError
from wcx.core.registry import Registry
from wcx.formats.evidence import gather
from wcx.formats.find import can_give_several, candidates_of, find_checkpoints, has_wildcard
from wcx.formats.format import FileHead, Format, Match
from wcx.formats.unsupported import describe, describe_unknown

__all__ = ["FORMATS", "can_give_several", "find_checkpoints", "open_checkpoint", "open_reader"]

FORMATS: Registry[Format] = Registry(
    "format",
    {
        "safetensors": "wcx.formats.safetensors:FORMAT",
        "sharded": "wcx.formats.sharded:FORMAT",
        "pytorch": "wcx.formats.pytorch:FORMAT",
        "onnx": "wcx.formats.onnx:FORMAT",
    },
)
_REMOTE = ("http://", "https://", "hf://", "s3://", "gs://", "ftp://")


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Describe the checkpoint at `path`: a file of any known format, an index of shards, or a directory with one.

    Reads headers only and keeps nothing open. The format is told by the content. Raises CheckpointError, with one
    line that says what the file is and what to do, for everything that can't be read.
    """
    path = os.fspath(path)
    _refuse_remote(path)
    if os.path.isdir(path):
        return _open_directory(path)
    if not os.path.lexists(path) and has_wildcard(path):
        raise CheckpointError(path, "no checkpoint matches this pattern")
    return _open_file(path)


def open_reader(checkpoint: Checkpoint) -> TensorReader:
    """Return a reader of the checkpoint's tensors, to be used as a context manager."""
    return FORMATS[checkpoint.format].reader(checkpoint)


def _open_file(path: str) -> Checkpoint:
    ends = gather(path)
    match, found = _recognise(ends)
    if match < Match.STRUCTURE and (known := describe(ends)):
        raise UnknownFormatError(path, known)
    if found is None:
        raise UnknownFormatError(path, describe_unknown(ends))
    return found.open(path)


def _recognise(ends: FileHead) -> tuple[Match, Format | None]:
    """The format with the strongest match, the first of equals."""
    answers = [(format_.sniff(ends), format_) for format_ in FORMATS.values()]
    match, found = max(answers, key=lambda answer: answer[0])
    return match, found if match else None


def _open_directory(path: str) -> Checkpoint:
    try:
        names = candidates_of(path)
    except OSError as error:
        raise CheckpointError(path, f"can't list the directory: {error.strerror or error}") from error
    if not names:
        raise CheckpointError(path, "no checkpoint in this directory: name one, or a directory that has one")
    if len(names) > 1:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise CheckpointError(path, f"{len(names)} checkpoints in this directory ({shown}): name one of them")
    found = _open_file(os.path.join(path, names[0]))
    return replace(found, path=path)


def _refuse_remote(path: str) -> None:
    if path == "-":
        raise CheckpointError(path, "standard input can't be read at positions: save it to a file first")
    if path.lower().startswith(_REMOTE):
        raise CheckpointError(path, "wcx reads local files only: download it first")
