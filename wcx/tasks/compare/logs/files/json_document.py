"""Rows in one JSON value: an array of objects, or an object with such an array or with columns in it.

The array is log_history of trainer_state.json (transformers' TrainerState, where what was logged in training and in
evaluation are separate objects with the same step), history, metrics (MLflow) and the like. Columns are arrays of one
length by name. An object is walked twice: once for the forms of its members, once for the rows.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from wcx.core.errors import CheckpointError
from wcx.core.files import read_extent
from wcx.core.text import shortened
from wcx.formats.json_walker import JsonError, JsonWalker
from wcx.tasks.compare.logs.files.json_lines import cell_of, row_of
from wcx.tasks.compare.logs.files.reading import KINDS, MAX_NAME, Cell, Lines, LogFile, Row

_MAX_NBYTES = 64 << 20  # one value is held as a whole
_TABLES = ("log_history", "history", "metrics", "logs", "log", "data", "rows")
_MAX_MEMBERS = 10_000
_MAX_ELEMENTS = 2_000_000
_MAX_CELLS = 1_000_000  # of columns, which are held as a whole
_LEAST_COLUMNS = 2
_PIECE = 1 << 20
_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*+")
_ROWS, _COLUMN, _COLUMNS, _OTHER = "array of objects", "array", "object of arrays", "other"


def is_one_value(lines: Lines) -> bool:
    """Return True if a file that begins with a brace is one object, and not one a line."""
    try:
        value = json.loads(next(line for line in lines if line.strip()))
        if not isinstance(value, dict) or isinstance(value.get("log_history"), list):
            return True
        lines.begin_row()
        return _has_table(value) and not any(line.strip() for line in lines)
    except (CheckpointError, ValueError, RecursionError):
        return True


def _has_table(value: Mapping[str, Any]) -> bool:
    """Return True if an object contains the rows of a log, and is not a row itself."""
    tables = [value[name] for name in _TABLES if name in value]
    if any(isinstance(table, list) and table and isinstance(table[0], dict) for table in tables):
        return True
    return any(
        sum(isinstance(item, list) for item in own.values()) >= _LEAST_COLUMNS
        for own in (value, *tables)
        if isinstance(own, dict)
    )


def read_document(file: LogFile, descriptor: int, nbytes: int, encoding: str) -> Iterator[Row]:
    """Yield the objects of an array, or the rows in an object."""
    if nbytes > _MAX_NBYTES:
        raise file.error(f"a JSON document of {nbytes:,} bytes exceeds the limit of 64 MiB: convert it to JSON lines")
    read = _read_utf_16 if encoding == "utf-16" else read_extent
    text = read(descriptor, file.path, 0, nbytes)
    walker = _walker_of(text)
    try:
        if walker.at_array():
            file.kind = "a JSON array"
            yield from _array(file, walker)
        else:
            table, form = _table(file, text)
            file.kind = "trainer_state.json" if table == "log_history" else "a JSON object"
            yield from _table_rows(file, walker, table, form)
        walker.end()
    except JsonError as error:
        raise CheckpointError(file.path, error.reason, error.position) from error


def _read_utf_16(descriptor: int, path: str, start: int, nbytes: int) -> bytes:
    """Return a text in UTF-8, converted piece by piece: the whole takes up to four bytes a character."""
    decoder = getincrementaldecoder("utf-16")("replace")
    text = BytesIO()
    for begin in range(start, start + nbytes, _PIECE):
        piece = read_extent(descriptor, path, begin, min(_PIECE, start + nbytes - begin))
        text.write(decoder.decode(piece, final=begin + _PIECE >= start + nbytes).encode("utf-8", "replace"))
    return text.getvalue()


def _walker_of(text: bytes) -> JsonWalker:
    """Return a walker at the value of a text, of which no copy is made."""
    walker = JsonWalker(text)
    start = _START.match(text)
    walker.position = start.end() if start else 0
    return walker


def _table(file: LogFile, text: bytes) -> tuple[str | None, str]:
    """Return the member that has the rows, None for the object itself, and its form."""
    walker = _walker_of(text)
    forms = {name: _form(file, walker, name) for name in _members(file, walker)}
    table = next((name for name in _TABLES if forms.get(name) in (_ROWS, _COLUMNS)), None)
    if table is not None:
        return table, forms[table]
    if "log_history" in forms or _COLUMN not in forms.values():
        raise file.error(f"a JSON object without an array log_history or columns: a training log must be {KINDS}")
    return None, _COLUMNS


def _table_rows(file: LogFile, walker: JsonWalker, table: str | None, form: str) -> Iterator[Row]:
    if table is None:
        yield from _columns(file, walker)
        return
    for name in walker.members():
        if name != table:
            _form(file, walker, name)
        elif form == _ROWS:
            yield from _array(file, walker)
        else:
            yield from _columns(file, walker)


def _members(file: LogFile, walker: JsonWalker) -> Iterator[str]:
    for index, name in enumerate(walker.members()):
        if index == _MAX_MEMBERS:
            raise file.error(f"a JSON object of more than {_MAX_MEMBERS:,} members")
        yield name


def _form(file: LogFile, walker: JsonWalker, name: str) -> str:
    """Read a member and return its form."""
    if walker.at_array():
        has_objects = name == "log_history"
        for place in walker.elements():
            if place > _MAX_ELEMENTS:
                raise file.error(f"more than {_MAX_ELEMENTS:,} elements in an array")
            has_objects |= place == 1 and walker.at_object()
            walker.skip_value()
        return _ROWS if has_objects else _COLUMN
    if name in _TABLES and walker.at_object():
        return _COLUMNS if _COLUMN in [_form(file, walker, "") for _ in _members(file, walker)] else _OTHER
    walker.skip_value()
    return _OTHER


def _array(file: LogFile, walker: JsonWalker) -> Iterator[Row]:
    for index in walker.elements():
        is_object = walker.at_object()
        text = walker.skip_value()
        row = row_of(text) if is_object else None
        if row is None:
            file.leave_out(f"element {index} of the array is not {'valid JSON' if is_object else 'an object'}")
        else:
            yield row


def _columns(file: LogFile, walker: JsonWalker) -> Iterator[Row]:
    """Yield the rows of an object of arrays, whose other members are not read."""
    columns: dict[str, list[Cell]] = {}
    cells = 0
    for name in _members(file, walker):
        if not walker.at_array():
            walker.skip_value()
            continue
        if len(name) > MAX_NAME:
            raise file.error(f"a column name has more than {MAX_NAME:,} characters")
        columns[name] = column = []
        for _ in walker.elements():
            column.append(_element(walker))
            cells += 1
            if cells > _MAX_CELLS:
                raise file.error(f"more than {_MAX_CELLS:,} values in arrays: convert the log to JSON lines")
    first = next(iter(columns))
    for name, column in columns.items():
        if len(column) != len(columns[first]):
            raise file.error(
                f"arrays of different lengths: {shortened(first)} has {len(columns[first]):,} values, "
                f"{shortened(name)} has {len(column):,}"
            )
    for index in range(len(columns[first])):
        yield {name: column[index] for name, column in columns.items()}


def _element(walker: JsonWalker) -> Cell:
    position = walker.position
    if walker.at_string():
        return cell_of(walker.string()[:MAX_NAME])
    text = walker.skip_value()
    try:
        return cell_of(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise JsonError("not a JSON value", position) from error
