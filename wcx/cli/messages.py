"""One line to the person at the terminal, on stderr; a stderr that can't be written is no reason to stop."""

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


def complain(text: str) -> None:
    """Write a line on stderr, whatever is in it made harmless."""
    with suppress(OSError):
        click.echo(f"wcx: {escape(text)}", err=True)


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
