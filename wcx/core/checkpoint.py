"""Frozen values that describe a checkpoint: files, tensors, storages. No data and no open file; all of them pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage that a tensor is a view of, where its bytes are not simply one run of its file.

    start, nbytes: the run of bytes of the file that holds the storage. elements: the number of elements of the tensor's
    dtype once decoded (of bytes, for dtypes of fewer than 8 bits, which are always in C order). first: the element that
    the tensor begins with. strides: in elements, one for each dimension, 0 where it is expanded; None for C order.
    encoding: `raw`, `deflate` (a compressed zip member) or `varint` (protobuf: one variable-length integer for each
    number; one for each byte of 4-bit types). big_endian: True for raw and deflated numbers in that order. crc32: of
    the decoded storage, checked when a tensor that is all of it has been read; None where it is not known.
    """

    start: int
    nbytes: int
    elements: int
    first: int = 0
    strides: tuple[int, ...] | None = None
    encoding: str = "raw"
    big_endian: bool = False
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class Quantization:
    """The meaning of integer codes: (code - zero point) * scale.

    zero_points: in C order of `grid`, whose rank is the tensor's; each serves a block of shape / grid elements
    (rounded up) along every dimension, so that a grid of ones is one zero point for all. scale: the one scale
    of the whole tensor, or None where it has several.
    """

    zero_points: tuple[int, ...]
    grid: tuple[int, ...]
    scale: float | None = None

    @property
    def zero_point(self) -> int | None:
        """The one zero point of the whole tensor, or None where they differ."""
        return self.zero_points[0] if len(set(self.zero_points)) == 1 else None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a checkpoint: enough to plan without reading data.

    dtype: as safetensors writes it (F32, BF16, F8_E4M3, ...). nbytes: size of its elements, as if they lay in one run.
    file: index into Checkpoint.files. offset: of its first byte in that file (of its storage, if that is encoded).
    role: weight, buffer or optimizer. source: its place in the file, for formats that have several kinds of
    them. aliases: other names of the same elements. storage: None where the `nbytes` bytes from `offset` on are the
    elements, little-endian, in C order. quantization: of integers that encode other numbers. unsupported: the reason,
    one short phrase, why its values can't be given (then it is listed and skipped); None as a rule.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    file: int = 0
    offset: int = 0
    role: str = "weight"
    source: str | None = None
    aliases: tuple[str, ...] = ()
    storage: Storage | None = None
    quantization: Quantization | None = None
    unsupported: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """The properties of a file that change when it does, as they were when its header was read."""

    nbytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The description of a checkpoint: its tensors and their places; it holds no open file and no data.

    path: as the user wrote it. directory: the base of the file names. signatures: one per file, taken when the
    header was read. notes: remarks about the files for the reader of a report. version: of the format, in
    its own words; producer: the program that wrote it; None where the file does not say.
    """

    path: str
    format: str
    directory: str
    files: tuple[str, ...]
    signatures: tuple[Signature, ...]
    metadata: Mapping[str, str]
    tensors: tuple[TensorInfo, ...]
    notes: tuple[str, ...] = ()
    version: str | None = None
    producer: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all the files, headers included."""
        return sum(signature.nbytes for signature in self.signatures)

    def summary(self) -> CheckpointSummary:
        """Return the summary that reports hold."""
        return CheckpointSummary(
            self.path, self.format, self.files, self.nbytes, dict(self.metadata), self.version, self.producer
        )

    def __getitem__(self, name: str) -> TensorInfo:
        """Return the tensor of that name; KeyError where there is none."""
        for tensor in self.tensors:
            if tensor.name == name or name in tensor.aliases:
                return tensor
        raise KeyError(name)


class TensorReader(Protocol):
    """Reads the bytes of tensors, from several threads at once; a context manager that closes its files."""

    def __enter__(self) -> TensorReader: ...

    def __exit__(self, *error: object) -> None: ...

    def read_into(self, tensor: TensorInfo, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of `tensor` from byte `start` on, in C order; CheckpointError where it can't."""

    def check_unchanged(self) -> None:
        """Raise ChangedFileError if a file has changed since its header was read."""


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """The checkpoint that a report is about."""

    path: str
    format: str
    files: tuple[str, ...]
    nbytes: int
    metadata: Mapping[str, str]
    version: str | None = None
    producer: str | None = None
