"""Tables of distinct blocks and of how often each occurred, sorted, so that two of them merge into one.

Blocks are compared by their words. A table is ordered by a hash of them, keyed by chance so that no file can be made to
defeat it, or by the word itself where a block has only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wcx.tasks.motifs.cut import Words

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Table:
    """Distinct blocks: `order` (n,) ascending, `counts` (n,), `words` (n, W), or None where the order is the word."""

    order: Hashes
    counts: NDArray[np.int64]
    words: Words | None = None

    def __len__(self) -> int:
        return len(self.order)

    @property
    def blocks(self) -> Words:
        """The words of the blocks (n, W), whatever they are ordered by."""
        return self.order.reshape(-1, 1) if self.words is None else self.words


def hash_words(words: Words, key: int) -> Hashes:
    """Return a 64-bit hash of each row; rows of one word have different hashes."""
    found = np.full(len(words), key, np.uint64)
    for word in range(words.shape[1]):
        found ^= words[:, word]
        _mix(found)
    return found


def _mix(values: Hashes) -> None:
    """Apply the finalizer of SplitMix64 (Steele et al. 2014), a permutation, in place."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)


def table_of(words: Words, order: Hashes | None = None) -> Table:
    """Count the rows of `words`; they are ordered by `order`, or by the word where there is one."""
    if order is None:
        return _counted(np.sort(words[:, 0]), None, None)
    arrangement = np.argsort(order, kind="stable")
    return _counted(order[arrangement], words[arrangement], None)


def merged(tables: Sequence[Table]) -> Table:
    """Merge tables of one order into one."""
    if len(tables) == 1:
        return tables[0]
    order = np.concatenate([table.order for table in tables])
    arrangement = np.argsort(order, kind="stable")  # runs that are sorted already are merged, not sorted again
    order = order[arrangement]
    counts = np.concatenate([table.counts for table in tables])[arrangement]
    if tables[0].words is None:
        return _counted(order, None, counts)
    return _counted(order, np.concatenate([table.blocks for table in tables])[arrangement], counts)


def _counted(order: Hashes, words: Words | None, counts: NDArray[np.int64] | None) -> Table:
    """Make one row of equal neighbours; blocks of equal hash that differ are put in the order of their words first."""
    first = np.ones(len(order), bool)
    np.not_equal(order[1:], order[:-1], out=first[1:])
    if words is not None:
        differs = np.ones(len(order), bool)
        differs[1:] = (words[1:] != words[:-1]).any(axis=1)
        if (differs & ~first).any():
            arrangement = np.lexsort((*words.T[::-1], order))
            order, words = order[arrangement], words[arrangement]
            counts = None if counts is None else counts[arrangement]
            differs[1:] = (words[1:] != words[:-1]).any(axis=1)
        first = differs if len(differs) else first
    starts = np.flatnonzero(first)
    if counts is None:
        counts = np.diff(starts, append=len(order))
    elif len(starts) < len(order):
        counts = np.add.reduceat(counts, starts)
    return Table(order[starts], counts, None if words is None else words[starts])


class GrowingTable:
    """The sum of many tables: what is added waits until there is as much of it as there is already."""

    def __init__(self) -> None:
        self._tables: list[Table] = []
        self._waiting = 0

    def __len__(self) -> int:
        """Return the number of rows in memory, equal ones of different tables included."""
        return self._waiting + (len(self._tables[0]) if self._tables else 0)

    def add(self, table: Table) -> None:
        """Add a table of the same order."""
        if not self._tables:
            self._tables = [table]
            return
        self._tables.append(table)
        self._waiting += len(table)
        if self._waiting > max(len(self._tables[0]), 1 << 17) or len(self._tables) > 512:
            self.table()

    def table(self) -> Table:
        """Merge and return all that was added: at least one table, if only an empty one."""
        self._tables, self._waiting = [merged(self._tables)], 0
        return self._tables[0]
