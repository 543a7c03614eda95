"""The frozen values that travel between the stages, and nothing else.

Every field that a report prints has the name that it has in the JSON, so that to_dict() is a plain walk. What a scheme
or an option can't give is None; no field ever holds NaN or an infinity. All quantities are in bits unless the name says
otherwise; docs/measures.md defines each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol

from wcx.registry import Registry

__all__ = [
    "Checkpoint",
    "CheckpointSummary",
    "CtmReference",
    "Fit",
    "LayerReport",
    "ModelPlane",
    "ModelReport",
    "NullReport",
    "NullStatistic",
    "PlaneReport",
    "Quantization",
    "ReferencePlane",
    "Report",
    "Scheme",
    "Settings",
    "Signature",
    "SkippedTensor",
    "Statistics",
    "Storage",
    "TensorInfo",
    "TensorReader",
    "Total",
    "to_plain",
]


def to_plain(value: Any) -> Any:  # noqa: ANN401
    """Turn a report or a part of one into dicts, lists, strings, numbers and None, in the order of the fields."""
    if is_dataclass(value):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


# ---------------------------------------------------------------------------------------------- what is read


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage that a tensor is a view of, where its bytes are not simply one run of its file.

    start, nbytes: the run of bytes of the file that holds the storage. elements: how many numbers of the tensor's dtype
    it holds once decoded (bytes, for dtypes of fewer than 8 bits, which are always in C order). first: which of them
    the tensor begins with. strides: in elements, one a dimension, 0 where
    it is expanded; None for C order. encoding: `raw`, `deflate` (a compressed zip member) or `varint` (protobuf: one
    variable-length integer a number; of 4-bit types one a byte). big_endian: whether raw and deflated numbers are.
    crc32: of the decoded storage, checked when a tensor that is all of it has been read; None where it is not known.
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
    """What integer codes stand for: (code - zero point) * scale.

    zero_points: in C order of `grid`, whose rank is the tensor's; each serves a block of as many elements along every
    dimension as shape / grid says (rounded up), so that a grid of ones is one zero point for all. scale: the one scale
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
    role: weight, buffer or optimizer. source: where in the file it came from, for formats that have more than one
    place. aliases: other names of the same elements. storage: None where the `nbytes` bytes from `offset` on are the
    elements, little-endian, in C order. quantization: of integers that stand for other numbers. obstacle: why its
    values can't be given, as one short phrase (then it is listed and skipped); None as a rule.
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
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells that a file is still the one whose header was read."""

    nbytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The description of a checkpoint: what is in it and where; it holds no open file and no data.

    path: what the user wrote. directory: what the file names are relative to. signatures: one per file, taken when the
    header was read. notes: things about the files that a reader of the report should know. version: of the format, in
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
        """Of which checkpoint a report speaks."""
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
        """Raise ChangedFileError when a file is no longer the one whose header was read."""


# ------------------------------------------------------------------------------------------ how it is counted


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a plane is cut into blocks; equal ids, equal schemes."""

    block: str = "4x4"
    boundary: str = "ignore"
    layout: str = "rows"

    @property
    def id(self) -> str:
        """A short text that names the scheme, such as 4x4-ignore-rows."""
        return f"{self.block}-{self.boundary}-{self.layout}"

    @property
    def cells(self) -> int:
        """Symbols of a block."""
        return 12 if self.block == "1x12" else 16

    @property
    def kind(self) -> str:
        """The boundary without its number: ignore, recursive or correlated."""
        return self.boundary.partition(":")[0]

    @property
    def least(self) -> int:
        """Side of the smallest blocks that recursive cuts left-overs into; 0 under another boundary."""
        return int(self.boundary.partition(":")[2] or 2) if self.kind == "recursive" else 0

    @property
    def shift(self) -> int:
        """By how much correlated slides the block; 0 under another boundary."""
        return int(self.boundary.partition(":")[2] or 1) if self.kind == "correlated" else 0

    @property
    def smaller(self) -> tuple[int, ...]:
        """Sides of the blocks that recursive has beside the whole ones, the largest first."""
        side = 12 if self.block == "1x12" else 4
        return tuple(range(side - 1, self.least - 1, -1)) if self.least else ()

    @property
    def alphabet(self) -> str:
        """The shapes of all blocks, in the order of their codes.

        >>> Scheme(boundary="recursive").alphabet, Scheme("1x12", "recursive:11", "flat").alphabet
        ('4x4+3x3+2x2', '1x12+1x11')
        """
        strings = self.block == "1x12"
        return "+".join([self.block, *(f"1x{side}" if strings else f"{side}x{side}" for side in self.smaller)])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells of the blocks of each shape of the alphabet; of c cells there are 2^c blocks."""
        strings = self.block == "1x12"
        return self.cells, *(side if strings else side * side for side in self.smaller)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What quantizers need to know of one tensor before they cut it: over its finite values, as doubles.

    number: of finite values; the others are None where there is none, or where they were not asked for. mean, mean_abs:
    correctly rounded sums / number. quantiles: one value for each that was asked for, linearly interpolated.
    """

    number: int = 0
    lo: float | None = None
    hi: float | None = None
    mean: float | None = None
    mean_abs: float | None = None
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """What a quantizer learned from one tensor, as plain numbers."""

    lo: float | None = None
    hi: float | None = None
    delta: float | None = None
    threshold: float | None = None
    scale: float | None = None
    zero_point: int | None = None


# -------------------------------------------------------------------------------------------- what is reported


@dataclass(frozen=True, slots=True)
class NullStatistic:
    """One quantity under the null model: mean and standard deviation, z = (value - mean) / sd, ratio = value / mean."""

    mean: float
    sd: float
    z: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class NullReport:
    """What a plane would score were its bits permuted at random.

    kind: permutation (closed form), sampled (the same by `draws` draws, for few weights) or shuffle (real ones).
    """

    kind: str
    draws: int | None
    bdm: NullStatistic | None
    mean_ctm: NullStatistic | None
    block_entropy: NullStatistic | None
    bdm_rarefied: NullStatistic | None


@dataclass(frozen=True, slots=True)
class ReferencePlane:
    """The same plane of another checkpoint: its bdm, and ratio = bdm of the plane / that; None where there is none."""

    bdm: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class PlaneReport:
    """The numbers of one plane of bits; docs/measures.md defines every field."""

    plane: str
    ones: int
    density: float
    blocks: int
    possible: int
    left_over: int | None
    distinct: int | None
    load: float | None
    regime: str | None
    bdm: float | None
    block_entropy: float | None
    bit_entropy: float | None
    mean_ctm: float | None
    bdm_rarefied: float | None
    rarefied_m: int | None
    bdm_normalized: float | None
    block_entropy_normalized: float | None
    null: NullReport | None
    reference: ReferencePlane | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over planes; bdm is None where it was not asked for. reference_ratio: to the same sum of the reference."""

    bdm: float | None
    reference_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One analysed tensor. matrix: its rows and columns as counted; zeros and nonfinite: numbers of such weights."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    matrix: tuple[int, int]
    weights: int
    role: str
    source: str | None
    aliases: tuple[str, ...]
    zeros: int
    nonfinite: int
    fit: Fit
    planes: tuple[PlaneReport, ...]
    total: Total
    measures: Mapping[str, Any]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The layer as plain dicts and lists, as in the JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class SkippedTensor:
    """One tensor that was not analysed, and why."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sum:
    """The layers' values added up (as opposed to pooled, where their counts are).

    reference_ratio: to the same sum of the reference; None where a layer has none.
    """

    bdm: float | None
    reference_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class ModelPlane:
    """One plane of the whole model: `pooled` adds the counts of all layers and evaluates once, `sum` adds values."""

    plane: str
    pooled: PlaneReport | None
    sum: Sum


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The model's rows: weights and number of the layers analysed, and each plane over all of them."""

    weights: int
    layers: int
    planes: tuple[ModelPlane, ...]
    total: Sum
    concatenated: PlaneReport | None = None
    measures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """Of which checkpoint a report speaks."""

    path: str
    format: str
    files: tuple[str, ...]
    nbytes: int
    metadata: Mapping[str, str]
    version: str | None = None
    producer: str | None = None


@dataclass(frozen=True, slots=True)
class CtmReference:
    """Which table of complexities was used, with the checksum of its values."""

    shape: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a report depends on besides the checkpoint."""

    quantize: str = "sign"
    zero: str | None = "zero"
    block: str = "4x4"
    boundary: str = "ignore"
    layout: str = "rows"
    measures: tuple[str, ...] = ()
    null: str = "permutation"
    null_draws: int | None = 1000
    preset: str | None = None
    rarefy: int = 1024
    seed: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_optimizer: bool = False
    reference: str | None = None
    ctm: tuple[CtmReference, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All that wcx says of one checkpoint; `to_dict()` is the JSON, a notebook shows it as a table."""

    schema: str
    wcx: str
    checkpoint: CheckpointSummary
    settings: Settings
    layers: tuple[LayerReport, ...]
    skipped: tuple[SkippedTensor, ...]
    model: ModelReport
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts and lists, exactly the fields of `wcx analyze --json`."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def _repr_html_(self) -> str:
        """The report as an HTML table, which Jupyter shows."""
        return HTML_RENDERERS["html"](self)


class _RenderHtml(Protocol):
    def __call__(self, report: Report) -> str: ...


HTML_RENDERERS: Registry[_RenderHtml] = Registry("notebook view", {"html": "wcx.outputs.html:render_html"})
