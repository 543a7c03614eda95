"""The frozen values that `wcx motifs` reports: the fields of `wcx motifs --json`.

docs/schema/motifs-1.json lists them, docs/measures.md defines each. No field ever holds NaN or an infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.plain import as_dict
from wcx.core.report import SkippedTensor


@dataclass(frozen=True, slots=True)
class TopMotif:
    """A motif and the number of its uses. values: None where not finite; codes: as stored, in hexadecimal."""

    values: tuple[float | int | None, ...]
    codes: str
    count: int


@dataclass(frozen=True, slots=True)
class UsageClass:
    """Motifs used from `at_least` to `at_most` times: their number, and that of the blocks they cover."""

    at_least: int
    at_most: int
    motifs: int
    blocks: int


@dataclass(frozen=True, slots=True)
class LayerMotifs:
    """One layer. motifs: number of its blocks; distinct: number of different ones; length, length_entropy: in bits."""

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
    """The projection of one layer; see Projection."""

    name: str
    distortion: float | None
    distortion_mean: float | None
    distortion_relative: float | None
    changed: int
    kept: int


@dataclass(frozen=True, slots=True)
class DtypeProjection:
    """The motifs of one dtype in a projection: their number, their usage, and their cost in bits."""

    dtype: str
    k: int
    length: int
    length_entropy: float
    ratio: float
    ratio_entropy: float
    usage: tuple[UsageClass, ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """A checkpoint with every block replaced by the nearest of k motifs.

    k: motifs of all dtypes together. distortion: sum of the squared differences; distortion_mean: per weight;
    distortion_relative: over the sum of the squared weights; None where float64 can't hold them or they are undefined.
    changed: weights whose value differs. kept: blocks with a NaN or an infinity, which are not replaced.
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
    """All that `wcx motifs` reports on one checkpoint; `to_dict()` is the JSON."""

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
        """Return the report as plain dicts and lists, exactly the fields of `wcx motifs --json`."""
        return as_dict(self)


@dataclass(frozen=True, slots=True)
class MotifSettings:
    """All that the report depends on besides the checkpoint; q is None where each dtype has its own bits."""

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
        """True if a projection is asked for."""
        return self.k is not None or self.capacity is not None
