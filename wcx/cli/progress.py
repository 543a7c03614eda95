"""The progress bar on stderr: bytes read, throughput, time left; only on a terminal, and only when it takes a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wcx.core.progress import Progress
    from wcx.core.report import LayerReport

_PATIENCE_SECONDS = 0.5


@contextmanager
def progress_bar(wanted: bool, on_layer: Callable[[LayerReport], None] = lambda _layer: None) -> Iterator[Progress]:
    """Yield the callbacks of a task; a bar appears on a terminal after half a second, and leaves no trace."""
    from wcx.core.progress import Progress

    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        yield Progress(on_layer=on_layer)
        return
    bar = _Bar()
    try:
        yield Progress(
            on_start=lambda total: bar.begin("reading", total),
            on_bytes=bar.advance,
            on_layer=on_layer,
            on_draws=lambda total: bar.begin("shuffling", total),
            on_draw=lambda: bar.advance(1),
            on_correlations=lambda total: bar.begin("correlating", total),
            on_correlation=lambda: bar.advance(1),
        )
    finally:
        bar.close()


class _Bar:
    """A rich progress bar that is made only after half a second; advanced from any thread."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = Lock()
        self._stage = ""
        self._total = 0
        self._done = 0
        self._progress: Any = None
        self._task: Any = None

    def begin(self, stage: str, total: int) -> None:
        """Start over with another stage of the work."""
        self.close()
        self._stage, self._total, self._done = stage, total, 0

    def advance(self, amount: int) -> None:
        """Add to what is done."""
        with self._lock:
            self._done += amount
            if self._progress is None:
                if time.monotonic() - self._started < _PATIENCE_SECONDS:
                    return
                self._open()
            self._progress.update(self._task, completed=self._done)

    def close(self) -> None:
        """Take the bar off the terminal."""
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def _open(self) -> None:
        from rich import progress
        from rich.console import Console

        columns: list[Any] = [progress.TextColumn("{task.description}"), progress.BarColumn()]
        if self._stage == "reading":
            columns += [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        else:
            columns += [progress.MofNCompleteColumn()]
        columns += [progress.TimeRemainingColumn()]
        self._progress = progress.Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(self._stage, total=self._total, completed=self._done)
        self._progress.start()
