"""A budget is that of a file, a model or a run: heavy parts do not add up to more than one of them may take.

Everything is run twice in one command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from checkpoint_files import write_index
from command_runs import run
from depth import keeping
from pickle_asm import dict_of, integer, list_of, members_of, pickled, state, tensor, text
from zip_asm import DEFLATED, Member, deflated, zip_file

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


@pytest.mark.parametrize("command", keeping(["inspect"], ("inspect", "analyze")))
@pytest.mark.parametrize("name", keeping(["torch.save", "before 1.6"], _BUILDS))
def test_fat_pickles_do_not_add_up(name: str, command: str, tmp_path: Path) -> None:
    build, code = _BUILDS[name]
    path = build(tmp_path)
    done = run([command, path, path])
    assert done.code == code, done.stderr
    assert done.peak_mib < _MIB
