"""Shannon entropy of single bits. Source: Shannon 1948."""

from __future__ import annotations

from math import fsum

from wcx.core.measure import Measure
from wcx.measures.evidence import Evidence
from wcx.measures.support import surprise


def bit_entropy(evidence: Evidence) -> float:
    """H(p) of the share p of ones in the whole plane, bits per weight; 1.0 at p = 1/2, 0.0 for a constant plane."""
    ones, symbols = evidence.counts.ones, evidence.counts.symbols
    return fsum(surprise(count, symbols) for count in (ones, symbols - ones) if 0 < count < symbols)


BIT_ENTROPY = Measure(
    "bit_entropy",
    "bits/weight",
    bit_entropy,
    formula="H(p)",
    range="bits per weight, 0 .. 1",
    source="Shannon",
    example=({0: 1, 65535: 1}, 1.0),
    shown=4,
)
