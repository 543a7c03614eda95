"""Exact counts of blocks in bounded memory, whatever the number of distinct ones.

A table holds distinct blocks and how often each occurred, sorted. Tables of pieces are merged into tables of layers,
and those into one of all layers. Where that grows too large, a pass over the file takes only the blocks whose hash
lies in a range, and further passes take the rest: nothing is spilled to disk, and nothing is estimated. Blocks are
compared by their words; the hash only says in which pass, and where in a table, a block is found. It is keyed by
chance, so that no file can be made to defeat it; no result depends on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import TensorReader
from wcx.scan.grid import Piece
from wcx.scan.layers import Layer
from wcx.scan.sources import FileSource
from wcx.scan.threads import map_ordered
from wcx.tasks.motifs.cut import Block, Words, blocks_of, pieces, words_of

Hashes = NDArray[np.uint64]
_BUDGET = 100 << 20  # bytes that tables and their merging may take
_EVERYTHING = 1 << 64
_KEY = secrets.randbits(64)


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
        """The words of the blocks, whatever they are ordered by."""
        return self.order.reshape(-1, 1) if self.words is None else self.words


def hash_words(words: Words, key: int) -> Hashes:
    """A 64-bit hash of each row; rows of one word have different hashes."""
    found = np.full(len(words), key, np.uint64)
    for word in range(words.shape[1]):
        found ^= words[:, word]
        _mix(found)
    return found


def _mix(values: Hashes) -> None:
    """The finalizer of SplitMix64 (Steele et al. 2014), a permutation, in place."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)


# ------------------------------------------------------------------------------------------------------------ tables


def table_of(words: Words, order: Hashes | None = None) -> Table:
    """Count the rows of `words`; they are ordered by `order`, or by the word where there is one."""
    if order is None:
        return _counted(np.sort(words[:, 0]), None, None)
    arrangement = np.argsort(order, kind="stable")
    return _counted(order[arrangement], words[arrangement], None)


def merged(tables: Sequence[Table]) -> Table:
    """One table of several."""
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


class Tally:
    """A table that grows: what is added waits until there is as much of it as there is already."""

    def __init__(self) -> None:
        self._tables: list[Table] = []
        self._waiting = 0

    def __len__(self) -> int:
        """Rows that are held, equal ones of different tables included."""
        return self._waiting + (len(self._tables[0]) if self._tables else 0)

    def add(self, table: Table) -> None:
        """Take in one more table."""
        if not self._tables:
            self._tables = [table]
            return
        self._tables.append(table)
        self._waiting += len(table)
        if self._waiting > max(len(self._tables[0]), 1 << 17) or len(self._tables) > 512:
            self.table()

    def table(self) -> Table:
        """Merge and return all that was added, which is at least one table, if only an empty one."""
        self._tables, self._waiting = [merged(self._tables)], 0
        return self._tables[0]


# ------------------------------------------------------------------------------------------------------------- usage


@dataclass(slots=True)
class Usage:
    """What a report says of a set of counts: how many motifs occur how often, and which most often.

    often: number of motifs by how often they occur. top: words and count, those that occur at least twice, the most
    frequent first, of equals the one whose codes come first.
    """

    wanted: int
    often: dict[int, int] = field(default_factory=dict)
    top: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    @property
    def distinct(self) -> int:
        """Number of distinct motifs."""
        return sum(self.often.values())

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return sum(count * number for count, number in self.often.items())

    def add(self, table: Table) -> None:
        """Take in motifs of which none has been taken in before."""
        counts, numbers = _how_often(table.counts)
        for count, number in zip(counts.tolist(), numbers.tolist(), strict=True):
            self.often[count] = self.often.get(count, 0) + number
        self._add_top(table, counts, numbers)

    def _add_top(self, table: Table, counts: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        if not self.wanted or not len(counts) or counts[-1] < 2:
            return
        enough = np.flatnonzero(numbers[::-1].cumsum() >= self.wanted)
        least = max(2, int(counts[::-1][enough[0]]) if len(enough) else 2)
        rows = [np.flatnonzero(table.counts > least), self._first(table, np.flatnonzero(table.counts == least))]
        for row in np.concatenate(rows).tolist():
            self.top.append((int(table.counts[row]), tuple(table.blocks[row].tolist())))
        self.top.sort(key=lambda entry: (-entry[0], entry[1]))
        del self.top[self.wanted :]

    def _first(self, table: Table, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Of these rows those whose words come first, as many as are wanted."""
        words = table.blocks[rows]
        if len(rows) > self.wanted:
            near = words[:, 0] <= np.partition(words[:, 0], self.wanted - 1)[self.wanted - 1]
            rows, words = rows[near], words[near]
        return rows[np.lexsort(words.T[::-1])[: self.wanted]]


def _how_often(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different counts, ascending, and how many there are of each."""
    if len(counts) and counts.max() > 1 << 16:
        return np.unique(counts, return_counts=True)
    numbers = np.bincount(counts)
    found = np.flatnonzero(numbers)
    return found, numbers[found]


# ------------------------------------------------------------------------------------------------------------ passes


class _TooManyError(Exception):
    """A pass found more motifs than it may hold, after `share` of the blocks."""

    def __init__(self, share: float) -> None:
        self.share = share


@dataclass(frozen=True, slots=True)
class _Range:
    """Hashes from `first` on, `span` of them."""

    first: int = 0
    span: int = _EVERYTHING

    def part(self, words: Words) -> Table:
        """The table of those blocks whose hash is in the range."""
        if words.shape[1] == 1:
            if self.span < _EVERYTHING:
                words = words[self._holds(hash_words(words, _KEY))]
            return table_of(words)
        hashes = hash_words(words, _KEY)
        if self.span < _EVERYTHING:
            held = self._holds(hashes)
            words, hashes = words[held], hashes[held]
        return table_of(words, hashes)

    def _holds(self, hashes: Hashes) -> NDArray[np.bool_]:
        return hashes - np.uint64(self.first) < np.uint64(self.span)


def count_blocks(
    layers: Sequence[Layer],
    block: Block,
    reader: TensorReader,
    *,
    threads: int = 1,
    top: int = 5,
    on_start: Callable[[], None] = lambda: None,
    on_piece: Callable[[int], None] = lambda _nbytes: None,
    budget: int = _BUDGET,
) -> tuple[list[Usage], Usage]:
    """Count the blocks of layers of one dtype: of each, and of all together.

    on_start is called when a pass over the layers begins, on_piece with the bytes of every piece. budget: what tables
    may take, in bytes. Memory does not depend on the size of the layers. CheckpointError where they can't be read.
    """
    usages, together = [Usage(top) for _ in layers], Usage(top)
    first, span = 0, _EVERYTHING
    while first < _EVERYTHING:
        on_start()
        this = _Range(first, min(span, _EVERYTHING - first))
        try:
            found = _count_range(layers, block, reader, this, threads, top, on_piece, budget)
        except _TooManyError as error:
            span = max(1, int(this.span * error.share))
            continue
        for usage, one in zip((*usages, together), found, strict=True):
            _combine(usage, one)
        first += this.span
    return usages, together


def _combine(usage: Usage, other: Usage) -> None:
    for count, number in other.often.items():
        usage.often[count] = usage.often.get(count, 0) + number
    usage.top = sorted(usage.top + other.top, key=lambda entry: (-entry[0], entry[1]))[: usage.wanted]


def _count_range(
    layers: Sequence[Layer],
    block: Block,
    reader: TensorReader,
    range_: _Range,
    threads: int,
    top: int,
    on_piece: Callable[[int], None],
    budget: int,
) -> list[Usage]:
    """Usage of each layer and, last, of all, of the blocks of one range of hashes."""
    most = _most_rows(layers, block, budget) if range_.span > 1 else 1 << 62
    items = [(layer, piece) for layer in layers for piece in pieces(layer, block)]
    total, seen = sum(block.count(layer) for layer in layers), 0
    usages: list[Usage] = []
    together = Tally()

    def tabulate(source: FileSource, item: tuple[Layer, Piece]) -> Table:
        layer, piece = item
        return range_.part(words_of(blocks_of(source.codes(layer, piece), piece, block), layer.dtype))

    with closing(map_ordered(lambda: FileSource(reader), tabulate, items, threads, 2 * threads)) as tables:
        for layer in layers:
            tally = Tally()
            for piece in pieces(layer, block):
                tally.add(next(tables))
                seen += -(-piece.height // block.rows) * -(-piece.width // block.columns)
                on_piece(piece.height * piece.width * layer.dtype.bits // 8)
                if len(tally) + len(together) > most and _compact(tally) + _compact(together) > most // 2:
                    raise _TooManyError(0.9 * seen / total)
            usages.append(_usage_of(tally, top))
            together.add(tally.table())
    return [*usages, _usage_of(together, top)]


def _compact(tally: Tally) -> int:
    """Merge what waits; the rows that remain."""
    return len(tally.table()) if len(tally) else 0


def _usage_of(tally: Tally, top: int) -> Usage:
    usage = Usage(top)
    usage.add(tally.table())
    return usage


def _most_rows(layers: Sequence[Layer], block: Block, budget: int) -> int:
    """How many rows tables may hold: a merge has each of them about three times, and their arrangement."""
    words = -(-block.size * max(8, layers[0].dtype.bits) // 64) if layers else 1
    return max(2, budget // (3 * (16 if words == 1 else 16 + 8 * words) + 8))
