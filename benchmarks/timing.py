"""Timing two things in turn, and what a child process used."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure beside its target."""

    check: str
    target: str
    measured: str


def interleaved(functions: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each function, called in turn so that all see the same machine."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for number, function in enumerate(functions):
            start = time.perf_counter()
            function()
            times[number].append(time.perf_counter() - start)
    return [statistics.median(some) for some in times]


def in_threads(function: Callable[[int], object], parts: int, threads: int) -> None:
    """Call function(part) for each part, by so many threads."""
    if threads == 1:
        for part in range(parts):
            function(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, range(parts)))


_LAUNCHER = """
import os, sys, time
nothing = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=nothing)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_maxrss)
"""


def run_wcx(*arguments: str, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Run the command; returns its seconds and its peak memory in MiB.

    A small launcher stands between: Linux hands the peak of this process, with its arrays, down to a child.
    """
    command = [sys.executable, "-m", "wcx", *arguments]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        check=True,
    )
    code, seconds, nbytes = done.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(command)} ended with {int(code)}")
    return float(seconds), int(nbytes) / 1024


def run_cat(path: str) -> float:
    """Seconds of `cat path > /dev/null`."""
    start = time.perf_counter()
    with open(os.devnull, "wb") as nothing:
        subprocess.run(["cat", path], stdout=nothing, check=True)
    return time.perf_counter() - start
