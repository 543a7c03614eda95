"""Runs the installed command in a process of its own and measures its processor time and its peak of memory.

A small launcher stands between, because Linux hands the peak of the parent (pytest, with all its libraries) down to a
child; the launcher's own is 10 MiB. Processor time, because the machines are shared; what waits runs into the timeout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COMMANDS", "Run", "run"]

COMMANDS = ("inspect", "analyze")
"""The commands that every hostile file is given to."""

_TIMEOUT_SECONDS = 60

_LAUNCHER = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
mib = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
with open(sys.argv[1], "w") as file:
    print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, mib, file=file)
"""


@dataclass(frozen=True)
class Run:
    """What a command did; seconds of processor time."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_mib: float


def run(arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Run:
    """Run `wcx ARGUMENTS...`; undecodable output is kept as surrogates."""
    with tempfile.TemporaryDirectory() as directory:
        result = os.path.join(directory, "result")
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, result, sys.executable, "-m", "wcx"]
        process = subprocess.run(
            [*command, *(os.fspath(argument) for argument in arguments)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
            check=True,
            env=dict(os.environ if environment is None else environment),
        )
        code, seconds, mib = Path(result).read_text().split()
    stdout, stderr = (text.decode(errors="surrogateescape") for text in (process.stdout, process.stderr))
    return Run(int(code), stdout, stderr, float(seconds), float(mib))
