"""The laws of BlockCounts."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from strategies import SCHEME, as_counts, block_counts, planes

from wcx.blocks.counts import BlockCounts


def count(plane: NDArray[Any]) -> BlockCounts:
    """The counts of a plane, by way of a histogram."""
    histogram = np.zeros(65536, np.int64)
    for code, number in naive.block_counts(plane).items():
        histogram[code] = number
    return BlockCounts.from_histogram(SCHEME, histogram, plane.size, int(plane.sum()))


def as_dict(counts: BlockCounts) -> dict[int, int]:
    return dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------------ laws


@given(block_counts())
def test_empty_is_neutral(counts: BlockCounts) -> None:
    empty = BlockCounts.empty(SCHEME)
    assert counts.merge(empty) == counts
    assert empty.merge(counts) == counts


@given(block_counts(), block_counts())
def test_merging_is_commutative(one: BlockCounts, other: BlockCounts) -> None:
    assert one.merge(other) == other.merge(one)


@given(block_counts(), block_counts(), block_counts())
def test_merging_is_associative(first: BlockCounts, second: BlockCounts, third: BlockCounts) -> None:
    assert first.merge(second).merge(third) == first.merge(second.merge(third))


@given(block_counts(), block_counts())
def test_merging_adds_everything(one: BlockCounts, other: BlockCounts) -> None:
    merged = one.merge(other)
    assert as_dict(merged) == naive.pooled(as_dict(one), as_dict(other))
    assert merged.blocks == one.blocks + other.blocks
    assert merged.symbols == one.symbols + other.symbols
    assert merged.ones == one.ones + other.ones
    assert merged.left_over == one.left_over + other.left_over


@given(planes(), st.data())
def test_a_plane_counts_as_any_split_of_it_on_block_rows(plane: NDArray[Any], data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(0, plane.shape[0] // 4), max_size=5))
    edges = [0, *(4 * cut for cut in sorted(cuts)), plane.shape[0]]
    merged = BlockCounts.empty(SCHEME)
    for start, stop in pairwise(edges):
        merged = merged.merge(count(plane[start:stop]))
    assert merged == count(plane)


@given(planes())
def test_blocks_and_left_over_cells_are_all_symbols(plane: NDArray[Any]) -> None:
    counts = count(plane)
    assert counts.cells * counts.blocks + counts.left_over == counts.symbols == plane.size
    assert counts.left_over == naive.left_over(plane)
    assert counts.ones == naive.ones(plane)


@given(block_counts(), block_counts())
def test_equal_content_is_equal_arrays(one: BlockCounts, other: BlockCounts) -> None:
    """However counts came about: by merging in any order, or from a histogram."""
    merged, swapped = one.merge(other), other.merge(one)
    histogram = np.zeros(65536, np.int64)
    histogram[one.codes] += one.counts
    histogram[other.codes] += other.counts
    scanned = BlockCounts.from_histogram(SCHEME, histogram, merged.symbols, merged.ones)
    for same in (swapped, scanned):
        assert same == merged
        assert hash(same) == hash(merged)
        np.testing.assert_array_equal(same.codes, merged.codes, strict=True)
        np.testing.assert_array_equal(same.counts, merged.counts, strict=True)


@given(block_counts())
def test_other_content_is_not_equal(counts: BlockCounts) -> None:
    more = counts.merge(as_counts({7: 1}, 16, 3))
    assert counts != more
    assert counts != replace(counts, symbols=counts.symbols + 1)
    assert counts != replace(counts, ones=counts.ones + 1)
    assert counts != replace(counts, scheme="1x12-ignore-rows")
    assert counts != "counts"


@given(block_counts())
def test_counts_travel_by_pickle(counts: BlockCounts) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(counts, protocol)) == counts
    assert copy.deepcopy(counts) == counts


# ----------------------------------------------------------------------------------------------------- refusals


@given(block_counts(), block_counts(scheme="1x12-ignore-rows"))
def test_counts_of_different_schemes_do_not_merge(square: BlockCounts, line: BlockCounts) -> None:
    with pytest.raises(ValueError, match="4x4-ignore-rows can't be merged with counts of 1x12-ignore-rows"):
        square.merge(line)
    with pytest.raises(ValueError, match="can't be merged"):
        square.merge(replace(square, cells=12))


def test_more_blocks_than_symbols_are_refused() -> None:
    histogram = np.zeros(65536, np.uint32)
    histogram[5] = 2
    assert BlockCounts.from_histogram(SCHEME, histogram, 32, 4).left_over == 0
    with pytest.raises(ValueError, match="2 blocks of 16 cells do not fit into 31 symbols"):
        BlockCounts.from_histogram(SCHEME, histogram, 31, 4)


def test_counts_are_taken_out_of_any_integers() -> None:
    for kind in (np.uint32, np.int64, np.uint16):
        histogram = np.zeros(65536, kind)
        histogram[[3, 65535]] = 1, 40_000
        counts = BlockCounts.from_histogram(SCHEME, histogram, 16 * 40_001, 0)
        assert as_dict(counts) == {3: 1, 65535: 40_000}
        assert (counts.codes.dtype, counts.counts.dtype) == (np.uint16, np.int64)
