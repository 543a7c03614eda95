"""Pieces of HTML that the notebook views of all reports share."""

from __future__ import annotations

from html import escape as escape_html

from wcx.core.text import escape

HUES = {"less": "#0e9aa7", "more": "#c2559d"}
CELL = "padding:1px 8px;white-space:nowrap"
RULE = "border-top:1px solid rgba(128,128,128,.5)"
TABLE = "color:inherit;border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:90%"


def head(text: str, left: bool) -> str:
    """Return a cell of a heading."""
    return f'<th style="{CELL};text-align:{"left" if left else "right"}">{safe(text)}</th>'


def safe(text: str) -> str:
    """Return a text in which nothing is markup."""
    return escape_html(escape(text))
