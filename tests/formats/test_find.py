"""What stands on the command line: files, directories and patterns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from checkpoint_files import write_index, write_tensors

from wcx.core.errors import CheckpointError
from wcx.formats import open_checkpoint
from wcx.formats.find import can_give_several, find_checkpoints


def _make(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".index.json"):
            write_index(path, {})
        else:
            write_tensors(path, {})


def _found(root: Path, *arguments: str) -> list[str]:
    """What the arguments below `root` give, relative to it."""
    found = find_checkpoints([os.path.join(root, argument) for argument in arguments])
    return [os.path.relpath(path, root) for path in found]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["model.safetensors"], ["."]),
        (["a.safetensors"], ["."]),
        (["a.safetensors", "model.safetensors"], ["."]),
        (["a.safetensors", "pytorch_model.bin", "b.pt"], ["."]),
        (["pytorch_model.bin", "a.pt"], ["."]),
        (["a.pt", "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin", "config.json"], ["."]),
        (["epoch_10.safetensors", "epoch_2.safetensors"], ["epoch_2.safetensors", "epoch_10.safetensors"]),
        (["b.pt", "a.onnx", "log.csv", ".hidden.pt"], ["a.onnx", "b.pt"]),
        (["model.safetensors.index.json", "model-00001-of-00002.safetensors"], ["."]),
        (["model.safetensors.index.json", "model.fp16.safetensors.index.json"], ["."]),
        (["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"], ["."]),
        (
            ["a.safetensors.index.json", "b.safetensors.index.json"],
            ["a.safetensors.index.json", "b.safetensors.index.json"],
        ),
        (["mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"], ["."]),
        (["pytorch_model.pt", "optimizer_1.bin", "scheduler.bin", "sampler.bin", "sampler_1.bin"], ["."]),
        (["config.json"], ["."]),
        ([], ["."]),
    ],
)
def test_a_directory_gives_its_model_or_all_its_checkpoints(names: list[str], taken: list[str], tmp_path: Path) -> None:
    _make(tmp_path, *names)
    assert _found(tmp_path, ".") == taken


def test_the_file_that_a_directory_stands_for(tmp_path: Path) -> None:
    _make(tmp_path, "a.safetensors", "model.safetensors", "pytorch_model.bin")
    assert open_checkpoint(tmp_path).files == ("model.safetensors",)


def test_a_directory_of_several_is_no_checkpoint(tmp_path: Path) -> None:
    _make(tmp_path, *(f"{number}.safetensors" for number in (1, 2, 10, 20)))
    with pytest.raises(
        CheckpointError, match=r"4 checkpoints in this directory \(1\.safetensors, 2\.s.*, 10\.s.*, \.\.\.\)"
    ):
        open_checkpoint(tmp_path)


def test_patterns_are_expanded_as_a_person_counts(tmp_path: Path) -> None:
    _make(tmp_path, "epoch_10.safetensors", "epoch_2.safetensors", "epoch_1.safetensors", "log.csv")
    assert _found(tmp_path, "epoch_*") == [f"epoch_{number}.safetensors" for number in (1, 2, 10)]
    assert _found(tmp_path, "*") == [f"epoch_{number}.safetensors" for number in (1, 2, 10)]
    assert _found(tmp_path, "epoch_[12].*", "epoch_10*") == [f"epoch_{number}.safetensors" for number in (1, 2, 10)]


def test_patterns_find_directories_and_go_deep(tmp_path: Path) -> None:
    _make(tmp_path, "run/step_9/model.safetensors", "run/step_10/model.safetensors", "run/step_9/optimizer.pt")
    (tmp_path / "run" / "empty").mkdir()
    assert _found(tmp_path, "run/*") == ["run/step_9", "run/step_10"]
    assert _found(tmp_path, "run/**") == ["run/step_9", "run/step_10"]
    assert _found(tmp_path, "**/*.safetensors") == [f"run/step_{number}/model.safetensors" for number in (9, 10)]


def test_a_pattern_of_unknown_names_gives_them_all(tmp_path: Path) -> None:
    _make(tmp_path, "weights_2", "weights_10")
    assert _found(tmp_path, "weights_*") == ["weights_2", "weights_10"]


def test_a_file_with_a_pattern_for_a_name_is_itself(tmp_path: Path) -> None:
    _make(tmp_path, "a[1].safetensors", "a1.safetensors")
    assert _found(tmp_path, "a[1].safetensors") == ["a[1].safetensors"]


def test_what_leads_nowhere_is_kept(tmp_path: Path) -> None:
    assert _found(tmp_path, "gone", "gone_*") == ["gone", "gone_*"]
    assert find_checkpoints(["-", Path("x")]) == ["-", "x"]


def test_when_there_can_be_several(tmp_path: Path) -> None:
    _make(tmp_path, "one/model.safetensors", "sharded/model.safetensors.index.json", "run/epoch_1.safetensors", "x[1]")

    def several(arguments: Sequence[str]) -> bool:
        return can_give_several([str(tmp_path / argument) for argument in arguments])

    assert not several(["one"])
    assert not several(["sharded"])
    assert not several(["run/epoch_1.safetensors"])
    assert not several(["x[1]"])
    assert not several(["gone"])
    assert several(["run"])
    assert several(["run/*.safetensors"])
    assert several(["one", "one"])
