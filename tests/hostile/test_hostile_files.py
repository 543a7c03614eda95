"""Every hostile file gets one line that says what is wrong, exit code 3, little time and little memory.

The small ones are given to a few runs of each command, which must report each on a line of its own; those of many
megabytes get a run each. Whatever a file holds, nothing of it is executed.
"""

from __future__ import annotations

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
_OF_SEVERAL_FILES = ("index: ", "pytorch: shard: ", "onnx: external: ")
_NEEDS_A_USER = "any file: no permission"
_BATCH = 100
_BATCHES = range(-(-len(_CASES) // _BATCH))
_BATCH_OF = {name: number // _BATCH for number, name in enumerate(_CASES)}
_MIB = 300


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All small cases, built."""
    root = tmp_path_factory.mktemp("hostile")
    paths = {}
    for number, (name, (build, _expected)) in enumerate(_CASES.items()):
        if name == _NEEDS_A_USER and os.geteuid() == 0:
            continue
        directory = root / str(number)
        directory.mkdir()
        paths[name] = build(directory)
    return paths


class _Runs:
    """One run of each command with each batch of small cases, when first asked for."""

    def __init__(self, inputs: dict[str, Path]) -> None:
        self._inputs = inputs
        self._done: dict[tuple[str, int], Run] = {}

    def paths(self, batch: int) -> list[Path]:
        return [path for name, path in self._inputs.items() if _BATCH_OF[name] == batch]

    def __call__(self, command: str, batch: int) -> Run:
        if (command, batch) not in self._done:
            self._done[command, batch] = run([command, *self.paths(batch)])
        return self._done[command, batch]


@pytest.fixture(scope="module")
def runs(inputs: dict[str, Path]) -> _Runs:
    return _Runs(inputs)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("batch", _BATCHES)
def test_a_run_ends_in_time_and_memory_with_exit_code_3(command: str, batch: int, runs: _Runs) -> None:
    done = runs(command, batch)
    assert done.code == 3
    assert done.peak_mib < _MIB
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == len(runs.paths(batch))


def _own_directory(path: Path) -> str:
    """The numbered directory of a case, with a slash: an index is blamed on its shards."""
    return f"{path if path.name.isdigit() else path.parent}/"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", _CASES)
def test_a_hostile_file_gets_one_line(name: str, command: str, runs: _Runs, inputs: dict[str, Path]) -> None:
    if name not in inputs:
        pytest.skip("root may read everything")
    path = escape(str(inputs[name]))
    begin = escape(_own_directory(inputs[name])) if name.startswith(_OF_SEVERAL_FILES) else f"{path}: "
    done = runs(command, _BATCH_OF[name])
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"wcx: {begin}")]
    assert len(lines) == 1, (begin, done.stderr)
    assert re.match(f".*: .*?({_CASES[name][1]})", lines[0].removeprefix(f"wcx: {path}"))
    assert lines[0].isprintable()
    assert len(lines[0]) < 700


@pytest.mark.parametrize("name", _HEAVY)
def test_a_hostile_file_of_many_megabytes(name: str, tmp_path: Path) -> None:
    build, expected = _HEAVY[name]
    path = build(tmp_path)
    runs = [run([command, path]) for command in COMMANDS]
    path.unlink()
    for done in runs:
        assert done.code == 3
        assert len(done.stderr.splitlines()) == 1
        assert re.match(re.escape(f"wcx: {path}: ") + f".*({expected})", done.stderr)
        assert done.stdout == ""
        assert done.peak_mib < _MIB


@pytest.mark.parametrize("name", _DATA)
def test_damaged_data_show_when_they_are_read(name: str, tmp_path: Path) -> None:
    build, expected = _DATA[name]
    path = build(tmp_path)
    assert run(["inspect", path]).code == 0
    done = run(["analyze", path])
    assert done.code == 3
    assert re.fullmatch(re.escape(f"wcx: {path}: ") + f".*({expected}).*\n", done.stderr)
    assert done.peak_mib < _MIB


@pytest.mark.parametrize("command", COMMANDS)
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


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_written_beside_the_files(command: str, inputs: dict[str, Path], runs: _Runs) -> None:
    for batch in _BATCHES:
        runs(command, batch)
    for path in inputs.values():
        if path.parent.name.isdigit():
            assert not [name for name in os.listdir(path.parent) if "wcx" in name]
