"""Bytes to tensors: one file or folder for each format, recognised by content.

A Checkpoint (a description without data, which pickles) leaves this folder, and a TensorReader that is opened from it.
A new format is one file with a FORMAT in it and one line in FORMATS; format.py holds its contract. Formats read through
sources/ only.
"""

from __future__ import annotations

import os
from dataclasses import replace

from wcx.core.checkpoint import Checkpoint, TensorReader
from wcx.core.errors import CheckpointError, UnknownFormatError
from wcx.core.registry import Registry
from wcx.formats.find import can_give_several, candidates_of, find_checkpoints, has_wildcard
from wcx.formats.format import FileHead, Format, Match, read_head
from wcx.formats.reader import CheckpointReader
from wcx.formats.sources import refuse_remote, source_of
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
    group="wcx.formats",
    accepts=lambda item: isinstance(item, Format),
)


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Describe the checkpoint at `path`: a file of any known format, an index of shards, or a directory with one.

    Reads headers only and keeps nothing open. The content decides the format. Raises CheckpointError, with one
    line that says what the file is and what to do, for everything that can't be read.
    """
    path = os.fspath(path)
    refuse_remote(path)
    kind = source_of(path).kind(path)
    if kind == "directory":
        return _open_directory(path)
    if kind is None and has_wildcard(path):
        raise CheckpointError(path, "no checkpoint matches this pattern")
    return _open_file(path)


def open_reader(checkpoint: Checkpoint) -> TensorReader:
    """Return a reader of the checkpoint's tensors, to be used as a context manager."""
    return CheckpointReader(checkpoint)


def _open_file(path: str) -> Checkpoint:
    ends = read_head(path)
    match, format_ = _recognise(ends)
    if match < Match.STRUCTURE and (known := describe(ends)):
        raise UnknownFormatError(path, known)
    if format_ is None:
        raise UnknownFormatError(path, describe_unknown(ends))
    return format_.open(path)


def _recognise(ends: FileHead) -> tuple[Match, Format | None]:
    """Return the strongest match and its format, the first of equals; None where no format recognises the file."""
    answers = [(format_.sniff(ends), format_) for format_ in FORMATS.values()]
    match, format_ = max(answers, key=lambda answer: answer[0])
    return match, format_ if match else None


def _open_directory(path: str) -> Checkpoint:
    names = candidates_of(path)
    if not names:
        raise CheckpointError(
            path, "no checkpoint in this directory: name a checkpoint, or a directory that contains one"
        )
    if len(names) > 1:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise CheckpointError(path, f"{len(names)} checkpoints in this directory ({shown}): name one of them")
    return replace(_open_file(source_of(path).join(path, names[0])), path=path)
