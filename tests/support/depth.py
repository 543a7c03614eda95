"""How much of a test a run does: some cases of many by default, and all of them with `-m exhaustive`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import hypothesis
import pytest

__all__ = ["EXHAUSTIVE", "examples", "keeping", "load_profile", "mark_others", "one_of"]

EXHAUSTIVE = pytest.mark.exhaustive
_QUICK_EXAMPLES = 20
_SHARED: dict[str, Any] = {
    "derandomize": True,  # a red run is red again
    "database": None,
    "deadline": None,  # the machine may be busy
    "suppress_health_check": [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
}
hypothesis.settings.register_profile("quick", max_examples=_QUICK_EXAMPLES, **_SHARED)
hypothesis.settings.register_profile("full", max_examples=100, **_SHARED)


def load_profile(full: bool) -> None:
    """Set how many examples a property is tried on; before the tests are imported."""
    hypothesis.settings.load_profile("full" if full else "quick")


def examples(number: int) -> int:
    """Return the number of examples of a property, which a quick run has fewer of."""
    quick = hypothesis.settings().max_examples == _QUICK_EXAMPLES
    return min(number, _QUICK_EXAMPLES) if quick else number


def one_of(number: int) -> pytest.MarkDecorator:
    """Return the mark of a parametrized test of which one case in so many is not exhaustive.

    Take a number that shares no factor with those of the parameters, so that every value of each remains.
    """
    return pytest.mark.one_of(number)


def mark_others(items: Iterable[pytest.Item]) -> None:
    """Mark as exhaustive the cases that `one_of` leaves out, in the order in which they are collected."""
    seen: Counter[str] = Counter()
    for item in items:
        if mark := item.get_closest_marker("one_of"):
            test = item.nodeid.partition("[")[0]
            if seen[test] % mark.args[0]:
                item.add_marker(EXHAUSTIVE)
            seen[test] += 1


def keeping(kept: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """Return the cases of a parametrized test, all marked exhaustive but those that are named."""
    cases = list(cases)
    assert not [case for case in kept if case not in cases]
    return [case if case in kept else _marked(case) for case in cases]


def _marked(case: Any) -> Any:  # noqa: ANN401
    if isinstance(case, tuple):
        return pytest.param(*case, marks=EXHAUSTIVE)
    return pytest.param(case, marks=EXHAUSTIVE)
