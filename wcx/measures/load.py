"""Blocks per possible block: above 0.25, BDM depends partly on size."""

from __future__ import annotations

from wcx.core.measure import Column, Measure
from wcx.measures.evidence import Evidence


def load(evidence: Evidence) -> float:
    """B / S, blocks per possible block; a 1024 x 1024 plane in 4x4 blocks has 1.0."""
    return evidence.blocks / evidence.table.possible


LOAD = Measure(
    "load",
    "1",
    load,
    formula="B / S",
    range="from 1 / S",
    example=({0: 65536}, 1.0),
    boundaries=("ignore", "correlated"),
    columns=(Column(("", "load"), "load", rank=4, place=120),),
    coverage=True,
)
