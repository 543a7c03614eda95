"""The mean complexity of a plane's blocks: grows with nothing but structure, and never saturates.

Source: the first term of BDM, weighted by occurrence (Zenil et al., Entropy 20(8):605, 2018).
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import numpy as np

from wcx.core.measure import Column, Measure, Null
from wcx.measures.draws import Drawn, Floats
from wcx.measures.evidence import Evidence
from wcx.measures.null import ClosedForm, Expectation, Margins, chances
from wcx.measures.tables import UNIT, CtmTable


def mean_ctm(evidence: Evidence) -> float:
    """Sum p_i CTM_i, bits per block; from 22.006706292292176 (constant 4x4 blocks) to 36.02279026553976.

    Fair random bits have 30.379284168273735 on average.
    """
    total = sum(group.count * group.units for group in evidence.spectrum)
    return total / (UNIT * evidence.blocks)


def _expected(shuffled: ClosedForm) -> Expectation:
    """Exact mean and standard deviation; planes weighted by their share of the blocks."""
    mean = variance = 0.0
    for plane, times in shuffled.planes.items():
        share = plane.blocks / shuffled.blocks
        found = _of_plane(plane, shuffled.table)
        mean += times * share * found[0]
        variance += times * share**2 * found[1]
    return Expectation(mean, sqrt(max(variance, 0.0)))


@lru_cache(maxsize=1024)
def _of_plane(plane: Margins, table: CtmTable) -> tuple[float, float]:
    """Return the mean and variance for one plane, by the chances of one and of two given blocks."""
    count, first, second = table.classes
    one = chances(plane, table.cells, table.cells)
    mean = float((first * one).sum())
    centred = first - mean * count
    squares = float(((second - 2 * mean * first + mean * mean * count) * one).sum())
    rest = float((centred * one).sum())
    if plane.blocks == 1:
        return mean, squares - rest * rest
    two = chances(plane, table.cells, 2 * table.cells)
    both = float((np.convolve(centred, centred) * two).sum())
    return mean, squares / plane.blocks + (1 - 1 / plane.blocks) * both - rest * rest


def _drawn(drawn: Drawn) -> Floats:
    terms: Floats = drawn.complexity * drawn.count / drawn.blocks
    return terms


MEAN_CTM = Measure(
    "mean_ctm",
    "bits/block",
    mean_ctm,
    formula="sum p_i CTM_i",
    range="bits per block, 22.007 .. 36.023",
    source="the CTM part of BDM, weighted",
    example=({0: 9}, 22.006706292292176),
    boundaries=("ignore", "correlated"),
    null=Null(
        _expected,
        _drawn,
        order=1,
        shown=2,
        columns=(Column(("mean ctm", "vs own"), "change", rank=12, place=30),),
    ),
    columns=(Column(("mean", "ctm"), "two_places", rank=13, place=80),),
    main=True,
    shown=2,
    baselines=("block_entropy",),
)
