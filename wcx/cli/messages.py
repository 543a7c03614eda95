"""Messages of one line on stderr; a stderr that can't be written ends nothing."""

from __future__ import annotations

from contextlib import suppress

import click

from wcx.core.text import escape


def print_error(text: str) -> None:
    """Write a line on stderr, with escapes for what could steer a terminal."""
    with suppress(OSError):
        click.echo(f"wcx: {escape(text)}", err=True)
