"""Exact counts of blocks in bounded memory, however many distinct ones there are.

Tables of pieces are merged into tables of layers, and those into one of all layers. Where that grows too large, a pass
over the file takes only the blocks whose hash lies in a range, and further passes take the rest: nothing is spilled to
disk, and nothing is estimated. No result depends on the hash.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import TensorReader
from wcx.scan.layers import Layer, Piece
from wcx.tasks.motifs.cut import Block, Codes, Words, blocks_of, map_pieces, nbytes_of_piece, words_of
from wcx.tasks.motifs.tables import GrowingTable, Table, hash_words, table_of

_BUDGET = 100 << 20  # bytes that tables and their merging may take
_EVERYTHING = 1 << 64
_KEY = secrets.randbits(64)
Top = tuple[int, tuple[int, ...]]
"""How often a block occurs, and its words."""


@dataclass(slots=True)
class Usage:
    """The use of distinct blocks: a histogram of how often they occur, and the most frequent ones.

    often: number of distinct blocks by how often they occur. top: those that occur at least twice, the most frequent
    first, of equally frequent ones the one whose codes come first.
    """

    often: Counter[int] = field(default_factory=Counter)
    top: list[Top] = field(default_factory=list)

    @property
    def distinct(self) -> int:
        """Number of distinct blocks."""
        return self.often.total()

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return sum(count * number for count, number in self.often.items())

    def merge(self, other: Usage, wanted: int) -> None:
        """Add the usage of other blocks, none of which is among these, and keep so many of the top."""
        self.often.update(other.often)
        self.top = _first_of(self.top + other.top, wanted)


def _first_of(top: list[Top], wanted: int) -> list[Top]:
    return sorted(top, key=lambda entry: (-entry[0], entry[1]))[:wanted]


def usage_of(table: Table, wanted: int) -> Usage:
    """Return the usage of the blocks of a table, with so many of the top."""
    counts, numbers = _how_often(table.counts)
    often = Counter(dict(zip(counts.tolist(), numbers.tolist(), strict=True)))
    if not wanted or not len(counts) or counts[-1] < 2:
        return Usage(often)
    enough = np.flatnonzero(numbers[::-1].cumsum() >= wanted)
    least = max(2, int(counts[::-1][enough[0]]) if len(enough) else 2)
    last = _first_rows(table, np.flatnonzero(table.counts == least), wanted)
    rows = [*np.flatnonzero(table.counts > least).tolist(), *last.tolist()]
    return Usage(
        often, _first_of([(int(table.counts[row]), tuple(table.blocks[row].tolist())) for row in rows], wanted)
    )


def _first_rows(table: Table, rows: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """Return those of the rows whose words come first, at most `wanted`."""
    words = table.blocks[rows]
    if len(rows) > wanted:
        near = words[:, 0] <= np.partition(words[:, 0], wanted - 1)[wanted - 1]
        rows, words = rows[near], words[near]
    return rows[np.lexsort(words.T[::-1])[:wanted]]


def _how_often(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different counts, ascending, and the number of each."""
    if len(counts) and counts.max() > 1 << 16:
        return np.unique(counts, return_counts=True)
    numbers = np.bincount(counts)
    found = np.flatnonzero(numbers)
    return found, numbers[found]


# ------------------------------------------------------------------------------------------------------------ passes


class _TooManyError(Exception):
    """A pass found more distinct blocks than it may hold, after `share` of all blocks."""

    def __init__(self, share: float) -> None:
        self.share = share


@dataclass(frozen=True, slots=True)
class _Range:
    """Hashes from `first` on, `span` of them."""

    first: int = 0
    span: int = _EVERYTHING

    def table(self, words: Words) -> Table:
        """Return the table of those blocks whose hash is in the range."""
        single = words.shape[1] == 1
        if single and self.span == _EVERYTHING:
            return table_of(words)
        hashes = hash_words(words, _KEY)
        if self.span < _EVERYTHING:
            inside = hashes - np.uint64(self.first) < np.uint64(self.span)
            words, hashes = words[inside], hashes[inside]
        return table_of(words, None if single else hashes)


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

    on_start is called when a pass over the layers begins, on_piece with the bytes of every piece. budget: bytes for the
    tables. Memory does not depend on the size of the layers. CheckpointError where they can't be read.
    """
    usages = [Usage() for _ in range(len(layers) + 1)]
    first, span = 0, _EVERYTHING
    while first < _EVERYTHING:
        on_start()
        range_ = _Range(first, min(span, _EVERYTHING - first))
        try:
            found = _count_range(layers, block, reader, range_, threads, top, on_piece, budget)
        except _TooManyError as error:
            span = max(1, int(range_.span * error.share))
            continue
        for usage, more in zip(usages, found, strict=True):
            usage.merge(more, top)
        first += range_.span
    return usages[:-1], usages[-1]


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
    """Return the usage of each layer and, last, of all, of the blocks of one range of hashes."""
    most = _most_rows(block, layers[0], budget) if range_.span > 1 else 1 << 62
    total, seen = sum(block.count(layer.rows, layer.columns) for layer in layers), 0
    usages: list[Usage] = []
    together = GrowingTable()

    def tabulate(number: int, piece: Piece, codes: Codes) -> Table:
        return range_.table(words_of(blocks_of(codes, piece, block), layers[number].dtype))

    with closing(map_pieces(layers, block, reader, tabulate, threads)) as tables:
        for number, group in groupby(tables, key=lambda item: item[0]):
            growing = GrowingTable()
            for _, piece, table in group:
                growing.add(table)
                seen += block.count(piece.height, piece.width)
                on_piece(nbytes_of_piece(layers[number], piece))
                if len(growing) + len(together) > most and _compact(growing) + _compact(together) > most // 2:
                    raise _TooManyError(0.9 * seen / total)
            usages.append(usage_of(growing.table(), top))
            together.add(growing.table())
    return [*usages, usage_of(together.table(), top)]


def _compact(table: GrowingTable) -> int:
    """Merge what waits; return the number of rows that remain."""
    return len(table.table()) if len(table) else 0


def _most_rows(block: Block, layer: Layer, budget: int) -> int:
    """Return the number of rows that tables may have: a merge has each about three times, and their arrangement."""
    words = -(-block.size * max(8, layer.dtype.bits) // 64)
    return max(2, budget // (3 * (16 if words == 1 else 16 + 8 * words) + 8))
