"""Which file is the same as one that was counted before, and which checkpoint holds the same tensors as another.

Both are told from samples: 64 pieces of 4 KiB, spread evenly over the bytes of the tensors. That a file is the same is
taken from its size, its time, its inode, its header and the samples together. That two checkpoints hold the same is
only supposed from the samples, and then seen by comparing every byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from wcx.core.checkpoint import Checkpoint, Signature, Storage, TensorInfo, TensorReader
from wcx.core.dtypes import DTYPES
from wcx.core.errors import ChangedFileError, CheckpointError
from wcx.formats import open_reader
from wcx.scan.keys import _as_json, _hash, _values, cache_key
from wcx.tasks.compare.series.layer_names import without_wrappers

_PIECES = 64
_PIECE = 4096
_WORK = 8 << 20  # bytes that may be decoded or picked together for the samples of a checkpoint
_COMPARED = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What a checkpoint is told by.

    files: size, time and inode of each file. header: hash of what the headers say of the tensors. sample: hash of
    pieces of the tensors' bytes. content: hash of what the tensors are, and of pieces of their bytes, whatever the
    format, the file and the optimizer's state: equal for the same weights, and hardly ever for others (same_content is
    sure).
    """

    files: tuple[Signature, ...]
    header: str
    sample: str
    content: str

    @property
    def key(self) -> str:
        """One text for files, header and sample: equal for a file that has not changed, under whatever name."""
        return cache_key("checkpoint", self.files, self.header, self.sample)


def identify(checkpoint: Checkpoint, reader: TensorReader) -> Identity:
    """Tell what a checkpoint is recognised by, from its header and at most 128 pieces of 4 KiB.

    64 pieces of the model's tensors, and where there is optimizer state 64 of that; all bytes where there are no more.
    What a piece can't be read of counts as unreadable: counting will say so. Raises ChangedFileError.

    What this can't see: a file changed in place that keeps size, inode and time to the nanosecond, with no sampled byte
    among those that changed. Where that can be, trust no cache.
    """
    optimizer = [tensor for tensor in checkpoint.tensors if tensor.role == "optimizer"]
    model = _content_of(checkpoint)
    contents = _sample([tensor for _name, tensor in model], reader)
    sample = contents + _sample(optimizer, reader)
    described = [(name, *_described(tensor)) for name, tensor in model]
    return Identity(
        files=checkpoint.signatures,
        header=_hash(checkpoint.format, _as_json([_values(tensor) for tensor in checkpoint.tensors])),
        sample=_hash(sample),
        content=_hash(_as_json(described), contents),
    )


def same_content(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints hold the same tensors: names (less what wrappers put before them), dtypes, shapes, bits.

    Formats, files, metadata, the optimizer's state and counters (integers of no dimension, such as batches seen) don't
    matter. Numbers are compared as bits: 0.0 and -0.0 differ. Holds 2 MiB, ends at the first difference. False where
    anything can't be read, or where there are no tensors.
    """
    mine, theirs = _content_of(one), _content_of(other)
    described = [[(name, *_described(tensor)) for name, tensor in found] for found in (mine, theirs)]
    if not mine or described[0] != described[1] or any(tensor.unsupported for _name, tensor in (*mine, *theirs)):
        return False
    pairs = [(tensor, other_tensor) for (_, tensor), (_, other_tensor) in zip(mine, theirs, strict=True)]
    pairs.sort(key=lambda pair: (pair[0].file, pair[0].offset))
    try:
        with open_reader(one) as reader, open_reader(other) as other_reader:
            same = all(_same_bytes(pair, (reader, other_reader)) for pair in pairs)
            reader.check_unchanged()
            other_reader.check_unchanged()
    except CheckpointError:
        return False
    return same


def _same_bytes(tensors: tuple[TensorInfo, TensorInfo], readers: tuple[TensorReader, TensorReader]) -> bool:
    buffers = bytearray(_COMPARED), bytearray(_COMPARED)
    for start in range(0, tensors[0].nbytes, _COMPARED):
        nbytes = min(_COMPARED, tensors[0].nbytes - start)
        mine, theirs = (memoryview(buffer)[:nbytes] for buffer in buffers)
        readers[0].read_into(tensors[0], start, mine)
        readers[1].read_into(tensors[1], start, theirs)
        if mine != theirs:
            return False
    return True


# ----------------------------------------------------------------------------------------------------------- content


def _content_of(checkpoint: Checkpoint) -> list[tuple[str, TensorInfo]]:
    """The tensors that make a checkpoint what it is, by their canonical names, in the order of these."""
    tensors = [tensor for tensor in checkpoint.tensors if tensor.role != "optimizer" and not _is_counter(tensor)]
    names = _canonical([tensor.name for tensor in tensors])
    return sorted(zip(names, tensors, strict=True), key=lambda found: found[0])


def _canonical(names: Sequence[str]) -> list[str]:
    """The names without what wrappers and containers put before them, unless two of them were then the same."""
    found = [without_wrappers(name) for name in names]
    return found if len(set(found)) == len(found) else list(names)


def _is_counter(tensor: TensorInfo) -> bool:
    return tensor.shape == () and DTYPES[tensor.dtype].kind in ("signed", "unsigned")


def _described(tensor: TensorInfo) -> tuple[Any, ...]:
    """What a tensor is, wherever its bytes are."""
    return tensor.dtype, tensor.shape, tensor.nbytes, tensor.quantization, tensor.unsupported


# ----------------------------------------------------------------------------------------------------------- samples


def _sample(tensors: Sequence[TensorInfo], reader: TensorReader) -> bytes:
    """Pieces spread over the bytes of the tensors, one after the other, or all bytes where they are few."""
    readable = [tensor for tensor in tensors if tensor.nbytes and not tensor.unsupported]
    ends = list(accumulate(tensor.nbytes for tensor in readable))
    work: dict[int, int] = {}
    parts = []
    for index, start, nbytes in _pieces(ends):
        tensor = readable[index]
        if index not in work:
            work[index] = _work(tensor)
        costly = work[index] > 0 and sum(work.values()) > _WORK
        parts.append(_read_raw(reader, tensor, start, nbytes) if costly else _read(reader, tensor, start, nbytes))
    return b"".join(parts)


def _pieces(ends: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Which tensor, from which of its bytes, and how many, of each piece; ends: of the tensors, all in one line."""
    total = ends[-1] if ends else 0
    begins: Sequence[int] = range(0, total, _PIECE)
    if total > _PIECES * _PIECE:
        begins = [place * (total - _PIECE) // (_PIECES - 1) for place in range(_PIECES)]
    index = 0
    for begin in begins:
        at, stop = begin, min(begin + _PIECE, total)
        while at < stop:
            while ends[index] <= at:
                index += 1
            first = ends[index - 1] if index else 0
            nbytes = min(stop, ends[index]) - at
            yield index, at - first, nbytes
            at += nbytes


def _work(tensor: TensorInfo) -> int:
    """Bytes that are decoded or picked together for a few pieces of a tensor; 0 where it is one run of its file."""
    storage = tensor.storage
    if storage is None or (storage.encoding == "raw" and storage.strides is None):
        return 0
    decoded = 0 if storage.encoding == "raw" else storage.elements * DTYPES[tensor.dtype].bits // 8
    return max(tensor.nbytes, decoded)


def _read(reader: TensorReader, tensor: TensorInfo, start: int, nbytes: int) -> bytes:
    """A piece of a tensor, behind a byte that says that it is one."""
    data = bytearray(nbytes)
    try:
        reader.read_into(_unchecked(tensor), start, memoryview(data))
    except ChangedFileError:
        raise
    except CheckpointError:
        return b"-"
    return b"+" + data


def _read_raw(reader: TensorReader, tensor: TensorInfo, start: int, nbytes: int) -> bytes:
    """As many bytes of the tensor's storage as they are in the file, from about the same place."""
    storage = tensor.storage or Storage(tensor.offset, tensor.nbytes, 0)
    least = min(nbytes, storage.nbytes)
    first = (storage.nbytes - least) * start // max(1, tensor.nbytes - nbytes)
    raw = TensorInfo(tensor.name, "U8", (storage.nbytes,), storage.nbytes, tensor.file, storage.start)
    return b"=" + _read(reader, raw, first, least)


def _unchecked(tensor: TensorInfo) -> TensorInfo:
    """The tensor without its checksum, which is made of readings of every byte once."""
    if tensor.storage is None or tensor.storage.crc32 is None:
        return tensor
    return replace(tensor, storage=replace(tensor.storage, crc32=None))
