"""The frozen values that `wcx motifs` reports, and nothing else: the fields of `wcx motifs --json`.

docs/schema/motifs-1.json lists them, docs/measures.md defines each. No field ever holds NaN or an infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.plain import to_plain
from wcx.core.report import SkippedTensor


@dataclass(frozen=True, slots=True)
class TopMotif:
    """A motif and how often it is used. values: None where not finite; codes: the same as stored, in hexadecimal."""

    values: tuple[float | int | None, ...]
    codes: str
    count: int


@dataclass(frozen=True, slots=True)
class UsageClass:
    """Motifs that are used at least and at most so often: their number, and that of their blocks."""

    at_least: int
    at_most: int
    motifs: int
    blocks: int


@dataclass(frozen=True, slots=True)
class LayerMotifs:
    """One layer. motifs: blocks that it is cut into; distinct: of them, different ones; lengths in bits."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    aliases: tuple[str, ...]
    weights: int
    q: int
    motifs: int
    distinct: int
    length: int
    length_entropy: float
    ratio: float
    ratio_entropy: float
    usage: tuple[UsageClass, ...]
    top: tuple[TopMotif, ...]


@dataclass(frozen=True, slots=True)
class DtypeMotifs:
    """All layers of one dtype, which share one set of motifs."""

    dtype: str
    layers: int
    weights: int
    q: int
    motifs: int
    distinct: int
    length: int
    length_entropy: float
    ratio: float
    ratio_entropy: float
    usage: tuple[UsageClass, ...]
    top: tuple[TopMotif, ...]


@dataclass(frozen=True, slots=True)
class ModelMotifs:
    """All layers: the sums over the dtypes; the ratios are None where there is no layer."""

    layers: int
    weights: int
    motifs: int
    distinct: int
    length: int
    length_entropy: float
    ratio: float | None
    ratio_entropy: float | None
    dtypes: tuple[DtypeMotifs, ...]


@dataclass(frozen=True, slots=True)
class LayerProjection:
    """What the projection did to one layer; see Projection."""

    name: str
    distortion: float | None
    distortion_mean: float | None
    distortion_relative: float | None
    changed: int
    kept: int


@dataclass(frozen=True, slots=True)
class DtypeProjection:
    """The motifs of one dtype, how they are used, and what they cost."""

    dtype: str
    k: int
    length: int
    length_entropy: float
    ratio: float
    ratio_entropy: float
    usage: tuple[UsageClass, ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """Every block replaced by the nearest of k motifs.

    k: motifs, of all dtypes together. distortion: sum of the squared differences; distortion_mean: by weight;
    distortion_relative: over the sum of the squared weights; None where float64 can't hold them or they mean nothing.
    changed: weights whose value is another. kept: blocks with a NaN or an infinity, which stay as they are.
    """

    k: int
    distortion: float | None
    distortion_mean: float | None
    distortion_relative: float | None
    changed: int
    kept: int
    length: int
    length_entropy: float
    ratio: float
    ratio_entropy: float
    dtypes: tuple[DtypeProjection, ...]
    layers: tuple[LayerProjection, ...]


@dataclass(frozen=True, slots=True)
class MotifReport:
    """All that `wcx motifs` says of one checkpoint; `to_dict()` is the JSON."""

    schema: str
    wcx: str
    checkpoint: CheckpointSummary
    settings: MotifSettings
    layers: tuple[LayerMotifs, ...]
    skipped: tuple[SkippedTensor, ...]
    model: ModelMotifs
    projection: Projection | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts and lists, exactly the fields of `wcx motifs --json`."""
        plain: dict[str, Any] = to_plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class MotifSettings:
    """All that the numbers depend on besides the checkpoint; q is None where each dtype has its own bits."""

    block: str = "2"
    k: int | None = None
    seed: int = 0
    q: int | None = None
    capacity: str | None = None
    zero_block: bool = False
    top: int = 5
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_optimizer: bool = False

    @property
    def projects(self) -> bool:
        """Whether a projection was asked for."""
        return self.k is not None or self.capacity is not None
