"""One line to the person at the terminal, on stderr; a stderr that can't be written is no reason to stop."""

from __future__ import annotations

from contextlib import suppress

import click

from wcx.escape import escape

__all__ = ["complain"]


def complain(text: str) -> None:
    """Write a line on stderr, whatever is in it made harmless."""
    with suppress(OSError):
        click.echo(f"wcx: {escape(text)}", err=True)
