"""Processes that tests start: each leads a group of its own, which is killed whatever becomes of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["PATIENCE_SECONDS", "Argument", "Done", "Process", "child", "interruptible", "run", "run_python", "run_wcx"]

PATIENCE_SECONDS = 600
"""The time-out against what hangs; nothing takes a hundredth of it on an idle machine."""

Argument = str | Path | int | float
Process = subprocess.Popen[str]
Done = subprocess.CompletedProcess[str]

_PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}
_LISTEN = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"


@contextmanager
def child(command: Sequence[Argument], **options: Any) -> Iterator[Process]:  # noqa: ANN401
    """Start a process with pipes of text; kill it and all that it started at the end of the block."""
    words = [str(word) for word in command]
    with subprocess.Popen(
        words, start_new_session=True, **{"stdin": subprocess.DEVNULL, **_PIPES, **_TEXT, **options}
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def run(command: Sequence[Argument], check: bool = False, **options: Any) -> Done:  # noqa: ANN401
    """Run a command to its end; return its exit code and what it wrote."""
    with child(command, **options) as process:
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert not (check and process.returncode), stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def run_python(program: str, *arguments: Argument, env: Mapping[str, str] | None = None, **options: Any) -> Done:  # noqa: ANN401
    """Run a Python program that finds what this process finds."""
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return run([sys.executable, "-c", program, *arguments], env={**os.environ, **paths, **(env or {})}, **options)


def run_wcx(*arguments: Argument, **options: Any) -> Done:  # noqa: ANN401
    """Run `wcx ARGUMENTS...`."""
    return run([sys.executable, "-m", "wcx", *arguments], **options)


def interruptible(command: Sequence[Argument]) -> list[Argument]:
    """Return a command that SIGINT ends even where it is ignored here, as in the background of a shell's script."""
    return [sys.executable, "-I", "-S", "-c", _LISTEN, *command]
