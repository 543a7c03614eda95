"""The input of a measure: the counts of a plane, the table, and the counts grouped by how often a block occurs.

Every measure here is a sum over blocks of a function of the block's complexity and of its count, so blocks of equal
count can be taken together: the spectrum. Its sums are integers; a measure rounds once, at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from wcx.measures.tables import CtmTable, join

if TYPE_CHECKING:
    from wcx.blocks.counts import BlockCounts

Value = TypeVar("Value")
_BINNED = 1 << 16


@dataclass(frozen=True, slots=True)
class Group:
    """The blocks that occur exactly `count` times: how many, and the exact sum of their complexities in units."""

    count: int
    blocks: int
    units: int


@dataclass(frozen=True)
class Evidence:
    """The inputs of a measure. rarefy: the number m of blocks that bdm_rarefied is taken at.

    boundary: ignore, recursive or correlated, the boundary of the counts.
    """

    counts: BlockCounts
    table: CtmTable
    rarefy: int = 1024
    boundary: str = "ignore"

    @cached_property
    def blocks(self) -> int:
        """Number of blocks, B; at least 1."""
        return self.counts.blocks

    @property
    def rarefied_m(self) -> int:
        """min(m, B)."""
        return min(self.rarefy, self.blocks)

    @property
    def distinct(self) -> int:
        """Number of distinct blocks."""
        return int(self.counts.codes.size)

    @property
    def undivided(self) -> bool:
        """Return True if all cells are in whole blocks: none is left over, none in a smaller block."""
        main = self.table.main
        return main.cells * self.blocks == self.counts.symbols and int(self.counts.codes[-1]) < main.possible

    @cached_property
    def spectrum(self) -> list[Group]:
        """The groups of equal count, ascending."""
        counts, codes = self.counts.counts, self.counts.codes
        values, place = None, counts
        if counts.max() >= _BINNED:
            values, place = np.unique(counts, return_inverse=True)
        sums = [np.bincount(place), *(np.bincount(place, weights=half[codes]) for half in self.table.halves)]
        if values is None:
            values = np.flatnonzero(sums[0])
            sums = [some[values] for some in sums]
        columns = zip(values.tolist(), *(some.tolist() for some in sums), strict=True)
        return [Group(count, blocks, join(int(high), int(low))) for count, blocks, high, low in columns]

    def once(self, function: Callable[[Evidence], Value]) -> Value:
        """Return function(self), evaluated the first time only: for parts that several measures share."""
        if function not in self._known:
            self._known[function] = function(self)
        value: Value = self._known[function]
        return value

    @cached_property
    def _known(self) -> dict[Any, Any]:
        return {}
