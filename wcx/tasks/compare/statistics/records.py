"""The inputs and results of the statistics."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.comparison import Conclusion, Correlation, CorrelationDifference, FisherMean, Series

COEFFICIENTS = ("pearson", "spearman", "kendall")
Sides = tuple[tuple[float | None, float | None], ...]
"""The two correlations of a difference, by coefficient."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure over all checkpoints.

    scope: pooled, sum, layer or model. plane: None where the measure belongs to no plane. measure: the series' name; a
    compressor's bytes of a packed plane are `gzip.nbytes` of that plane, or `gzip.planes.sign.nbytes` of none.
    """

    scope: str
    layer: str | None
    plane: str | None
    measure: str
    values: Series


@dataclass(frozen=True, slots=True)
class Correlated:
    """All statistics of a comparison.

    block_length: points of a bootstrap block in the longest run, over levels; None where no run has 8 points.
    """

    correlations: tuple[Correlation, ...]
    differences: tuple[CorrelationDifference, ...]
    groups: tuple[FisherMean, ...]
    conclusions: tuple[Conclusion, ...]
    block_length: int | None
    notes: tuple[str, ...]
