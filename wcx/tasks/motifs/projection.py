"""Projection onto k motifs: the draw of blocks that become motifs, and the replacement of every block.

Source: `momos` in src/quantizers.py of github.com/saintslab/MoMos (arXiv 2602.14896): motifs are blocks drawn at
random, if wanted with the block of zeros first; every block of every layer becomes the nearest motif by squared
distance. Here the draw is of distinct blocks, by a seeded hash of their values, so that it depends on neither order
nor threads; and a block with a NaN or an infinity, which is near to nothing, stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import TensorReader
from wcx.core.decode import float64_values
from wcx.core.errors import UsageError
from wcx.scan.layers import Layer, Piece
from wcx.tasks.motifs.cut import (
    Block,
    Codes,
    Words,
    blocks_of,
    codes_of,
    map_pieces,
    matrix_of,
    nbytes_of_piece,
    words_of,
)
from wcx.tasks.motifs.nearest import Nearest
from wcx.tasks.motifs.tables import GrowingTable, Hashes, hash_words, table_of

_BUDGET = 64 << 20  # bytes of the motifs and of what finds them
_KEPT = -1


@dataclass(frozen=True, slots=True)
class Motifs:
    """Motifs of layers of one dtype: their codes (k, s), and the search for the nearest."""

    codes: NDArray[Any]
    nearest: Nearest

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class ProjectedPiece:
    """A piece after projection: codes as a matrix, the motif of each block (-1: kept), and what has changed.

    squares: sum of the squared differences; energy: of the squared weights, of blocks that were not kept.
    """

    codes: NDArray[Any]
    used: NDArray[np.intp]
    changed: int
    squares: float
    energy: float


# ------------------------------------------------------------------------------------------------------------ drawing


def most_motifs(size: int) -> int:
    """Return the most motifs of `size` values that wcx takes: codes, numbers and the tree are in memory."""
    return _BUDGET // (48 + 24 * size)


def draw_motifs(
    layers: Sequence[Layer],
    block: Block,
    k: int,
    reader: TensorReader,
    *,
    zero_block: bool = False,
    seed: int = 0,
    threads: int = 1,
    on_piece: Callable[[int], None] = lambda _nbytes: None,
) -> Motifs:
    """Draw k of the distinct blocks of layers of one dtype, all with the same chance, without replacement.

    zero_block: the first is all zeros, and k - 1 others are drawn. Fewer than k where there are no more distinct ones.
    Raises UsageError where k motifs do not fit in memory, CheckpointError where the layers can't be read.
    """
    if k > most_motifs(block.size):
        most = most_motifs(block.size)
        raise UsageError(f"{k:,} motifs of {block.size} values do not fit in memory: use at most {most:,}")
    dtype = layers[0].dtype
    key = int.from_bytes(hashlib.sha256(f"wcx motifs {seed}".encode()).digest()[:8], "little")
    wanted = k - zero_block

    def candidates(_number: int, piece: Piece, codes: Codes) -> tuple[Words, Hashes]:
        blocks = blocks_of(codes, piece, block)
        words = words_of(blocks, dtype)[np.isfinite(float64_values(blocks, dtype)).all(axis=1)]
        if zero_block:
            words = words[words.any(axis=1)]
        return words, hash_words(words, key)

    drawn = _Smallest(wanted, -(-block.size * max(8, dtype.bits) // 64))
    with closing(map_pieces(layers, block, reader, candidates, threads)) as found:
        for number, piece, (words, hashes) in found:
            drawn.add(words, hashes)
            on_piece(nbytes_of_piece(layers[number], piece))
    codes = codes_of(drawn.words(), block.size, dtype)
    if zero_block or not len(codes):
        codes = np.concatenate([np.zeros((1, block.size), codes.dtype), codes])
    return Motifs(codes, Nearest(float64_values(codes, dtype)))


class _Smallest:
    """The blocks with the smallest hashes, of all distinct ones."""

    def __init__(self, wanted: int, words: int) -> None:
        self._wanted = wanted
        self._table = table_of(np.empty((0, words), np.uint64), np.empty(0, np.uint64))
        self._candidates = GrowingTable()
        self._candidates.add(self._table)

    def add(self, words: Words, hashes: Hashes) -> None:
        if len(self._table) == self._wanted:
            near = hashes <= self._table.order[-1] if self._wanted else np.zeros(len(hashes), bool)
            words, hashes = words[near], hashes[near]
        self._candidates.add(table_of(words, hashes))
        if len(self._candidates) >= 2 * self._wanted + 1024:
            self._cut()

    def _cut(self) -> None:
        """Keep the smallest; of equal hashes a table has those first whose words come first."""
        table = self._candidates.table()
        self._table = table_of(table.blocks[: self._wanted], table.order[: self._wanted])
        self._candidates = GrowingTable()
        self._candidates.add(self._table)

    def words(self) -> Words:
        """Return the words of the smallest, ordered by their hashes."""
        self._cut()
        return self._table.blocks


# ---------------------------------------------------------------------------------------------------------- projecting


def project(
    layers: Sequence[Layer], motifs: Sequence[Motifs], block: Block, reader: TensorReader, *, threads: int = 1
) -> Generator[tuple[int, Piece, ProjectedPiece], None, None]:
    """Project layers, each onto the motifs at its place, and yield every piece with its layer's number, in order.

    A weight whose value stays the same keeps its bits (-0.0 stays -0.0). What blocks were filled up with counts for the
    nearest motif, and for nothing else.
    """

    def projected(number: int, piece: Piece, codes: Codes) -> ProjectedPiece:
        return _project_piece(codes, piece, block, layers[number], motifs[number])

    return map_pieces(layers, block, reader, projected, threads)


def _project_piece(codes: NDArray[Any], piece: Piece, block: Block, layer: Layer, motifs: Motifs) -> ProjectedPiece:
    blocks = blocks_of(codes, piece, block)
    before = float64_values(blocks, layer.dtype)
    finite = np.isfinite(before).all(axis=1)
    used = np.full(len(blocks), _KEPT)
    used[finite] = _nearest(blocks[finite], before[finite], layer, motifs)
    after_codes, after = blocks.copy(), before.copy()
    after_codes[finite] = motifs.codes[used[finite]]
    after[finite] = float64_values(after_codes[finite], layer.dtype)
    same = before == after
    same[~finite] = True
    after_codes[same] = blocks[same]
    before[~finite] = after[~finite] = 0.0
    with np.errstate(over="ignore"):
        differences = matrix_of(before - after, piece, block)
        return ProjectedPiece(
            codes=matrix_of(after_codes, piece, block),
            used=used,
            changed=int(np.count_nonzero(~matrix_of(same, piece, block))),
            squares=float((differences**2).sum()),
            energy=float((matrix_of(before, piece, block) ** 2).sum()),
        )


def _nearest(blocks: NDArray[Any], values: NDArray[np.float64], layer: Layer, motifs: Motifs) -> NDArray[np.intp]:
    """Return the motif of each block; equal blocks are looked up once where one word tells that they are equal."""
    words = words_of(blocks, layer.dtype)
    if words.shape[1] > 1:
        return motifs.nearest.query(values)
    _, first, inverse = np.unique(words[:, 0], return_index=True, return_inverse=True)
    return motifs.nearest.query(values[first])[inverse]
