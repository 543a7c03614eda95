"""Every hostile file gets one line that says what is wrong, exit code 3, little time and little memory.

The small ones are given to a few runs of each command, which must report each on a line of its own; those of many
megabytes get a run each. Whatever a file holds, nothing of it is executed.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import any_file_cases
import index_cases
import onnx_cases
import pytest
import pytorch_cases
import safetensors_cases
from any_file_cases import Build
from command_runs import COMMANDS, Run, run
from commands import run_here
from depth import keeping, one_of

from wcx.core.text import escape

_CASES: dict[str, tuple[Build, str]] = {
    **{f"any file: {name}": case for name, case in any_file_cases.CASES.items()},
    **{f"safetensors: {name}": case for name, case in safetensors_cases.CASES.items()},
    **{f"index: {name}": case for name, case in index_cases.CASES.items()},
    **{f"pytorch: {name}": case for name, case in pytorch_cases.CASES.items()},
    **{f"onnx: {name}": case for name, case in onnx_cases.CASES.items()},
}
_HEAVY: dict[str, tuple[Build, str]] = {
    **{f"safetensors: {name}": case for name, case in safetensors_cases.HEAVY.items()},
    **{f"index: {name}": case for name, case in index_cases.HEAVY.items()},
    **{f"pytorch: {name}": case for name, case in pytorch_cases.HEAVY.items()},
    **{f"onnx: {name}": case for name, case in onnx_cases.HEAVY.items()},
}
_DATA = {**pytorch_cases.DATA, **onnx_cases.DATA}
_KEPT = (
    "safetensors: zero bytes as a header",
    "safetensors: names of 1 MB",
    "index: 101 MB",
    "pytorch: a line without end of 10 MB",
    "pytorch: a deflated storage of 256 MiB",
    "pytorch: a tuple a million deep",
    "pytorch: a billion elements by DUP",
    "onnx: nested messages 800,000 deep",
    "onnx: 30 million empty initializers",
)
"""A heavy one of every kind; the others are exhaustive."""
_OF_SEVERAL_FILES = ("index: ", "pytorch: shard: ", "onnx: external: ")
_NEEDS_A_USER = "any file: no permission"
_BATCH = 100
_MIB = 300
_EACH_COMMAND = pytest.mark.parametrize("command", keeping(["analyze"], COMMANDS))
"""inspect reads no more than analyze does: that it says the same of a file is exhaustive."""


def _batches() -> list[list[str]]:
    names = [name for name in _CASES if name != _NEEDS_A_USER or os.geteuid()]  # root may read everything
    return [names[start : start + _BATCH] for start in range(0, len(names), _BATCH)]


def _own_directory(path: Path) -> str:
    """The numbered directory of a case, with a slash: an index is blamed on its shards."""
    return f"{path if path.name.isdigit() else path.parent}/"


def _wrong(name: str, path: Path, done: Run) -> str | None:
    """What is wrong about what a run says of a file; None where it is a line with the reason."""
    shown = escape(str(path))
    begin = escape(_own_directory(path)) if name.startswith(_OF_SEVERAL_FILES) else f"{shown}: "
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"wcx: {begin}")]
    if len(lines) != 1 or not lines[0].isprintable() or len(lines[0]) >= 700:
        return f"{name}: {lines}"
    said = lines[0].removeprefix(f"wcx: {shown}")
    return None if re.match(f".*: .*?({_CASES[name][1]})", said) else f"{name}: {said}, not {_CASES[name][1]}"


@_EACH_COMMAND
def test_hostile_files_are_refused_with_a_line_each(command: str, tmp_path: Path) -> None:
    wrong = []
    for names in _batches():
        paths = {}
        for name in names:
            directory = tmp_path / str(len(list(tmp_path.iterdir())))
            directory.mkdir()
            paths[name] = _CASES[name][0](directory)
        done = run([command, *paths.values()])
        assert done.code == 3, names
        assert done.peak_mib < _MIB, names
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == len(names)
        wrong += [problem for name, path in paths.items() if (problem := _wrong(name, path, done))]
    assert not wrong
    assert not [path for path in tmp_path.rglob("*") if "wcx" in path.name]  # nothing is written next to them


@pytest.mark.parametrize("command", COMMANDS)
def test_file_without_permission_is_refused_with_a_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For root too, who may read everything."""

    def refuse(path: object, *_arguments: object, **_options: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    sample = Path(__file__).parents[2] / "sample_models" / "digits_cnn" / "model.safetensors"
    monkeypatch.setattr(os, "open", refuse)
    done = run_here(command, sample)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"wcx: {sample}: no permission to read it\n"


@_EACH_COMMAND
@pytest.mark.parametrize("name", keeping(_KEPT, _HEAVY))
def test_hostile_file_of_many_megabytes_is_refused_in_bounded_memory(name: str, command: str, tmp_path: Path) -> None:
    build, expected = _HEAVY[name]
    path = build(tmp_path)
    times = 3 if command == "inspect" else 1  # inspect is exhaustive: one file after the other must not add up
    done = run([command, *[path] * times])
    path.unlink()
    assert done.code == 3
    lines = done.stderr.splitlines()
    assert len(lines) == times
    assert all(re.match(re.escape(f"wcx: {path}: ") + f".*({expected})", line) for line in lines)
    assert done.stdout == ""
    assert done.peak_mib < _MIB


@one_of(3)
@pytest.mark.parametrize("name", _DATA)
def test_damaged_data_show_when_they_are_read(name: str, tmp_path: Path) -> None:
    build, expected = _DATA[name]
    path = build(tmp_path)
    assert run(["inspect", path]).code == 0
    done = run(["analyze", path])
    assert done.code == 3
    assert re.fullmatch(re.escape(f"wcx: {path}: ") + f".*({expected}).*\n", done.stderr)
    assert done.peak_mib < _MIB


@_EACH_COMMAND
@pytest.mark.parametrize("path", ["-", "https://example.org/model.safetensors", "hf://org/model"])
def test_what_is_no_local_file_is_to_be_downloaded_first(path: str, command: str) -> None:
    done = run([command, path])
    assert done.code == 3
    assert re.fullmatch(f"wcx: {path}: .*(download|save) it .*first\n", done.stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_code_of_a_pickle_runs(command: str, tmp_path: Path) -> None:
    """Whether such a file opens is another matter: a call that is not known is an inert value beside the tensors."""
    paths = []
    for number, build in enumerate(pytorch_cases.CODE.values()):
        directory = tmp_path / str(number)
        directory.mkdir()
        paths.append(build(directory))
    done = run([command, *paths])
    assert "Traceback" not in done.stderr
    assert done.code in (0, 3)
    assert not list(tmp_path.rglob(pytorch_cases.CANARY))
    assert done.peak_mib < _MIB
