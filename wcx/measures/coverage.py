"""How far the blocks that occur cover those that can: whether BDM can still see structure."""

from __future__ import annotations

from wcx.measures.evidence import Evidence, Measure


def distinct(evidence: Evidence) -> int:
    """Number of distinct blocks, from 1 to min(B, S)."""
    return evidence.distinct


def load(evidence: Evidence) -> float:
    """B / S, blocks per possible block; a 1024 x 1024 plane in 4x4 blocks has 1.0."""
    return evidence.blocks / evidence.table.possible


def regime(evidence: Evidence) -> str:
    """`saturated` when 99.9 % of all possible blocks occur, else `sparse` when load < 0.25, else `crowded`.

    In the first BDM no longer depends on the complexity table at all, only on the counts.
    """
    if 1000 * evidence.distinct >= 999 * evidence.table.possible:
        return "saturated"
    return "sparse" if load(evidence) < 0.25 else "crowded"


DISTINCT = Measure("distinct", "blocks", distinct, ("ignore", "correlated"))
LOAD = Measure("load", "1", load, ("ignore", "correlated"))
REGIME = Measure("regime", "", regime)
