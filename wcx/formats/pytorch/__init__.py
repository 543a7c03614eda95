"""PyTorch: a pickle that describes tensors, and the storages that they are views of, in a zip archive or in a row.

Source: torch/serialization.py and caffe2/serialize/inline_container.h of PyTorch 2.13. Three layouts are read: the zip
archive of torch.save since 1.6, that of TorchScript, and the concatenated pickles before 1.6. torch is never imported;
the pickle is interpreted (pickles.py), not loaded, and nothing in it is ever run.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.errors import CheckpointError, UnknownFormatError
from wcx.core.text import shortened
from wcx.formats.format import FileContent, FileHead, Format, Match, describe_file
from wcx.formats.pytorch.inert import Dict
from wcx.formats.pytorch.listing import list_tensors, overlap_note
from wcx.formats.pytorch.pickles import MAX_OPCODES, Pickle, read_pickle
from wcx.formats.pytorch.storages import LegacyStorages, ZipStorages
from wcx.formats.pytorch.streams import DeflatedStream, RawStream, Stream
from wcx.formats.pytorch.tensors import Storages
from wcx.formats.pytorch.visit import Contents, visit
from wcx.formats.pytorch.zips import DEFLATED, Member, data_start, read_directory
from wcx.formats.sources import open_file
from wcx.formats.sources.source import OpenFile
from wcx.formats.unsupported import DISTRIBUTED

__all__ = ["FORMAT", "PRODUCER", "read_file", "sniff"]

PRODUCER = "PyTorch"

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_MAGIC_TEXTS = (_MAGIC_NUMBER.to_bytes(10, "little"), b"L%dL" % _MAGIC_NUMBER)
_PROTOCOL_VERSION = 1001
_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pkl")
_BINARY_PICKLES = tuple(bytes((0x80, version)) for version in (2, 3, 4, 5))
_TEXT_PICKLES = (b"(", b"c", b"]", b"}", b"I", b"S", b"V")
_MAX_VERSION = 10  # kMaxSupportedFileFormatVersion
_LEAST_PICKLE = 3  # bytes of an empty one
_MAX_RECORD = 1000  # bytes of `byteorder`, `version`


def sniff(ends: FileHead) -> Match:
    """Recognise a zip archive with a data.pkl, the magic number of old files, or any pickle; never raises."""
    head = ends.head
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(ends)
    if any(text in head[:64] for text in _MAGIC_TEXTS):
        return Match.MAGIC
    if head.startswith(_BINARY_PICKLES):
        return Match.STRUCTURE
    named = ends.name.lower().endswith(_SUFFIXES)
    return Match.SUFFIX if named and head.startswith(_TEXT_PICKLES) else Match.NO


def _sniff_zip(ends: FileHead) -> Match:
    if b"/archive_format" in ends.tail and b"/archive_version" in ends.tail:
        return Match.NO  # of torch.export, which has files of torch.save inside
    if b"/.data/extern_modules" in ends.tail:
        return Match.MAGIC
    if b"/data.pkl" in ends.head or b"/data.pkl" in ends.tail:
        return Match.MAGIC
    first = ends.head[:1024]  # what a truncated archive can be told by
    of_torch = b"/byteorder" in first or b"/.data/serialization_id" in first or b"/data/0" in first
    return Match.STRUCTURE if of_torch else Match.NO


def open_checkpoint(path: str) -> Checkpoint:
    """Describe the PyTorch file at `path`; CheckpointError where it is damaged, malicious, or has no tensors."""
    if path.endswith(".distcp"):
        raise UnknownFormatError(path, DISTRIBUTED)
    content = read_file(path)
    return describe_file(path, "pytorch", content, producer=None if content.version == "pickle" else PRODUCER)


def read_file(path: str, file: int = 0) -> FileContent:
    """Read what one file says without reading its tensors; `file` is the index that they get."""
    with open_file(path) as opened, _no_collection():
        source = _PickleFile(opened)
        if opened.read(0, min(4, opened.nbytes)) == b"PK\x03\x04":
            found, version = _read_zip(source)
        else:
            found, version = _read_pickles(source)
    tensors = list_tensors(found.found, file)
    if not tensors:
        raise CheckpointError(path, _no_tensors(found))
    return FileContent(opened.signature, tensors, found.metadata, _notes(found, tensors), version)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disable the search for cycles, which takes a third of the time where a pickle has a million objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(slots=True)
class _PickleFile:
    """An open file; opcodes: the number that its pickles may still have, all together."""

    file: OpenFile
    opcodes: int = MAX_OPCODES

    @property
    def path(self) -> str:
        return self.file.path

    def pickle(self, start: int) -> Pickle:
        """Interpret the pickle at a byte of the file."""
        return self.interpret(RawStream(self.file, start, self.file.nbytes - start))

    def interpret(self, stream: Stream) -> Pickle:
        """Interpret the pickle that a stream begins with."""
        found = read_pickle(stream, self.path, self.opcodes)
        self.opcodes -= found.opcodes
        return found


def _no_tensors(found: Contents) -> str:
    if found.unopened:
        return "its tensors were pickled by pickle.dump, which wcx does not open: save it again with torch.save"
    return "a pickle without PyTorch tensors (scikit-learn, a tokenizer, settings?): name the file with the weights"


def _notes(found: Contents, tensors: tuple[TensorInfo, ...]) -> tuple[str, ...]:
    notes = [overlap_note(tensors)]
    if found.unopened:
        notes.append(f"{found.unopened} tensors left out: pickled by pickle.dump inside this file, which is not opened")
    return tuple(note for note in notes if note)


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Name the file in which the walk finds an error."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(path, str(error)) from error


# ------------------------------------------------------------------------------------------------- the zip archives


def _read_zip(source: _PickleFile) -> tuple[Contents, str]:
    members = read_directory(source.file)
    if package := _package_root(members):
        return _read_package(source, members, package)
    root = _root(source.path, members)
    big_endian = _is_big_endian(source, members, root)
    version = _version(source, members, root)
    is_script = f"{root}/constants.pkl" in members

    def storages(folder: str) -> Storages:
        return ZipStorages(source.file, members, f"{root}/{folder}/", big_endian=big_endian)

    value = _read_member(source, members[f"{root}/data.pkl"])
    with _at(source.path):
        found = visit(value.value, storages("data"), plain=not is_script)
        if is_script:
            constants = _read_member(source, members[f"{root}/constants.pkl"])
            more = visit(constants.value, storages("constants"), "constants", source="TorchScript constant")
            found.add(more)
    return found, f"{'TorchScript' if is_script else 'zip'} {version}".strip()


def _package_root(members: dict[str, Member]) -> str:
    """Return the folder of a torch.package archive; the empty text where the archive is none."""
    mark = "/.data/extern_modules"
    return next((name.removesuffix(mark) for name in members if name.endswith(mark)), "")


def _read_package(source: _PickleFile, members: dict[str, Member], root: str) -> tuple[Contents, str]:
    """Read the objects that torch.package has pickled, and its TorchScript; names begin with the object's."""
    big_endian = _is_big_endian(source, members, root)
    storages = ZipStorages(source.file, members, f"{root}/.data/", big_endian=big_endian, suffix=".storage")
    found = Contents()
    for name, member in members.items():
        inside = name.removeprefix(f"{root}/")
        if not _is_pickled_object(source, member, inside):
            continue
        prefix = inside.removeprefix(".data/").removesuffix("/data.pkl").removesuffix(".pkl").replace("/", ".")
        script = inside.startswith(".data/")
        content = _read_member(source, member)
        with _at(source.path):
            walked = visit(content.value, storages, prefix, source="TorchScript" if script else None, plain=not script)
            found.add(walked)
    return found, f"package {_version(source, members, root)}".strip()


def _is_pickled_object(source: _PickleFile, member: Member, inside: str) -> bool:
    """Return True for a pickle: TorchScript's, or any outside of .data that begins like one."""
    if inside.startswith(".data/"):
        return inside.startswith(".data/ts_code/") and inside.endswith(("/data.pkl", "/constants.pkl"))
    if inside.endswith(".py") or member.nbytes < _LEAST_PICKLE:
        return False
    return next(iter(_stream_of(source, member).read, b""), b"")[:2] in _BINARY_PICKLES


def _root(path: str, members: dict[str, Member]) -> str:
    """Return the folder that the archive's content is in: the one with a data.pkl."""
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise CheckpointError(path, f"{len(roots)} folders with a data.pkl in one archive: it is two files in one")
    raise CheckpointError(path, "no data.pkl in this zip archive: torch.save broke off, or another program packed it")


def _version(source: _PickleFile, members: dict[str, Member], root: str) -> str:
    """Return the version of the format, which the oldest archives do not give."""
    version = (_record(source, members, f"{root}/version") or _record(source, members, f"{root}/.data/version")).strip()
    if version and not (version.isdecimal() and int(version) <= _MAX_VERSION):
        reason = f"its version is {shortened(version)}: wcx knows the versions of PyTorch's format up to {_MAX_VERSION}"
        raise CheckpointError(source.path, reason)
    return version


def _is_big_endian(source: _PickleFile, members: dict[str, Member], root: str) -> bool:
    order = _record(source, members, f"{root}/byteorder").strip()
    if order not in ("", "little", "big"):
        raise CheckpointError(source.path, "its byteorder is neither little nor big")
    return order == "big"


def _record(source: _PickleFile, members: dict[str, Member], name: str) -> str:
    """Return a short text of the archive; the empty text where there is none."""
    member = members.get(name)
    if member is None:
        return ""
    if member.nbytes > _MAX_RECORD:
        raise CheckpointError(source.path, f"the zip member {shortened(name)} should be a short text", member.header)
    stream = _stream_of(source, member)
    return b"".join(iter(stream.read, b"")).decode("ascii", "replace")


def _read_member(source: _PickleFile, member: Member) -> Pickle:
    stream = _stream_of(source, member)
    found = source.interpret(stream)
    if found.nbytes != member.nbytes:
        reason = f"{member.nbytes - found.nbytes} bytes follow the end of the pickle in {shortened(member.name)}"
        raise CheckpointError(source.path, reason, member.header)
    return found


def _stream_of(source: _PickleFile, member: Member) -> Stream:
    start = data_start(source.file, member)
    if member.method == DEFLATED:
        return DeflatedStream(source.file, start, member.packed, member.nbytes, member.crc32)
    return RawStream(source.file, start, member.nbytes, member.crc32)


# --------------------------------------------------------------------------------------------- pickles in a sequence


def _read_pickles(source: _PickleFile) -> tuple[Contents, str]:
    """Read the layout before 1.6: magic number, version, system, the object, the storages' keys, the storages."""
    first = source.pickle(0)
    if first.value != _MAGIC_NUMBER:
        return _read_bare(source, first), "pickle"
    position = first.nbytes
    version = source.pickle(position)
    if version.value != _PROTOCOL_VERSION:
        raise CheckpointError(source.path, f"an unknown version of PyTorch's format, not {_PROTOCOL_VERSION}", position)
    position += version.nbytes
    system = source.pickle(position)
    if not isinstance(system.value, Dict):
        raise CheckpointError(source.path, "damaged: no description of the system that wrote it", position)
    position += system.nbytes
    content = source.pickle(position)
    position += content.nbytes
    keys = source.pickle(position)
    if not isinstance(keys.value, list) or not all(isinstance(key, (str, int)) for key in keys.value):
        raise CheckpointError(source.path, "damaged: no list of storages behind the pickle", position)
    position += keys.nbytes
    storages = LegacyStorages(source.file, keys.value, content.persistent, position)
    with _at(source.path):
        return visit(content.value, storages), f"legacy {_PROTOCOL_VERSION}"


def _read_bare(source: _PickleFile, content: Pickle) -> Contents:
    """Read a pickle alone, which has no storages; NumPy arrays may be in it."""
    follow = source.file.nbytes - content.nbytes
    if follow:
        reason = f"{follow} bytes follow the end of the pickle: it is no file of torch.save"
        raise CheckpointError(source.path, reason, content.nbytes)
    storages = LegacyStorages(source.file, [], (), content.nbytes)
    with _at(source.path):
        return visit(content.value, storages)


FORMAT = Format("pytorch", _SUFFIXES, sniff, open_checkpoint)
