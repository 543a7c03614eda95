"""Rows in JSON: an object a line, an array of objects, or the log_history of trainer_state.json.

Source: RFC 8259, with NaN and Infinity as Python writes them; transformers' TrainerState, where what was logged in
training and in evaluation are separate objects with the same step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from wcx.core.errors import CheckpointError
from wcx.core.files import read_extent
from wcx.formats.json_walker import JsonError, JsonWalker
from wcx.tasks.compare.logs.files.reading import KINDS, MAX_NAME, Cell, Lines, LogFile, Row, finite, number_in

_MAX_NBYTES = 64 << 20  # one value is held as a whole
_MAX_DEPTH = 16


def is_one_value(lines: Lines) -> bool:
    """Return True if a file that begins with a brace is one object, and not one a line."""
    try:
        value = json.loads(next(line for line in lines if line.strip()))
    except (CheckpointError, ValueError, RecursionError):
        return True
    return not isinstance(value, dict) or isinstance(value.get("log_history"), list)


def read_lines(lines: Lines, *, prefixed: bool = False) -> Iterator[Row]:
    """Yield the object of each line. prefixed: whether a logger wrote date and level before `| {`, as fairseq's."""
    lines.file.kind = "JSON lines"
    for line in lines:
        lines.begin_row()
        if not line.strip():
            continue
        row = _row(line[max(line.find("| {") + 2, 0) :] if prefixed else line)
        if row is None:
            lines.file.leave_out(f"line {lines.number} is not a JSON object")
        else:
            yield row


def read_document(file: LogFile, descriptor: int, nbytes: int, encoding: str) -> Iterator[Row]:
    """Yield the objects of an array, or of the log_history of an object."""
    if nbytes > _MAX_NBYTES:
        raise file.error(f"a JSON document of {nbytes:,} bytes exceeds the limit of 64 MiB: convert it to JSON lines")
    text = read_extent(descriptor, file.path, 0, nbytes)
    if encoding == "utf-16":
        text = text.decode("utf-16", "replace").encode("utf-8", "replace")
    walker = JsonWalker(text.removeprefix(b"\xef\xbb\xbf").lstrip())
    try:
        if walker.at_array():
            file.kind = "a JSON array"
            yield from _array(file, walker)
        else:
            file.kind = "trainer_state.json"
            yield from _trainer_state(file, walker)
        walker.end()
    except JsonError as error:
        raise CheckpointError(file.path, error.reason, error.position) from error


def _trainer_state(file: LogFile, walker: JsonWalker) -> Iterator[Row]:
    found = False
    for name in walker.members():
        if name == "log_history" and walker.at_array():
            found = True
            yield from _array(file, walker)
        else:
            walker.skip_value()
    if not found:
        raise file.error(f"a JSON object without an array log_history: a training log must be {KINDS}")


def _array(file: LogFile, walker: JsonWalker) -> Iterator[Row]:
    for index in walker.elements():
        is_object = walker.at_object()
        text = walker.skip_value()
        row = _row(text) if is_object else None
        if row is None:
            file.leave_out(f"element {index} of the array is not {'valid JSON' if is_object else 'an object'}")
        else:
            yield row


def _row(text: str) -> Row | None:
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
            yield name, _cell(item)


def _cell(value: object) -> Cell:
    if value is None:
        return None
    if isinstance(value, str):
        return number_in(value)
    if isinstance(value, bool):
        return str(value).lower()
    return finite(value) if isinstance(value, int | float) else "[...]" if isinstance(value, list) else "{...}"
