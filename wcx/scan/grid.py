"""The work grid: which rows of which layer belong to one work item, and in what pieces they are read.

A layer of one row is cut along it instead (strings of 12 are counted so), at multiples of 768 weights: whole strings
and whole words of bits.

It depends on the tensors' shapes and the scheme, never on the number of workers: counts add, so any grid gives the same
report, and this one always the same work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ITEM_BYTES = 64 << 20  # one item's counts are added to the layer's in 50 us; reading 64 MiB takes some ms
PIECE_BYTES = 1 << 20  # stays in the second-level cache between reading and counting
_PIECE_COLUMNS = 1 << 15  # a quarter of a kernel's tile
_STRINGS = 768
_SLIDING_COLUMNS = 1 << 13  # a kernel's tile has then 15 rows, of which 3 are read twice
_MORE = 3  # rows or columns that a 4x4 block has beyond its first
_MORE_SYMBOLS = 11


@dataclass(frozen=True, slots=True)
class Stripe:
    """Rows start .. stop of the layer of that number; `last` when none of the layer's rows come after.

    Of a layer of one row, its weights start .. stop.
    """

    layer: int
    start: int
    stop: int
    last: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """What is read and counted at once: rows start .. start + height, columns first .. first + width.

    below, beside: rows and columns after these that are read too, for the blocks that begin in the piece.
    """

    start: int
    height: int
    first: int
    width: int
    below: int = 0
    beside: int = 0


def sliding_pieces(stripe: Stripe, rows: int, columns: int, bits: int) -> Iterator[Piece]:
    """Cut a stripe into pieces whose blocks overlap: of about 1 MiB with what is read beside them.

    3 rows more, and 3 columns where a row is cut; 11 symbols more of a string.
    """
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
            below, beside = min(_MORE, rows - bottom), min(_MORE, columns - right)
            yield Piece(start, bottom - start, first, right - first, below, beside)


def work_items(matrices: Sequence[tuple[int, int]], bits: Sequence[int]) -> list[list[Stripe]]:
    """Cut layers of those [rows, columns] and bits per weight into work items, in order.

    A large layer is cut on block rows into stripes of about 64 MiB, an item each; neighbouring small layers share one.
    """
    items: list[list[Stripe]] = []
    room = 0
    for layer, ((rows, columns), width) in enumerate(zip(matrices, bits, strict=True)):
        nbytes = rows * columns * width // 8
        if nbytes <= room and items:
            items[-1].append(Stripe(layer, 0, columns if rows == 1 else rows, last=True))
            room -= nbytes
            continue
        if rows == 1:
            stop, step = columns, max(1, _ITEM_BYTES * 8 // width // _STRINGS) * _STRINGS
        else:
            stop, step = rows, max(4, _ITEM_BYTES * 8 // (columns * width) & ~3)
        starts = range(0, stop, step)
        items += [[Stripe(layer, start, min(start + step, stop), start == starts[-1])] for start in starts]
        room = PIECE_BYTES - nbytes
    return items


def pieces(stripe: Stripe, rows: int, columns: int, bits: int) -> Iterator[Piece]:
    """Cut a stripe into pieces of about 1 MiB: whole rows, or four rows by 32,768 columns where rows are wide."""
    if rows == 1:
        step = PIECE_BYTES * 8 // bits // _STRINGS * _STRINGS
        for first in range(stripe.start, stripe.stop, step):
            yield Piece(0, 1, first, min(step, stripe.stop - first))
        return
    if 4 * columns > 4 * _PIECE_COLUMNS:
        for start in range(stripe.start, stripe.stop, 4):
            for first in range(0, columns, _PIECE_COLUMNS):
                yield Piece(start, min(4, stripe.stop - start), first, min(_PIECE_COLUMNS, columns - first))
        return
    height = max(4, PIECE_BYTES * 8 // (columns * bits) & ~3)
    for start in range(stripe.start, stripe.stop, height):
        yield Piece(start, min(height, stripe.stop - start), 0, columns)
