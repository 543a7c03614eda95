"""The progress bar: only on a terminal, only when it takes a while, one at a time, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import PATIENCE_SECONDS, child
from depth import EXHAUSTIVE

from wcx.cli import progress

ONE = Path(__file__).parents[2] / "sample_models" / "digits_bnn" / "seed_0" / "epoch_030.safetensors"


def on_terminal(*arguments: str) -> tuple[int, str, bytes]:
    """Run wcx with stderr on a terminal; returns its code, stdout, and what the terminal got."""
    master, slave = pty.openpty()
    with child([sys.executable, "-m", "wcx", *arguments], stderr=slave) as process:
        os.close(slave)
        shown = b"".join(parts_of(master))
        os.close(master)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, shown


def parts_of(terminal: int) -> Iterator[bytes]:
    """What comes out of a terminal, until its other side is closed, which Linux calls an error."""
    with contextlib.suppress(OSError):
        yield from iter(lambda: os.read(terminal, 4096), b"")


def test_a_short_run_shows_none() -> None:
    code, output, shown = on_terminal("analyze", str(ONE))
    assert code == 0
    assert "fc1.weight" in output
    assert shown == b""


LONG = ("analyze", str(ONE), "--null", "shuffle:1500")


def test_bar_of_a_long_run_is_shown_and_cleared() -> None:
    code, _, shown = on_terminal(*LONG)
    assert code == 0
    assert b"shuffling" in shown
    assert b"1500" in shown
    assert shown.rstrip().endswith(b"\x1b[2K")  # the line is cleared


@EXHAUSTIVE
@pytest.mark.parametrize("option", ["--quiet", "--no-progress"])
def test_bar_of_a_long_run_is_not_shown_with_the_option(option: str) -> None:
    assert on_terminal(*LONG, option)[2] == b""


def test_threads_share_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(progress._Bar, "_open", lambda bar: (opened.append(1), setattr(bar, "_progress", _Silent())))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.progress_bar(True) as calls:
        calls.on_start(8000)
        workers = [threading.Thread(target=lambda: [calls.on_bytes(1) for _ in range(1000)]) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert _Silent.completed == 8000
    assert opened == [1]


class _Silent:
    completed = 0

    def update(self, task: object, completed: int) -> None:
        _Silent.completed = completed

    def stop(self) -> None:
        pass
