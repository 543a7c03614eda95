"""The mean complexity of a plane's blocks: grows with nothing but structure, and never saturates."""

from __future__ import annotations

from wcx.measures.evidence import Evidence, Measure
from wcx.measures.tables import UNIT


def mean_ctm(evidence: Evidence) -> float:
    """Sum p_i CTM_i, bits per block; from 22.006706292292176 (constant 4x4 blocks) to 36.02279026553976.

    Fair random bits have 30.379284168273735 on average. Source: the first term of BDM, weighted by occurrence (Zenil et
    al., Entropy 20(8):605, 2018).
    """
    total = sum(group.count * group.units for group in evidence.spectrum)
    return total / (UNIT * evidence.blocks)


MEAN_CTM = Measure("mean_ctm", "bits/block", mean_ctm, ("ignore", "correlated"))
