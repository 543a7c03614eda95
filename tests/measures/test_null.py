"""The permutation null: closed form and draws against exact moments and against many real shuffles.

A mean may be off by 0.15 sd and an sd by 10 %. Of 2,000 shuffles a mean is known to 0.02 sd and an sd to about 2 %; of
500 to 0.045 sd and 3 %.
"""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from depth import EXHAUSTIVE, examples, keeping, one_of
from hypothesis import given, settings
from shuffles import QUANTITIES, Moments, Plane, drawn, moments, permuted
from strategies import Tensor, close, counts_of, plane_of_ones, random_tensor, tensor_of, write_safetensors

import wcx
from wcx.core.errors import UsageError
from wcx.core.report import LayerReport, NullReport, PlaneReport
from wcx.measures import draws
from wcx.measures.draws import generator, sampled_null, shuffled_histograms, summarise
from wcx.measures.null import Expectation, Margins, has_closed_form, permutation_null
from wcx.measures.tables import load_table
from wcx.tasks.analyze.evaluate import PlaneValues, null_report
from wcx.tasks.analyze.shuffled_null import check_size

TABLE = load_table("4x4")
MEAN_TOLERANCE = 0.15
SD_TOLERANCE = 0.10


def closed_form(planes: Sequence[Plane], rarefy: int) -> dict[str, Expectation]:
    margins = [plane.margins for plane in planes]
    assert has_closed_form(margins)
    return permutation_null(margins, TABLE, rarefy)


def assert_within(found: Expectation, correct: Moments, mean: float = MEAN_TOLERANCE, sd: float = SD_TOLERANCE) -> None:
    assert abs(found.mean - correct.mean) <= mean * correct.sd, (found, correct)
    assert abs(found.sd - correct.sd) <= sd * correct.sd, (found, correct)


# -------------------------------------------------------------------------------------------------- real shuffles

SIDES = {64: (2000, 64), 128: (2000, 256), 256: (2000, 1024), 512: (2000, 1024), 1024: (500, 1024)}
"""Draws and rarefied blocks by side of the plane."""

CASES = [
    (side, density)
    for side in SIDES
    for density in (0.5, 0.4, 0.1, 0.01)
    if side * side * density >= 100  # 64 x 64 with 1 % ones has no closed form
]


@cache
def shuffled_square(side: int, density: float) -> dict[str, Moments]:
    draws_, rarefy = SIDES[side]
    plane = Plane(side, side, round(density * side * side))
    return moments([plane], draws_, rarefy, permuted if side <= 256 else drawn, seed=1)


@one_of(5)
@pytest.mark.parametrize(("side", "density"), CASES)
def test_closed_form_against_shuffles_of_a_square(side: int, density: float) -> None:
    found = closed_form([Plane(side, side, round(density * side * side))], SIDES[side][1])
    for quantity, correct in shuffled_square(side, density).items():
        assert_within(found[quantity], correct)


@pytest.mark.parametrize("side", [64, 256])
def test_ones_and_zeros_can_be_exchanged(side: int) -> None:
    """A table that is the same for a block and its complement sees no difference; checked on the sparsest."""
    for ones in (side * side // 2, side * side // 10, 110):
        found = closed_form([Plane(side, side, ones)], 100)
        mirrored = closed_form([Plane(side, side, side * side - ones)], 100)
        for quantity in QUANTITIES:
            assert mirrored[quantity].mean == pytest.approx(found[quantity].mean, rel=1e-9)
            assert mirrored[quantity].sd == pytest.approx(found[quantity].sd, rel=1e-5)


MODELS = {
    "three layers": [Plane(64, 64, 2048), Plane(128, 100, 3200), Plane(32, 40, 100)],
    "a constant layer": [Plane(64, 64, 1900), Plane(100, 60, 0), Plane(96, 96, 4600)],
    "constant layers of both kinds": [Plane(64, 64, 1000), Plane(40, 40, 0), Plane(40, 80, 3200)],
    "left-over cells": [Plane(67, 71, 2300), Plane(33, 99, 900), Plane(5, 7, 20)],
    "sparse and dense": [Plane(128, 128, 170), Plane(128, 128, 8192)],
    "many small layers": [Plane(8, 8, 32), Plane(8, 12, 30), Plane(4, 4, 5), Plane(12, 12, 100)] * 12,
    "a large one beside small ones": [Plane(160, 160, 11_000), Plane(16, 16, 100), Plane(16, 20, 30)],
    "a small constant layer": [Plane(64, 70, 2240), Plane(8, 8, 64)],
    "constant blocks": [Plane(64, 64, 2000), Plane(4, 4, 0), Plane(4, 8, 32)],
    "a single one": [Plane(64, 64, 2000), Plane(40, 40, 1)],
    "a sparse layer": [Plane(64, 64, 2000), Plane(40, 40, 30)],
    "sparse layers": [Plane(100, 100, 90), Plane(60, 61, 50)],
}


@one_of(5)
@pytest.mark.parametrize(("name", "rarefy"), [("three layers", 1024), *((name, 150) for name in MODELS)])
def test_closed_form_against_shuffles_of_a_pooled_model(name: str, rarefy: int) -> None:
    found = closed_form(MODELS[name], rarefy)
    for quantity, correct in moments(MODELS[name], 2000, rarefy, permuted, seed=2).items():
        assert_within(found[quantity], correct)


@one_of(4)
@pytest.mark.parametrize("small", [Plane(8, 8, 1), Plane(8, 8, 62), Plane(12, 12, 3), Plane(40, 40, 1598)])
def test_closed_form_with_a_layer_that_is_almost_constant(small: Plane) -> None:
    """Of one code it adds a number of copies that is all but fixed."""
    planes = [Plane(64, 64, 2000), small]
    found = closed_form(planes, 100)
    for quantity, correct in moments(planes, 2000, 100, permuted, seed=8).items():
        assert_within(found[quantity], correct, sd=0.15)


@one_of(3)
@pytest.mark.parametrize("plane", [Plane(67, 79, 2600), Plane(259, 130, 3000), Plane(7, 1000, 3500)])
def test_closed_form_against_shuffles_of_a_plane_with_left_over_cells(plane: Plane) -> None:
    found = closed_form([plane], 128)
    for quantity, correct in moments([plane], 2000, 128, permuted, seed=3).items():
        assert_within(found[quantity], correct)


@EXHAUSTIVE
def test_the_two_ways_to_shuffle_agree() -> None:
    """What is drawn has exactly the ones, and the moments of what is permuted."""
    plane = Plane(128, 128, 1700)
    random = np.random.default_rng(0)
    for ones in (0, 1, 100, 8192, 16_000, 16_384):
        codes = drawn(Plane(128, 128, ones), random)
        assert codes.size == 1024
        assert int(np.bitwise_count(codes).sum()) == ones
    other = moments([plane], 2000, 256, permuted, seed=5)
    for quantity, correct in moments([plane], 2000, 256, drawn, seed=4).items():
        assert_within(Expectation(*correct), other[quantity], mean=0.12, sd=0.1)


# ---------------------------------------------------------------------------------------------------- exact moments


@one_of(7)
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize(
    ("rows", "columns", "ones"), [(32, 32, 512), (32, 32, 110), (34, 35, 600), (32, 32, 924), (40, 26, 300)]
)
def test_closed_form_against_the_exact_moments_of_a_small_plane(
    rows: int, columns: int, ones: int, quantity: str
) -> None:
    plane = Plane(rows, columns, ones)
    layer = naive.Layer(plane.margins.blocks, rows * columns, ones)
    found = closed_form([plane], 16)[quantity]
    mean = naive.permutation_mean(quantity, [layer], 16)
    sd = math.sqrt(naive.permutation_variance(quantity, [layer], 16))
    assert_within(found, Moments(mean, sd), mean=0.02, sd=0.05)


@pytest.mark.parametrize(("side", "ones"), [(32, 512), (40, 1500), (64, 2048), (64, 3900), (100, 110), (128, 5000)])
def test_mean_ctm_is_exact(side: int, ones: int) -> None:
    plane = Plane(side, side, ones)
    mean, variance = naive.mean_ctm_moments(naive.Layer(plane.margins.blocks, side * side, ones))
    found = closed_form([plane], 1024)["mean_ctm"]
    assert found.mean == pytest.approx(mean, rel=1e-12)
    assert found.sd == pytest.approx(math.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("quantity", keeping(["block_entropy"], QUANTITIES))
def test_the_mean_of_256_blocks_is_exact(quantity: str) -> None:
    for ones in (2048, 1200, 100):
        found = closed_form([Plane(64, 64, ones)], 64)[quantity]
        exact = naive.permutation_mean(quantity, [naive.Layer(256, 4096, ones)], 64)
        assert abs(found.mean - exact) <= 0.01 * found.sd


def test_pooled_exact_moments() -> None:
    layers = [Plane(16, 24, 150), Plane(16, 24, 200), Plane(12, 24, 110)]
    exact = [naive.Layer(plane.margins.blocks, plane.rows * plane.columns, plane.ones) for plane in layers]
    found = closed_form(layers, 16)
    for quantity in QUANTITIES:
        assert abs(found[quantity].mean - naive.permutation_mean(quantity, exact, 16)) <= 0.02 * found[quantity].sd


@pytest.mark.parametrize(
    ("side", "bdm", "sd"),
    [
        (64, 7762.483105, 39.8),
        (256, 120749.918915, 342),
        (1024, 1279518.599749, 2360),
        (4096, 2249950.678322, 18.8),
        (16384, 2515039.499713, None),
    ],
)
def test_half_ones_score_what_random_signs_do(side: int, bdm: float, sd: float | None) -> None:
    """Exact values for independent bits, up to sizes that nobody shuffles; fixing the number of ones changes little."""
    cells = side * side
    found = permutation_null([Margins(cells, cells // 2, cells // 16)], TABLE, 1024)["bdm"]
    assert abs(found.mean - bdm) < 0.02 * found.sd
    assert sd is None or found.sd == pytest.approx(sd, rel=0.03)


def test_the_golden_plane() -> None:
    counts = counts_of(naive.golden_plane())
    found = permutation_null([Margins(counts.symbols, counts.ones, counts.blocks)], TABLE, 64)
    assert found["bdm"].mean == pytest.approx(7763.16784, abs=5e-5)
    assert found["bdm"].sd == pytest.approx(39.79, abs=5e-3)
    assert found["mean_ctm"].mean == pytest.approx(30.381756648, abs=5e-9)
    assert found["mean_ctm"].sd == pytest.approx(0.133143, abs=5e-6)
    assert found["block_entropy"].mean == pytest.approx(7.996127, abs=5e-6)
    assert found["block_entropy"].sd == pytest.approx(0.005512, abs=5e-6)
    assert found["bdm_rarefied"].mean == pytest.approx(1943.53, abs=5e-2)
    assert found["bdm_rarefied"].sd == pytest.approx(8.61, abs=5e-2)


@st.composite
def any_margins(draw: st.DrawFn) -> Margins:
    rows, columns = draw(st.integers(4, 10**6)), draw(st.integers(4, 10**6))
    cells = rows * columns
    ones = draw(st.one_of(st.integers(0, cells), st.integers(0, min(cells, 500)), st.just(cells // 2)))
    return Margins(cells, draw(st.sampled_from([ones, cells - ones])), rows // 4 * (columns // 4))


@settings(max_examples=examples(150))
@given(st.lists(any_margins(), min_size=1, max_size=4).filter(has_closed_form), st.sampled_from([1, 100, 1024]))
def test_any_margins_give_numbers_that_can_be(planes: list[Margins], rarefy: int) -> None:
    """No warning, nothing that is not finite, nothing outside of the range."""
    blocks = sum(plane.blocks for plane in planes)
    found = permutation_null(planes, TABLE, rarefy)
    assert tuple(found) == QUANTITIES
    for mean, sd in ((some.mean, some.sd) for some in found.values()):
        assert math.isfinite(mean)
        assert math.isfinite(sd)
        assert sd >= 0
    assert 22.0 < found["mean_ctm"].mean < 36.03
    assert -1e-12 <= found["block_entropy"].mean <= min(16.0, math.log2(blocks)) + 1e-9
    assert 22.0 < found["bdm_rarefied"].mean <= found["bdm"].mean * (1 + 1e-9)
    if blocks <= rarefy:
        assert found["bdm_rarefied"] == found["bdm"]


def test_asking_for_some_measures_gives_the_same_numbers() -> None:
    planes = [Margins(4096, 2000, 256)]
    every = permutation_null(planes, TABLE, 64)
    for quantity in QUANTITIES:
        assert permutation_null(planes, TABLE, 64, [quantity]) == {quantity: every[quantity]}


@pytest.mark.parametrize(
    ("planes", "has"),
    [
        ([(1024, 100)], True),
        ([(1024, 924)], True),
        ([(1023, 500)], False),
        ([(1024, 99)], False),
        ([(1024, 925)], False),
        ([(512, 50), (512, 50)], True),
        ([(512, 50), (512, 49)], False),
        ([(1024, 0), (1024, 1024)], True),
        ([(10**9, 99)], False),
    ],
)
def test_where_there_is_a_closed_form(planes: list[tuple[int, int]], has: bool) -> None:
    margins = [Margins(cells, ones, cells // 16) for cells, ones in planes]
    assert has_closed_form(margins) == has


# --------------------------------------------------------------------------------------- few weights: by drawing


def sampled(plane: Plane, rarefy: int, count: int = 4000) -> dict[str, Expectation]:
    return sampled_null([plane.margins], [generator(0, "w", 0)], TABLE, rarefy, count)


@one_of(5)
@pytest.mark.parametrize(
    "plane", [Plane(20, 20, 130), Plane(21, 30, 600), Plane(16, 16, 40), Plane(64, 64, 41), Plane(128, 150, 90)]
)
def test_sampled_against_shuffles(plane: Plane) -> None:
    assert not has_closed_form([plane.margins])
    found = sampled(plane, 20)
    for quantity, correct in moments([plane], 3000, 20, permuted, seed=6).items():
        assert_within(found[quantity], correct)


@pytest.mark.parametrize(("rows", "columns", "ones"), [(16, 16, 30), (18, 17, 270), (8, 8, 3)])
def test_sampled_against_exact_moments(rows: int, columns: int, ones: int) -> None:
    plane = Plane(rows, columns, ones)
    layer = naive.Layer(plane.margins.blocks, rows * columns, ones)
    found = sampled(plane, 4)
    for quantity in QUANTITIES:
        mean = naive.permutation_mean(quantity, [layer], 4)
        sd = math.sqrt(naive.permutation_variance(quantity, [layer], 4))
        assert_within(found[quantity], Moments(mean, sd), mean=0.08, sd=0.1)


def test_sampled_of_a_pooled_model_with_constant_layers() -> None:
    planes = [Plane(12, 13, 25), Plane(20, 20, 0), Plane(9, 8, 72), Plane(16, 16, 40)]
    margins = [plane.margins for plane in planes]
    assert not has_closed_form(margins)
    found = sampled_null(margins, [generator(0, str(n), 0) for n in range(4)], TABLE, 16, 4000)
    for quantity, correct in moments(planes, 3000, 16, permuted, seed=7).items():
        assert_within(found[quantity], correct)


def test_closed_form_and_sampled_meet_where_one_takes_over() -> None:
    for plane in (Plane(32, 32, 500), Plane(100, 100, 100), Plane(64, 300, 120)):
        found = sampled(plane, 32)
        for quantity, correct in closed_form([plane], 32).items():
            assert_within(found[quantity], Moments(correct.mean, correct.sd))


# ----------------------------------------------------------------------------------- real shuffles, tile by tile


@pytest.mark.parametrize("tile", [16, 64, 1 << 20])
@pytest.mark.parametrize("ones", [0, 1, 77, 400, 512])
def test_a_shuffle_keeps_blocks_and_ones(ones: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "_TILE", tile)
    parts = list(shuffled_histograms(Margins(512, ones, 32), 16, generator(0, "w", 0, 0)))
    assert len(parts) == max(1, 512 // tile)
    histogram = np.sum(parts, axis=0)
    assert histogram.sum() == 32
    assert int((histogram * TABLE.ones).sum()) == ones


def test_left_over_cells_hold_their_share_of_the_ones() -> None:
    margins = Margins(100, 40, 4)
    found = [
        int((sum(shuffled_histograms(margins, 16, generator(0, "w", 0, draw))) * TABLE.ones).sum())
        for draw in range(2000)
    ]
    assert max(found) <= 40
    assert min(found) >= 40 - 36
    assert np.mean(found) == pytest.approx(40 * 64 / 100, abs=0.3)
    assert np.std(found) == pytest.approx(math.sqrt(64 * 0.4 * 0.6 * 36 / 99), rel=0.1)


@one_of(2)
@pytest.mark.parametrize("tile", [64, 1 << 20])
def test_shuffles_by_tiles_have_the_exact_moments(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "_TILE", tile)
    margins = Margins(18 * 17, 150, 16)
    values = []
    for draw in range(3000):
        histogram = sum(shuffled_histograms(margins, 16, generator(3, "w", 0, draw)))
        present = np.flatnonzero(histogram)
        values.append(naive.bdm(dict(zip(present.tolist(), histogram[present].tolist(), strict=True))))
    layer = [naive.Layer(16, 18 * 17, 150)]
    exact = Moments(naive.permutation_mean("bdm", layer), math.sqrt(naive.permutation_variance("bdm", layer)))
    assert_within(summarise(values), exact, mean=0.08, sd=0.1)


def test_generators_differ_in_everything_that_seeds_them() -> None:
    seeds = [(0, "w", 0), (1, "w", 0), (0, "v", 0), (0, "w", 1), (0, "w", 0, 0), (0, "w", 0, 1), (0, "\udc80", 0)]
    numbers = [generator(*seed).integers(1 << 60) for seed in seeds]
    assert len(set(numbers)) == len(numbers)
    assert numbers == [generator(*seed).integers(1 << 60) for seed in seeds]


def test_summaries_are_exact_and_know_constants() -> None:
    assert summarise([0.1] * 7) == Expectation(0.1, 0.0)
    found = summarise([1e16, 1.0, -1e16, 3.0])
    assert found.mean == 1.0
    assert summarise([1.0, 2.0, 4.0]) == Expectation(7 / 3, pytest.approx(math.sqrt(7 / 3)))


# --------------------------------------------------------------------------------------------- in a layer's report


def only_plane(layer: LayerReport) -> PlaneReport:
    (plane,) = layer.planes
    return plane


def null_of(plane: PlaneReport) -> NullReport:
    assert plane.null is not None
    return plane.null


@one_of(5)
@pytest.mark.parametrize("null", ["permutation", "shuffle:3"])
@pytest.mark.parametrize("value", [-1.0, 1.0, 0.0])
@pytest.mark.parametrize("shape", [(4, 4), (9, 13), (40, 40), (300, 301)])
def test_a_constant_plane_is_its_own_shuffle(shape: tuple[int, int], value: float, null: str) -> None:
    plane = only_plane(wcx.measure(np.full(shape, value), null=null))
    found = null_of(plane)
    assert (found.kind, found.draws) == (("permutation", None) if null == "permutation" else ("shuffle", 3))
    for quantity in QUANTITIES:
        statistic = getattr(found, quantity)
        assert (statistic.mean, statistic.sd) == (getattr(plane, quantity), 0.0)
        assert (statistic.z, statistic.ratio) == (None, 1.0)


@pytest.mark.parametrize("null", ["permutation", "shuffle:3"])
def test_a_model_of_constant_planes_is_its_own_shuffle(null: str, tmp_path: Path) -> None:
    tensors = {"a": tensor_of(np.ones((40, 41), "<f4"), "F32"), "b": tensor_of(-np.ones((16, 16), "<f4"), "F32")}
    report = wcx.analyze(write_safetensors(tmp_path / "m.safetensors", tensors), null=null)
    pooled = report.model.planes[0].pooled
    assert pooled is not None
    for quantity in QUANTITIES:
        statistic = getattr(null_of(pooled), quantity)
        assert (statistic.mean, statistic.sd) == (getattr(pooled, quantity), 0.0)
        assert (statistic.z, statistic.ratio) == (None, 1.0)


def test_z_and_ratio_are_of_the_value_and_its_expectation() -> None:
    plane = only_plane(wcx.measure(np.where(naive.golden_plane() == 1, 1.0, -1.0), rarefy=64))
    found = null_of(plane)
    expected = permutation_null([Margins(4096, 2048, 256)], TABLE, 64)
    assert (found.kind, found.draws) == ("permutation", None)
    for quantity in QUANTITIES:
        value, statistic = getattr(plane, quantity), getattr(found, quantity)
        assert (statistic.mean, statistic.sd) == (expected[quantity].mean, expected[quantity].sd)
        assert close(statistic.z, (value - statistic.mean) / statistic.sd)
        assert close(statistic.ratio, value / statistic.mean)
    assert found.bdm is not None
    assert found.bdm.z == pytest.approx(-167.9, abs=0.1)


@pytest.mark.parametrize(
    ("value", "mean", "sd", "z", "ratio"),
    [
        (3.0, 2.0, 0.5, 2.0, 1.5),
        (3.0, 2.0, 0.0, None, 1.5),
        (2.0, 2.0, 0.0, None, 1.0),
        (0.0, 0.0, 0.0, None, 1.0),
        (1.0, 0.0, 0.0, None, None),
    ],
)
def test_what_has_no_z_or_no_ratio(value: float, mean: float, sd: float, z: float | None, ratio: float | None) -> None:
    plane = PlaneValues("sign", 64, 30, 4, 65536, 0, (Margins(64, 30, 4),), (("w", 0),), {"block_entropy": value})
    found = null_report("shuffle", 2, plane, {"block_entropy": Expectation(mean, sd)})
    assert found.block_entropy is not None
    assert (found.block_entropy.z, found.block_entropy.ratio) == (z, ratio)
    assert found.bdm is found.mean_ctm is found.bdm_rarefied is None


def test_there_is_a_null_for_the_measures_that_were_asked_for() -> None:
    array = np.random.default_rng(0).standard_normal((40, 40))
    for null in ("permutation", "shuffle:4"):
        found = null_of(only_plane(wcx.measure(array, null=null, measures=["mean_ctm", "load"])))
        assert found.mean_ctm is not None
        assert found.bdm is found.block_entropy is found.bdm_rarefied is None
    assert only_plane(wcx.measure(array, null="none")).null is None


@pytest.mark.parametrize(
    ("shape", "ones", "kind"),
    [
        ((32, 32), 100, "permutation"),
        ((32, 31), 400, "sampled"),
        ((32, 32), 99, "sampled"),
        ((64, 64), 4000, "sampled"),
    ],
)
def test_the_kind_is_told(shape: tuple[int, int], ones: int, kind: str) -> None:
    found = null_of(only_plane(wcx.measure(np.where(plane_of_ones(*shape, ones) == 1, 1.0, -1.0))))
    assert (found.kind, found.draws) == (kind, 1000 if kind == "sampled" else None)


# ----------------------------------------------------------------------------------------- seeds, threads, selections


@pytest.fixture
def model() -> dict[str, Tensor]:
    """Layers that are sampled, one with a closed form, one constant."""
    shapes = {"a": (12, 20), "b": (32, 33), "c": (16, 16), "d": (64, 70), "e": (5, 9)}
    tensors = {name: random_tensor("I8", shape, seed, "ordinary") for seed, (name, shape) in enumerate(shapes.items())}
    return {**tensors, "constant": Tensor("I8", (8, 8), bytes([1]) * 64)}


def layers_of(path: Path, **settings: Any) -> dict[str, LayerReport]:  # noqa: ANN401
    return {layer.name: layer for layer in wcx.analyze(path, **settings).layers}


@pytest.mark.parametrize("null", ["permutation", "shuffle:20"])
def test_neither_order_nor_threads_nor_selection_change_a_null(
    null: str, model: dict[str, Tensor], tmp_path: Path
) -> None:
    path = write_safetensors(tmp_path / "one.safetensors", model)
    reversed_ = write_safetensors(tmp_path / "other.safetensors", dict(reversed(model.items())))
    every = layers_of(path, null=null, quantize="polarity", threads=1)
    assert every == layers_of(reversed_, null=null, quantize="polarity", threads=3)
    for name in model:
        assert layers_of(path, null=null, quantize="polarity", include=[name]) == {name: every[name]}
    kinds = [null_of(layer.planes[0]).kind for layer in every.values()]
    if null == "permutation":
        assert kinds == ["sampled", "permutation", "sampled", "permutation", "sampled", "permutation"]


@pytest.mark.parametrize("null", ["permutation", "shuffle:20"])
def test_the_seed_and_the_name_change_what_is_drawn(null: str, model: dict[str, Tensor], tmp_path: Path) -> None:
    twins = {"a": model["a"], "twin": model["a"]}
    path = write_safetensors(tmp_path / "m.safetensors", twins)
    first, other = (layers_of(path, null=null, seed=seed, quantize="polarity") for seed in (0, 1))
    nulls = [null_of(plane) for layers in (first, other) for layer in layers.values() for plane in layer.planes]
    assert len({null.mean_ctm for null in nulls}) == len(nulls) == 8
    assert layers_of(path, null=null, seed=1, quantize="polarity") == other


@pytest.mark.parametrize("null", ["permutation", "shuffle:7", "none"])
def test_a_report_is_the_same_for_any_number_of_threads(null: str, model: dict[str, Tensor], tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", model)
    reports = [wcx.analyze(path, null=null, threads=threads).to_dict() for threads in (1, 2, 5)]
    assert reports[0] == reports[1] == reports[2]
    assert str(reports[0]) == str(reports[1]) == str(reports[2])


def test_the_pooled_null_is_that_of_the_margins(model: dict[str, Tensor], tmp_path: Path) -> None:
    report = wcx.analyze(write_safetensors(tmp_path / "m.safetensors", model), rarefy=50)
    pooled = report.model.planes[0].pooled
    assert pooled is not None
    margins = []
    for layer in report.layers:
        plane = only_plane(layer)
        margins.append(Margins(layer.weights, plane.ones, plane.blocks))
    for quantity, expected in permutation_null(margins, TABLE, 50).items():
        statistic = getattr(null_of(pooled), quantity)
        assert (statistic.mean, statistic.sd) == (expected.mean, expected.sd)


def test_real_shuffles_of_a_report_agree_with_the_closed_form() -> None:
    array = np.random.default_rng(5).standard_normal((67, 70)) + 0.3
    closed, shuffled = (
        only_plane(wcx.measure(array, null=null, rarefy=100)) for null in ("permutation", "shuffle:300")
    )
    assert (null_of(shuffled).kind, null_of(shuffled).draws) == ("shuffle", 300)
    for quantity in QUANTITIES:
        one, other = getattr(null_of(closed), quantity), getattr(null_of(shuffled), quantity)
        assert_within(Expectation(other.mean, other.sd), Moments(one.mean, one.sd), mean=0.25, sd=0.2)
    assert replace(shuffled, null=closed.null) == closed  # nothing else differs


def test_real_shuffles_of_a_model_agree_with_the_closed_form(model: dict[str, Tensor], tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", model)
    closed, shuffled = (
        wcx.analyze(path, null=null, rarefy=100).model.planes[0] for null in ("permutation", "shuffle:300")
    )
    assert closed.pooled is not None
    assert shuffled.pooled is not None
    assert null_of(closed.pooled).kind == "permutation"
    for quantity in QUANTITIES:
        one, other = getattr(null_of(closed.pooled), quantity), getattr(null_of(shuffled.pooled), quantity)
        assert_within(Expectation(other.mean, other.sd), Moments(one.mean, one.sd), mean=0.25, sd=0.2)


def test_shuffling_more_than_a_billion_weights_is_refused() -> None:
    check_size([10**9 - 1, 1])
    with pytest.raises(UsageError, match=r"1,000,000,001 weights .*--null permutation"):
        check_size([10**9, 1])


def test_means_grow_with_the_rarefied_number_and_end_at_bdm() -> None:
    plane = Plane(128, 128, 6000)
    means = [closed_form([plane], rarefy)["bdm_rarefied"].mean for rarefy in (1, 2, 10, 100, 1000, 1023, 1024, 5000)]
    assert all(one < other for one, other in pairwise(means[:-1]))
    assert closed_form([plane], 1024)["bdm_rarefied"] == closed_form([plane], 1)["bdm"]
    assert means[0] == pytest.approx(closed_form([plane], 1)["mean_ctm"].mean, rel=1e-12)


def test_a_sparse_plane_of_any_size_takes_no_more_memory() -> None:
    """Nearly all of its blocks are constant: their number is no size of a table."""
    tracemalloc.start()
    try:
        found = sampled_null([Margins(10**9, 50, 10**9 // 16)], [generator(0, "w", 0)], load_table("4x4"), 1024, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 << 20
    assert found["bdm"].mean > 0
