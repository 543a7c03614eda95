"""Entropies: of the distribution of blocks, and of single bits.

Source: Shannon 1948; pybdm 0.1.0, BDM.ent and BDM.nent, which the block forms equal.
"""

from __future__ import annotations

from math import fsum, log, log1p, log2

from wcx.measures.evidence import Evidence, Measure

_LN2 = log(2.0)


def _surprise(count: int, total: int) -> float:
    """Return -p log2 p with p = count / total; by log1p above one half, where log2 would lose the digits near 0."""
    share = count / total
    if 2 * count > total:
        return -share * log1p(-(total - count) / total) / _LN2
    return -share * log2(share)


def block_entropy(evidence: Evidence) -> float:
    """-sum p_i log2 p_i over the blocks that occur, bits per block; 0 for one distinct block, at most log2 min(B, S).

    16 different 4x4 blocks, once each, have 4.0.
    """
    if evidence.distinct == 1:
        return 0.0
    return fsum(group.blocks * _surprise(group.count, evidence.blocks) for group in evidence.spectrum)


def block_entropy_normalized(evidence: Evidence) -> float | None:
    """block_entropy / log2 min(B, S), no unit, from 0 to 1; None for a single block. Equals pybdm's nent.

    None under the boundary recursive where there are left-overs, for which pybdm has no such range.
    """
    if evidence.boundary == "recursive" and not evidence.undivided:
        return None
    most = min(evidence.blocks, evidence.table.main.possible)
    return evidence.once(block_entropy) / log2(most) if most > 1 else None


def bit_entropy(evidence: Evidence) -> float:
    """H(p) of the share p of ones in the whole plane, bits per weight; 1.0 at p = 1/2, 0.0 for a constant plane."""
    ones, symbols = evidence.counts.ones, evidence.counts.symbols
    return fsum(_surprise(count, symbols) for count in (ones, symbols - ones) if 0 < count < symbols)


BLOCK_ENTROPY = Measure("block_entropy", "bits/block", block_entropy, ("ignore", "recursive", "correlated"))
BLOCK_ENTROPY_NORMALIZED = Measure("block_entropy_normalized", "1", block_entropy_normalized, ("ignore", "recursive"))
BIT_ENTROPY = Measure("bit_entropy", "bits/weight", bit_entropy)
