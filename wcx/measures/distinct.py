"""Number of different blocks that occur; with load it shows if BDM can still see structure."""

from __future__ import annotations

from wcx.core.measure import Column, Measure
from wcx.measures.evidence import Evidence


def distinct(evidence: Evidence) -> int:
    """Number of distinct blocks, from 1 to min(B, S)."""
    return evidence.distinct


DISTINCT = Measure(
    "distinct",
    "blocks",
    distinct,
    formula="number of blocks that occur",
    range="1 .. min(B, S)",
    example=({0: 9}, 1),
    boundaries=("ignore", "correlated"),
    columns=(Column(("distinct", "blocks"), "count", rank=15, place=100),),
    coverage=True,
)
