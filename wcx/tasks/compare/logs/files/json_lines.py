"""Rows in JSON lines, an object a line. Source: RFC 8259, with NaN and Infinity as Python writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from wcx.tasks.compare.logs.files.reading import MAX_NAME, Cell, Lines, Row, finite, number_in

_MAX_DEPTH = 16


def read_lines(lines: Lines, *, prefixed: bool = False) -> Iterator[Row]:
    """Yield the object of each line. prefixed: whether a logger wrote date and level before `| {`, as fairseq's."""
    lines.file.kind = "JSON lines"
    for line in lines:
        lines.begin_row()
        if not line.strip():
            continue
        row = row_of(line[max(line.find("| {") + 2, 0) :] if prefixed else line)
        if row is None:
            lines.file.leave_out(f"line {lines.number} is not a JSON object")
        else:
            yield row


def row_of(text: str) -> Row | None:
    """Return the cells of a JSON object, with dotted names for those of an inner object; None for other texts."""
    try:
        value = json.loads(text)
        return dict(_cells(value, "", 0)) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _cells(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Cell]]:
    for key, item in value.items():
        name = prefix + key.strip()
        if len(name) > MAX_NAME:
            raise ValueError("a name is too long")
        if isinstance(item, dict) and depth < _MAX_DEPTH:
            yield from _cells(item, name + ".", depth + 1)
        else:
            yield name, cell_of(item)


def cell_of(value: object) -> Cell:
    """Return the cell of a JSON value: a number, also one written as text, or the text of another value."""
    if value is None:
        return None
    if isinstance(value, str):
        return number_in(value)
    if isinstance(value, bool):
        return str(value).lower()
    return finite(value) if isinstance(value, int | float) else "[...]" if isinstance(value, list) else "{...}"
