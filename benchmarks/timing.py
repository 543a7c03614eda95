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


def run_wcx(*arguments: str, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Run the command; returns its seconds and its peak memory in MiB."""
    command = [sys.executable, "-m", "wcx", *arguments]
    start = time.perf_counter()
    with open(os.devnull, "wb") as nothing:
        child = subprocess.Popen(command, stdout=nothing, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return seconds, usage.ru_maxrss / 1024


def run_cat(path: str) -> float:
    """Seconds of `cat path > /dev/null`."""
    start = time.perf_counter()
    with open(os.devnull, "wb") as nothing:
        subprocess.run(["cat", path], stdout=nothing, check=True)
    return time.perf_counter() - start
