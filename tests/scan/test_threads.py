"""map_ordered: results in order, errors at their place, few results waiting, and no thread left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from wcx.scan.threads import cores, map_ordered

THREADS = pytest.mark.parametrize("threads", [0, 1, 2, 5, 50])


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def slow_for_some(_state: object, item: int) -> int:
    time.sleep(0.002 * (item % 3 == 0))
    return item * item


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(60_000):
        if condition():
            return
        time.sleep(0.001)
    raise TimeoutError


@THREADS
@pytest.mark.parametrize("number", [0, 1, 2, 40])
def test_results_come_in_the_order_of_the_items(threads: int, number: int) -> None:
    found = map_ordered(object, slow_for_some, range(number), threads, ahead=3)
    assert list(found) == [item * item for item in range(number)]


@THREADS
def test_an_exception_is_raised_at_its_place(threads: int) -> None:
    def fail(_state: object, item: int) -> int:
        if item in (7, 9):
            raise ValueError(f"item {item}")
        return slow_for_some(_state, item)

    results = map_ordered(object, fail, range(30), threads, ahead=8)
    assert [next(results) for _ in range(7)] == [item * item for item in range(7)]
    with pytest.raises(ValueError, match="item 7"):
        next(results)


@THREADS
def test_an_exception_in_making_a_state_is_raised(threads: int) -> None:
    def fail() -> object:
        raise OSError("no memory")

    with pytest.raises(OSError, match="no memory"):
        list(map_ordered(fail, slow_for_some, range(10), threads, ahead=8))


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_no_exception_is_raised_too(threads: int) -> None:
    def stop(_state: object, item: int) -> int:
        raise SystemExit(item)

    with pytest.raises(SystemExit, match="0"):
        next(map_ordered(object, stop, range(5), threads, ahead=8))


@pytest.mark.parametrize(("threads", "ahead"), [(2, 3), (4, 4), (3, 8)])
def test_no_item_is_begun_far_ahead_of_the_one_to_come(threads: int, ahead: int) -> None:
    begun: list[int] = []

    def note(_state: object, item: int) -> int:
        begun.append(item)
        return item

    results = map_ordered(object, note, range(60), threads, ahead)
    for done in range(20):
        assert next(results) == done
        wait_until(lambda done=done: max(begun) == done + ahead)  # the workers use all there is
        time.sleep(0.002)
        assert max(begun) == done + ahead
    results.close()  # type: ignore[attr-defined]
    assert max(begun) < 20 + ahead + threads


def test_ahead_is_at_least_the_number_of_threads() -> None:
    """Else some threads would never have anything to do."""
    together = threading.Barrier(4, timeout=10)

    def meet(_state: object, item: int) -> int:
        together.wait()
        return item

    assert list(map_ordered(object, meet, range(4), threads=4, ahead=1)) == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_consumer_that_leaves_early_ends_the_threads(threads: int) -> None:
    begun: list[int] = []

    def note(_state: object, item: int) -> int:
        begun.append(item)
        return item

    for result in map_ordered(object, note, range(1000), threads, ahead=4):
        if result == 3:
            break
    del result
    assert len(begun) < 20


def test_an_exception_of_the_consumer_ends_the_threads() -> None:
    def consume() -> None:
        for result in map_ordered(object, slow_for_some, range(1000), 3, ahead=4):
            if result == 9:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_worker_has_a_state_of_its_own(threads: int) -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    def use(state: list[int], item: int) -> tuple[int, int]:
        state.append(item)
        time.sleep(0.001)
        return id(state), threading.get_ident()

    owners = set(map_ordered(make, use, range(60), threads, ahead=8))
    assert len(made) == len({state for state, _ in owners}) == len({thread for _, thread in owners}) <= threads
    assert sorted(item for state in made for item in state) == list(range(60))
    assert all(state == sorted(state) for state in made)


def test_nothing_begins_before_the_first_result_is_asked_for() -> None:
    begun: list[int] = []
    results = map_ordered(object, lambda _state, item: begun.append(item), range(5), 2, ahead=8)
    assert begun == []
    assert list(results) == [None] * 5
    assert sorted(begun) == list(range(5))


def test_cores_are_those_that_may_be_used_up_to_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, correct in ((1, 1), (3, 3), (8, 8), (64, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, n=available: set(range(n)), raising=False)
        assert cores() == correct
    monkeypatch.delattr(os, "sched_getaffinity")
    for counted, correct in ((None, 1), (2, 2), (100, 8)):
        monkeypatch.setattr(os, "cpu_count", lambda n=counted: n)
        assert cores() == correct
