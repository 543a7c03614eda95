"""PyTorch: a pickle that describes tensors, and the storages that they are views of, in a zip archive or in a row.

Source: torch/serialization.py and caffe2/serialize/inline_container.h of PyTorch 2.13. Three layouts are read: the zip
archive of torch.save since 1.6, that of TorchScript, and the concatenated pickles before 1.6. torch is never imported;
the pickle is interpreted (pickles.py), not loaded, and nothing in it is ever run.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.errors import CheckpointError, UnknownFormatError
from wcx.formats.format import CheckName, FileContent, FileHead, Format, Match, describe_file
from wcx.formats.pytorch.archives import read_archive
from wcx.formats.pytorch.legacy import MAGIC_NUMBER, read_pickles
from wcx.formats.pytorch.listing import list_tensors, overlap_note
from wcx.formats.pytorch.pickle_file import BINARY_PICKLES, PickleFile
from wcx.formats.pytorch.visit import Contents
from wcx.formats.sources import open_file
from wcx.formats.unsupported import DISTRIBUTED

__all__ = ["FORMAT", "PRODUCER", "read_file"]

PRODUCER = "PyTorch"

_MAGIC_TEXTS = (MAGIC_NUMBER.to_bytes(10, "little"), b"L%dL" % MAGIC_NUMBER)
_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pkl")
_TEXT_PICKLES = (b"(", b"c", b"]", b"}", b"I", b"S", b"V")
_ZIP = b"PK\x03\x04"


def sniff(ends: FileHead) -> Match:
    """Recognise a zip archive with a data.pkl, the magic number of old files, or any pickle; never raises."""
    head = ends.head
    if head.startswith(_ZIP):
        return _sniff_zip(ends)
    if any(text in head[:64] for text in _MAGIC_TEXTS):
        return Match.MAGIC
    if head.startswith(BINARY_PICKLES):
        return Match.STRUCTURE
    named = ends.name.lower().endswith(_SUFFIXES)
    return Match.SUFFIX if named and head.startswith(_TEXT_PICKLES) else Match.NO


def _sniff_zip(ends: FileHead) -> Match:
    if b"/archive_format" in ends.tail and b"/archive_version" in ends.tail:
        return Match.NO  # of torch.export, which has files of torch.save inside
    if b"/.data/extern_modules" in ends.tail or b"/data.pkl" in ends.head or b"/data.pkl" in ends.tail:
        return Match.MAGIC
    first = ends.head[:1024]  # shows the kind of a truncated archive
    of_torch = b"/byteorder" in first or b"/.data/serialization_id" in first or b"/data/0" in first
    return Match.STRUCTURE if of_torch else Match.NO


def open_checkpoint(path: str) -> Checkpoint:
    """Describe the PyTorch file at `path`; CheckpointError where it is damaged, malicious, or has no tensors."""
    if path.endswith(".distcp"):
        raise UnknownFormatError(path, DISTRIBUTED)
    content = read_file(path)
    return describe_file(path, "pytorch", content, producer=None if content.version == "pickle" else PRODUCER)


def read_file(path: str, file: int = 0, check_name: CheckName | None = None) -> FileContent:
    """Read the description of one file without reading its tensors; `file` is the index that they get.

    check_name: called with every name of every tensor.
    """
    with open_file(path) as opened, _no_collection():
        read = read_archive if opened.read(0, min(4, opened.nbytes)) == _ZIP else read_pickles
        found, version = read(PickleFile(opened))
    tensors = list_tensors(found.tensors, file)
    if not tensors:
        raise CheckpointError(path, _no_tensors(found))
    if check_name is not None:
        for name in (name for tensor in tensors for name in (tensor.name, *tensor.aliases)):
            check_name(name)
    return FileContent(opened.signature, tensors, found.metadata, tuple(_notes(found, tensors)), version)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disable the search for cycles, which takes a third of the time where a pickle has a million objects.

    At the end free the values in cycles: all are young, so that older objects need no search.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    except CheckpointError as error:
        _free_values(error)
        raise
    finally:
        if enabled:
            gc.enable()
        gc.collect(0)


def _free_values(error: BaseException | None) -> None:
    """Free the values that the frames of an error hold, which lives on until it is reported."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


def _no_tensors(found: Contents) -> str:
    if found.unopened:
        return "its tensors were pickled by pickle.dump, which wcx does not open: save it again with torch.save"
    return "a pickle without PyTorch tensors (scikit-learn, a tokenizer, settings?): name the file with the weights"


def _notes(found: Contents, tensors: tuple[TensorInfo, ...]) -> Iterator[str]:
    overlap = overlap_note(tensors)
    if overlap:
        yield overlap
    if found.unopened:
        yield f"{found.unopened} tensors are left out: they were pickled by pickle.dump, which wcx does not open"


FORMAT = Format("pytorch", _SUFFIXES, sniff, open_checkpoint)
