"""Real shuffles, many and fast, and what the four quantities of the null are for each of them.

Two ways to shuffle, both exact: the plane's bits permuted in place, and a subset of K of N cells drawn as independent
bits of about that density from which as many ones or zeros as are too many are turned over, at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import log2
from typing import Any, NamedTuple

import naive
import numpy as np
from numpy.typing import NDArray

from wcx.blocks.numpy_kernels import codes_of_bits
from wcx.measures.bdm_rarefied import rarefied_terms
from wcx.measures.null import Margins

Codes = NDArray[np.uint16]
Shuffle = Callable[[Any, np.random.Generator], Codes]

QUANTITIES = ("bdm", "mean_ctm", "block_entropy", "bdm_rarefied")


class Plane(NamedTuple):
    """Rows, columns and ones of a plane that is shuffled."""

    rows: int
    columns: int
    ones: int

    @property
    def margins(self) -> Margins:
        """What a shuffle keeps."""
        blocks = self.rows // 4 * (self.columns // 4)
        return Margins(self.rows * self.columns, self.ones, blocks)


def permuted(plane: Plane, random: np.random.Generator) -> Codes:
    """Put the bits in a random order and cut the matrix into its blocks."""
    bits = np.zeros(plane.rows * plane.columns, np.uint8)
    bits[: plane.ones] = 1
    random.shuffle(bits)
    return codes_of_bits(bits.reshape(plane.rows, plane.columns).view(bool))


def drawn(plane: Plane, random: np.random.Generator) -> Codes:
    """Draw the same for any place of the cells: blocks of 16 neighbours, since all orders are equally likely."""
    cells = plane.rows * plane.columns
    bits = np.unpackbits(_independent(cells, plane.ones / cells, random), count=cells)
    surplus = int(bits.sum()) - plane.ones
    wrong = 1 if surplus > 0 else 0
    left = abs(surplus)
    share = max(1 / 4096, (plane.ones if wrong else cells - plane.ones) / cells)
    while left:
        places = random.integers(0, cells, int(1.2 * left / share) + 100)
        _, first = np.unique(places, return_index=True)
        places = places[np.sort(first)]  # each once, in the order drawn
        places = places[bits[places] == wrong][:left]
        bits[places] = 1 - wrong
        left -= places.size
    return np.packbits(bits[: 16 * plane.margins.blocks]).view(np.uint16)


def _independent(cells: int, density: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Packed independent bits, one with a chance of `density` rounded to 2^-12, a binary digit of it a step."""
    level = min(4095, max(1, round(4096 * density)))
    words = np.zeros(-(-cells // 64), np.uint64)
    for digit in range((level & -level).bit_length() - 1, 12):
        coins = random.integers(0, 1 << 64, words.size, np.uint64)
        words = words | coins if level >> digit & 1 else words & coins
    return words.view(np.uint8)


class Moments(NamedTuple):
    """Mean and standard deviation."""

    mean: float
    sd: float


def moments(planes: Sequence[Plane], draws: int, rarefy: int, shuffle: Shuffle, seed: int) -> dict[str, Moments]:
    """Of each quantity for the counts of all planes added up, each shuffled by itself."""
    random = np.random.default_rng([seed, draws, *(number for plane in planes for number in plane)])
    blocks = sum(plane.margins.blocks for plane in planes)
    table = np.array([naive.ctm_table()[code] for code in range(65536)])
    found = list(_values(planes, draws, blocks, rarefy, table, shuffle, random))
    columns = np.array(found)
    means, sds = columns.mean(axis=0).tolist(), columns.std(axis=0, ddof=1).tolist()
    return {name: Moments(*pair) for name, pair in zip(QUANTITIES, zip(means, sds, strict=True), strict=True)}


def _values(
    planes: Sequence[Plane],
    draws: int,
    blocks: int,
    rarefy: int,
    table: NDArray[np.float64],
    shuffle: Shuffle,
    random: np.random.Generator,
) -> Iterator[list[float]]:
    seen: dict[int, tuple[float, float]] = {}
    for _ in range(draws):
        codes = np.concatenate([shuffle(plane, random) for plane in planes])
        if codes.size < 5000:
            kinds, counts = np.unique(codes, return_counts=True)
        else:
            kinds, counts = np.arange(65536), np.bincount(codes, minlength=65536)
        number = np.bincount(counts)  # [n]: how many kinds of block occur n times
        complexity = np.bincount(counts, weights=table[kinds])  # [n]: the sum of their complexities
        present = np.flatnonzero(number)
        present = present[present > 0]
        n = present.tolist()
        logs = np.array([log2(some) for some in n])
        bdm = float(complexity[present].sum() + (number[present] * logs).sum())
        mean_ctm = float((complexity[present] * present).sum() / blocks)
        entropy = float(-(number[present] * present / blocks * (logs - log2(blocks))).sum())
        rarefied = bdm
        if blocks > rarefy:
            new = [some for some in n if some not in seen]
            if new:
                pairs = zip(*(x.tolist() for x in rarefied_terms(np.array(new, float), blocks, rarefy)), strict=True)
                seen.update(zip(new, pairs, strict=True))
            a, b = np.array([seen[some] for some in n]).T
            rarefied = float((complexity[present] * a).sum() + (number[present] * b).sum())
        yield [bdm, mean_ctm, entropy, rarefied]
