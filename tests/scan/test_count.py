"""From files and arrays to a report, against the oracle; and that nothing about the machine changes a number."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import naive
import numpy as np
import pytest
from depth import one_of
from numpy.typing import NDArray
from safetensors.numpy import save_file
from strategies import (
    DTYPE_NAMES,
    QUANTIZERS,
    Tensor,
    close,
    expected,
    layer_of,
    planes_of,
    random_tensor,
    tensor_of,
    write_safetensors,
)

import wcx
from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError, UsageError
from wcx.core.progress import Progress
from wcx.core.report import LayerReport, PlaneReport, Report
from wcx.formats import open_checkpoint
from wcx.formats.reader import CheckpointReader
from wcx.quantizers import parse_quantizer
from wcx.scan import count, grid
from wcx.scan.engine import Threads
from wcx.tasks.analyze.analyze import analyze_checkpoint
from wcx.tasks.analyze.settings import make_settings

Planes = list[NDArray[np.uint8]]


def assert_plane(found: PlaneReport, planes: Planes, rarefy: int) -> None:
    """One plane of a layer, or of several layers pooled, has the oracle's numbers."""
    counts = naive.pooled(*map(naive.block_counts, planes))
    symbols, ones = sum(plane.size for plane in planes), sum(map(naive.ones, planes))
    blocks = naive.blocks(counts)
    assert (found.ones, found.blocks, found.possible) == (ones, blocks, 65536)
    assert found.left_over == sum(map(naive.left_over, planes)) == symbols - 16 * blocks
    assert found.rarefied_m == min(rarefy, blocks)
    for name, value in naive.measures(counts, symbols, ones, rarefy).items():
        here = getattr(found, name)
        assert close(here, value) if isinstance(value, float) else here == value, name


def assert_layer(found: LayerReport, tensor: Tensor, quantizer: str, rarefy: int = 1024) -> None:
    """A layer's report has the oracle's numbers."""
    matrix = naive.rows(tensor.values)
    correct = expected(matrix, quantizer)
    assert (found.dtype, found.shape, found.matrix) == (tensor.dtype, tensor.shape, matrix.shape)
    assert (found.weights, found.zeros, found.nonfinite) == (matrix.size, correct.zeros, correct.nonfinite)
    planes = planes_of(matrix, quantizer)
    assert tuple(plane.plane for plane in found.planes) == parse_quantizer(quantizer).planes(DTYPES[tensor.dtype])
    for report, plane in zip(found.planes, planes, strict=True):
        assert_plane(report, [plane], rarefy)
    assert found.total.bdm is not None
    assert close(found.total.bdm, sum(naive.bdm(counts) for counts in correct.counts))


def by_name(report: Report) -> dict[str, LayerReport]:
    return {layer.name: layer for layer in report.layers}


# --------------------------------------------------------------------------------------------- files, layer by layer


@pytest.fixture(scope="module")
def every_dtype() -> dict[str, Tensor]:
    """Tensors of all dtypes, ranks and sizes; names say the dtype."""
    shapes = [(8, 8), (20, 24), (5, 13, 8), (16, 3, 4, 4), (64, 68), (4, 1000)]
    return {
        f"{dtype}.{flavour}": random_tensor(dtype, shapes[(number + part) % len(shapes)], number, flavour)
        for number, dtype in enumerate(DTYPE_NAMES)
        for part, flavour in enumerate(("bytes", "special", "sparse"))
    }


@one_of(3)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_every_layer_of_a_file_is_the_oracles(every_dtype: dict[str, Tensor], quantizer: str, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "model.safetensors", every_dtype)
    report = wcx.analyze(path, quantize=quantizer, include=["*"], null="none", rarefy=20)
    assert [layer.name for layer in report.layers] == list(every_dtype)
    assert not report.skipped
    for name, layer in by_name(report).items():
        assert_layer(layer, every_dtype[name], quantizer, rarefy=20)


def test_a_file_written_by_the_library(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "conv.weight": random.standard_normal((20, 3, 5, 5)).astype(np.float32),
        "fc.weight": random.standard_normal((60, 44)).astype(np.float16),
        "codes": random.integers(-128, 128, (16, 20)).astype(np.int8),
    }
    save_file(arrays, tmp_path / "model.safetensors")
    layers = by_name(wcx.analyze(tmp_path / "model.safetensors"))
    assert layers.keys() == arrays.keys()
    for name, dtype in (("conv.weight", "F32"), ("fc.weight", "F16"), ("codes", "I8")):
        assert_layer(layers[name], tensor_of(arrays[name], dtype), "sign")


@pytest.mark.parametrize("shape", [(4, 4), (4, 5), (5, 4), (7, 7), (4, 1, 2, 2), (1000, 5), (6, 700), (4, 2, 2, 1, 9)])
def test_small_and_odd_shapes(shape: tuple[int, ...], tmp_path: Path) -> None:
    tensor = random_tensor("BF16", shape, 3, "ordinary")
    (layer,) = wcx.analyze(write_safetensors(tmp_path / "m.safetensors", {"w": tensor})).layers
    assert_layer(layer, tensor, "sign")


def test_pooled_rows_add_counts_and_sum_rows_add_values(every_dtype: dict[str, Tensor], tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in every_dtype.items() if name.endswith("special")}
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    for quantizer in QUANTIZERS:
        report = wcx.analyze(path, quantize=quantizer, include=["*"], null="none", rarefy=100)
        matrices = [naive.rows(tensor.values) for tensor in tensors.values()]
        assert (report.model.layers, report.model.weights) == (len(tensors), sum(m.size for m in matrices))
        planes = list(zip(*(planes_of(matrix, quantizer) for matrix in matrices), strict=True))
        for row, of_layers in zip(report.model.planes, planes, strict=True):
            assert row.pooled is not None
            assert_plane(row.pooled, list(of_layers), rarefy=100)
            assert row.sum.bdm is not None
            assert close(row.sum.bdm, math.fsum(naive.bdm(naive.block_counts(plane)) for plane in of_layers))
        assert report.model.total.bdm == pytest.approx(math.fsum(row.sum.bdm or 0.0 for row in report.model.planes))


def test_a_single_layer_pooled_is_that_layer(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"w": random_tensor("F32", (40, 50), 0)})
    report = wcx.analyze(path)
    assert report.model.planes[0].pooled == report.layers[0].planes[0]
    assert report.model.planes[0].sum.bdm == report.layers[0].planes[0].bdm


# -------------------------------------------------------------------------------------- threads, grid, both paths


@pytest.fixture
def tiny_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut everything into very small work: stripes of a few rows, pieces of a few columns."""
    monkeypatch.setattr(grid, "_ITEM_BYTES", 1024)
    monkeypatch.setattr(grid, "PIECE_BYTES", 512)
    monkeypatch.setattr(grid, "WIDEST_WHOLE_ROW", 192)
    monkeypatch.setattr(count, "_FLUSH_WEIGHTS", 700)


def compiled_or_not(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> None:
    monkeypatch.setattr(count, "is_large", lambda _layers, _planes: compiled)


@one_of(3)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_neither_threads_nor_grid_nor_compiler_change_a_report(
    every_dtype: dict[str, Tensor],
    quantizer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", every_dtype)
    settings: dict[str, Any] = {"quantize": quantizer, "include": ["*"], "null": "none"}
    usual = wcx.analyze(path, threads=1, **settings).to_dict()
    request.getfixturevalue("tiny_grid")
    for compiled in (True, False):
        compiled_or_not(monkeypatch, compiled)
        for threads in (1, 2, 5):
            found = wcx.analyze(path, threads=threads, **settings).to_dict()
            assert found == usual
            assert json.dumps(found) == json.dumps(usual)


@pytest.mark.usefixtures("tiny_grid")
def test_a_layer_of_many_stripes_between_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = {"a": (4, 8), "large": (803, 37), "b": (8, 4), "wide": (9, 2001), "c": (4, 4), "d": (5, 5)}
    tensors = {name: random_tensor("F32", shape, 1, "special") for name, shape in shapes.items()}
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    stripes = [stripe for shape in shapes.values() for stripe in grid.Rows().stripes(*shape, 32)]
    assert len(stripes) > 100
    for compiled in (True, False):
        compiled_or_not(monkeypatch, compiled)
        report = wcx.analyze(path, threads=4, null="none")
        assert [layer.name for layer in report.layers] == list(shapes)
        for name, layer in by_name(report).items():
            assert_layer(layer, tensors[name], "sign")


def test_small_work_is_left_to_numpy_and_large_work_to_the_compiler() -> None:
    assert not count.is_large([layer_of("F32", 1000, 1000)], 1)
    assert count.is_large([layer_of("F32", 40_000, 40_000)], 1)
    assert count.is_large([layer_of("F32", 20_000, 20_000)], 2)
    assert count.is_large([layer_of("F32", 64, 64)] * 10_000, 1)
    assert not count.is_large([layer_of("F32", 6_000, 8_000)], 8)
    assert count.is_large([layer_of("F32", 8_000, 8_000)], 8)


def test_without_compiled_code_everything_is_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = random_tensor("BF16", (100, 90), 0, "special")
    monkeypatch.setattr(count, "compiled_kernels", lambda *_cut, **_strings: None)
    compiled_or_not(monkeypatch, True)
    (layer,) = wcx.analyze(write_safetensors(tmp_path / "m.safetensors", {"w": tensor})).layers
    assert_layer(layer, tensor, "sign")


@pytest.mark.usefixtures("tiny_grid")
@pytest.mark.parametrize("threads", [1, 3])
def test_progress_is_told_of_every_byte_and_every_layer(
    every_dtype: dict[str, Tensor], threads: int, tmp_path: Path
) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", every_dtype)
    started: list[int] = []
    nbytes: list[int] = []
    layers: list[LayerReport] = []
    progress = Progress(on_start=started.append, on_bytes=nbytes.append, on_layer=layers.append)
    settings = make_settings(include=["*"], null="none")
    report = analyze_checkpoint(open_checkpoint(path), settings, Threads(threads), progress)
    whole = sum(len(tensor.raw) for tensor in every_dtype.values())
    assert started == [whole]
    assert all(number >= 0 for number in nbytes)
    assert whole - len(every_dtype) * 20 <= sum(nbytes) <= whole  # packed codes: to the byte below, a piece
    assert tuple(layers) == report.layers


@pytest.mark.usefixtures("tiny_grid")
@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_reading_reaches_the_caller_and_ends_the_threads(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"w": random_tensor("I8", (400, 400), 0)})
    read_into: Callable[..., None] = CheckpointReader.read_into

    def fail(self: CheckpointReader, tensor: Any, start: int, out: memoryview) -> None:  # noqa: ANN401
        if start > 100_000:
            raise CheckpointError("m.safetensors", "the disk is gone", start)
        read_into(self, tensor, start, out)

    monkeypatch.setattr(CheckpointReader, "read_into", fail)
    before = threading.active_count()
    with pytest.raises(CheckpointError, match="the disk is gone"):
        wcx.analyze(path, threads=threads)
    assert threading.active_count() == before


# --------------------------------------------------------------------------------------------------------- warnings

TWO_VALUES = "at most two distinct values: a mask or a constant"


def warnings_of(array: NDArray[Any], **settings: Any) -> tuple[str, ...]:  # noqa: ANN401
    return wcx.measure(array, null="none", **settings).warnings


@pytest.mark.parametrize(
    ("shape", "warning"),
    [
        ((9, 130), "left over: 12 % of the weights are in no block"),
        ((7, 400), "left over: 43 % of the weights are in no block"),
        ((18, 180), "left over: 11 % of the weights are in no block"),
        ((20, 22), None),  # 9.1 %
        ((40, 40), None),
    ],
)
def test_left_over_weights_are_warned_of_above_a_tenth(shape: tuple[int, int], warning: str | None) -> None:
    found = warnings_of(np.random.default_rng(0).standard_normal(shape))
    assert found == (() if warning is None else (warning,))


@pytest.mark.parametrize(("columns", "warning"), [(60, ("few blocks: 15",)), (64, ()), (4, ("few blocks: 1",))])
def test_fewer_than_sixteen_blocks_are_warned_of(columns: int, warning: tuple[str, ...]) -> None:
    assert warnings_of(np.random.default_rng(0).standard_normal((4, columns))) == warning


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["<f8", "<f4", "<f2", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_values_that_are_not_finite_are_warned_of(kind: Any, value: float) -> None:  # noqa: ANN401
    array = np.random.default_rng(0).standard_normal((40, 40)).astype(kind)
    assert warnings_of(array) == ()
    array[[0, 17, 39], [0, 3, 39]] = value
    assert warnings_of(array) == ("non-finite values: 3",)


@one_of(3)
@pytest.mark.usefixtures("tiny_grid")
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("values", "few"),
    [
        ([1.0], True),
        ([0.0], True),
        ([-0.0], True),
        ([np.nan], True),
        ([0.0, -0.0], True),
        ([1.0, -1.0], True),
        ([0.0, 1.0], True),
        ([-0.0, 1.0], True),
        ([0.0, -0.0, 1.0], True),
        ([0.0, -0.0, 1.0, 2.0], False),
        ([1.0, 2.0, 3.0], False),
        ([0.0, 1.0, -1.0], False),
        ([-0.0, 1.0, -1.0], False),
        ([1.0, 2.0, 3.0, 4.0], False),
        ([np.inf, -np.inf], True),
        ([np.inf, -np.inf, 0.0], False),
    ],
)
def test_at_most_two_distinct_values_are_warned_of_wherever_they_are(
    values: list[float], few: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one row, in different stripes, or one of them in the very last place."""
    compiled_or_not(monkeypatch, compiled)
    side = 64
    mixed = np.resize(np.array(values), (side, side))
    in_stripes = np.repeat(np.resize(np.array(values), 16), side * side // 16).reshape(side, side)
    late = np.full((side, side), values[0])
    late.reshape(-1)[side * side - len(values) :] = values
    early = late[::-1, ::-1]
    for array in (mixed, in_stripes, late, early):
        for kind in ("<f4", "<f8", ml_dtypes.bfloat16):
            for threads in (1, 3):
                found = warnings_of(np.ascontiguousarray(array).astype(kind), threads=threads)
                assert (TWO_VALUES in found) == few, (kind, threads)


def test_warnings_come_together() -> None:
    array = np.full((7, 9), np.nan)
    assert warnings_of(array) == (
        "left over: 49 % of the weights are in no block",
        "few blocks: 2",
        "non-finite values: 63",
        TWO_VALUES,
    )


# ------------------------------------------------------------------------------------------------- skipped, and nothing


def test_what_is_skipped_says_why(tmp_path: Path) -> None:
    tensors = {
        "weight": ("F32", (8, 8), None),
        "bias": ("F32", (8,), "1-D"),
        "scalar": ("F32", (), "1-D"),
        "empty": ("F32", (0, 8), "empty"),
        "thin": ("F32", (3, 100), "under 4x4"),
        "narrow": ("F32", (100, 3), "under 4x4"),
        "mask": ("BOOL", (8, 8), "BOOL"),
        "ids": ("I64", (8, 8), "integer I64"),
        "u16": ("U16", (8, 8), "integer U16"),
        "scales": ("F8_E8M0", (8, 8), "E8M0 (no sign)"),
        "fp4": ("F4", (8, 8), None),
        "i8": ("I8", (8, 8), None),
        "u8": ("U8", (8, 8), None),
    }
    written = {name: random_tensor(dtype, shape, 0, "ordinary") for name, (dtype, shape, _) in tensors.items()}
    written["phase"] = Tensor("C64", (4, 4), bytes(128))
    path = write_safetensors(tmp_path / "m.safetensors", written)
    report = wcx.analyze(path, null="none")
    reasons = {name: reason for name, (_, _, reason) in tensors.items() if reason} | {"phase": "complex C64"}
    assert {tensor.name: tensor.reason for tensor in report.skipped} == reasons
    assert set(by_name(report)) == tensors.keys() - reasons.keys()
    assert report.warnings == ()

    report = wcx.analyze(path, null="none", include=["mask", "ids", "scales", "phase", "bias"], exclude=["ids"])
    assert set(by_name(report)) == {"mask", "scales"}
    reasons = {tensor.name: tensor.reason for tensor in report.skipped}
    assert (reasons["ids"], reasons["phase"], reasons["bias"]) == ("excluded", "complex C64", "1-D")
    assert (reasons["weight"], reasons["thin"]) == ("not included", "not included")


@pytest.mark.parametrize("null", ["permutation", "shuffle:3", "none"])
def test_a_model_without_layers_has_no_numbers(null: str, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"bias": random_tensor("F32", (8,), 0)})
    report = wcx.analyze(path, null=null, quantize="polarity")
    assert report.layers == ()
    assert report.warnings == ("no layer was analyzed: see skipped for the reasons",)
    assert (report.model.layers, report.model.weights, report.model.total.bdm) == (0, 0, None)
    assert [(row.pooled, row.sum.bdm) for row in report.model.planes] == [(None, None)] * 2


def test_measures_that_were_not_asked_for_are_left_out(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"w": random_tensor("F32", (40, 40), 0)})
    report = wcx.analyze(path, measures=["mean_ctm", "bit_entropy"])
    for plane in (report.layers[0].planes[0], report.model.planes[0].pooled):
        assert plane is not None
        assert plane.mean_ctm is not None
        assert plane.bit_entropy is not None
        assert plane.bdm is plane.block_entropy is plane.bdm_rarefied is plane.rarefied_m is None
        assert plane.bdm_normalized is plane.block_entropy_normalized is None
    assert report.layers[0].total.bdm is report.model.planes[0].sum.bdm is report.model.total.bdm is None


def test_a_note_says_where_bdm_is_about_size(tmp_path: Path) -> None:
    tensors = {"small": random_tensor("I8", (64, 64), 0), "large": random_tensor("I8", (520, 512), 0)}
    (note,) = wcx.analyze(write_safetensors(tmp_path / "m.safetensors", tensors), null="none").notes
    assert note.startswith("1 of 2 planes have more than 0.25 blocks per possible block (0 saturated)")


# ------------------------------------------------------------------------------------------------- arrays in memory


def signs() -> NDArray[np.float64]:
    """Values that all dtypes have, in a shape that is no multiple of 4."""
    return np.random.default_rng(3).choice([-2.0, -1.0, 0.0, 1.0, 1.5], (21, 38))


def assert_measured(array: NDArray[Any], values: NDArray[np.float64], quantizer: str = "sign") -> LayerReport:
    """An array's report has the oracle's numbers for these values."""
    found = wcx.measure(array, quantize=quantizer, null="none")
    correct = expected(naive.rows(values), quantizer)
    assert (found.shape, found.weights) == (values.shape, values.size)
    assert (found.zeros, found.nonfinite) == (correct.zeros, correct.nonfinite)
    for report, plane in zip(found.planes, planes_of(naive.rows(values), quantizer), strict=True):
        assert_plane(report, [plane], 1024)
    return found


def test_the_bits_of_integer_arrays_and_of_no_others() -> None:
    array = np.random.default_rng(0).integers(-128, 128, (20, 24)).astype(np.int8)
    found = wcx.measure(array, quantize="integer", null="none")
    planes = naive.integer(array.view(np.uint8).reshape(-1).tolist(), 8, signed=True)
    assert [plane.plane for plane in found.planes] == list(planes)
    for report, plane in zip(found.planes, planes.values(), strict=True):
        assert_plane(report, [np.array(plane, np.uint8).reshape(array.shape)], 1024)
    with pytest.raises(UsageError, match="not integer codes"):
        wcx.measure(array.astype(np.float32), quantize="integer")


def test_a_report_says_what_the_uniform_quantizer_learned() -> None:
    array = np.random.default_rng(0).standard_normal((20, 24)).astype(np.float32)
    array[3, 4] = np.inf
    fit = wcx.measure(array, quantize="uniform:8", null="none").fit
    known = array[np.isfinite(array)]
    assert fit is not None
    assert (fit.lo, fit.hi) == (known.min(), known.max())
    assert fit.delta == (known.max() - known.min()) / np.float32(255)
    constant = wcx.measure(np.full((8, 8), 0.25), quantize="uniform:8:p99.9", null="none")
    assert constant.fit is not None
    assert (constant.fit.lo, constant.fit.hi, constant.fit.delta) == (0.25, 0.25, 0.0)
    assert [plane.ones for plane in constant.planes] == [0] * 8


def test_the_value_in_the_docstring_is_true() -> None:
    assert wcx.measure(np.zeros((12, 12), np.float32)).planes[0].bdm == 25.176631293734488


KINDS = {"f8": "F64", "f4": "F32", "f2": "F16", "?": "BOOL"}
KINDS |= {f"{sign}{nbytes}": f"{sign.upper()}{8 * nbytes}" for sign in "iu" for nbytes in (1, 2, 4, 8)}


@one_of(7)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", "<>")
def test_arrays_of_any_numpy_dtype_and_byte_order(order: str, kind: str, quantizer: str) -> None:
    values = signs() if kind[0] in "fi" else abs(signs())
    array = values.astype(order + kind)
    assert assert_measured(array, array.astype(np.float64), quantizer).dtype == KINDS[kind]


SMALL_FLOATS = sorted(name for name in DTYPE_NAMES if name.startswith(("BF", "F8", "F6", "F4")))


@one_of(7)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_arrays_of_ml_dtypes(name: str, quantizer: str) -> None:
    kind = naive.PLAIN_DTYPES.get(name) or naive.PACKED_DTYPES[name][1]
    array = (abs(signs()) + 1 if name == "F8_E8M0" else signs()).astype(kind)
    assert assert_measured(array, array.astype(np.float64), quantizer).dtype == name


@one_of(3)
@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda a: np.ascontiguousarray(a.T).T,
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: np.repeat(a, 3, axis=1)[:, ::3],
        lambda a: np.repeat(a, 2, axis=0)[1::2],
        lambda a: np.stack([a, a + 1], axis=2)[:, :, 0],
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, a.size, 1).reshape(a.shape),  # unaligned, read-only
        lambda a: a.tolist(),
        lambda a: np.ma.masked_array(a),
    ],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_arrays_in_any_memory_order(
    layout: Callable[[NDArray[Any]], Any], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_or_not(monkeypatch, compiled)
    array = layout(signs())
    assert_measured(array, np.array(array, np.float64), "polarity")


@pytest.mark.parametrize("shape", [(6, 7, 19), (21, 2, 19), (7, 2, 3, 19), (4, 1, 1, 4), (8, 1, 1, 2, 2), (133, 6)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_more_dimensions(shape: tuple[int, ...], order: str) -> None:
    values = np.resize(signs(), shape)
    assert_measured(np.array(values, order="F" if order == "F" else "C"), values)


def test_a_read_only_array_is_left_as_it_is() -> None:
    array = signs().astype(np.float32)
    array.flags.writeable = False
    before = array.copy()
    assert_measured(array, before.astype(np.float64))
    np.testing.assert_array_equal(array, before)


def test_an_array_and_a_file_with_it_have_the_same_report(tmp_path: Path) -> None:
    for shape in ((40, 41), (4, 40_000)):
        array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        path = write_safetensors(tmp_path / "m.safetensors", {"fc.weight": tensor_of(array, "F32")})
        (layer,) = wcx.analyze(path, seed=3).layers
        assert wcx.measure(array, name="fc.weight", seed=3) == layer


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(16), "1-D"),
        (np.float64(3.0), "1-D"),
        (np.zeros((3, 100)), "under 4x4"),
        (np.zeros((100, 3)), "under 4x4"),
        (np.zeros((2, 2, 2)), "under 4x4"),
        (np.zeros((0, 8)), "empty"),
        (np.zeros((8, 8), np.complex64), "complex C64"),
        (np.zeros((8, 8), np.complex128), "complex C128"),
        (np.zeros((8, 8), object), "wcx does not support this dtype"),
        (np.zeros((8, 8), "U3"), "wcx does not support this dtype"),
        (np.zeros((8, 8), "M8[s]"), "wcx does not support this dtype"),
        (np.zeros((8, 8), [("a", "<f4")]), "wcx does not support this dtype"),
        (np.zeros((8, 8), ml_dtypes.int4), "wcx does not support this dtype"),
    ],
)
def test_arrays_that_cannot_be_measured(array: Any, reason: str) -> None:  # noqa: ANN401
    with pytest.raises(UsageError) as caught:
        wcx.measure(array)
    assert f"an array of shape {np.shape(array)} and dtype " in str(caught.value)
    assert str(caught.value).endswith(f"can't be measured: {reason}")


@pytest.mark.skipif(np.longdouble(0).dtype == np.float64, reason="long double is double here")
def test_a_long_double_is_refused() -> None:
    with pytest.raises(UsageError, match="wcx does not support this dtype"):
        wcx.measure(np.zeros((8, 8), np.longdouble))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
