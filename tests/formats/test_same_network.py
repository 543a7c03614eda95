"""One network saved in four formats: what is read from each is the same, and so are the numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import wcx
from wcx.core.report import LayerReport
from wcx.formats import open_checkpoint, open_reader

FOLDER = Path(__file__).parents[2] / "sample_models" / "digits_cnn"
FILES = ("model.safetensors", "checkpoint.pt", "checkpoint_legacy.pt", "model.onnx")
LAYERS = {
    "conv1.weight": (16, 1, 3, 3),
    "conv2.weight": (32, 16, 3, 3),
    "fc1.weight": (64, 128),
    "fc2.weight": (10, 64),
}

Content = tuple[str, tuple[int, ...], bytes]


def contents(file: str) -> dict[str, Content]:
    """Dtype, shape and bytes of every tensor of a file, by name."""
    checkpoint = open_checkpoint(FOLDER / file)
    found = {}
    with open_reader(checkpoint) as reader:
        for tensor in checkpoint.tensors:
            data = bytearray(tensor.nbytes)
            reader.read_into(tensor, 0, memoryview(data))
            found[tensor.name] = (tensor.dtype, tensor.shape, bytes(data))
    assert len(found) == len(checkpoint.tensors)
    return found


def of_the_model(found: dict[str, Content]) -> dict[str, Content]:
    """Without what else a training checkpoint holds, and without the key that its model has there."""
    return {
        name.removeprefix("model."): content for name, content in found.items() if not name.startswith("optimizer.")
    }


@cache
def layers(file: str, null: str = "permutation") -> tuple[LayerReport, ...]:
    return wcx.analyze(FOLDER / file, null=null).layers


def anonymous(layer: LayerReport) -> LayerReport:
    return replace(layer, name="", source=None)


def in_order(found: tuple[LayerReport, ...]) -> list[LayerReport]:
    return sorted(map(anonymous, found), key=lambda layer: layer.shape)


@pytest.mark.parametrize("file", FILES)
def test_the_four_layers_are_analysed_and_nothing_else(file: str) -> None:
    assert {layer.name.removeprefix("model."): layer.shape for layer in layers(file)} == LAYERS


@pytest.mark.parametrize("file", FILES[1:])
def test_every_number_is_that_of_the_safetensors_file(file: str) -> None:
    assert in_order(layers(file, "none")) == in_order(layers("model.safetensors", "none"))


@pytest.mark.parametrize("file", FILES[1:])
def test_so_is_the_null_where_it_is_not_drawn_with_the_name_as_seed(file: str) -> None:
    def exact(found: tuple[LayerReport, ...]) -> list[LayerReport]:
        return [layer for layer in in_order(found) if all(plane.null.kind == "permutation" for plane in layer.planes)]

    assert exact(layers(file)) == exact(layers("model.safetensors"))
    assert [layer.shape for layer in exact(layers(file))] == [(32, 16, 3, 3), (64, 128)]


@pytest.mark.parametrize("file", ["checkpoint.pt", "checkpoint_legacy.pt"])
def test_a_training_checkpoint_holds_the_tensors_of_the_model_and_of_the_optimizer(file: str) -> None:
    found = contents(file)
    assert of_the_model(found) == contents("model.safetensors")
    state = {name for name in found if name.startswith("optimizer.")}
    assert len(state) == 3 * 12
    checkpoint = open_checkpoint(FOLDER / file)
    assert {tensor.name for tensor in checkpoint.tensors if tensor.role == "optimizer"} == state


def test_both_pytorch_formats_are_read_alike() -> None:
    assert contents("checkpoint.pt") == contents("checkpoint_legacy.pt")
    assert layers("checkpoint.pt") == layers("checkpoint_legacy.pt")
    described = [
        [(tensor.name, tensor.role, tensor.source, tensor.aliases) for tensor in open_checkpoint(FOLDER / file).tensors]
        for file in ("checkpoint.pt", "checkpoint_legacy.pt")
    ]
    assert described[0] == described[1]


def test_an_onnx_model_holds_all_but_the_counters_of_batches() -> None:
    expected = contents("model.safetensors")
    found = contents("model.onnx")
    assert sorted(found.values()) == sorted(content for content in expected.values() if content[0] != "I64")
