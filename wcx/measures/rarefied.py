"""BDM of m blocks drawn at random from a plane's B, in expectation: comparable between layers of any size.

BDM grows with the number of blocks and saturates; at a fixed number of blocks it does neither. The expectation is taken
in closed form, nothing is drawn. Rarefaction as in ecology (Hurlbert 1971), applied to the sum of BDM.
"""

from __future__ import annotations

from math import fsum

import numpy as np
from numpy.typing import NDArray

from wcx.measures.bdm import bdm
from wcx.measures.evidence import Evidence, Measure
from wcx.measures.support import SMALLEST_WEIGHT, log2_of_whole, reach
from wcx.measures.tables import UNIT

_MOST_TERMS = 1 << 18  # at once, whatever --rarefy asks for
Floats = NDArray[np.float64]
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


BDM_RAREFIED = Measure("bdm_rarefied", "bits", bdm_rarefied)
