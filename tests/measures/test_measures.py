"""Measures against the oracle, against pybdm, and against recorded values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from depth import examples, one_of
from hypothesis import given, settings
from numpy.typing import NDArray
from strategies import (
    SCHEME,
    as_counts,
    block_counts,
    close,
    counts_of,
    evaluate,
    plane_of_ones,
    planes,
    random_plane,
)

from wcx.blocks.counts import BlockCounts
from wcx.measures import MEASURES
from wcx.measures.evidence import Evidence
from wcx.measures.tables import load_table

SHAPES = [(4, 4), (4, 9), (8, 8), (13, 21), (16, 16), (64, 64), (50, 130), (128, 128), (301, 203)]
DENSITIES = [0.0, 0.02, 0.3, 0.5, 0.8, 1.0]


def as_dict(counts: BlockCounts) -> dict[int, int]:
    return dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True))


def assert_close(found: Mapping[str, Any], correct: Mapping[str, Any]) -> None:
    for name, value in correct.items():
        if isinstance(value, float):
            assert close(found[name], value), (name, found[name], value)
        else:
            assert found[name] == value, name


def assert_as_oracle(counts: BlockCounts, rarefy: int) -> None:
    correct = naive.measures(as_dict(counts), counts.symbols, counts.ones, rarefy)
    del correct["density"]
    found = evaluate(counts, rarefy)
    assert found.keys() == correct.keys()
    assert_close(found, correct)


# ------------------------------------------------------------------------------------------------------- the oracle


@one_of(5)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_planes_of_many_shapes_and_densities(shape: tuple[int, int], density: float) -> None:
    plane = random_plane(*shape, density)
    for rarefy in (1, 16, 1024):
        assert_as_oracle(counts_of(plane), rarefy)


@given(planes(), st.sampled_from([1, 2, 5, 40, 1024]))
def test_any_plane(plane: NDArray[Any], rarefy: int) -> None:
    assert_as_oracle(counts_of(plane), rarefy)


@settings(max_examples=examples(60))
@given(block_counts().filter(lambda counts: 0 < counts.blocks < 10**6), st.integers(1, 300))
def test_any_counts(counts: BlockCounts, rarefy: int) -> None:
    assert_as_oracle(counts, rarefy)


@given(block_counts().filter(lambda counts: counts.blocks > 0), st.integers(1, 2000))
def test_values_stay_inside_their_ranges(counts: BlockCounts, rarefy: int) -> None:
    found = evaluate(counts, rarefy)
    blocks, smallest, largest = counts.blocks, 22.006706292292176, 36.02279026553976
    assert smallest <= found["mean_ctm"] <= largest
    assert smallest <= found["bdm"]
    assert smallest - 1e-9 <= found["bdm_rarefied"] <= found["bdm"] * (1 + 1e-12)
    assert 0 <= found["block_entropy"] <= math.log2(min(blocks, 65536)) * (1 + 1e-12)
    assert 0 <= found["bit_entropy"] <= 1
    assert -1e-12 <= found["bdm_normalized"] <= 1 + 1e-12
    assert found["block_entropy_normalized"] is None or 0 <= found["block_entropy_normalized"] <= 1 + 1e-12
    assert 1 <= found["distinct"] <= min(blocks, 65536)


@given(planes(20), st.integers(0, 7))
def test_symmetries_and_the_complement_change_nothing_but_the_ones(plane: NDArray[Any], how: int) -> None:
    """The first block sits in one corner only, so that both sides are cut to whole blocks."""
    whole = plane[: plane.shape[0] // 4 * 4, : plane.shape[1] // 4 * 4]
    turned = np.rot90(whole.T if how & 4 else whole, how & 3)
    for other in (turned, 1 - turned):
        assert evaluate(counts_of(other)) == evaluate(counts_of(whole))


# ------------------------------------------------------------------------------------------------------------ pybdm


@one_of(5)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equal_to_pybdm(pybdm: ModuleType, shape: tuple[int, int], density: float) -> None:
    plane = random_plane(*shape, density, seed=1)
    found = evaluate(counts_of(plane))
    method = pybdm.BDM(ndim=2)
    integers = plane.astype(np.int64)
    assert close(found["bdm"], method.bdm(integers))
    assert close(found["block_entropy"], method.ent(integers))
    assert close(found["bdm_normalized"], method.nbdm(integers))
    if shape == (4, 4):
        assert found["block_entropy_normalized"] is None
    else:
        assert close(found["block_entropy_normalized"], method.nent(integers))


def test_normalised_as_pybdm_where_there_are_more_blocks_than_kinds(pybdm: ModuleType) -> None:
    """B = 66,048, no multiple of 65,536."""
    plane = random_plane(1032, 1024, 0.5)
    found = evaluate(counts_of(plane))
    method = pybdm.BDM(ndim=2)
    counter = method.decompose_and_count(plane.astype(np.int64))
    low, high = method._get_min_bdm(plane), method._get_max_bdm(plane)
    assert close(found["bdm_normalized"], (method.compute_bdm(counter) - low) / (high - low))
    entropy_range = method._get_max_ent(plane) - method._get_min_ent(plane)
    assert close(found["block_entropy_normalized"], method.compute_ent(counter) / entropy_range)


# --------------------------------------------------------------------------------------------------- known values


def test_the_golden_plane() -> None:
    counts = counts_of(naive.golden_plane())
    assert counts.ones == 2048
    found = evaluate(counts, rarefy=64)
    recorded = {
        "distinct": 32,
        "bdm": 1083.7960451549948,
        "block_entropy": 4.732163183315679,
        "mean_ctm": 31.213869767047612,
        "bdm_rarefied": 815.5300626418208,
        "bit_entropy": 1.0,
        "load": 256 / 65536,
        "regime": "sparse",
    }
    assert_close(found, recorded)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize(
    ("side", "bdm"),
    [
        (4, 22.006706292292176),
        (8, 24.006706292292176),
        (12, 25.176631293734488),
        (16, 26.006706292292176),
        (32, 28.006706292292176),
    ],
)
def test_constant_planes(side: int, bdm: float, value: int) -> None:
    found = evaluate(counts_of(np.full((side, side), value, np.uint8)))
    assert close(found["bdm"], bdm)
    assert found["mean_ctm"] == 22.006706292292176
    assert (found["block_entropy"], found["bit_entropy"], found["bdm_normalized"]) == (0.0, 0.0, 0.0)
    assert found["block_entropy_normalized"] == (None if side == 4 else 0.0)
    assert math.copysign(1.0, found["block_entropy"]) == 1.0


@pytest.mark.parametrize(("side", "ratio"), [(8, 0.197563), (16, 0.053510), (32, 0.014411)])
def test_all_zeros_over_what_random_bits_give(side: int, ratio: float) -> None:
    zeros = evaluate(counts_of(np.zeros((side, side), np.uint8)))["bdm"]
    random = naive.independent_mean("bdm", side * side // 16, Fraction(1, 2))
    assert zeros / random == pytest.approx(ratio, abs=5e-7)


@pytest.mark.parametrize(
    ("hidden", "blocks", "bdm", "sd", "entropy"),
    [
        ((8, 4), 54, 1639.8400, 16.2, 5.754079),
        ((32, 16), 240, 7278.1865, 38.5, 7.903246),
        ((128, 64), 1344, 40427.8847, 132.0, 10.371912),
    ],
)
def test_random_signs_pooled_over_the_layers_of_published_networks(
    hidden: tuple[int, int], blocks: int, bdm: float, sd: float, entropy: float
) -> None:
    """100 inputs, two hidden layers, 10 outputs (Sakabe et al. 2025): 400 networks lie around the exact expectation."""
    random = np.random.default_rng(blocks)
    draws = []
    for _ in range(400):
        codes = random.integers(0, 65536, blocks)
        draws.append(evaluate(BlockCounts.from_histogram(SCHEME, np.bincount(codes), 16 * blocks, 5)))
    rows, columns = (100, *hidden), (*hidden, 10)
    assert sum(r // 4 * (c // 4) for r, c in zip(rows, columns, strict=True)) == blocks
    values = np.array([draw["bdm"] for draw in draws])
    assert values.mean() == pytest.approx(bdm, abs=4.5 * sd / 20)
    assert values.std() == pytest.approx(sd, rel=0.15)
    entropies = np.array([draw["block_entropy"] for draw in draws])
    assert entropies.mean() == pytest.approx(entropy, abs=4.5 * entropies.std() / 20)


def test_the_first_two_sums_are_exact() -> None:
    """bdm and mean_ctm are the doubles next to the exact sums of the table's doubles and of math.log2."""
    counts = counts_of(plane_of_ones(400, 404, 60_000))
    table = naive.ctm_table()
    found = evaluate(counts)
    pairs = as_dict(counts).items()
    exact = sum((Fraction(table[code]) + Fraction(math.log2(n)) for code, n in pairs), Fraction(0))
    assert found["bdm"] == float(exact)
    assert found["mean_ctm"] == float(sum(n * Fraction(table[code]) for code, n in pairs) / counts.blocks)


# --------------------------------------------------------------------------------------------- where digits get lost


def surprise(numbers: list[int]) -> float:
    """The entropy of a partition, in decimals of 50 digits."""
    with localcontext() as context:
        context.prec = 50
        total = Decimal(sum(numbers))
        return float(sum(-(n / total) * (n / total).ln() for n in map(Decimal, numbers)) / Decimal(2).ln())


@pytest.mark.parametrize("blocks", [2, 100, 10**6, 10**9, 10**12])
def test_entropies_near_zero_keep_their_digits(blocks: int) -> None:
    counts = as_counts({0: blocks - 1, 77: 1}, 16 * blocks, 4)
    found = evaluate(counts)
    assert found["block_entropy"] == pytest.approx(surprise([blocks - 1, 1]), rel=1e-14, abs=0)
    assert found["bit_entropy"] == pytest.approx(surprise([16 * blocks - 4, 4]), rel=1e-14, abs=0)
    assert found["block_entropy"] > 0


def test_one_different_block_in_a_million_of_a_real_plane() -> None:
    plane = np.zeros((4000, 4000), np.uint8)
    plane[17, 35] = 1
    counts = BlockCounts.from_histogram(
        SCHEME,
        np.bincount([0, 1 << (4 * 1 + 3)], weights=[10**6 - 1, 1]).astype(np.int64),
        plane.size,
        int(plane.sum()),
    )
    assert evaluate(counts)["block_entropy"] == pytest.approx(2.1374262888e-05, rel=1e-9, abs=0)


@pytest.mark.parametrize("blocks", [1, 2, 10**6, 10**15])
def test_one_distinct_block_has_exactly_no_entropy(blocks: int) -> None:
    for code in (0, 4711, 65535):
        found = evaluate(as_counts({code: blocks}, 16 * blocks, 0))
        assert (found["block_entropy"], found["bit_entropy"]) == (0.0, 0.0)
        assert found["block_entropy_normalized"] == (None if blocks == 1 else 0.0)
        assert math.copysign(1.0, found["block_entropy"]) == math.copysign(1.0, found["bit_entropy"]) == 1.0


@pytest.mark.parametrize("each", [1, 2, 1000, 1 << 40])
def test_all_blocks_equally_often_have_the_most_of_everything(each: int) -> None:
    histogram = np.full(65536, each, np.int64)
    found = evaluate(BlockCounts.from_histogram(SCHEME, histogram, 65536 * 16 * each, 65536 * 8 * each))
    assert found["block_entropy"] == 16.0
    assert found["block_entropy_normalized"] == 1.0
    assert found["bdm_normalized"] == 1.0
    assert found["bit_entropy"] == 1.0
    assert found["regime"] == "saturated"
    assert close(found["bdm"], 1990936.7672519875 + 65536 * math.log2(each))
    assert close(found["mean_ctm"], 30.379284168273735)


@pytest.mark.parametrize("blocks", [1, 2, 65_535, 65_536, 65_537, 100_000, 131_072, 200_001])
def test_normalised_by_the_blocks_dealt_over_all_kinds(blocks: int) -> None:
    """The most complex plane has 1, the simplest 0; also where B is above S and no multiple of it."""
    descending = np.argsort(-load_table("4x4").values, kind="stable")
    rounds, rest = divmod(blocks, 65536)
    dealt = np.full(65536, rounds, np.int64)
    dealt[descending[:rest]] += 1
    found = evaluate(BlockCounts.from_histogram(SCHEME, dealt, 16 * blocks, 0))
    assert close(found["bdm_normalized"], 1.0)
    if blocks == 1:
        assert found["block_entropy_normalized"] is None
    else:
        entropy = found["block_entropy"] / math.log2(min(blocks, 65536))
        assert close(found["block_entropy_normalized"], entropy)
        assert entropy <= 1.0 + 1e-12
    assert close(evaluate(as_counts({0: blocks}, 16 * blocks, 0))["bdm_normalized"], 0.0)


# --------------------------------------------------------------------------------------------------------- coverage


@pytest.mark.parametrize(
    ("distinct", "blocks", "regime"),
    [
        (1, 1, "sparse"),
        (1000, 16_383, "sparse"),
        (1000, 16_384, "crowded"),
        (65_470, 65_470, "crowded"),
        (65_471, 65_471, "saturated"),  # 99.9 % of 65,536 are 65,470.464
        (65_536, 10**9, "saturated"),
    ],
)
def test_regimes_begin_where_they_should(distinct: int, blocks: int, regime: str) -> None:
    histogram = np.zeros(65536, np.int64)
    histogram[:distinct] = 1
    histogram[0] += blocks - distinct
    found = evaluate(BlockCounts.from_histogram(SCHEME, histogram, 16 * blocks, 0))
    assert (found["regime"], found["distinct"], found["load"]) == (regime, distinct, blocks / 65536)


# ---------------------------------------------------------------------------------------------------- groups of counts


@given(block_counts().filter(lambda counts: counts.blocks > 0))
def test_the_spectrum_is_exact(counts: BlockCounts) -> None:
    evidence = Evidence(counts, load_table("4x4"))
    table = naive.ctm_table()
    groups: dict[int, list[int]] = {}
    for code, count in as_dict(counts).items():
        groups.setdefault(count, []).append(code)
    assert [group.count for group in evidence.spectrum] == sorted(groups)
    for group in evidence.spectrum:
        assert group.blocks == len(groups[group.count])
        assert Fraction(group.units, 1 << 52) == sum(Fraction(table[code]) for code in groups[group.count])


def test_measures_have_the_names_they_are_registered_under() -> None:
    assert [MEASURES[name].name for name in MEASURES] == list(MEASURES)
