"""What holds for the tests themselves: no child outlives its test, and no test depends on how busy the machine is."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import children
import pytest
from children import PATIENCE_SECONDS, child, interruptible

TESTS = Path(__file__).parent
CLOCKS = {"perf_counter", "process_time", "monotonic", "getrusage", "thread_time", "perf_counter_ns", "monotonic_ns"}
WAITING = {"tests/measures/test_compression.py": {"getrusage"}, "tests/scan/test_cache.py": {"monotonic"}}
"""Those that measure memory, or go on for a while, and hold nothing against a clock."""

PARENT = """
import subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(grandchild.pid, flush=True)
time.sleep(600)
"""
WAITING_FOR_A_SIGNAL = """
import signal
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
signal.pause()
"""


def is_alive(pid: int) -> bool:
    """Return True if a process exists and has not ended (what nobody waits for stays as a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
def test_child_and_grandchild_of_a_failing_test_are_killed() -> None:
    pids = []
    with suppress(ZeroDivisionError), child([sys.executable, "-c", PARENT]) as process:
        assert process.stdout
        pids = [process.pid, int(process.stdout.readline())]
        assert all(map(is_alive, pids))
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL
    while is_alive(pids[1]):  # the system has been told, and may take its time
        pass


def test_run_of_a_command_that_hangs_ends_by_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(subprocess.TimeoutExpired):
        children.run([sys.executable, "-c", "import time; time.sleep(600)"])


def test_interruptible_command_hears_a_signal_that_is_ignored_here() -> None:
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with child(interruptible([sys.executable, "-c", WAITING_FOR_A_SIGNAL])) as process:
            assert process.stdout
            assert process.stdout.readline() == "True\n"
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_SECONDS)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert process.returncode == -signal.SIGINT


def names_of(path: Path) -> Iterator[str]:
    """Names and attributes that a test uses, and modules that it imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.name for alias in node.names)
            yield getattr(node, "module", None) or ""
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nimport " in node.value:
            yield from (clock for clock in CLOCKS if clock in node.value)


def test_no_test_reads_a_clock_or_starts_a_process_by_itself() -> None:
    names = {
        os.path.relpath(path, TESTS.parent): set(names_of(path))
        for path in TESTS.rglob("*.py")
        if path not in (Path(__file__), TESTS / "support" / "children.py")
    }
    clocks = {path: used & CLOCKS - WAITING.get(path, set()) for path, used in names.items()}
    assert not {path: used for path, used in clocks.items() if used}
    assert not [path for path, used in names.items() if "subprocess" in used]
