"""Every hostile file gets one line that says what is wrong, exit code 3, little time and little memory.

The small ones are given to one run of each command, which must report each on a line of its own; those of many
megabytes get a run each.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import any_file_cases
import index_cases
import pytest
import safetensors_cases
from any_file_cases import Build
from command_runs import COMMANDS, Run, run

from wcx.escape import escape

_CASES: dict[str, tuple[Build, str]] = {
    **{f"any file: {name}": case for name, case in any_file_cases.CASES.items()},
    **{f"safetensors: {name}": case for name, case in safetensors_cases.CASES.items()},
    **{f"index: {name}": case for name, case in index_cases.CASES.items()},
}
_HEAVY: dict[str, tuple[Build, str]] = {
    **{f"safetensors: {name}": case for name, case in safetensors_cases.HEAVY.items()},
    **{f"index: {name}": case for name, case in index_cases.HEAVY.items()},
}
_NEEDS_A_USER = "any file: no permission"
_SECONDS = 5
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


@pytest.fixture(scope="module", params=COMMANDS)
def one_run(request: pytest.FixtureRequest, inputs: dict[str, Path]) -> Run:
    """One run of a command with all small cases."""
    return run([request.param, *inputs.values()])


def test_the_run_ends_in_time_and_memory_with_exit_code_3(one_run: Run, inputs: dict[str, Path]) -> None:
    assert one_run.code == 3
    assert one_run.seconds < _SECONDS
    assert one_run.peak_mib < _MIB
    assert "Traceback" not in one_run.stderr
    assert len(one_run.stderr.splitlines()) == len(inputs)


def _own_directory(path: Path) -> str:
    """The numbered directory of a case, with a slash: an index is blamed on its shards."""
    return f"{path if path.name.isdigit() else path.parent}/"


@pytest.mark.parametrize("name", _CASES)
def test_a_hostile_file_gets_one_line(name: str, one_run: Run, inputs: dict[str, Path]) -> None:
    if name not in inputs:
        pytest.skip("root may read everything")
    path = escape(str(inputs[name]))
    begin = escape(_own_directory(inputs[name])) if name.startswith("index: ") else f"{path}: "
    lines = [line for line in one_run.stderr.splitlines() if line.startswith(f"wcx: {begin}")]
    assert len(lines) == 1, (begin, one_run.stderr)
    assert re.match(f".*: .*?({_CASES[name][1]})", lines[0].removeprefix(f"wcx: {path}"))
    assert lines[0].isprintable()
    assert len(lines[0]) < 700


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", _HEAVY)
def test_a_hostile_file_of_many_megabytes(name: str, command: str, tmp_path: Path) -> None:
    build, expected = _HEAVY[name]
    path = build(tmp_path)
    done = run([command, path])
    path.unlink()
    assert done.code == 3
    assert len(done.stderr.splitlines()) == 1
    assert re.match(re.escape(f"wcx: {path}: ") + f".*{expected}", done.stderr)
    assert done.stdout == ""
    assert done.seconds < _SECONDS
    assert done.peak_mib < _MIB


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("path", ["-", "https://example.org/model.safetensors", "hf://org/model"])
def test_what_is_no_local_file_is_to_be_downloaded_first(path: str, command: str) -> None:
    done = run([command, path])
    assert done.code == 3
    assert re.fullmatch(f"wcx: {path}: .*(download|save) it .*first\n", done.stderr)


def test_nothing_is_written_beside_the_files(inputs: dict[str, Path], one_run: Run) -> None:
    for path in inputs.values():
        if path.parent.name.isdigit():
            assert not [name for name in os.listdir(path.parent) if "wcx" in name]
