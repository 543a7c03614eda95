"""A budget is that of a file, a model or a run: heavy parts do not add up to more than one of them may take.

Everything is run twice in one command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from checkpoint_files import write_header, write_index, write_tensors
from command_runs import run
from depth import keeping
from pickle_asm import dict_of, integer, list_of, members_of, pickled, state, tensor, text
from zip_asm import DEFLATED, Member, deflated, zip_file

from wcx.core.errors import CheckpointError
from wcx.formats import open_checkpoint

_Build = Callable[[Path], Path]

_MIB = 300
_FAT = text("a" * 1_000_000 + "\U0001f600")
"""1 MB in the file, 4 MB in memory."""
_IN_CYCLE = b"]q\x00h\x00a"


def _cycle(count: int = 44) -> bytes:
    """A list that holds itself and fat texts, which only a search for cycles frees."""
    return _IN_CYCLE + (_FAT + b"a") * count


def _archive(path: Path, pickles: Mapping[str, bytes], others: Mapping[str, bytes]) -> Path:
    packed = {content: deflated(content) for content in set(pickles.values())}
    members = [Member(name, content, DEFLATED, stored=packed[content]) for name, content in pickles.items()]
    path.write_bytes(zip_file([*members, *(Member(name, content) for name, content in others.items())]))
    return path


def _saved(directory: Path) -> Path:
    return _archive(directory / "model.pt", {"a/data.pkl": pickled(_cycle())}, {"a/version": b"3\n"})


def _package(directory: Path) -> Path:
    pickles = {f"p/object_{number}/model.pkl": pickled(_cycle()) for number in range(6)}
    return _archive(directory / "model.pt", pickles, {"p/.data/extern_modules": b"", "p/.data/version": b"6\n"})


def _script(directory: Path) -> Path:
    pickles = dict.fromkeys(("a/data.pkl", "a/constants.pkl"), pickled(list_of(*[_FAT] * 44)))
    return _archive(directory / "model.pt", pickles, {"a/version": b"3\n"})


def _legacy(directory: Path) -> Path:
    system = dict_of({f"k{number}": _FAT for number in range(44)})
    fat = list_of(*[_FAT] * 44)
    magic = integer(0x1950A86A20F9469CFC6C)
    path = directory / "model.pt"
    path.write_bytes(b"".join(map(pickled, (magic, integer(1001), system, fat, fat))))
    return path


def _shards(directory: Path) -> Path:
    names = [f"pytorch_model-{number:05}-of-00005.bin" for number in range(1, 6)]
    for name in names:
        content = state(**{name: tensor(), "loop": _cycle(40)})
        data, *others = members_of(content)
        _archive(directory / name, {data.name: data.data}, {other.name: other.data for other in others})
    return write_index(directory / "pytorch_model.bin.index.json", {name: name for name in names})


_BUILDS: dict[str, tuple[_Build, int]] = {
    "torch.save": (_saved, 3),
    "torch.package": (_package, 3),
    "TorchScript": (_script, 3),
    "before 1.6": (_legacy, 3),
    "shards": (_shards, 0),
}


_COMMANDS = keeping(["inspect"], ("inspect", "analyze"))


@pytest.mark.parametrize("command", _COMMANDS)
@pytest.mark.parametrize("name", keeping(["torch.save", "before 1.6"], _BUILDS))
def test_fat_pickles_do_not_add_up(name: str, command: str, tmp_path: Path) -> None:
    build, code = _BUILDS[name]
    path = build(tmp_path)
    done = run([command, path, path])
    assert done.code == code, done.stderr
    assert done.peak_mib < _MIB


def _metadata(directory: Path, number: int, texts: dict[str, str]) -> Path:
    """A model whose shards have the metadata each, under keys of their own."""
    names = [f"model-{shard:05}-of-{number:05}.safetensors" for shard in range(1, number + 1)]
    for name in names:
        metadata = {f"{name} {key}": value for key, value in texts.items()}
        write_tensors(directory / name, {name: ("F32", [4, 4])}, metadata)
    return write_index(directory / "model.safetensors.index.json", {name: name for name in names})


def _unnamed(directory: Path) -> Path:
    """Shards of which the index names one tensor each, the last."""
    names = [f"model-{shard:05}-of-00004.safetensors" for shard in range(1, 5)]
    for name in names:
        write_tensors(directory / name, dict.fromkeys([*(f"{name} {n}" for n in range(120_000)), name], ("I8", [1])))
    return write_index(directory / "model.safetensors.index.json", {name: name for name in names})


_MODELS: dict[str, tuple[_Build, str]] = {
    "metadata": (lambda path: _metadata(path, 3, {"long": "x" * 9_000_000}), "more than 16 MiB or 100000 texts"),
    "metadata that fill a file each": (
        lambda path: _metadata(path, 12, {"long": "x" * 15_000_000}),
        "more than 16 MiB or 100000 texts",
    ),
    "short texts": (
        lambda path: _metadata(path, 5, dict.fromkeys(map(str, range(90_000)), "")),
        "more than 16 MiB or 100000 texts",
    ),
    "tensors": (_unnamed, "the tensor '.*00001-of-00004.safetensors 0' is in .*and the index does not name it"),
}


@pytest.mark.parametrize("command", _COMMANDS)
@pytest.mark.parametrize("name", keeping(["metadata"], _MODELS))
def test_shards_do_not_add_up(name: str, command: str, tmp_path: Path) -> None:
    build, expected = _MODELS[name]
    path = build(tmp_path)
    done = run([command, path, path])
    assert (done.code, done.stdout) == (3, "")
    assert len(re.findall(expected, done.stderr)) == 2
    assert done.peak_mib < 150  # a shard alone; inspect of all of them takes 300 and more


def test_a_shard_is_refused_at_the_first_tensor_that_the_index_does_not_name(tmp_path: Path) -> None:
    shards = [tmp_path / f"{number}.safetensors" for number in (1, 2)]
    write_header(shards[0], b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":[' + b" " * 100 + b"]}")
    write_tensors(shards[1], {"b": ("F32", [1])})
    index = write_index(tmp_path / "model.safetensors.index.json", {"a": shards[0].name, "b": shards[1].name})
    with pytest.raises(CheckpointError, match=r"the tensor 'x' is in '1\.safetensors', and the index does not name it"):
        open_checkpoint(index)


def test_metadata_that_all_shards_repeat_count_once(tmp_path: Path) -> None:
    names = [f"{number}.safetensors" for number in range(3)]
    for name in names:
        write_tensors(tmp_path / name, {name: ("F32", [1])}, {"recipe": "x" * 9_000_000, "first": name})
    checkpoint = open_checkpoint(write_index(tmp_path / "model.safetensors.index.json", {n: n for n in names}, {}))
    assert (list(checkpoint.metadata), checkpoint.metadata["first"]) == (["recipe", "first"], "0.safetensors")
