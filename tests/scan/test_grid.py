"""The work grid: every cell once, in order, stripes on block rows, bounded pieces, and shapes alone decide."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from strategies import DTYPE_NAMES, bits_of

from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.scheme import Scheme
from wcx.scan import grid
from wcx.scan.count import CountBlocks
from wcx.scan.engine import Item, Part, Work, items_of
from wcx.scan.grid import Flat, Rows, Stripe
from wcx.scan.layers import PIECE_BYTES, Layer, Piece

WIDTHS = sorted({bits_of(dtype) for dtype in DTYPE_NAMES})
KERNEL_TILE = 1 << 17

MATRICES = st.lists(st.tuples(st.integers(4, 50_000), st.integers(4, 40_000)), max_size=8)


def items(matrices: list[tuple[int, int]], widths: list[int]) -> list[Item]:
    """The items of layers of those shapes and bits a weight."""
    works = []
    for shape, width in zip(matrices, widths, strict=True):
        tensor = TensorInfo("", "U8", shape, shape[0] * shape[1])
        works.append(Work(Layer(tensor, tensor, DTYPES["U8"], *shape), (CountBlocks((), Scheme()),), width))
    return items_of(works)


def stripes_of(found: list[Item]) -> list[Part]:
    return [part for item in found for part in item]


# ------------------------------------------------------------------------------------------------------ work items


@given(MATRICES, st.sampled_from(WIDTHS))
def test_stripes_cover_every_row_once_in_order(matrices: list[tuple[int, int]], width: int) -> None:
    found = items(matrices, [width] * len(matrices))
    following = (0, 0)
    for part in stripes_of(found):
        stripe, rows = part.stripe, matrices[part.index][0]
        assert (part.index, stripe.start) == following
        assert stripe.start % 4 == 0
        assert stripe.start < stripe.stop <= rows
        assert stripe.stop == rows or stripe.stop % 4 == 0
        following = (part.index + 1, 0) if stripe.stop == rows else (part.index, stripe.stop)
    assert following == (len(matrices), 0)
    assert all(found)


@given(MATRICES, st.sampled_from(WIDTHS))
def test_parts_of_a_layer_are_numbered(matrices: list[tuple[int, int]], width: int) -> None:
    parts = stripes_of(items(matrices, [width] * len(matrices)))
    for index in range(len(matrices)):
        of_layer = [part for part in parts if part.index == index]
        assert {part.parts for part in of_layer} == {len(of_layer)}


@given(MATRICES, st.sampled_from(WIDTHS))
def test_items_are_bounded_in_bytes(matrices: list[tuple[int, int]], width: int) -> None:
    for item in items(matrices, [width] * len(matrices)):
        nbytes = [(part.stripe.stop - part.stripe.start) * matrices[part.index][1] * width // 8 for part in item]
        assert len(item) == 1 or (sum(nbytes) <= PIECE_BYTES and all(part.parts == 1 for part in item))
        assert sum(nbytes) <= 64 << 20 or (len(item) == 1 and item[0].stripe.stop - item[0].stripe.start <= 4)


def test_neighbouring_small_layers_share_an_item() -> None:
    found = items([(64, 64)] * 200, [32] * 200)  # 16 KiB each
    assert [len(item) for item in found] == [64, 64, 64, 8]
    found = items([(64, 64), (4096, 4096), (64, 64)], [32, 64, 32])  # the second has 128 MiB
    assert [[part.index for part in item] for item in found] == [[0], [1], [1], [2]]


@given(MATRICES)
def test_the_cuts_of_a_layer_depend_on_its_shape_alone(matrices: list[tuple[int, int]]) -> None:
    together = [(part.index, part.stripe) for part in stripes_of(items(matrices, [16] * len(matrices)))]
    alone = [(n, part.stripe) for n, shape in enumerate(matrices) for part in stripes_of(items([shape], [16]))]
    assert together == alone


# ---------------------------------------------------------------------------------------------------------- pieces


@settings(max_examples=examples(200))
@given(
    st.integers(0, 500),
    st.integers(1, 3000),
    st.one_of(st.integers(1, 300), st.integers(32_700, 32_900), st.integers(1, 200_000)),
    st.sampled_from(WIDTHS),
)
def test_pieces_cover_every_cell_once_in_order(start: int, rows: int, columns: int, width: int) -> None:
    stripe = Stripe(4 * start, 4 * start + rows)
    row, column, height = stripe.start, 0, 0
    for piece in Rows().pieces(stripe, max(2, stripe.stop), columns, width):
        assert (piece.start, piece.first) == (row, column)
        assert column == 0 or piece.height == height
        assert piece.height > 0
        assert piece.width > 0
        height, column = piece.height, column + piece.width
        assert column <= columns
        if column == columns:
            row, column = row + height, 0
    assert (row, column) == (stripe.stop, 0)


@settings(max_examples=examples(200))
@given(
    st.integers(1, 3000),
    st.one_of(st.integers(1, 300), st.integers(32_700, 32_900), st.integers(1, 10**6)),
    st.sampled_from(WIDTHS),
)
def test_pieces_hold_whole_blocks_and_fit_the_buffer_and_a_tile(rows: int, columns: int, width: int) -> None:
    for piece in Rows().pieces(Stripe(0, min(rows, 40)), rows, columns, width):
        assert piece.start % 4 == 0
        assert piece.first % 64 == 0  # rows of a piece begin on a whole byte whatever the dtype
        assert piece.height * piece.width * width <= 8 * PIECE_BYTES
        assert 4 * piece.width <= KERNEL_TILE


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_are_cut_where_they_no_longer_fit_a_tile(width: int) -> None:
    stripe = Stripe(8, 14)
    assert {piece.width for piece in Rows().pieces(stripe, stripe.stop, 32_768, width)} == {32_768}
    assert list(Rows().pieces(stripe, stripe.stop, 32_770, width)) == [
        Piece(8, 4, 0, 32_768),
        Piece(8, 4, 32_768, 2),
        Piece(12, 2, 0, 32_768),
        Piece(12, 2, 32_768, 2),
    ]


def test_the_constants_belong_together() -> None:
    """Pieces of the widest dtype, cut by columns, fill the buffer exactly; items are whole pieces."""
    assert 4 * grid.WIDEST_WHOLE_ROW * 8 == PIECE_BYTES
    assert np.log2(grid._ITEM_BYTES // PIECE_BYTES).is_integer()
    assert grid.WIDEST_WHOLE_ROW % 64 == 0


@given(st.integers(12, 10**7), st.sampled_from(WIDTHS))
def test_a_row_is_cut_at_whole_strings_and_words(columns: int, width: int) -> None:
    stripes = [part.stripe for part in stripes_of(items([(1, columns)], [width]))]
    found = [piece for stripe in stripes for piece in Rows().pieces(stripe, 1, columns, width)]
    assert [piece.first for piece in found] == [sum(some.width for some in found[:at]) for at in range(len(found))]
    assert sum(piece.width for piece in found) == columns
    assert all(piece.first % 768 == 0 and (piece.start, piece.height) == (0, 1) for piece in found)
    assert all(piece.width * width <= 8 * PIECE_BYTES for piece in found)


@given(st.integers(1, 10**7), st.sampled_from(WIDTHS))
def test_a_flat_layer_is_cut_at_whole_bytes_of_bits(weights: int, width: int) -> None:
    (stripe,) = Flat().stripes(1, weights, width)
    found = list(Flat().pieces(stripe, 1, weights, width))
    assert sum(piece.width for piece in found) == weights
    assert all(piece.first % 4096 == 0 and piece.width * width <= 8 * PIECE_BYTES for piece in found)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(WIDTHS))
def test_a_whole_layer_is_one_stripe(rows: int, columns: int, width: int) -> None:
    (stripe,) = Rows().stripes(rows, columns, width, whole=True)
    assert stripe == Stripe(0, columns if rows == 1 else rows)
