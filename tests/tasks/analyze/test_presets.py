"""Presets against direct transcriptions of the published definitions, on pybdm's own functions; and the reference."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from depth import EXHAUSTIVE, one_of
from numpy.typing import NDArray
from pybdm_reference import import_pybdm
from strategies import BytesReader, Tensor, write_safetensors

import wcx
from wcx.core.checkpoint import Quantization, TensorInfo
from wcx.core.errors import CheckpointError, UsageError
from wcx.formats import open_checkpoint, open_reader
from wcx.outputs.analyze.rows import report_rows
from wcx.scan.sources import FileSource
from wcx.tasks.analyze import vector as concatenated
from wcx.tasks.analyze.plan import evaluation_of
from wcx.tasks.analyze.presets import PRESETS
from wcx.tasks.analyze.settings import make_settings

SAMPLES = Path(__file__).parents[3] / "sample_models"
DIGITS = SAMPLES / "digits_bnn" / "seed_0" / "epoch_030.safetensors"
FIRST = SAMPLES / "digits_bnn" / "seed_0" / "epoch_000.safetensors"
TINY = SAMPLES / "tiny_lm_bf16"
SQUARES = import_pybdm().BDM(ndim=2)
STRINGS = import_pybdm().BDM(ndim=1)


def near(value: float) -> Any:  # noqa: ANN401
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def tensors_of(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float tensors of a checkpoint, in file order, as float32."""
    checkpoint = open_checkpoint(path)
    found = {}
    with open_reader(checkpoint) as reader:
        for tensor in checkpoint.tensors:
            if tensor.dtype in ("F32", "BF16"):
                data = bytearray(tensor.nbytes)
                reader.read_into(tensor, 0, memoryview(data))
                if tensor.dtype == "BF16":
                    values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
                else:
                    values = np.frombuffer(data, "<f4")
                found[tensor.name] = values.reshape(tensor.shape)
    return found


def write(path: Path, tensors: dict[str, NDArray[np.float32]]) -> Path:
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(one.tobytes() for one in tensors.values()))
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Convolutions, norms, biases, embeddings, a small matrix: what presets treat in different ways."""
    random = np.random.default_rng(7)
    shapes = {
        "conv.weight": (8, 3, 5, 5),
        "fc.weight": (33, 41),
        "fc.bias": (33,),
        "bn.weight_like": (12, 12),
        "bn.running_mean": (12,),
        "head.weight": (3, 40),
        "pos_embed": (16, 16),
        "scalar": (),
    }
    return write(
        tmp_path / "mixed.safetensors",
        {name: np.asarray(random.standard_t(3, shape), np.float32) for name, shape in shapes.items()},
    )


@pytest.mark.parametrize("path", [DIGITS, TINY, None], ids=["digits", "tiny", "random"])
def test_pybdm_is_pybdm_of_each_layer(path: Path | None, mixed: Path) -> None:
    report = wcx.analyze(path or mixed, preset="pybdm", null="none")
    tensors = tensors_of(path or mixed)
    assert report.layers
    for layer in report.layers:
        plane = (tensors[layer.name] > 0).astype(int).reshape(layer.matrix)
        assert layer.planes[0].bdm == near(SQUARES.bdm(plane))
        assert layer.planes[0].bdm_normalized == near(SQUARES.nbdm(plane))
        assert layer.planes[0].block_entropy == near(SQUARES.ent(plane))


@pytest.mark.parametrize("path", [DIGITS, TINY, None], ids=["digits", "tiny", "random"])
def test_sakabe_pools_the_counters_of_2d_weights(path: Path | None, mixed: Path) -> None:
    tensors = {
        name: values
        for name, values in tensors_of(path or mixed).items()
        if "weight" in name and "bn" not in name and values.ndim == 2
    }
    counters = [SQUARES.decompose_and_count((values > 0).astype(int)) for values in tensors.values()]
    model = wcx.analyze(path or mixed, preset="sakabe", null="none").model
    pooled = model.planes[0].pooled
    assert pooled is not None
    assert pooled.bdm == near(SQUARES.compute_bdm(*counters))
    assert pooled.block_entropy == near(SQUARES.compute_ent(*counters))


def bit_planes(values: NDArray[np.float32], bits: int, percentile: float | None) -> list[NDArray[np.int8]]:
    """The published quantizer, in float32."""
    matrix = values.reshape(len(values), -1)
    if min(matrix.shape) < 4:
        return []
    low, high = matrix.min(), matrix.max()
    if percentile is not None:
        tail = (1.0 - percentile / 100.0) / 2.0
        low, high = (torch_quantile(matrix, share) for share in (tail, 1.0 - tail))
    step = np.float32((high - low) / np.float32(2**bits - 1))
    levels = np.clip(np.round((matrix - low) / step), 0, 2**bits - 1).astype(np.int64)
    return [(levels >> bit & 1).astype(np.int8) for bit in range(bits)]


def torch_quantile(values: NDArray[np.float32], share: float) -> np.float32:
    """torch.quantile: the rank in float32, one fused multiply-add between its neighbours."""
    ordered = np.sort(values, axis=None)
    rank = np.float32(share) * np.float32(ordered.size - 1)
    below = int(np.floor(rank))
    above = min(below + 1, ordered.size - 1)
    weight = np.float32(rank - np.float32(below))
    low, high = np.float64(ordered[below]), np.float64(ordered[above])
    if weight < 0.5:
        return np.float32(low + np.float64(weight) * np.float64(np.float32(high - low)))
    return np.float32(high - np.float64(np.float32(high - low)) * np.float64(np.float32(1) - weight))


@pytest.mark.parametrize("path", [DIGITS, None], ids=["digits", "random"])
@pytest.mark.parametrize(("bits", "percentile"), [(8, 99.9), (8, None), (4, None), (2, 99.9)])
def test_qubd_adds_planes_of_the_published_quantizer(
    bits: int, percentile: float | None, path: Path | None, mixed: Path
) -> None:
    spec = f"uniform:{bits}" + (":p99.9" if percentile else "")
    report = wcx.analyze(path or mixed, preset="qubd", quantize=spec, null="none")
    tensors = tensors_of(path or mixed)
    assert not any("no longer" in note for note in report.notes)
    sums = np.zeros(bits)
    for layer in report.layers:
        expected = [SQUARES.bdm(plane) for plane in bit_planes(tensors[layer.name], bits, percentile)]
        assert [plane.bdm for plane in layer.planes[:bits]] == [near(value) for value in expected]
        assert layer.total.bdm == near(sum(expected))
        binary = (tensors[layer.name] > 0).astype(int).reshape(layer.matrix)
        assert (layer.planes[bits].plane, layer.planes[bits].bdm) == ("sign", near(SQUARES.bdm(binary)))
        sums += expected
    assert [row.sum.bdm for row in report.model.planes[:bits]] == [near(value) for value in sums]
    assert report.model.total.bdm == near(sums.sum())


def test_qubd_takes_matrices_named_weight_only(mixed: Path) -> None:
    report = wcx.analyze(mixed, preset="qubd", null="none")
    assert [layer.name for layer in report.layers] == ["conv.weight", "fc.weight"]
    reasons = {tensor.name: tensor.reason for tensor in report.skipped}
    assert (reasons["head.weight"], reasons["pos_embed"]) == ("under 4x4", "name (preset qubd)")


@pytest.mark.parametrize(("side", "ratio"), [(8, 0.197563), (16, 0.053510), (32, 0.014411)])
def test_qubd_all_zero_over_the_expected_random_matrix(side: int, ratio: float) -> None:
    zeros = wcx.measure(np.zeros((side, side), np.float32), preset="qubd")
    expected = runpy.run_path(str(SAMPLES.parent / "docs" / "saturation.py"))["expected_bdm"](side * side // 16, 0.5)
    assert [round(plane.bdm / expected, 6) for plane in zeros.planes] == [ratio] * 9  # type: ignore[operator]


@one_of(3)
@pytest.mark.parametrize("path", [DIGITS, TINY, None], ids=["digits", "tiny", "random"])
def test_momos_is_one_string_of_all_parameters(path: Path | None, mixed: Path) -> None:
    tensors = {name: values for name, values in tensors_of(path or mixed).items() if "running_" not in name}
    bits = np.concatenate([values.reshape(-1) > 0 for values in tensors.values()]).astype(int)
    found = wcx.analyze(path or mixed, preset="momos").model.concatenated
    assert found is not None
    assert found.bdm == near(STRINGS.bdm(bits))
    assert found.block_entropy == near(STRINGS.ent(bits))
    assert (found.ones, 12 * found.blocks + found.left_over) == (bits.sum(), bits.size)


# --------------------------------------------------------------------------------- momos: the whole vector


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, compresslevel=9, mtime=0),
    "bz2": lambda data: bz2.compress(data, compresslevel=9),
    "lzma": lambda data: lzma.compress(data, preset=9),
}


def published(vector: NDArray[np.float32]) -> dict[str, Any]:
    """src/metrics.py of saintslab/MoMos on its flat vector, beside the norm, which it takes in float32."""
    raw, binarized = vector.tobytes(), np.ascontiguousarray((vector > 0).astype(np.uint8)).tobytes()
    found: dict[str, Any] = {"sparsity": float((vector == 0).mean())}
    for name, compress in COMPRESSORS.items():
        found[name] = {**sizes(raw, compress), "binarized": sizes(binarized, compress)}
    return found


def sizes(data: bytes, compress: Callable[[bytes], bytes]) -> dict[str, Any]:
    nbytes = len(compress(data))
    return {"nbytes": nbytes, "ratio": nbytes / len(data), "rate": float(len(data) / nbytes)}


def vector_of(path: Path) -> NDArray[np.float32]:
    """Its parameters one after the other, as float32."""
    checkpoint = open_checkpoint(path)
    parts = []
    with open_reader(checkpoint) as reader:
        for tensor in checkpoint.tensors:
            if tensor.role == "weight" and tensor.dtype in NUMPY:
                data = bytearray(tensor.nbytes)
                reader.read_into(tensor, 0, memoryview(data))
                parts.append(np.frombuffer(data, NUMPY[tensor.dtype]).astype(np.float32))
    return np.concatenate(parts)


NUMPY: dict[str, Any] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
}
VECTORS = [DIGITS, TINY, *(SAMPLES / "digits_cnn" / name for name in ("checkpoint.pt", "model.onnx"))]


def of_vector(path: Path, **given: Any) -> dict[str, Any]:  # noqa: ANN401
    measures: dict[str, Any] = wcx.analyze(path, preset="momos", null="none", **given).model.measures["concatenated"]
    return measures


def assert_published(found: dict[str, Any], vector: NDArray[np.float32]) -> None:
    found = dict(found)
    norm = found.pop("l2_norm")
    assert norm == pytest.approx(float(np.linalg.norm(vector)), rel=1e-5)
    assert norm == pytest.approx(math.sqrt(math.fsum(np.square(vector.astype(np.float64)))), rel=1e-15)
    assert found == published(vector)


@one_of(4)
@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_momos_measures_all_parameters_as_one_vector(path: Path) -> None:
    assert_published(of_vector(path), vector_of(path))


def test_momos_widens_and_narrows_to_float32_as_the_original_does(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    small = np.resize([1e-46, -1e-46, 2.0**-149, 1e-300], 700).reshape(70, 10)  # float32 has the third alone
    given = {
        "a": random.standard_normal((301, 7)).astype(np.float16),
        "b": random.standard_normal((64, 65)).astype(ml_dtypes.bfloat16),
        "c": random.standard_normal(33).astype(ml_dtypes.float8_e4m3fn),
        "d": small,
        "e": random.standard_normal((11, 13)),
    }
    dtypes = dict(zip(given, ("F16", "BF16", "F8_E4M3", "F64", "F64"), strict=True))
    path = write_safetensors(
        tmp_path / "mixed.safetensors",
        {name: Tensor(dtypes[name], values.shape, values.tobytes()) for name, values in given.items()},
    )
    vector = np.concatenate([values.reshape(-1).astype(np.float32) for values in given.values()])
    assert (vector[-843:-143] > 0).sum() == 175
    report = wcx.analyze(path, preset="momos", null="none")
    assert_published(report.model.measures["concatenated"], vector)
    assert report.model.concatenated
    assert report.model.concatenated.bdm == near(STRINGS.bdm((vector > 0).astype(int)))


@EXHAUSTIVE
def test_threads_passes_and_stretches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    shapes = {"a": (401, 507), "b": (13,), "c": (69, 1001), "d": (1, 1)}
    path = write(
        tmp_path / "odd.safetensors",
        {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()},
    )
    names = ["gzip", "bz2", "sparsity", "l2_norm"]
    reports = [wcx.analyze(path, preset="momos", measures=["bdm", *names], threads=threads) for threads in (1, 3)]
    monkeypatch.setattr(concatenated, "_PASS_MEMORY", 1)
    monkeypatch.setattr(concatenated, "_STRETCH", 12 * 1024)
    reports.append(wcx.analyze(path, preset="momos", measures=["bdm", *names], threads=2))
    assert reports[0] == reports[1] == reports[2]
    found = reports[0].model.measures["concatenated"]
    vector = vector_of(path)
    expected = published(vector)
    assert {name: found[name] for name in names[:3]} == {name: expected[name] for name in names[:3]}
    assert reports[0].model.concatenated
    assert reports[0].model.concatenated.bdm == near(STRINGS.bdm((vector > 0).astype(int)))


def test_measures_named_beside_momos_are_of_layers_and_of_the_vector() -> None:
    model = wcx.analyze(DIGITS, preset="momos", null="none", measures=["bdm", "gzip"]).model
    assert set(model.measures) == {"gzip", "concatenated"}
    assert set(model.measures["concatenated"]) == {"gzip"}
    assert wcx.analyze(DIGITS, preset="momos", null="none", measures=["bdm"]).model.measures == {}
    assert wcx.analyze(DIGITS, null="none").model.measures == {}


def test_a_vector_with_nan_has_no_norm(tmp_path: Path) -> None:
    values = np.ones((8, 8), np.float32)
    values[0, 0] = np.nan
    path = write(tmp_path / "nan.safetensors", {"a": values})
    found = of_vector(path)
    assert found.pop("l2_norm") is None
    assert found == published(values.reshape(-1))


def test_quantized_integers_have_signs_and_zeros_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    codes = random.integers(0, 256, (24, 36)).astype(np.uint8)
    tensor = TensorInfo("a", "U8", codes.shape, codes.nbytes, quantization=Quantization((128,), (1, 1), 0.25))
    made = make_settings(preset="momos", null="none")
    vector = concatenated.vector_of([tensor], made.measures)
    source = FileSource(BytesReader(codes.tobytes()))
    found = vector.read(evaluation_of(made), lambda: source, lambda _nbytes: None)
    expected = published(((codes.astype(np.float32) - 128) * 0.25).reshape(-1))
    assert found.measures["l2_norm"] is None
    assert found.measures["sparsity"] == expected["sparsity"]
    for name in COMPRESSORS:
        assert found.measures[name] == {
            "nbytes": None,
            "ratio": None,
            "rate": None,
            "binarized": expected[name]["binarized"],
        }


def test_the_vector_has_a_null_by_real_shuffles() -> None:
    closed, drawn, again = (
        wcx.analyze(DIGITS, preset="momos", measures=["bdm"], null=null, threads=threads).model.concatenated
        for null, threads in (("permutation", 1), ("shuffle:400", 2), ("shuffle:400", 1))
    )
    assert closed
    assert drawn == again
    assert drawn
    assert closed.null
    assert drawn.null
    assert (drawn.null.kind, drawn.null.draws) == ("shuffle", 400)
    assert closed.null.bdm
    assert drawn.null.bdm
    assert abs(drawn.null.bdm.mean - closed.null.bdm.mean) < 0.2 * closed.null.bdm.sd
    assert drawn.null.bdm.sd == pytest.approx(closed.null.bdm.sd, rel=0.15)


def test_rows_set_the_vectors_measures_beside_its_plane() -> None:
    report = wcx.analyze(DIGITS, preset="momos", null="none", measures=["bdm", "sparsity", "gzip"])
    rows = {row["row"]: row for row in report_rows(report)}
    assert rows["concatenated"]["measures"] == report.model.measures["concatenated"]
    assert rows["sum"]["measures"] == {name: report.model.measures[name] for name in ("sparsity", "gzip")}


@pytest.mark.parametrize("name", PRESETS)
def test_an_option_beside_a_preset_wins_and_is_said(name: str) -> None:
    def departures(**given: object) -> list[str]:
        return [
            note
            for note in wcx.analyze(DIGITS, preset=name, null="none", **given).notes
            if "do not reproduce the original" in note
        ]

    assert departures() == departures(seed=3) == []
    (note,) = departures(quantize="polarity")
    assert "polarity instead of" in note
    assert (
        len(departures(exclude=["fc3*"]))
        == len(departures(layout="square" if name != "momos" else None, block="4x4", exclude=["x"]))
        == 1
    )


def test_an_unknown_preset_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown preset 'x': choose one of pybdm"):
        wcx.analyze(DIGITS, preset="x")


# ------------------------------------------------------------------------------------------------- the reference


def test_a_checkpoint_is_its_own_reference() -> None:
    report = wcx.analyze(DIGITS, quantize="polarity", reference=DIGITS)
    planes = [plane for layer in report.layers for plane in layer.planes]
    planes += [row.pooled for row in report.model.planes if row.pooled]
    assert all(plane.reference and (plane.reference.ratio, plane.reference.bdm) == (1.0, plane.bdm) for plane in planes)
    assert {layer.total.reference_ratio for layer in report.layers} == {1.0}
    assert {row.sum.reference_ratio for row in report.model.planes} == {report.model.total.reference_ratio} == {1.0}
    assert any("null.*.ratio compares" in note for note in report.notes)


def test_the_reference_has_its_own_fit() -> None:
    mine, theirs = (wcx.analyze(path, quantize="uniform:4") for path in (DIGITS, FIRST))
    report = wcx.analyze(DIGITS, quantize="uniform:4", reference=FIRST)
    for layer, own, other in zip(report.layers, mine.layers, theirs.layers, strict=True):
        for plane, one, two in zip(layer.planes, own.planes, other.planes, strict=True):
            assert plane.reference
            assert plane.reference.bdm == two.bdm
            assert plane.reference.ratio == one.bdm / two.bdm  # type: ignore[operator]
        assert layer.total.reference_ratio == near(own.total.bdm / other.total.bdm)  # type: ignore[operator]
    pooled = report.model.planes[0].pooled
    other_pooled = theirs.model.planes[0].pooled
    assert pooled
    assert pooled.reference
    assert other_pooled
    assert pooled.reference.bdm == other_pooled.bdm


def test_what_the_reference_lacks_is_said(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    tensors = {name: np.asarray(random.normal(size=(16, 16)), np.float32) for name in ("a", "b", "c")}
    mine = write(tmp_path / "mine.safetensors", tensors)
    theirs = write(tmp_path / "theirs.safetensors", {"a": tensors["a"], "b": tensors["b"].reshape(8, 32)})
    report = wcx.analyze(mine, reference=theirs)
    assert [layer.planes[0].reference is None for layer in report.layers] == [False, True, True]
    assert report.layers[1].warnings == ("no reference ratio: its shape is 8x32 in the reference",)
    assert report.layers[2].warnings == ("no reference ratio: the reference has no such tensor",)
    assert report.model.total.reference_ratio is report.model.planes[0].sum.reference_ratio is None
    assert report.model.planes[0].pooled
    assert report.model.planes[0].pooled.reference is None


def test_a_reference_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        wcx.analyze(DIGITS, reference=tmp_path / "none.safetensors")
