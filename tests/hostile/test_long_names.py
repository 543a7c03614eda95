"""Names of 200,000 characters take time in proportion to their length, whatever writes them.

An expression that goes back over them takes the square, which uses up the processor time that a command is given.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import write_tensors
from command_runs import run
from depth import keeping

_LENGTH = 200_000
_REPEATED = ("1", "1.", "1e", ".", "./", "a.", "a_", '"\\', "|`", "[\n ", " ", "e\u0301")
_NAMES = [begin + (text * _LENGTH)[:_LENGTH] + "x" for text in _REPEATED for begin in ("", "+")]
_SUFFIXES = ("csv", "ndjson", "json", "md", "html", "txt")


@pytest.mark.parametrize("suffix", keeping(["csv"], _SUFFIXES))
@pytest.mark.parametrize("command", keeping(["analyze"], ("analyze", "compare")))
def test_long_names_are_written_in_linear_time(command: str, suffix: str, tmp_path: Path) -> None:
    tensors = dict.fromkeys(_NAMES, ("F32", [4, 4]))
    paths = [
        write_tensors(tmp_path / f"step_{step}.safetensors", tensors) for step in range(1 + (command == "compare"))
    ]
    done = run([command, *paths, "-o", tmp_path / f"report.{suffix}"])
    assert done.code == 0, done.stderr[:1000]
    assert done.peak_mib < 300
