"""The permutation null by drawing: for planes too small or too sparse for the closed form, and for checking it.

Under a permutation all blocks of a plane are exchangeable, so the positions of the ones can be drawn over the blocks in
turn, whatever the plane's width; the cells after the last whole block are the left-over ones. Every plane
has a generator of its own, seeded by the seed, the tensor's name and the plane, so that neither order, threads nor a
selection of layers changes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from wcx.core.quantities import null_places
from wcx.measures.null import Expectation, Margins, null_of
from wcx.measures.tables import CtmTable

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SHORT = 2048  # cells up to which whole planes are permuted; above, there are few ones, and their places are drawn
_SMALL = 1 << 16  # counts below which a table separates them
_TILE = 1 << 20  # cells that are shuffled at once


def generator(seed: int, name: str, plane: int, draw: int | None = None) -> np.random.Generator:
    """Return the generator of one plane of one tensor, and of one draw where draws are made apart."""
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest(), "<u4").tolist()
    return np.random.default_rng([seed, *words, plane] + ([] if draw is None else [draw]))


def summarise(values: Sequence[float]) -> Expectation:
    """Return mean and standard deviation (n - 1) of drawn values; sums are exact, so their order does not matter."""
    if min(values) == max(values):
        return Expectation(values[0], 0.0)
    mean = fsum(values) / len(values)
    squares = fsum((value - mean) ** 2 for value in values)
    return Expectation(mean, sqrt(squares / (len(values) - 1)))


def shuffled_histograms(plane: Margins, cells: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield block counts, int64 [2^cells], of the tiles of one real permutation of a plane.

    The number of ones of a tile is hypergeometric, and inside the tile they are shuffled: memory stays bounded.
    """
    ones, symbols, left = plane.ones, plane.symbols, cells * plane.blocks
    while left:
        size = min(_TILE // cells * cells, left)
        inside = int(random.hypergeometric(ones, symbols - ones, size)) if 0 < ones < symbols else min(ones, size)
        bits = np.zeros(size, np.uint8)
        bits[:inside] = 1
        random.shuffle(bits)
        codes = np.packbits(bits.reshape(-1, cells), axis=1, bitorder="little").view("<u2")
        yield np.bincount(codes.reshape(-1), minlength=1 << cells)
        ones -= inside
        symbols -= size
        left -= size


def sampled_null(
    planes: Sequence[Margins],
    randoms: Sequence[np.random.Generator],
    table: CtmTable,
    rarefy: int,
    draws: int,
    measures: Sequence[str] | None = None,
) -> dict[str, Expectation]:
    """Return each measure's expectation for the counts of `planes` added up, from `draws` permutations of each.

    measures: names, all that have a null by default. Only the positions of the rarer value are drawn; all other blocks
    are constant.
    """
    parts = [_draw_codes(plane, random, draws, table.cells) for plane, random in zip(planes, randoms, strict=True)]
    added = _add_up([part for of_plane in parts for part in of_plane], draws, table.possible)
    drawn = Drawn(*added, sum(plane.blocks for plane in planes), table, rarefy)
    names = null_places() if measures is None else measures
    return {name: summarise(drawn.values(null_of(name).terms)) for name in names}


@dataclass(frozen=True)
class Drawn:
    """Counts of the blocks of some draws: int64 arrays of one length, ascending by draw, then code."""

    draw: Integers
    code: Integers
    count: Integers
    blocks: int
    table: CtmTable
    rarefy: int

    @cached_property
    def complexity(self) -> Floats:
        """CTM of each code."""
        values: Floats = self.table.values[self.code]
        return values

    @cached_property
    def _different(self) -> tuple[Integers, Integers]:
        return _different(self.count)

    @property
    def counts(self) -> Integers:
        """The different counts, ascending."""
        return self._different[0]

    @property
    def place(self) -> Integers:
        """The place of each count among the different ones."""
        return self._different[1]

    def of_counts(self, function: Callable[[int], float]) -> Floats:
        """Return function(count) for each, evaluated once for equal ones."""
        return np.array([function(count) for count in self.counts.tolist()])[self.place]

    def values(self, terms: Callable[[Drawn], Floats]) -> list[float]:
        """Return the sum of a measure's terms over each draw."""
        sums: list[float] = np.bincount(self.draw, weights=terms(self)).tolist()
        return sums


Part = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _draw_codes(plane: Margins, random: np.random.Generator, draws: int, size: int) -> list[Part]:
    """Draw permutations of a plane in blocks of `size` cells; parts of draws, codes and counts, constants apart."""
    mostly_ones = 2 * plane.ones > plane.symbols
    rarer = plane.symbols - plane.ones if mostly_ones else plane.ones
    base = (1 << size) - 1 if mostly_ones else 0
    if plane.symbols <= _SHORT:
        cells = np.zeros((draws, plane.symbols), np.uint8)
        cells[:, :rarer] = 1
        random.permuted(cells, axis=1, out=cells)
        blocks = cells[:, : size * plane.blocks].reshape(draws * plane.blocks, size)
        packed = np.packbits(blocks, axis=1, bitorder="little").view("<u2")  # [draws * blocks, 1]
        code = packed.reshape(-1).astype(np.int64) ^ base
        return [(np.repeat(np.arange(draws), plane.blocks), code, np.ones(code.size, np.int64))]
    position = _choose(plane.symbols, rarer, draws, random)
    position.sort(axis=1)
    inside = position < size * plane.blocks
    draw = np.repeat(np.arange(draws), rarer).reshape(position.shape)[inside]
    place = position[inside]
    keys = draw * plane.blocks + place // size  # ascending
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    bits = np.bitwise_or.reduceat(np.left_shift(1, place % size), first) if first.size else first
    touched = draw[first]
    constant = plane.blocks - np.bincount(touched, minlength=draws)
    ones = np.ones(first.size, np.int64)
    return [(touched, bits ^ base, ones), (np.arange(draws), np.full(draws, base), constant)]


def _choose(number: int, chosen: int, draws: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw `chosen` distinct numbers below `number`, `draws` times: int64 [draws, chosen]. Floyd's algorithm."""
    found = np.empty((draws, chosen), np.int64)
    for step, top in enumerate(range(number - chosen, number)):
        drawn = random.integers(0, top + 1, draws)
        repeated = (found[:, :step] == drawn[:, None]).any(axis=1)
        found[:, step] = np.where(repeated, top, drawn)
    return found


def _add_up(parts: Sequence[Part], draws: int, possible: int) -> Part:
    """Add counts of equal draw and code; ascending by draw, then code."""
    draw, code, count = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    keys, place = np.unique(draw * possible + code, return_inverse=True)
    total = np.bincount(place, weights=count).astype(np.int64)
    keys, total = keys[total > 0], total[total > 0]
    return keys // possible, keys % possible, total


def _different(count: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different counts, ascending, and the place of each among them: np.unique in a tenth of its time.

    Nearly all are small; those of constant blocks, one a draw, are as large as the plane.
    """
    is_small = count < _SMALL
    there = np.bincount(count[is_small], minlength=1) > 0
    small = np.flatnonzero(there)
    large, place_of_large = np.unique(count[~is_small], return_inverse=True)
    place = np.empty(count.size, np.int64)
    place[is_small] = (np.cumsum(there) - 1)[count[is_small]]
    place[~is_small] = small.size + place_of_large
    return np.concatenate([small, large]), place
