"""pybdm's normalised BDM: its place between the smallest and the largest BDM of the same number of blocks.

Source: pybdm 0.1.0, BDM.nbdm, which the values equal.
"""

from __future__ import annotations

from wcx.core.measure import Measure
from wcx.measures.bdm import bdm_units, log2_units
from wcx.measures.evidence import Evidence


def bdm_normalized(evidence: Evidence) -> float | None:
    """(bdm - min) / (max - min) over all planes of B blocks, no unit, from 0 to 1; equals pybdm's nbdm.

    max: the blocks spread over the most complex values, as evenly as can be. min: all blocks the simplest one. None
    under the boundary recursive where there are left-overs, for which pybdm has no such range.
    """
    if evidence.boundary == "recursive" and not evidence.undivided:
        return None
    table, blocks = evidence.table.main, evidence.blocks
    times, rest = divmod(blocks, table.possible)
    largest = table.largest(rest) + rest * log2_units(times + 1)
    if times:
        others = table.possible - rest
        largest += table.largest(table.possible) - table.largest(rest) + others * log2_units(times)
    smallest = table.smallest + log2_units(blocks)
    return (evidence.once(bdm_units) - smallest) / (largest - smallest)


BDM_NORMALIZED = Measure(
    "bdm_normalized",
    "1",
    bdm_normalized,
    formula="(bdm - min) / (max - min)",
    range="0 .. 1",
    source="pybdm `BDM.nbdm`",
    example=({0: 9}, 0.0),
    boundaries=("ignore", "recursive"),
    pybdm="nbdm",
)
