"""Sharded models that are in order; the others are in tests/hostile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkpoint_files import write_index, write_tensors

from wcx.formats import open_checkpoint, open_reader

_INDEX = "model.safetensors.index.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two shards whose names sort as text the other way round, with metadata that disagree."""
    write_tensors(tmp_path / "part-2.safetensors", {"b": ("F32", [2]), "a": ("F32", [1])}, {"k": "two", "only": "2"})
    write_tensors(tmp_path / "part-10.safetensors", {"c": ("F32", [3])}, {"k": "ten", "total_size": "no"})
    weight_map = {"a": "part-2.safetensors", "b": "part-2.safetensors", "c": "part-10.safetensors"}
    return write_index(tmp_path / _INDEX, weight_map, {"total_size": 24, "nested": {"x": [1]}, "text": "t\u00e4xt"})


def test_shards_come_in_natural_order_and_tensors_by_offset(model: Path) -> None:
    checkpoint = open_checkpoint(model)
    assert checkpoint.format == "safetensors"
    assert checkpoint.files == ("part-2.safetensors", "part-10.safetensors")
    assert [(tensor.name, tensor.file) for tensor in checkpoint.tensors] == [("b", 0), ("a", 0), ("c", 1)]
    assert checkpoint.nbytes == sum(path.stat().st_size for path in model.parent.glob("*.safetensors"))


def test_metadata_of_the_index_wins_then_of_the_first_shard(model: Path) -> None:
    assert open_checkpoint(model).metadata == {
        "total_size": "24",
        "nested": '{"x": [1]}',
        "text": "t\u00e4xt",
        "k": "two",
        "only": "2",
    }


def test_the_directory_stands_for_the_index(model: Path) -> None:
    by_directory = open_checkpoint(model.parent)
    assert by_directory.path == str(model.parent)
    assert by_directory.tensors == open_checkpoint(model).tensors
    with open_reader(by_directory) as reader:
        out = bytearray(12)
        reader.read_into(by_directory["c"], 0, memoryview(out))
    assert out == bytes(range(12))


def test_shards_may_lie_in_directories_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write_tensors(tmp_path / "below" / "a.safetensors", {"a": ("F32", [1])})
    checkpoint = open_checkpoint(write_index(tmp_path / "any.index.json", {"a": "below/a.safetensors"}))
    assert checkpoint.files == ("below/a.safetensors",)


def test_a_stray_shard_of_another_series_does_not_matter(model: Path) -> None:
    write_tensors(model.parent / "model-00001-of-00002.safetensors", {"z": ("F32", [1])})
    assert len(open_checkpoint(model).tensors) == 3


def test_an_index_without_metadata_and_with_a_long_beginning(model: Path) -> None:
    """A weight_map behind the first 64 KB, in a file of an index's name."""
    index = json.loads(model.read_text())
    model.write_text(json.dumps({"comment": "x" * 100_000, "weight_map": index["weight_map"]}))
    assert set(open_checkpoint(model).metadata) == {"k", "only", "total_size"}
