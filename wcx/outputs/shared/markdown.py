"""Rows and escaped text of Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wcx.core.text import escape

_PLAIN_NAME = re.compile(r"[\w./: -]+", re.ASCII)
_MARKUP = re.compile(r"[\\`*{}\[\]<>|&#@]|(?<!\w)_|_(?!\w)")  # inside a word an underscore is no markup
_NO_TEXT = re.compile(r"[^\w ]|_")


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def code(name: str) -> str:
    """A name as code; one with other than the usual characters has these as entities, which are never markup."""
    name = escape(name)
    if _PLAIN_NAME.fullmatch(name):
        return f"`{name}`"
    return f"<code>{_entities(_NO_TEXT, name)}</code>"


def text(sentence: str) -> str:
    """A sentence in which nothing is markup."""
    return _entities(_MARKUP, escape(sentence))


def _entities(characters: re.Pattern[str], text: str) -> str:
    return characters.sub(lambda found: f"&#{ord(found[0])};", text)
