"""Block entropy over the largest that the same number of blocks can have.

Source: pybdm 0.1.0, BDM.nent, which the values equal.
"""

from __future__ import annotations

from math import log2

from wcx.core.measure import Measure
from wcx.measures.block_entropy import block_entropy
from wcx.measures.evidence import Evidence


def block_entropy_normalized(evidence: Evidence) -> float | None:
    """block_entropy / log2 min(B, S), no unit, from 0 to 1; None for a single block. Equals pybdm's nent.

    None under the boundary recursive where there are left-overs, for which pybdm has no such range.
    """
    if evidence.boundary == "recursive" and not evidence.undivided:
        return None
    most = min(evidence.blocks, evidence.table.main.possible)
    return evidence.once(block_entropy) / log2(most) if most > 1 else None


BLOCK_ENTROPY_NORMALIZED = Measure(
    "block_entropy_normalized",
    "1",
    block_entropy_normalized,
    formula="block_entropy / log2 min(B, S)",
    range="0 .. 1; null for B = 1",
    source="pybdm `BDM.nent`",
    example=(dict.fromkeys(range(16), 1), 1.0),
    boundaries=("ignore", "recursive"),
    pybdm="nent",
)
