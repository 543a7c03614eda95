"""Messages of one line on stderr; a stderr that can't be written ends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from wcx.core.text import escape

if TYPE_CHECKING:
    from wcx.core.comparison import Comparison
    from wcx.core.report import Report
    from wcx.tasks.conditions import Condition


def print_error(text: str) -> None:
    """Write a line on stderr, with escapes for what could steer a terminal."""
    with suppress(OSError):
        click.echo(f"wcx: {escape(text)}", err=True)


def any_holds(conditions: Sequence[Condition], report: Report | Comparison, prefix: str = "") -> bool:
    """Print the conditions that hold or have no value, and return True if any holds; prefix: of every line."""
    held = False
    for condition in conditions:
        match = condition.match(report)
        held |= match is not None
        if match is not None:
            print_error(f"{prefix}{match}")
        elif not condition.applies(report):
            print_error(f"{prefix}{condition}: no layer matches, or the value is missing")
    return held
