"""Identity of a checkpoint: the same file as in an earlier run, or the same tensors as another checkpoint.

Both are recognised by samples: 64 pieces of 4 KiB, spread evenly over the bytes of the tensors. A file is the same
where size, time, inode, header and samples all are. Two checkpoints with equal samples are candidates for the same
content, which a comparison of every byte confirms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

from wcx.core.checkpoint import Checkpoint, Signature, Storage, TensorInfo, TensorReader
from wcx.core.dtypes import DTYPES
from wcx.core.errors import ChangedFileError, CheckpointError
from wcx.formats import open_reader
from wcx.scan.keys import cache_key
from wcx.tasks.compare.series.layer_names import without_wrappers

_PIECES = 64
_PIECE = 4096
_WORK = 8 << 20  # bytes that may be decoded or picked together for the samples of a checkpoint
_COMPARED = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a checkpoint.

    files: size, time and inode of each file. header: hash of the tensors' descriptions. sample: hash of pieces of the
    tensors' bytes. content: hash of the tensors' types and shapes and of pieces of their bytes, whatever the format,
    the file and the optimizer's state: equal for the same weights, and hardly ever for others (same_content is sure).
    """

    files: tuple[Signature, ...]
    header: str
    sample: str
    content: str

    @property
    def key(self) -> str:
        """One text for files, header and sample: equal for a file that has not changed, under any name."""
        return cache_key("checkpoint", self.files, self.header, self.sample)


def identify(checkpoint: Checkpoint, reader: TensorReader) -> Identity:
    """Return the identity of a checkpoint, from its header and at most 128 pieces of 4 KiB.

    64 pieces of the model's tensors and, where there is optimizer state, 64 of that; all bytes of small checkpoints.
    A piece that can't be read counts as unreadable: counting will raise its error. Raises ChangedFileError.

    A file changed in place is not detected where it keeps size, inode and time to the nanosecond and no sampled byte
    is among those that changed. Where that can be, do not use the cache.
    """
    optimizer = [tensor for tensor in checkpoint.tensors if tensor.role == "optimizer"]
    model = _content_of(checkpoint)
    contents = _sample([tensor for _name, tensor in model], reader)
    return Identity(
        files=checkpoint.signatures,
        header=cache_key(checkpoint.format, _as_json(checkpoint.tensors)),
        sample=cache_key(contents + _sample(optimizer, reader)),
        content=cache_key(_as_json(_described(model)), contents),
    )


def same_content(first: Checkpoint, second: Checkpoint) -> bool:
    """Return True if two checkpoints hold the same tensors: names (less wrappers' prefixes), dtypes, shapes, bits.

    Formats, files, metadata, the optimizer's state and counters (integers of no dimension, such as batches seen) don't
    matter. Numbers are compared as bits: 0.0 and -0.0 differ. Holds 2 MiB, ends at the first difference. False where
    anything can't be read, or where there are no tensors.
    """
    tensors, others = _content_of(first), _content_of(second)
    if not tensors or _described(tensors) != _described(others):
        return False
    pairs = [(tensor, other) for (_, tensor), (_, other) in zip(tensors, others, strict=True)]
    if any(tensor.unsupported for tensor, _ in pairs):  # the others have the same
        return False
    pairs.sort(key=lambda pair: (pair[0].file, pair[0].offset))
    try:
        with open_reader(first) as reader, open_reader(second) as other_reader:
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
        pieces = [memoryview(buffer)[:nbytes] for buffer in buffers]
        for reader, tensor, piece in zip(readers, tensors, pieces, strict=True):
            reader.read_into(tensor, start, piece)
        if pieces[0] != pieces[1]:
            return False
    return True


# ----------------------------------------------------------------------------------------------------------- content


def _content_of(checkpoint: Checkpoint) -> list[tuple[str, TensorInfo]]:
    """Return the tensors of a model with their names without wrappers, in the order of these.

    Names keep their wrappers where two would become equal.
    """
    tensors = [tensor for tensor in checkpoint.tensors if tensor.role != "optimizer" and not _is_counter(tensor)]
    names = [without_wrappers(tensor.name) for tensor in tensors]
    if len(set(names)) < len(names):
        names = [tensor.name for tensor in tensors]
    return sorted(zip(names, tensors, strict=True), key=lambda named: named[0])


def _is_counter(tensor: TensorInfo) -> bool:
    return tensor.shape == () and DTYPES[tensor.dtype].kind in ("signed", "unsigned")


def _described(tensors: Sequence[tuple[str, TensorInfo]]) -> list[tuple[Any, ...]]:
    """Return the descriptions of tensors, wherever their bytes are."""
    return [
        (name, tensor.dtype, tensor.shape, tensor.nbytes, tensor.quantization, tensor.unsupported)
        for name, tensor in tensors
    ]


def _as_json(value: object) -> bytes:
    """Return the text of plain values and dataclasses: faster than a walk, for the tensors of a large model."""

    def members(item: Any) -> list[Any]:  # noqa: ANN401
        return [getattr(item, member.name) for member in fields(item)]

    return json.dumps(value, separators=(",", ":"), default=members).encode()


# ----------------------------------------------------------------------------------------------------------- samples


def _sample(tensors: Sequence[TensorInfo], reader: TensorReader) -> bytes:
    """Return pieces spread over the bytes of the tensors, or all bytes where they are few."""
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
    """Yield the index, first byte and number of bytes of each piece; ends: of the tensors laid end to end."""
    total = ends[-1] if ends else 0
    begins: Sequence[int] = range(0, total, _PIECE)
    if total > _PIECES * _PIECE:
        begins = [piece * (total - _PIECE) // (_PIECES - 1) for piece in range(_PIECES)]
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
    """Return the bytes decoded or picked together for a few pieces of a tensor; 0 where it is one run of its file."""
    storage = tensor.storage
    if storage is None or (storage.encoding == "raw" and storage.strides is None):
        return 0
    decoded = 0 if storage.encoding == "raw" else storage.elements * DTYPES[tensor.dtype].bits // 8
    return max(tensor.nbytes, decoded)


def _read(reader: TensorReader, tensor: TensorInfo, start: int, nbytes: int) -> bytes:
    """Return a piece of a tensor after a byte +, or - for one that can't be read."""
    data = bytearray(nbytes)
    try:
        reader.read_into(_unchecked(tensor), start, memoryview(data))
    except ChangedFileError:
        raise
    except CheckpointError:
        return b"-"
    return b"+" + data


def _read_raw(reader: TensorReader, tensor: TensorInfo, start: int, nbytes: int) -> bytes:
    """Return the same number of stored bytes of the tensor, from about the same place, without decoding."""
    storage = tensor.storage or Storage(tensor.offset, tensor.nbytes, 0)
    least = min(nbytes, storage.nbytes)
    first = (storage.nbytes - least) * start // max(1, tensor.nbytes - nbytes)
    raw = TensorInfo(tensor.name, "U8", (storage.nbytes,), storage.nbytes, tensor.file, storage.start)
    return b"=" + _read(reader, raw, first, least)


def _unchecked(tensor: TensorInfo) -> TensorInfo:
    """Return the tensor without its checksum, which only reading every byte once can confirm."""
    if tensor.storage is None or tensor.storage.crc32 is None:
        return tensor
    return replace(tensor, storage=replace(tensor.storage, crc32=None))
