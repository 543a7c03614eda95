"""Coverage in one word: how far the blocks that occur cover those that can."""

from __future__ import annotations

from wcx.core.measure import Measure
from wcx.measures.evidence import Evidence
from wcx.measures.load import load


def regime(evidence: Evidence) -> str:
    """`saturated` when 99.9 % of all possible blocks occur, else `sparse` when load < 0.25, else `crowded`.

    In the first BDM no longer depends on the complexity table at all, only on the counts.
    """
    if 1000 * evidence.distinct >= 999 * evidence.table.possible:
        return "saturated"
    return "sparse" if load(evidence) < 0.25 else "crowded"


REGIME = Measure(
    "regime",
    "",
    regime,
    formula="`saturated` when distinct >= 99.9 % of S, else `sparse` when load < 0.25, else `crowded`",
    example=({0: 16384}, "crowded"),
    is_number=False,
    coverage=True,
)
