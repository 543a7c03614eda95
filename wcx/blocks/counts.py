"""BlockCounts: the number of times that each block occurs in a plane. Every number of a report follows from these.

Counts are exact, they add, and they are small whatever the size of the model. They are what workers exchange.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BlockCounts:
    """The block counts of one plane, or of several added up.

    scheme: id of the scheme they were counted under. codes: uint16 (uint32 where there are smaller blocks), ascending,
    those blocks that occur. counts: int64, how often. symbols: cells of the plane, left-over ones included. ones: cells
    that are 1, likewise. cells: of a block. smaller: cells of the smaller blocks, whose codes follow, shape by shape.
    overlapping: True where a cell can be in several blocks, or in none; then nothing is left over.

    Laws: empty() is neutral under merge; merge is commutative and associative; counting a plane equals merging the
    counts of any split of it on block rows (unless they overlap); the cells of all blocks + left_over = symbols; equal
    content is equal arrays.
    """

    scheme: str
    codes: NDArray[Any]
    counts: NDArray[np.int64]
    symbols: int
    ones: int
    cells: int = 16
    smaller: tuple[int, ...] = ()
    overlapping: bool = False

    @classmethod
    def empty(
        cls, scheme: str, cells: int = 16, smaller: tuple[int, ...] = (), *, overlapping: bool = False
    ) -> BlockCounts:
        """Return the counts of no blocks."""
        codes = np.empty(0, np.uint32 if smaller else np.uint16)
        return cls(scheme, codes, np.empty(0, np.int64), 0, 0, cells, smaller, overlapping)

    @classmethod
    def from_histogram(
        cls,
        scheme: str,
        histogram: NDArray[np.integer],
        symbols: int,
        ones: int,
        cells: int = 16,
        smaller: tuple[int, ...] = (),
        *,
        overlapping: bool = False,
    ) -> BlockCounts:
        """Make counts of one number per possible code; raise ValueError where blocks have more cells than symbols."""
        codes = np.flatnonzero(histogram)
        kind = np.uint32 if smaller else np.uint16
        counts = histogram[codes].astype(np.int64)
        found = cls(scheme, codes.astype(kind), counts, symbols, ones, cells, smaller, overlapping)
        if found.left_over is not None and found.left_over < 0:
            raise ValueError(f"{found.blocks} blocks of {found.cells} cells do not fit into {symbols} symbols")
        return found

    @cached_property
    def blocks(self) -> int:
        """Number of blocks, B."""
        return int(self.counts.sum())

    @property
    def left_over(self) -> int | None:
        """Cells at the edges that are in no block; None where blocks overlap."""
        if self.overlapping:
            return None
        return self.symbols - sum(cells * blocks for cells, blocks in self.by_size())

    def by_size(self) -> list[tuple[int, int]]:
        """Return cells and number of the blocks of each shape, the whole ones first."""
        found, start = [], 0
        for cells in (self.cells, *self.smaller):
            inside = slice(*np.searchsorted(self.codes, (start, start + (1 << cells))))
            found.append((cells, int(self.counts[inside].sum())))
            start += 1 << cells
        return found

    @property
    def _kind(self) -> tuple[str, int, tuple[int, ...], bool]:
        return self.scheme, self.cells, self.smaller, self.overlapping

    def merge(self, other: BlockCounts) -> BlockCounts:
        """Add two counts; raise ValueError where they are of different schemes."""
        if self._kind != other._kind:
            raise ValueError(f"counts of scheme {self.scheme} can't be merged with counts of {other.scheme}")
        codes, place = np.unique(np.concatenate([self.codes, other.codes]), return_inverse=True)
        counts = np.zeros(codes.size, np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return replace(
            self, codes=codes, counts=counts, symbols=self.symbols + other.symbols, ones=self.ones + other.ones
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockCounts):
            return NotImplemented
        mine = (*self._kind, self.symbols, self.ones)
        theirs = (*other._kind, other.symbols, other.ones)
        return mine == theirs and np.array_equal(self.codes, other.codes) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash((*self._kind, self.symbols, self.ones, self.codes.tobytes(), self.counts.tobytes()))
