"""A cell of a table for people."""

from __future__ import annotations

from typing import NamedTuple


class Cell(NamedTuple):
    """A text and its tone: plain, dim, less or more (complex than its shuffle)."""

    text: str
    tone: str = "plain"
