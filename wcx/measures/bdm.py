"""BDM by the Block Decomposition Method.

Source: Zenil et al., Entropy 20(8):605, 2018, equation 8; pybdm 0.1.0, BDM.bdm, which the values equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import numpy as np

from wcx.core.measure import Column, Measure, Null
from wcx.measures.draws import Drawn, Floats
from wcx.measures.evidence import Evidence
from wcx.measures.null import ClosedForm, Expectation, Function, Weights
from wcx.measures.tables import UNIT


def log2_units(number: int) -> int:
    """Return the log2 of a whole number as a multiple of 1/UNIT: the double nearest to it, kept exactly."""
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


def expected_bdm(shuffled: ClosedForm) -> Expectation:
    """Return the mean and standard deviation: a = [n > 0], b = log2 n."""
    functions = []
    for at in shuffled.poisson:
        occurs = (at.points > 0).astype(float)
        functions.append(Function(at, occurs, at.logs, 1 - occurs, at.next_logs() - at.logs))
    return Expectation(mean_bdm(shuffled, shuffled.exact), shuffled.sd(functions))


def mean_bdm(shuffled: ClosedForm, parts: Sequence[Weights]) -> float:
    """Return the mean of BDM where counts have these distributions."""
    count, first, _ = shuffled.table.classes
    total = 0.0
    for at in parts:
        terms = first[at.rows] * at.expect((at.points > 0).astype(float)) + count[at.rows] * at.expect(at.logs)
        total += float(np.add.reduce(terms))
    return total


def drawn_bdm(drawn: Drawn) -> Floats:
    """Return the term of each code of a draw."""
    return drawn.complexity + drawn.of_counts(log2)


BDM = Measure(
    "bdm",
    "bits",
    bdm,
    formula="sum over blocks that occur of CTM_i + log2 n_i",
    range="bits, from 22.0",
    source="Zenil et al. 2018; pybdm `BDM.bdm`",
    example=({0: 9}, 25.176631293734488),
    boundaries=("ignore", "recursive", "correlated"),
    null=Null(
        expected_bdm,
        drawn_bdm,
        order=0,
        shown=1,
        columns=(Column(("bdm", "vs own"), "change", rank=14, place=40),),
        of_changes=True,
        baselines=("block_entropy", "null.block_entropy.ratio"),
    ),
    columns=(
        Column(("bdm per", "weight "), "per_weight", rank=3, place=60, marked=True, saturates=True),
        Column(("", "bdm"), "count", rank=11, place=70, saturates=True),
    ),
    main=True,
    shown=1,
    baselines=("block_entropy", "bit_entropy"),
    claimed=True,
    pybdm="bdm",
)
