"""The order of a table's lines: --sort and --top are checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from wcx.core.errors import UsageError
from wcx.outputs import View


def check_order(view: View, known: Sequence[str], accepts: Callable[[str], bool]) -> None:
    """Raise UsageError for an unknown order or a negative length; accepts: True for an order that is not listed."""
    if view.sort is not None and view.sort not in known and not accepts(view.sort):
        close = get_close_matches(view.sort, known, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UsageError(f"unknown column {view.sort!r} to sort by{hint}: one of {', '.join(known)}")
    if view.top is not None and view.top < 0:
        raise UsageError(f"--top {view.top}: expected a number of layers, or 0 for all")


def descending(value: float | None) -> tuple[bool, float]:
    """Return a sort key: descending, None last; equal values keep their order, as sorting is stable."""
    return (True, 0.0) if value is None else (False, -value)
