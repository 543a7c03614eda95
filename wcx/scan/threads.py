"""Map a function over items: one after the other, or by long-lived threads, always yielding in the items' order.

The threads sit above kernels and reads that release the GIL. What a worker has in hand (buffers, histograms) is made
once per worker and reused.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
State = TypeVar("State")
Result = TypeVar("Result")
_MOST = 8


def cores() -> int:
    """Return the number of processors that this process may use, at most 8."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, _MOST))


def map_ordered(
    make_state: Callable[[], State],
    function: Callable[[State, Item], Result],
    items: Sequence[Item],
    threads: int,
    ahead: int,
    on_stop: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield function(state, item) for each item, in order; each worker has a state of its own.

    No worker begins an item that is `ahead` or more beyond the one to be yielded next, so that few results wait. An
    exception in a worker is raised here, when its item's turn comes; whatever ends the loop stops the workers. on_stop:
    called before they are waited for, so that long items can end early.
    """
    threads = min(threads, len(items))
    if threads <= 1:
        state = make_state() if items else None
        for item in items:
            yield function(state, item)  # type: ignore[arg-type]
        return
    pool = _Pool(make_state, function, items, threads, max(ahead, threads))
    try:
        for index in range(len(items)):
            yield pool.take(index)
    finally:
        on_stop()
        pool.stop()


class _Pool(Generic[Item, State, Result]):
    """Threads that take items from one ordered line."""

    def __init__(
        self,
        make_state: Callable[[], State],
        function: Callable[[State, Item], Result],
        items: Sequence[Item],
        threads: int,
        ahead: int,
    ) -> None:
        self._make_state = make_state
        self._function = function
        self._items = items
        self._ahead = ahead
        self._begun = 0
        self._taken = 0
        self._stopped = False
        self._results: dict[int, Result] = {}
        self._failures: dict[int, BaseException] = {}
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, name=f"wcx-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def take(self, index: int) -> Result:
        """Wait for one item's result; raises what the item raised."""
        with self._changed:
            while index not in self._results and index not in self._failures:
                self._changed.wait()
            self._taken = index + 1
            self._changed.notify_all()
            if index in self._failures:
                raise self._failures[index]
            return self._results.pop(index)

    def stop(self) -> None:
        """Let every worker finish the item in hand, and wait for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _next(self) -> int | None:
        """Return the index of an item to begin, once it is near enough; None when there is nothing more to do."""
        with self._changed:
            while not self._stopped and self._begun < len(self._items) and self._begun >= self._taken + self._ahead:
                self._changed.wait()
            if self._stopped or self._begun == len(self._items):
                return None
            self._begun += 1
            return self._begun - 1

    def _work(self) -> None:
        state: State | None = None
        while (index := self._next()) is not None:
            try:
                if state is None:
                    state = self._make_state()
                result = self._function(state, self._items[index])
            except BaseException as error:
                with self._changed:
                    self._failures[index] = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._results[index] = result
                self._changed.notify_all()
