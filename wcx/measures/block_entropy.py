"""Shannon entropy of the distribution of blocks.

Source: Shannon 1948; pybdm 0.1.0, BDM.ent, which the values equal.
"""

from __future__ import annotations

from functools import reduce
from math import fsum, log2
from operator import add

import numpy as np

from wcx.core.measure import Column, Measure, Null
from wcx.measures.draws import Drawn, Floats
from wcx.measures.evidence import Evidence
from wcx.measures.null import ClosedForm, Expectation, Function
from wcx.measures.support import surprise


def block_entropy(evidence: Evidence) -> float:
    """-sum p_i log2 p_i over the blocks that occur, bits per block; 0 for one distinct block, at most log2 min(B, S).

    16 different 4x4 blocks, once each, have 4.0.
    """
    if evidence.distinct == 1:
        return 0.0
    return fsum(group.blocks * surprise(group.count, evidence.blocks) for group in evidence.spectrum)


def _expected(shuffled: ClosedForm) -> Expectation:
    """Return the mean and standard deviation: b = -(n log2 n) / B, next to log2 B."""
    blocks, count = shuffled.blocks, shuffled.table.classes[0]
    sums = (float(np.add.reduce(count[at.rows] * at.expect(at.points * at.logs))) for at in shuffled.exact)
    total = reduce(add, sums, 0.0)  # from left to right: sum() rounds otherwise from Python 3.12 on
    functions = []
    for at in shuffled.poisson:
        b = at.points * at.logs / -blocks
        functions.append(Function(at, None, b, None, (at.points + 1) * at.next_logs() / -blocks - b))
    return Expectation(log2(blocks) - total / blocks, shuffled.sd(functions))


def _drawn(drawn: Drawn) -> Floats:
    blocks = drawn.blocks
    return drawn.of_counts(lambda count: -count / blocks * log2(count / blocks))


BLOCK_ENTROPY = Measure(
    "block_entropy",
    "bits/block",
    block_entropy,
    formula="-sum p_i log2 p_i",
    range="bits per block, 0 .. log2 min(B, S)",
    source="Shannon; pybdm `BDM.ent`",
    example=(dict.fromkeys(range(16), 1), 4.0),
    boundaries=("ignore", "recursive", "correlated"),
    null=Null(_expected, _drawn, order=2),
    columns=(Column(("block", "entropy"), "two_places", rank=5, place=90, tight="entr."),),
    main=True,
    shown=3,
    pybdm="ent",
)
