"""What `--fail-on` says on stderr: which conditions hold, and which had nothing to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wcx.cli.complain import complain

if TYPE_CHECKING:
    from wcx.comparison_types import Comparison
    from wcx.conditions import Condition
    from wcx.types import Report

__all__ = ["any_holds"]


def any_holds(conditions: Sequence[Condition], found: Report | Comparison, prefix: str = "") -> bool:
    """Whether any condition holds; prefix: of every line, where there can be several reports."""
    held = False
    for condition in conditions:
        match = condition.match(found)
        held |= match is not None
        if match is not None:
            complain(f"{prefix}{match}")
        elif not condition.applies(found):
            complain(f"{prefix}{condition}: no layer or no value that it could be met by")
    return held
