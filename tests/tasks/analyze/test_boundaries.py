"""The boundaries recursive and correlated: every number is pybdm's, every count the oracle's, on any grid."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import jsonschema
import naive
import numpy as np
import pytest
from commands import run_here
from depth import examples, one_of
from hypothesis import given, settings
from numba import config
from numpy.typing import NDArray
from strategies import (
    BytesReader,
    close,
    layer_of,
    planes,
    random_codes,
    random_plane,
    random_tensor,
    write_safetensors,
)

import wcx
from wcx.blocks.counter import compiled_kernels
from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import Storage
from wcx.core.dtypes import DTYPES, BitRule, UniformRule
from wcx.core.errors import CheckpointError, UsageError
from wcx.core.plain import to_plain
from wcx.core.report import PlaneReport
from wcx.core.scheme import Scheme
from wcx.formats import open_checkpoint, open_reader
from wcx.measures import MEASURES
from wcx.measures.evidence import Evidence
from wcx.measures.tables import load_table
from wcx.scan import count, grid
from wcx.scan.count import CountedLayer, count_layers
from wcx.scan.engine import Threads
from wcx.scan.sources import ArraySource, FileSource, Source
from wcx.tasks.analyze.settings import make_settings
from wcx.tasks.analyze.shuffled_null import check_size

DOCS = Path(__file__).parents[3] / "docs"

SQUARE = ["recursive", "recursive:3", "recursive:4", "correlated", "correlated:2", "correlated:3", "correlated:7"]
STRING = ["recursive", "recursive:5", "recursive:11", "recursive:12", "correlated", "correlated:5", "correlated:70"]
SCHEMES = [Scheme("4x4", boundary, "rows") for boundary in SQUARE]
SCHEMES += [Scheme("1x12", boundary, "flat") for boundary in STRING]
EVERY = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
PATHS = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "numpy"])


def oracle(plane: NDArray[Any], scheme: Scheme) -> dict[int, int]:
    """The oracle's counts of a plane (of strings: one row)."""
    block = (1, 12) if scheme.block == "1x12" else (4, 4)
    if scheme.shift:
        return naive.sliding_counts(plane, scheme.shift, block)
    return naive.recursive_counts(plane, scheme.least, block)


def as_dict(counts: BlockCounts) -> dict[int, int]:
    return dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True))


def matrix_of(plane: NDArray[Any], scheme: Scheme) -> NDArray[Any]:
    return plane.reshape(1, -1) if scheme.block == "1x12" else plane


def count_plane(plane: NDArray[Any], scheme: Scheme, compiled: bool = False, threads: int = 1) -> CountedLayer:
    """Count a plane of bits by way of U8 codes."""
    codes = np.ascontiguousarray(matrix_of(plane, scheme)).astype(np.uint8)
    cut = (DTYPES["U8"].positive,)
    layers = [layer_of("U8", *codes.shape)]
    (found,) = count_layers(layers, [cut], scheme, lambda: ArraySource(codes), Threads(threads), compiled=compiled)
    return found


# ------------------------------------------------------------------------------------------------------------ pybdm


def pybdm_values(pybdm: ModuleType, plane: NDArray[Any], scheme: Scheme) -> tuple[float, float]:
    """bdm and entropy by pybdm's own partitions."""
    from pybdm import partitions

    keywords: dict[str, Any] = {"partition": partitions.PartitionRecursive, "min_length": scheme.least}
    if scheme.shift:
        keywords = {"partition": partitions.PartitionCorrelated, "shift": scheme.shift}
    strings = scheme.block == "1x12"
    method = pybdm.BDM(ndim=1 if strings else 2, raise_if_zero=False, **keywords)
    counter = method.decompose_and_count(plane.reshape(-1) if strings else plane)
    return float(method.compute_bdm(counter)), float(method.compute_ent(counter))


def measured(plane: NDArray[Any], scheme: Scheme, **settings: Any) -> PlaneReport:  # noqa: ANN401
    settings = {"null": "none", **settings}
    array = plane.astype(np.int8)
    return wcx.measure(array, block=scheme.block, boundary=scheme.boundary, **settings).planes[0]


@EVERY
def test_values_are_pybdms_whatever_the_remainders(pybdm: ModuleType, scheme: Scheme) -> None:
    sizes = [(4 + row, 4 + column) for row, column in product(range(4), repeat=2)]
    sizes += [(12, 40), (13, 23), (18, 31), (40, 39), (27, 22), (31, 33)]
    for number, size in enumerate(sizes):
        plane = random_plane(*size, (0.5, 0.2, 0.02)[number % 3], number).astype(np.int64)
        if scheme.block == "4x4" or plane.size >= 12:
            bdm, entropy = pybdm_values(pybdm, plane, scheme)
            found = measured(plane, scheme)
            assert found.bdm is not None
            assert found.block_entropy is not None
            assert close(found.bdm, bdm), size
            assert close(found.block_entropy, entropy), size


@pytest.mark.parametrize("boundary", ["recursive", "correlated:2"])
def test_both_planes_of_polarity(pybdm: ModuleType, boundary: str) -> None:
    values = np.random.default_rng(3).integers(-1, 2, (19, 26))
    layer = wcx.measure(values, quantize="polarity", boundary=boundary, null="none")
    for plane, bits in zip(layer.planes, (values > 0, values < 0), strict=True):
        bdm, entropy = pybdm_values(pybdm, bits.astype(np.int64), Scheme(boundary=boundary))
        assert close(plane.bdm or 0.0, bdm)
        assert close(plane.block_entropy or 0.0, entropy)
    assert layer.total.bdm == math.fsum(plane.bdm or 0.0 for plane in layer.planes)


def test_normalised_values_are_pybdms_where_nothing_is_left_over(pybdm: ModuleType) -> None:
    from pybdm.partitions import PartitionRecursive

    plane = random_plane(20, 36, 0.3, 5).astype(np.int64)
    method = pybdm.BDM(ndim=2, partition=PartitionRecursive, min_length=2)
    found = measured(plane, Scheme(boundary="recursive"))
    assert close(found.bdm_normalized or 0.0, method.nbdm(plane))
    assert close(found.block_entropy_normalized or 0.0, method.nent(plane))
    assert found.bdm == measured(plane, Scheme()).bdm


def test_nor_where_the_numbers_of_pooled_layers_happen_to_add_up() -> None:
    table = load_table(Scheme(boundary="recursive").alphabet)
    histogram = np.zeros(table.possible, np.int64)
    histogram[[5, 65536 + 512 + 3]] = 1  # 16 and 4 cells, and 12 left over: as many as two whole blocks have
    counts = BlockCounts.from_histogram("", histogram, 32, 9, 16, (9, 4))
    for measure in ("bdm_normalized", "block_entropy_normalized"):
        assert MEASURES[measure].of(Evidence(counts, table, 1024, "recursive")) is None


@pytest.mark.parametrize("size", [(6, 8), (8, 6), (7, 9), (9, 8)])
def test_there_are_none_with_left_overs_not_even_where_smaller_blocks_take_all_of_them(size: tuple[int, int]) -> None:
    for boundary in ("recursive", "recursive:4", "correlated"):
        found = measured(random_plane(*size, 0.5), Scheme(boundary=boundary))
        assert found.bdm_normalized is None
        assert found.block_entropy_normalized is None


# ----------------------------------------------------------------------------------------------------------- counts


@EVERY
@PATHS
def test_counts_and_totals_of_raw_codes_are_the_oracles(scheme: Scheme, compiled: bool) -> None:
    shapes = [(4, 4), (5, 13), (7, 9), (4, 16), (16, 4), (17, 6), (4, 65), (33, 63)]
    for number, (shape, dtype) in enumerate(product(shapes, ["F32", "BF16", "I8"])):
        codes = random_codes(dtype, shape[0] * shape[1], np.random.default_rng(number), "special").reshape(shape)
        codes = np.ascontiguousarray(matrix_of(codes, scheme))
        if codes.shape[0] == 1 and codes.size < 12:
            continue
        positive, zero, nonfinite = DTYPES[dtype].positive, DTYPES[dtype].zero, DTYPES[dtype].nonfinite
        source = ArraySource(codes)
        layer = layer_of(dtype, *codes.shape)
        (found,) = count_layers([layer], [(positive,)], scheme, lambda s=source: s, compiled=compiled)
        bits = np.array([[int(code) in positive for code in row] for row in codes.tolist()], np.uint8)
        assert as_dict(found.planes[0]) == oracle(bits, scheme)
        assert found.planes[0].ones == bits.sum()
        assert found.zeros == sum(int(code) in zero for code in codes.reshape(-1).tolist())
        assert found.nonfinite == sum(int(code) in nonfinite for code in codes.reshape(-1).tolist())


@one_of(5)
@EVERY
@PATHS
@pytest.mark.parametrize(
    ("dtype", "cut"),
    [
        ("F32", UniformRule(3, -1.5, 0.5)),
        ("BF16", UniformRule(10, -1.5, 0.004)),
        ("F32", BitRule(32)),
        ("I8", BitRule(8)),
    ],
    ids=["uniform:3", "uniform:10", "code bits of F32", "integer"],
)
def test_bit_planes(scheme: Scheme, compiled: bool, dtype: str, cut: UniformRule | BitRule) -> None:
    for shape in ((9, 15), (10, 14), (4, 65)):
        codes = random_codes(dtype, shape[0] * shape[1], np.random.default_rng(shape), "ordinary").reshape(shape)
        codes = np.ascontiguousarray(matrix_of(codes, scheme))
        layer, source = layer_of(dtype, *codes.shape), ArraySource(codes)
        (found,) = count_layers([layer], [cut], scheme, lambda s=source: s, compiled=compiled)
        (plain,) = count_layers([layer], [cut], replace(scheme, boundary="ignore"), lambda s=source: s, compiled=False)
        numbers = DTYPES[dtype]
        if isinstance(cut, UniformRule):
            values = np.array([[numbers.value(code) for code in row] for row in codes.tolist()], np.float32)
            levels = np.clip(np.rint((values - np.float32(cut.lo)) / np.float32(cut.delta)), 0, 2**cut.bits - 1)
        else:
            levels = codes.astype(np.int64) ^ (numbers.kind == "signed") << (numbers.bits - 1)
        for plane, counts in enumerate(found.planes):
            bits = (levels.astype(np.int64) >> plane & 1).astype(np.uint8)
            assert as_dict(counts) == oracle(bits, scheme)
            assert counts.ones == plain.planes[plane].ones == bits.sum()
        assert (found.zeros, found.nonfinite) == (plain.zeros, plain.nonfinite)


@one_of(3)
@EVERY
@pytest.mark.skipif(config.DISABLE_JIT, reason="large: slow as plain Python")
def test_both_paths_agree_over_many_tiles(scheme: Scheme) -> None:
    plane = random_plane(331, 1000, 0.4, 9)
    one, other = (count_plane(plane, scheme, compiled) for compiled in (True, False))
    assert one.planes == other.planes
    assert (one.zeros, one.nonfinite) == (other.zeros, other.nonfinite) == (plane.size - plane.sum(), 0)
    wide = random_plane(9, 40_003, 0.5, 10)  # wider than a piece
    assert count_plane(wide, scheme, True).planes == count_plane(wide, scheme, False).planes


@one_of(5)
@EVERY
@pytest.mark.parametrize("dtype", ["F64", "BF16", "F8_E4M3", "F4"])
@pytest.mark.parametrize("threads", [1, 3])
def test_neither_grid_nor_threads_change_a_count(
    scheme: Scheme, dtype: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = random_tensor(dtype, (43, 74), 4, "special")
    layer = layer_of(dtype, 43, 74)
    if scheme.block == "1x12":
        layer = replace(layer, rows=1, columns=43 * 74)
    cut = (DTYPES[dtype].positive, DTYPES[dtype].negative)

    def counted(make: Callable[[], Source], workers: int) -> CountedLayer:
        return next(iter(count_layers([layer], [cut], scheme, make, Threads(workers), compiled=False)))

    def from_file() -> Source:
        return FileSource(BytesReader(tensor.raw))

    expected = counted(from_file, 1)
    bits = np.array(tensor.values > 0, np.uint8).reshape(layer.rows, layer.columns)
    assert as_dict(expected.planes[0]) == oracle(bits, scheme)
    monkeypatch.setattr("wcx.scan.layers._SMALL_LAYER", 0)
    monkeypatch.setattr(grid, "WIDEST_WHOLE_ROW", 16)
    for nbytes, across, item in ((1 << 11, 16, 1 << 10), (1 << 12, 20, 1 << 11), (1 << 20, 1 << 13, 700)):
        monkeypatch.setattr(grid, "PIECE_BYTES", max(nbytes, 96 * layer.dtype.bits))  # 768 weights at least
        monkeypatch.setattr(grid, "_SLIDING_COLUMNS", across)
        monkeypatch.setattr(grid, "_ITEM_BYTES", item)
        assert counted(from_file, threads) == expected
    monkeypatch.setattr(count, "_FLUSH_SLIDING", 1000)
    assert counted(from_file, threads) == expected


def test_no_piece_that_slides_is_larger_than_the_memory_it_is_read_into() -> None:
    for bits, (rows, columns) in product((8, 16, 32, 64), [(1000, 4), (50, 8195), (50, 8196), (8, 10**6), (9, 40_000)]):
        seen = 0
        for piece in grid.Sliding().pieces(grid.Stripe(0, rows), rows, columns, bits):
            assert (piece.height + piece.more_rows) * (piece.width + piece.more_columns) * bits // 8 <= grid.PIECE_BYTES
            seen += piece.height * piece.width
        assert seen == rows * columns
    for bits in (8, 64):
        for piece in grid.Sliding().pieces(grid.Stripe(0, 10**6), 1, 10**6, bits):
            assert (piece.width + piece.more_columns) * bits // 8 <= grid.PIECE_BYTES
            assert piece.first % 768 == 0


@pytest.mark.parametrize("right", [True, False])
def test_a_checksum_is_still_held_against_what_is_read_twice(
    right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = random_tensor("F32", (64, 40), 1, "ordinary")
    checkpoint = open_checkpoint(write_safetensors(tmp_path / "m.safetensors", {"w": tensor}))
    found = checkpoint["w"]
    crc32 = zlib.crc32(tensor.raw) ^ (not right)
    info = replace(found, storage=Storage(found.offset, found.nbytes, 64 * 40, crc32=crc32))
    layer = replace(layer_of("F32", 64, 40), tensor=info, view=info)
    monkeypatch.setattr(grid, "PIECE_BYTES", 1 << 11)
    monkeypatch.setattr(grid, "_SLIDING_COLUMNS", 16)
    found_pieces = list(grid.Sliding().pieces(grid.Stripe(0, 64), 64, 40, 32))
    with open_reader(checkpoint) as reader:
        source = FileSource(reader)
        for order in (found_pieces, found_pieces[::-1]):  # several workers read in any order
            if right:
                assert sum(source.codes(layer, piece).size for piece in order) > 64 * 40
                continue
            with pytest.raises(CheckpointError, match="CRC"):
                [source.codes(layer, piece) for piece in order]


# ------------------------------------------------------------------------------------------------------------- laws


def counts_under(plane: NDArray[Any], scheme: Scheme) -> BlockCounts:
    if plane.size == 0:
        return BlockCounts.empty(scheme.id, scheme.cells, scheme.sizes[1:], overlapping=scheme.shift > 0)
    return count_plane(plane, scheme).planes[0]


@settings(max_examples=examples(30))
@given(planes(), planes(), st.sampled_from(SCHEMES))
def test_counts_merge_as_they_do_elsewhere(one: NDArray[Any], other: NDArray[Any], scheme: Scheme) -> None:
    first, second = counts_under(one, scheme), counts_under(other, scheme)
    merged = first.merge(second)
    assert merged == second.merge(first)
    assert as_dict(merged) == naive.pooled(as_dict(first), as_dict(second))
    assert merged.merge(counts_under(one[:0], scheme)) == merged
    assert (merged.left_over is None) == (scheme.shift > 0)
    with pytest.raises(ValueError, match="can't be merged"):
        merged.merge(BlockCounts.empty("4x4-ignore-rows"))


@settings(max_examples=examples(30))
@given(planes(), st.integers(0, 10), st.sampled_from(SCHEMES[:3]))
def test_recursive_counts_add_up_over_block_rows(plane: NDArray[Any], at: int, scheme: Scheme) -> None:
    top, bottom = plane[: 4 * at], plane[4 * at :]
    assert counts_under(top, scheme).merge(counts_under(bottom, scheme)) == counts_under(plane, scheme)


@settings(max_examples=examples(30))
@given(planes(), st.sampled_from([scheme for scheme in SCHEMES if scheme.least]))
def test_the_cells_of_all_blocks_and_the_left_over_ones_are_all_symbols(plane: NDArray[Any], scheme: Scheme) -> None:
    counts = counts_under(plane, scheme)
    sizes = counts.by_size()
    assert [cells for cells, _ in sizes] == list(scheme.sizes)
    assert sum(number for _, number in sizes) == counts.blocks
    assert sum(cells * number for cells, number in sizes) + (counts.left_over or 0) == plane.size


# ---------------------------------------------------------------------------------------------- what exists, options


EXISTS = {
    "recursive": {"bdm", "block_entropy", "left_over"},
    "correlated": {"bdm", "block_entropy", "mean_ctm", "distinct", "load"},
}


@pytest.mark.parametrize("block", ["4x4", "1x12"])
@pytest.mark.parametrize("boundary", ["recursive", "correlated"])
def test_what_is_not_defined_is_null(boundary: str, block: str) -> None:
    found = measured(random_plane(21, 22, 0.5), Scheme(block, boundary), null="permutation")
    always = {"plane", "ones", "density", "blocks", "possible"}
    assert {name for name, value in to_plain(found).items() if value is not None} == always | EXISTS[boundary]


def run(*arguments: str) -> str:
    done = run_here(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("boundary", ["recursive", "correlated"])
def test_outputs_leave_empty_what_is_null(boundary: str, tmp_path: Path) -> None:
    tensors = {"a": random_tensor("F32", (21, 22), 1, "ordinary"), "b": random_tensor("F32", (40, 40), 2, "ordinary")}
    path = str(write_safetensors(tmp_path / "m.safetensors", tensors))
    report = json.loads(run("analyze", path, "--boundary", boundary, "--json"))
    jsonschema.validate(report, json.loads((DOCS / "schema" / "analysis-1.json").read_text("utf-8")))
    assert report["settings"]["boundary"] == boundary
    shapes = ["4x4", "3x3", "2x2"] if boundary == "recursive" else ["4x4"]
    assert [table["shape"] for table in report["settings"]["ctm"]] == shapes
    assert any("use --null shuffle:K" in note for note in report["notes"])
    pooled = report["model"]["planes"][0]["pooled"]
    assert pooled["blocks"] == sum(layer["planes"][0]["blocks"] for layer in report["layers"])
    for option in ("--csv", "--markdown", "--ndjson", "--quiet"):
        text = run("analyze", path, "--boundary", boundary, option, "--fail-on", "layer.density > 99", "--sort", "load")
        assert "None" not in text
        assert "nan" not in text


@pytest.mark.parametrize("boundary", ["recursive:3", "correlated:2"])
def test_verify_compares_with_pybdms_partitions(boundary: str, tmp_path: Path) -> None:
    tensors = {"a": random_tensor("F32", (21, 22), 1, "ordinary"), "b": random_tensor("F32", (40, 40), 2, "ordinary")}
    path = str(write_safetensors(tmp_path / "m.safetensors", tensors))
    found = json.loads(run("verify", path, "--boundary", boundary, "--json"))
    jsonschema.validate(found, json.loads((DOCS / "schema" / "verification-1.json").read_text("utf-8")))
    assert (found["agrees"], found["boundary"]) == (True, boundary)
    values = [value for plane in found["planes"] for value in plane["values"] if value["wcx"] is not None]
    assert len(values) == (6 if boundary == "recursive:3" else 4)  # 40x40 has no left-overs


def test_pooled_counts_are_the_added_ones(tmp_path: Path) -> None:
    tensors = {name: random_tensor("F32", (21, 22), seed, "ordinary") for seed, name in enumerate("ab")}
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    for boundary in ("recursive", "correlated"):
        pooled = wcx.analyze(path, boundary=boundary).model.planes[0].pooled
        parts = [oracle(np.array(tensor.values > 0), Scheme(boundary=boundary)) for tensor in tensors.values()]
        assert pooled is not None
        counts = naive.pooled(*parts)
        assert pooled.blocks == sum(counts.values())
        assert close(pooled.block_entropy or 0.0, naive.block_entropy(counts))


@pytest.mark.parametrize(
    ("text", "block", "canonical"),
    [
        ("recursive", "4x4", "recursive"),
        ("recursive:2", "4x4", "recursive"),
        ("recursive:03", "4x4", "recursive:3"),
        ("recursive:12", "1x12", "recursive:12"),
        ("correlated:1", "1x12", "correlated"),
        ("correlated:4", "4x4", "correlated:4"),
    ],
)
def test_a_boundary_has_one_text(text: str, block: str, canonical: str) -> None:
    assert make_settings(boundary=text, block=block).boundary == canonical


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "cyclic",
            "ignore:",
            "ignore:2",
            "Recursive",
            "recursive:2:2",
            "correlated:99999999",
            "correlated:\u0662",
        ),
        *("recursive:", "recursive:1", "recursive:5", "recursive:x", "correlated:0", "correlated:-1", "correlated:1.5"),
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="boundary"):
        make_settings(boundary=text)


# ------------------------------------------------------------------------------------------------------------- null


@pytest.mark.parametrize("boundary", ["recursive", "correlated:2"])
def test_shuffles_are_counted_with_the_boundary(boundary: str) -> None:
    plane = np.tile(random_plane(6, 7, 0.5, 1), (5, 6))
    found = measured(plane, Scheme(boundary=boundary), null="shuffle:30")
    assert found.null is not None
    assert (found.null.kind, found.null.draws) == ("shuffle", 30)
    assert found.null.bdm_rarefied is None
    assert (found.null.mean_ctm is None) == (boundary == "recursive")
    random = np.random.default_rng(8)
    values = []
    for _ in range(100):
        shuffled = random.permutation(plane.reshape(-1)).reshape(plane.shape)
        values.append(measured(shuffled, Scheme(boundary=boundary)).bdm or 0.0)
    statistic = found.null.bdm
    assert statistic is not None
    assert abs(statistic.mean - np.mean(values)) < 5 * np.std(values) / np.sqrt(30)
    assert 0.5 < statistic.sd / np.std(values) < 1.6
    assert statistic.z is not None
    assert statistic.z < -5
    assert found == measured(plane, Scheme(boundary=boundary), null="shuffle:30", threads=3)


def test_a_constant_plane_is_its_own_shuffle() -> None:
    for boundary in ("recursive", "correlated"):
        found = measured(np.ones((9, 10)), Scheme(boundary=boundary), null="shuffle:3").null
        assert found is not None
        assert found.bdm is not None
        assert (found.bdm.sd, found.bdm.z, found.bdm.ratio) == (0.0, None, 1.0)


def test_a_layer_too_large_to_permute_in_memory_is_refused() -> None:
    check_size([10**8 + 1])
    check_size([10**8], "recursive")
    with pytest.raises(UsageError, match="in memory"):
        check_size([10**8 + 1, 5], "recursive")


def test_there_is_compiled_code_to_test() -> None:
    assert compiled_kernels() is not None
