"""BDM of m blocks drawn at random from a plane's B, in expectation: comparable between layers of any size.

BDM grows with the number of blocks and saturates; at a fixed number of blocks it does neither. The expectation is taken
in closed form, nothing is drawn. Rarefaction as in ecology (Hurlbert 1971), applied to the sum of BDM.
"""

from __future__ import annotations

from math import fsum

import numpy as np

from wcx.core.measure import Column, Measure, Null
from wcx.measures.bdm import bdm, drawn_bdm, expected_bdm, mean_bdm
from wcx.measures.draws import Drawn, Floats
from wcx.measures.evidence import Evidence
from wcx.measures.null import LONG, ClosedForm, Expectation, Function, distribution
from wcx.measures.support import SMALLEST_WEIGHT, log2_of_whole, reach
from wcx.measures.tables import UNIT

_MOST_TERMS = 1 << 18  # at once, whatever --rarefy asks for
_LONG = 500.0  # the null's terms cost a sum each; here three points change the sd by less than 0.1 %
_ROWS = 64  # counts taken together; ascending ones have supports of about the same length


def bdm_rarefied(evidence: Evidence) -> float:
    """Expected BDM of a random m-subset of the blocks, m = min(rarefy, B), drawn without replacement; bits.

    sum_i CTM_i P(k_i > 0) + E[log2 k_i; k_i > 0] with k_i hypergeometric (B, n_i, m). B <= m: bdm itself, exactly.
    """
    if evidence.blocks <= evidence.rarefy:
        return bdm(evidence)
    spectrum = evidence.spectrum
    seen, logs = rarefied_terms(np.array([group.count for group in spectrum], float), evidence.blocks, evidence.rarefy)
    terms = zip(spectrum, seen.tolist(), logs.tolist(), strict=True)
    return fsum(part for group, p, e in terms for part in (group.units / UNIT * p, group.blocks * e))


def rarefied_terms(counts: Floats, blocks: int, drawn: int) -> tuple[Floats, Floats]:
    """Return P(k > 0) and E[log2 k; k > 0] for k hypergeometric: `drawn` of `blocks` blocks, `counts` of them marked.

    counts: float64 [G] of whole numbers. Weights by the ratio of neighbours from the mode outward, divided by their
    sum; factorials and lgamma lose five digits at 10^9 blocks. B = 10^9, m = 1024, n = 2: P = 2.047998952448e-06.
    """
    rows = max(1, min(_ROWS, _MOST_TERMS // reach(drawn)))
    parts = [_terms(counts[at : at + rows], blocks, drawn) for at in range(0, counts.size, rows)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _terms(counts: Floats, blocks: int, drawn: int) -> tuple[Floats, Floats]:
    mode = np.floor((counts + 1) * (drawn + 1) / (blocks + 2))
    mode = np.clip(mode, np.maximum(0, drawn - (blocks - counts)), np.minimum(counts, drawn))
    steps = np.arange(reach(float(mode.max()) + 1))
    rest = blocks - counts - drawn
    n, rest, k = counts[:, None], rest[:, None], mode[:, None] + steps
    up = np.maximum((n - k) * (drawn - k), 0) / ((k + 1) * np.maximum(rest + k + 1, 1))
    k = mode[:, None] - steps
    down = np.maximum(k, 0) * np.maximum(rest + k, 0) / np.maximum((n - k + 1) * (drawn - k + 1), 1)
    above = np.cumprod(up, axis=1)
    below = np.cumprod(down, axis=1)
    above[above < SMALLEST_WEIGHT] = 0
    below[below < SMALLEST_WEIGHT] = 0
    total = 1 + above.sum(axis=1) + below.sum(axis=1)
    none = np.where(mode == 0, 1.0, 0.0) + (below * (k == 1)).sum(axis=1)
    logs = log2_of_whole(mode[:, None] + 1 + steps) * above
    fewer = log2_of_whole(np.maximum(mode[:, None] - 1 - steps, 0)) * below
    expected = (log2_of_whole(mode) + logs.sum(axis=1) + fewer.sum(axis=1)) / total
    seen = np.where(mode == 0, above.sum(axis=1) / total, 1 - none / total)
    return seen, expected


# ----------------------------------------------------------------------------------------------------------- null


def _expected(shuffled: ClosedForm) -> Expectation:
    """a = P(k > 0), b = E[log2 k; k > 0]; the mean is that of bdm for fewer blocks."""
    blocks, rarefy = shuffled.blocks, shuffled.rarefy
    if blocks <= rarefy:
        return shuffled.once(expected_bdm)
    functions = []
    for at in distribution(shuffled.mean, None, _LONG, shuffled.fixed):
        (a, b), (a_next, b_next) = _rarefied_at(at.points, blocks, rarefy)
        functions.append(Function(at, a, b, a_next - a, b_next - b))
    fewer = shuffled.cells.drawn(rarefy)
    return Expectation(mean_bdm(shuffled, distribution(fewer.mean, fewer.variance, LONG)), shuffled.sd(functions))


def _rarefied_at(points: Floats, blocks: int, rarefy: int) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """P(k > 0) and E[log2 k; k > 0] at any points and at the points + 1; between whole numbers along straight lines."""
    points = np.minimum(points, float(blocks))
    low = np.floor(points)
    part = points - low
    whole = np.minimum(low.ravel() + np.arange(3)[:, None], blocks)
    needed, place = np.unique(whole, return_inverse=True)
    at: list[Floats] = []
    after: list[Floats] = []
    for values in rarefied_terms(needed, blocks, rarefy):
        ends = values[place.reshape(-1)].reshape(3, *points.shape)
        at.append((1 - part) * ends[0] + part * ends[1])
        after.append((1 - part) * ends[1] + part * ends[2])
    return (at[0], at[1]), (after[0], after[1])


def _drawn(drawn: Drawn) -> Floats:
    if drawn.blocks <= drawn.rarefy:
        return drawn_bdm(drawn)
    seen, logs = rarefied_terms(drawn.counts.astype(float), drawn.blocks, drawn.rarefy)
    terms: Floats = drawn.complexity * seen[drawn.place] + logs[drawn.place]
    return terms


BDM_RAREFIED = Measure(
    "bdm_rarefied",
    "bits",
    bdm_rarefied,
    formula="expected BDM of a random m-subset of the blocks, m = min(1024, B)",
    range="bits",
    source="below",
    example=({0: 9}, 25.176631293734488),
    null=Null(
        _expected,
        _drawn,
        order=3,
        shown=0,
        columns=(
            Column(("vs own", "shuffle"), "change", rank=0, place=20),
            Column(("", "z"), "score", rank=1, place=21),
            Column(("", ""), "bar", rank=2, place=22, left=True),
        ),
    ),
    parameter=("rarefied_m", lambda evidence: evidence.rarefied_m),
    shown=0,
    baselines=("block_entropy",),
)
