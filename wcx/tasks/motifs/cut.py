"""Tensors to blocks: the cutting of a tensor, piece by piece, and the words by which blocks are compared.

A block of s values cuts the flattened tensor, a block of r x c its matrix [d0, d1 * d2 * ...] (a vector is one row);
what is left over at the edges is filled with zeros. Two blocks are the same motif when their values are equal one by
one: 0.0 and -0.0 are one value, and a NaN equals those of the same bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.layout import arrange
from wcx.core.checkpoint import TensorInfo, TensorReader
from wcx.core.dtypes import DTYPES, DType
from wcx.core.errors import UsageError
from wcx.scan.engine import Threads, Tools, Unordered, Work, scan
from wcx.scan.grid import Grid, Rows, Stripe
from wcx.scan.layers import PIECE_BYTES, Layer, Piece
from wcx.scan.sources import FileSource

T = TypeVar("T")
Codes = NDArray[Any]
Words = NDArray[np.uint64]
_LARGEST = 4096  # values of a block
_PIECE_CODES = 1 << 17  # what is made of them (words, numbers, differences) takes some 8 MiB in each thread


@dataclass(frozen=True, slots=True)
class Block:
    """The shape of a block; `flat` where the tensor is cut as one long row."""

    rows: int
    columns: int
    flat: bool

    @property
    def size(self) -> int:
        """Number of values."""
        return self.rows * self.columns

    def __str__(self) -> str:
        return str(self.columns) if self.flat else f"{self.rows}x{self.columns}"

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the numbers of blocks down and across a matrix, those that are filled up included."""
        return -(-height // self.rows), -(-width // self.columns)

    def count(self, height: int, width: int) -> int:
        """Return the number of blocks of a matrix."""
        return prod(self.grid(height, width))


def parse_block(text: str) -> Block:
    """Read `s` or `rxc`; raise UsageError for anything else, and for blocks of more than 4096 values.

    >>> str(parse_block("2")), parse_block("4x4").size
    ('2', 16)
    """
    if re.fullmatch(r"[1-9][0-9]{0,3}(x[1-9][0-9]{0,3})?", text, re.ASCII):
        sides = [int(side) for side in text.split("x")]
        if prod(sides) <= _LARGEST:
            return Block(1, sides[0], flat=True) if len(sides) == 1 else Block(sides[0], sides[1], flat=False)
    raise UsageError(f"unknown block {text!r}: give values (2) or rows and columns (4x4), up to 4096 values")


def layer_of(tensor: TensorInfo, block: Block) -> Layer:
    """Return the matrix that a tensor is cut as; its codes are those that are stored."""
    layout = "flat" if block.flat or len(tensor.shape) < 2 else "rows"
    matrix = arrange(tensor.shape, layout)
    return Layer(tensor, tensor, DTYPES[tensor.dtype], matrix.rows, matrix.columns)


def pieces(layer: Layer, block: Block) -> Iterator[Piece]:
    """Cut a layer into pieces of at most 131,072 codes that hold whole blocks, in the order of the blocks."""
    most = min(_PIECE_CODES, PIECE_BYTES // layer.dtype.itemsize)
    width = layer.columns
    if width * block.rows > most:
        width = most // block.rows // block.columns * block.columns
    height = block.rows
    if width == layer.columns:
        height *= max(1, most // max(width, block.columns) // block.rows)
    for start in range(0, layer.rows, height):
        for first in range(0, layer.columns, width):
            yield Piece(start, min(height, layer.rows - start), first, min(width, layer.columns - first))


@dataclass(frozen=True, slots=True)
class _Single(Rows):
    """The grid of one piece."""

    piece: Piece

    def stripes(self, rows: int, _columns: int, _bits: int, *, whole: bool = True) -> list[Stripe]:
        """Return one stripe."""
        return [Stripe(0, rows)]

    def pieces(self, _stripe: Stripe, _rows: int, _columns: int, _bits: int) -> Iterator[Piece]:
        """Yield the piece."""
        yield self.piece


class _Once(Unordered, Generic[T]):
    """A function of one piece, as a spec of the engine and its accumulator."""

    def __init__(self, piece: Piece, work: Callable[[Piece, Codes], T]) -> None:
        self._piece = piece
        self._work = work
        self._result: T | None = None

    @property
    def grid(self) -> Grid:
        """The piece alone."""
        return _Single(self._piece)

    def begin(self, _layer: Layer, _tools: Tools) -> _Once[T]:
        """Return an accumulator of its own."""
        return _Once(self._piece, self._work)

    def add(self, piece: Piece, codes: Codes) -> None:
        """Work on the piece."""
        self._result = self._work(piece, codes)

    def release(self) -> None:
        """Do nothing: there is one part."""

    def merge(self, other: _Once[T]) -> None:
        """Refuse: there is one part."""
        raise NotImplementedError

    def finish(self) -> T | None:
        """Return what the function returned."""
        return self._result


def map_pieces(
    layers: Sequence[Layer], block: Block, reader: TensorReader, work: Callable[[int, Piece, Codes], T], threads: int
) -> Generator[tuple[int, Piece, T], None, None]:
    """Read every piece of layers, work on its codes in threads, and yield the results, in order.

    work is called with the layer's number, the piece and its codes; number and piece are yielded with what it returns.
    """
    parts = [(number, piece) for number, layer in enumerate(layers) for piece in pieces(layer, block)]
    works = [Work(layers[number], (_Once(piece, partial(work, number)),)) for number, piece in parts]
    engine = Threads(threads)
    with closing(scan(works, partial(FileSource, reader), engine, ahead=2 * threads)) as results:
        for (number, piece), (result,) in zip(parts, results, strict=True):
            yield number, piece, result


def nbytes_of_piece(layer: Layer, piece: Piece) -> int:
    """Return the stored bytes of a piece."""
    return piece.height * piece.width * layer.dtype.bits // 8


def blocks_of(codes: Codes, piece: Piece, block: Block) -> Codes:
    """Return the blocks of a piece, one a row, filled up with code 0.

    >>> blocks_of(np.arange(6), Piece(0, 2, 0, 3), Block(2, 2, flat=False)).tolist()
    [[0, 1, 3, 4], [2, 0, 5, 0]]
    """
    down, across = block.grid(piece.height, piece.width)
    matrix = codes.reshape(piece.height, piece.width)
    if (down * block.rows, across * block.columns) != matrix.shape:
        filled = np.zeros((down * block.rows, across * block.columns), codes.dtype)
        filled[: piece.height, : piece.width] = matrix
        matrix = filled
    if block.rows == 1:
        return matrix.reshape(-1, block.columns)
    return matrix.reshape(down, block.rows, across, block.columns).transpose(0, 2, 1, 3).reshape(-1, block.size)


def matrix_of(blocks: Codes, piece: Piece, block: Block) -> Codes:
    """Put blocks back in their places in a piece, without what they were filled up with."""
    down, across = block.grid(piece.height, piece.width)
    matrix = blocks.reshape(down, across, block.rows, block.columns).transpose(0, 2, 1, 3)
    return matrix.reshape(down * block.rows, across * block.columns)[: piece.height, : piece.width]


def words_of(blocks: Codes, dtype: DType) -> Words:
    """Return each block as 64-bit words (n, W), ordered as the codes are, the first code first; -0.0 becomes 0.0."""
    if dtype.zero.second_length:
        blocks = np.where(blocks == dtype.zero.second_first, blocks.dtype.type(0), blocks)
    per_word = 8 // dtype.itemsize
    shift = np.uint64(8 * dtype.itemsize)
    number, size = blocks.shape
    words = np.zeros((number, -(-size // per_word)), np.uint64)
    for word in range(words.shape[1]):
        column = words[:, word]
        for position in range(word * per_word, (word + 1) * per_word):
            if per_word > 1:
                column <<= shift
            if position < size:
                column |= blocks[:, position].astype(np.uint64)
    return words


def codes_of(words: Words, size: int, dtype: DType) -> Codes:
    """Return the codes (n, size) that words were made of: the inverse of words_of, but for -0.0."""
    itemsize = dtype.itemsize
    per_word = 8 // itemsize
    codes = np.empty((len(words), size), f"<u{itemsize}")
    for position in range(size):
        shift = np.uint64(8 * itemsize * (per_word - 1 - position % per_word))
        codes[:, position] = (words[:, position // per_word] >> shift).astype(codes.dtype)  # keeps the lowest bits
    return codes
