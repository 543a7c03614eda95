"""safetensors: 8 bytes of header length, a JSON header, and the tensors' bytes without gaps.

Source: https://github.com/huggingface/safetensors#format and its library, which validates every file here. wcx reads
the header itself before, for three reasons: the library accepts duplicate names, it takes gigabytes for some headers
of 100 MB, and its errors do not say where. Tensor bytes are read by offset, since the library's NumPy side can't give
BF16, FP8, FP6 or FP4. Only headers are read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.file_names import series_of
from wcx.formats.format import CheckName, FileContent, FileHead, Format, Match, describe_file
from wcx.formats.json_walker import JsonError, JsonWalker
from wcx.formats.roles import role_of
from wcx.formats.sources import open_file, source_of
from wcx.formats.sources.source import OpenFile

DTYPE_NAMES = tuple(name for name in DTYPES if name not in ("I4", "U4", "I2", "U2", "C32", "C128", "STRING"))
"""The dtypes that safetensors 0.8 knows."""

_LENGTH = 8  # bytes that hold the header's length
_MAX_HEADER = 100_000_000  # the format's limit
_MAX_RANK = 64  # NumPy's limit
_MAX_NUMBER = 1 << 63
_MAX_BITS = 1 << 66
_METADATA = "__metadata__"
_BITS = {name: DTYPES[name].bits for name in DTYPE_NAMES}
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})
_DESCRIPTION = 'an object of "dtype", "shape" and "data_offsets"'
# What the library and the lists below take in memory, measured; together with Python itself it stays under 300 MiB.
_BUDGET = 190_000_000
_COST_TENSOR = 1200
_COST_DIMENSION = 40
_COST_METADATA = 450
_MAX_METADATA = 16 << 20


_Entry = tuple[int, int, str, str, tuple[int, ...]]  # begin and end in the data, name, dtype, shape


@dataclass(slots=True)
class _Draft:
    """The part of a header that has been read so far, and what it may take in memory."""

    cost: int
    entries: list[_Entry] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    def spend(self, cost: int, position: int) -> None:
        self.cost += cost
        if self.cost > _BUDGET:
            raise JsonError("the header describes more than fits in wcx's memory limit of 300 MiB", position)


def sniff(ends: FileHead) -> Match:
    """Recognise a header length that fits the file and the '{' behind it; never raises."""
    nbytes = int.from_bytes(ends.head[:_LENGTH], "little")
    if ends.head[_LENGTH : _LENGTH + 1] == b"{" and nbytes <= _MAX_HEADER:
        return Match.MAGIC if _LENGTH + nbytes <= ends.nbytes else Match.STRUCTURE
    return Match.SUFFIX if ends.name.endswith(".safetensors") else Match.NO


def open_checkpoint(path: str) -> Checkpoint:
    """Describe the safetensors file at `path`; CheckpointError where it is damaged."""
    return describe_file(path, "safetensors", replace(read_file(path), notes=_notes(source_of(path).split(path)[1])))


def _notes(name: str) -> tuple[str, ...]:
    series = series_of(name)
    if series is None or series[1] == 1:
        return ()
    return (f"one shard of {series[1]}: for the whole model, name its index.json or the directory",)


def read_file(path: str, file: int = 0, check_name: CheckName | None = None) -> FileContent:
    """Read and check the header of one file; `file` is the index that its tensors get.

    check_name: called with the name of every tensor, before the next is read.

    Tensors come in the order of their data, those at one offset in the order of the header.
    """
    with open_file(path) as opened:
        text = _read_text(opened)
    draft = _parse(path, text, check_name)
    begin = _LENGTH + len(text)
    del text
    _check_extents(path, draft.entries, opened.nbytes - begin, begin)
    _check_with_library(opened)
    return FileContent(opened.signature, _tensors(draft.entries, begin, file), draft.metadata)


def _read_text(file: OpenFile) -> bytes:
    """Return the header's JSON text, checked against the file's size before it is read."""
    path = file.path
    if file.nbytes < _LENGTH + 2:
        raise CheckpointError(path, f"{file.nbytes} bytes are too few for a safetensors file: download it again", 0)
    nbytes = int.from_bytes(file.read(0, _LENGTH), "little")
    if nbytes > _MAX_HEADER:
        raise CheckpointError(path, f"not a safetensors file: header length {nbytes} is above 100 MB", 0)
    if _LENGTH + nbytes > file.nbytes:
        reason = f"the header should have {nbytes} bytes, but the file has {file.nbytes}: download it again"
        raise CheckpointError(path, reason, 0)
    if nbytes < 2 or file.read(_LENGTH, 1) != b"{":
        raise CheckpointError(path, "not a safetensors file: no JSON object after the header length", _LENGTH)
    return file.read(_LENGTH, nbytes)


# ------------------------------------------------------------------------------------------------ the header's text


def _parse(path: str, text: bytes, check_name: CheckName | None) -> _Draft:
    draft = _Draft(cost=len(text))
    walker = JsonWalker(text)
    try:
        for name in walker.members():
            if name == _METADATA:
                _read_metadata(walker, draft)
            else:
                if check_name is not None:
                    check_name(name)
                _read_entry(walker, draft, name)
        walker.end()
    except JsonError as error:
        raise CheckpointError(path, f"bad header: {error.reason}", _LENGTH + error.position) from error
    return draft


def _read_metadata(walker: JsonWalker, draft: _Draft) -> None:
    if walker.null():
        return
    start = walker.position
    for key in walker.members():
        if not walker.at_string():
            raise JsonError(f"the metadata value of {shortened(key)} is not a string", walker.position)
        draft.spend(_COST_METADATA, walker.position)
        if walker.position - start + walker.string_nbytes() > _MAX_METADATA:
            raise JsonError(f"more than {_MAX_METADATA >> 20} MiB of metadata", start)
        draft.metadata[key] = walker.string()


def _read_entry(walker: JsonWalker, draft: _Draft, name: str) -> None:
    start = walker.position
    entry = walker.flat_object(_DESCRIPTION)
    try:
        dtype, shape, (begin, end) = _checked_entry(entry)
    except ValueError as error:
        raise JsonError(f"tensor {shortened(name)}: {error}", start) from None
    cost = _COST_TENSOR + _COST_DIMENSION * len(shape) + len(name) * (1 if name.isascii() else 4)
    draft.spend(cost, start)
    draft.entries.append((begin, end, name, dtype, shape))


def _checked_entry(entry: dict[str, Any]) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Return dtype, shape and offsets of a tensor; ValueError with the reason where one is not what it should be."""
    if entry.keys() != _FIELDS:
        names = shortened(", ".join(list(entry)[:5])) if entry else "nothing"
        raise ValueError(f"it has {names} instead of dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        raise ValueError("the dtype is not a string")
    if dtype not in _BITS:
        raise ValueError(f"unknown dtype {shortened(dtype)}")
    if not _natural_numbers(shape):
        raise ValueError("the shape is not a list of integers from 0 to 2^63 - 1")
    if len(shape) > _MAX_RANK:
        raise ValueError(f"{len(shape)} dimensions, more than {_MAX_RANK}")
    if not _natural_numbers(offsets) or len(offsets) != 2:
        raise ValueError("data_offsets are not two integers from 0 to 2^63 - 1")
    return dtype, tuple(shape), (offsets[0], offsets[1])


def _natural_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < _MAX_NUMBER for item in value)


# ------------------------------------------------------------------------------------------- where the tensors lie


def _check_extents(path: str, entries: list[_Entry], data_nbytes: int, data_begin: int) -> None:
    """Check that every tensor has the bytes that its shape needs, and that together they fill the data exactly."""
    position = 0
    for begin, end, name, dtype, shape in sorted(entries, key=itemgetter(0, 1)):
        try:
            nbytes = _stored_nbytes(dtype, shape)
            _check_extent(begin, end, nbytes, position)
        except ValueError as error:
            raise CheckpointError(path, f"tensor {shortened(name)}: {error}", data_begin + begin) from None
        position = end
    if position > data_nbytes:
        reason = f"truncated: {position - data_nbytes} bytes are missing, download it again"
        raise CheckpointError(path, reason, data_begin + data_nbytes)
    if position < data_nbytes:
        reason = f"{data_nbytes - position} bytes after the last tensor belong to no tensor"
        raise CheckpointError(path, reason, data_begin + position)


def _stored_nbytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes that a tensor takes; ValueError for no whole number, or more than a machine can address."""
    nbits = _BITS[dtype]
    for size in shape:
        nbits *= size or 1
        if nbits > _MAX_BITS:
            raise ValueError("the shape describes more than 2^63 bytes")
    if 0 in shape:
        return 0
    if nbits % 8:
        raise ValueError(f"{nbits} bits of {dtype} are not a whole number of bytes")
    return nbits // 8


def _check_extent(begin: int, end: int, nbytes: int, position: int) -> None:
    if end < begin:
        raise ValueError(f"its data end at {end} before they begin at {begin}")
    if begin < position:
        raise ValueError(f"its data overlap those of another tensor by {position - begin} bytes")
    if begin > position:
        raise ValueError(f"a gap of {begin - position} bytes before its data")
    if end - begin != nbytes:
        raise ValueError(f"its data have {end - begin} bytes, but its shape and dtype need {nbytes}")


def _check_with_library(file: OpenFile) -> None:
    """Let the reference implementation validate a file of this machine too: what it refuses is refused."""
    if file.local_path is None:
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file.local_path, framework="np", backend="pread"):
            pass
    except (SafetensorError, OSError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise CheckpointError(file.path, f"the safetensors library refuses it: {shortened(reason, 200)}") from error


def _tensors(entries: list[_Entry], data_begin: int, file: int) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name, dtype, shape, end - begin, file, data_begin + begin, role_of(name))
        for begin, end, name, dtype, shape in sorted(entries, key=itemgetter(0))
    )


FORMAT = Format("safetensors", (".safetensors",), sniff, open_checkpoint)
