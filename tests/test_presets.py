"""Presets against direct transcriptions of the published definitions, on pybdm's own functions; and the reference."""

from __future__ import annotations

import json
import runpy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import wcx
from wcx.errors import CheckpointError, UsageError
from wcx.formats import open_checkpoint, open_reader
from wcx.presets import PRESETS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pybdm import BDM

SAMPLES = Path(__file__).parent.parent / "sample_models"
DIGITS = SAMPLES / "digits_bnn" / "seed_0" / "epoch_030.safetensors"
FIRST = SAMPLES / "digits_bnn" / "seed_0" / "epoch_000.safetensors"
TINY = SAMPLES / "tiny_lm_bf16"
SQUARES = BDM(ndim=2)
STRINGS = BDM(ndim=1)


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


@pytest.mark.parametrize("path", [DIGITS, TINY, None], ids=["digits", "tiny", "random"])
def test_momos_is_one_string_of_all_parameters(path: Path | None, mixed: Path) -> None:
    tensors = {name: values for name, values in tensors_of(path or mixed).items() if "running_" not in name}
    bits = np.concatenate([values.reshape(-1) > 0 for values in tensors.values()]).astype(int)
    found = wcx.analyze(path or mixed, preset="momos").model.concatenated
    assert found is not None
    assert found.bdm == near(STRINGS.bdm(bits))
    assert found.block_entropy == near(STRINGS.ent(bits))
    assert (found.ones, 12 * found.blocks + found.left_over) == (bits.sum(), bits.size)


@pytest.mark.parametrize("name", PRESETS)
def test_an_option_beside_a_preset_wins_and_is_said(name: str) -> None:
    def departures(**given: object) -> list[str]:
        return [note for note in wcx.analyze(DIGITS, preset=name, null="none", **given).notes if "no longer" in note]

    assert departures() == departures(seed=3) == []
    (note,) = departures(quantize="polarity")
    assert "polarity instead of" in note
    assert (
        len(departures(exclude=["fc3*"]))
        == len(departures(layout="square" if name != "momos" else None, block="4x4", exclude=["x"]))
        == 1
    )


def test_an_unknown_preset_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown preset 'x': one of pybdm"):
        wcx.analyze(DIGITS, preset="x")


# ------------------------------------------------------------------------------------------------- the reference


def test_a_checkpoint_is_its_own_reference() -> None:
    report = wcx.analyze(DIGITS, quantize="polarity", reference=DIGITS)
    planes = [plane for layer in report.layers for plane in layer.planes]
    planes += [row.pooled for row in report.model.planes if row.pooled]
    assert all(plane.reference and (plane.reference.ratio, plane.reference.bdm) == (1.0, plane.bdm) for plane in planes)
    assert {layer.total.reference_ratio for layer in report.layers} == {1.0}
    assert {row.sum.reference_ratio for row in report.model.planes} == {report.model.total.reference_ratio} == {1.0}
    assert any("two ratios" in note for note in report.notes)


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
    assert report.layers[1].warnings == ("no reference: of shape 8x32 in the reference",)
    assert report.layers[2].warnings == ("no reference: not in the reference",)
    assert report.model.total.reference_ratio is report.model.planes[0].sum.reference_ratio is None
    assert report.model.planes[0].pooled
    assert report.model.planes[0].pooled.reference is None


def test_a_reference_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        wcx.analyze(DIGITS, reference=tmp_path / "none.safetensors")
