"""BDM by the Block Decomposition Method, and pybdm's normalised form of it.

Source: Zenil et al., Entropy 20(8):605, 2018, equation 8; pybdm 0.1.0, BDM.bdm and BDM.nbdm, which the values equal.
"""

from __future__ import annotations

from math import log2

from wcx.measures.evidence import Evidence, Measure
from wcx.measures.tables import UNIT


def log2_units(number: int) -> int:
    """Return log2 of a whole number as a multiple of 1/UNIT: the double nearest to it, kept exactly."""
    return int(log2(number) * UNIT)


def bdm_units(evidence: Evidence) -> int:
    """Return BDM as a whole number of units, before it is rounded to a double."""
    return sum(group.units + group.blocks * log2_units(group.count) for group in evidence.spectrum)


def bdm(evidence: Evidence) -> float:
    """Sum over the blocks that occur of CTM_i + log2 n_i, in bits.

    From the smallest CTM value (22.0 for one constant 4x4 block) up. It grows with the number of distinct blocks and
    stops to see structure when all 65,536 occur: see load and regime. An all-zero 12x12 matrix has
    25.176631293734488.
    """
    return evidence.once(bdm_units) / UNIT


def bdm_normalized(evidence: Evidence) -> float | None:
    """(bdm - min) / (max - min) over all planes of as many blocks, no unit, from 0 to 1; equals pybdm's nbdm.

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


BDM = Measure("bdm", "bits", bdm, ("ignore", "recursive", "correlated"))
BDM_NORMALIZED = Measure("bdm_normalized", "1", bdm_normalized, ("ignore", "recursive"))
