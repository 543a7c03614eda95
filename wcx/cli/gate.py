"""The gate of --fail-on: the exit code that the conditions of a run lead to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wcx.cli.exit_codes import CONDITION_HOLDS, DONE, UNMATCHED
from wcx.cli.messages import print_error

if TYPE_CHECKING:
    from wcx.core.comparison import Comparison
    from wcx.core.report import Report
    from wcx.tasks.conditions import Condition


class Gate:
    """Conditions, of which one that holds suffices; each must have a value in one report at least."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions
        self._unmatched = set(conditions)
        self._held = False

    def look(self, report: Report | Comparison, prefix: str = "") -> None:
        """Print the conditions that hold in a report, and those without a value there; prefix: of every line."""
        for condition in self._conditions:
            match = condition.match(report)
            if match is not None:
                print_error(f"{prefix}{match}")
                self._held = True
            if match is not None or condition.applies(report):
                self._unmatched.discard(condition)
            else:
                print_error(f"{prefix}--fail-on {condition}: no layer matches, or the value is missing")

    def code(self) -> int:
        """Return the exit code of all that was looked at."""
        return UNMATCHED if self._unmatched else CONDITION_HOLDS if self._held else DONE
