"""Runs the installed command in a process of its own and measures its peak of memory.

A small launcher starts it, because Linux hands the peak of the parent (pytest, with all its libraries) down to a
child; the launcher's own is 10 MiB. A command that takes no end of time is killed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import children

__all__ = ["COMMANDS", "PROCESSOR_SECONDS", "Run", "run"]

COMMANDS = ("inspect", "analyze")
"""The commands that every hostile file is given to."""

PROCESSOR_SECONDS = 120
"""The processor time after which a command is killed: what is promised takes a twentieth of it."""

_LAUNCHER = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
child = os.posix_spawn(sys.argv[3], sys.argv[3:], os.environ)
_, status, usage = os.wait4(child, 0)
mib = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
with open(sys.argv[1], "w") as file:
    print(os.waitstatus_to_exitcode(status), mib, file=file)
"""


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    stdout: str
    stderr: str
    peak_mib: float


def run(arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Run:
    """Run `wcx ARGUMENTS...`; undecodable output is kept as surrogates."""
    with tempfile.TemporaryDirectory() as directory:
        result = os.path.join(directory, "result")
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, result, PROCESSOR_SECONDS, sys.executable, "-m", "wcx"]
        done = children.run([*command, *arguments], check=True, env=environment)
        code, mib = Path(result).read_text().split()
    return Run(int(code), done.stdout, done.stderr, float(mib))
