"""The work grid: the cut of a layer into stripes, which are the parts of a work, and of these into pieces.

A layer of one row is cut along it instead (strings of 12 are counted so), at multiples of 768 weights: whole strings
and whole words of bits.

It depends on the tensors' shapes and the scheme, never on the number of workers: counts add, so any grid gives the same
report, and this one always the same work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from wcx.scan.layers import PIECE_BYTES, Codes, Layer, Piece

if TYPE_CHECKING:
    from wcx.scan.sources import Source

_ITEM_BYTES = 64 << 20  # one item's counts are added to the layer's in 50 us; reading 64 MiB takes some ms
WIDEST_WHOLE_ROW = 1 << 15  # columns, a quarter of a kernel's tile; wider rows are cut
WHOLE_WEIGHTS = 4096  # whole bytes of bits, and parts of zlib's window, so that no match is lost where it moves
_STRINGS = 768
_SLIDING_COLUMNS = 1 << 13  # a kernel's tile has then 15 rows, of which 3 are read twice
_MORE = 3  # rows or columns that a 4x4 block has beyond its first
_MORE_SYMBOLS = 11


@dataclass(frozen=True, slots=True)
class Stripe:
    """Rows start .. stop of a layer; of a layer of one row, its weights start .. stop."""

    start: int
    stop: int


class Grid(Protocol):
    """A way to cut layers into stripes, which parts of a work take, and these into pieces.

    gives_each_once: True where pieces are codes and every weight is in one of them: what most specs need.
    """

    @property
    def gives_each_once(self) -> bool:
        """Return True where pieces are codes and every weight is in exactly one of them."""

    def stripes(self, rows: int, columns: int, bits: int, *, whole: bool = False) -> list[Stripe]:
        """Cut a layer on block rows into stripes of about 64 MiB; whole: into one."""

    def pieces(self, stripe: Stripe, rows: int, columns: int, bits: int) -> Iterator[Piece]:
        """Cut a stripe into pieces of at most about 1 MiB."""

    def read(self, source: Source, layer: Layer, piece: Piece) -> Codes:
        """Return the content of a piece."""

    def nbytes(self, piece: Piece, bits: int) -> int:
        """Return the number of bytes that are new in a piece; bits: of a weight."""


class _OfMatrix:
    """Base of grids that cut a layer as its matrix."""

    gives_each_once: ClassVar[bool] = True

    def stripes(self, rows: int, columns: int, bits: int, *, whole: bool = False) -> list[Stripe]:
        """Cut a layer on block rows into stripes of about 64 MiB; whole: into one."""
        stop, step = rows, max(4, _ITEM_BYTES * 8 // (columns * bits) & ~3)
        if rows == 1:
            stop, step = columns, max(1, _ITEM_BYTES * 8 // bits // _STRINGS) * _STRINGS
        step = stop if whole else step
        return [Stripe(start, min(start + step, stop)) for start in range(0, stop, step)]

    def read(self, source: Source, layer: Layer, piece: Piece) -> Codes:
        """Return the codes of a piece."""
        return source.codes(layer, piece)

    def nbytes(self, piece: Piece, bits: int) -> int:
        """Return the bytes of a piece's own weights."""
        return piece.height * piece.width * bits // 8


@dataclass(frozen=True, slots=True)
class Rows(_OfMatrix):
    """Whole rows; four rows by 32,768 columns where rows are wide, out of the order of the weights."""

    @staticmethod
    def in_order(rows: int, columns: int) -> bool:
        """Return True if the pieces of such a layer are in the order of its weights."""
        return rows == 1 or columns <= WIDEST_WHOLE_ROW

    def pieces(self, stripe: Stripe, rows: int, columns: int, bits: int) -> Iterator[Piece]:
        """Cut a stripe into pieces of about 1 MiB."""
        if rows == 1:
            step = PIECE_BYTES * 8 // bits // _STRINGS * _STRINGS
            for first in range(stripe.start, stripe.stop, step):
                yield Piece(0, 1, first, min(step, stripe.stop - first))
            return
        if columns > WIDEST_WHOLE_ROW:
            for start in range(stripe.start, stripe.stop, 4):
                for first in range(0, columns, WIDEST_WHOLE_ROW):
                    yield Piece(start, min(4, stripe.stop - start), first, min(WIDEST_WHOLE_ROW, columns - first))
            return
        height = max(4, PIECE_BYTES * 8 // (columns * bits) & ~3)
        for start in range(stripe.start, stripe.stop, height):
            yield Piece(start, min(height, stripe.stop - start), 0, columns)


@dataclass(frozen=True, slots=True)
class Sliding(_OfMatrix):
    """Pieces whose blocks overlap: 3 rows more, and 3 columns where a row is cut; 11 symbols more of a string."""

    gives_each_once: ClassVar[bool] = False

    def pieces(self, stripe: Stripe, rows: int, columns: int, bits: int) -> Iterator[Piece]:
        """Cut a stripe into pieces of about 1 MiB, with the rows and columns that are read beyond them."""
        most = PIECE_BYTES * 8 // bits
        if rows == 1:
            step = max(1, most // _STRINGS - 1) * _STRINGS
            for first in range(stripe.start, stripe.stop, step):
                stop = min(first + step, stripe.stop)
                yield Piece(0, 1, first, stop - first, 0, min(_MORE_SYMBOLS, columns - stop))
            return
        across = columns if columns <= _SLIDING_COLUMNS + _MORE else _SLIDING_COLUMNS
        height = max(4, most // (across + _MORE) - _MORE)
        for start in range(stripe.start, stripe.stop, height):
            bottom = min(start + height, stripe.stop)
            for first in range(0, columns, across):
                right = min(first + across, columns)
                more_rows, more_columns = min(_MORE, rows - bottom), min(_MORE, columns - right)
                yield Piece(start, bottom - start, first, right - first, more_rows, more_columns)


ROWS, SLIDING = Rows(), Sliding()


@dataclass(frozen=True, slots=True)
class Flat:
    """The weights in their order, as one row: whole bytes of bits in every piece but the last."""

    gives_each_once: ClassVar[bool] = True

    def stripes(self, rows: int, columns: int, _bits: int, *, whole: bool = True) -> list[Stripe]:
        """Return one stripe."""
        return [Stripe(0, rows * columns)]

    def pieces(self, stripe: Stripe, _rows: int, _columns: int, bits: int) -> Iterator[Piece]:
        """Cut the weights into pieces of about 1 MiB."""
        step = flat_step(bits)
        for start in range(stripe.start, stripe.stop, step):
            yield Piece(0, 1, start, min(step, stripe.stop - start))

    def read(self, source: Source, layer: Layer, piece: Piece) -> Codes:
        """Return the codes of a piece."""
        return source.codes(replace(layer, rows=1, columns=layer.weights), piece)

    def nbytes(self, piece: Piece, bits: int) -> int:
        """Return the bytes of a piece."""
        return piece.width * bits // 8


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored bytes of a tensor, in its own C order."""

    tensor_nbytes: int
    gives_each_once: ClassVar[bool] = False

    def stripes(self, _rows: int, _columns: int, _bits: int, *, whole: bool = True) -> list[Stripe]:
        """Return one stripe, of bytes."""
        return [Stripe(0, self.tensor_nbytes)]

    def pieces(self, stripe: Stripe, _rows: int, _columns: int, _bits: int) -> Iterator[Piece]:
        """Cut the bytes into pieces of 1 MiB."""
        for start in range(stripe.start, stripe.stop, PIECE_BYTES):
            yield Piece(0, 1, start, min(PIECE_BYTES, stripe.stop - start))

    def read(self, source: Source, layer: Layer, piece: Piece) -> Codes:
        """Return the bytes of a piece."""
        return np.frombuffer(source.stored(layer, piece.first, piece.width), np.uint8)

    def nbytes(self, piece: Piece, _bits: int) -> int:
        """Return the bytes of a piece."""
        return piece.width


def flat_step(bits: int) -> int:
    """Return the number of weights of that many bits in a piece of the flat tensor."""
    return max(WHOLE_WEIGHTS, PIECE_BYTES * 8 // bits // WHOLE_WEIGHTS * WHOLE_WEIGHTS)
