"""Rows in delimited text: CSV with commas or semicolons, TSV; the first line has the names of the columns.

Source: RFC 4180 and Python's csv module. With semicolons or tabs a comma in a number is the decimal sign, as
spreadsheets of many languages write it; a file that has numbers with both signs is refused, since one of them would
have to be thousands.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from wcx.core.text import shortened
from wcx.tasks.compare.logs.files.reading import KINDS, MAX_LINE, MAX_NAME, Lines, Row, number_in

_KINDS = {"\t": "TSV", ";": "CSV with semicolons", ",": "CSV"}
_QUOTED = re.compile(r'"[^"]*+"?')
_SEPARATOR = re.compile(r'"?sep=.?"?', re.IGNORECASE)  # Excel's first line
_WITH_COMMA = re.compile(r"[+-]?[0-9]*+,[0-9]++(?:[eE][+-]?[0-9]++)?")
_WITH_POINT = re.compile(r"[+-]?[0-9]*+\.[0-9]++(?:[eE][+-]?[0-9]++)?")

csv.field_size_limit(MAX_LINE)  # for the whole process: a row's limit is the same


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns of a file. names: "" for one without. first: the cells of a first row that was read on the way."""

    delimiter: str
    names: tuple[str, ...]
    first: tuple[str, ...] = ()


def read_delimited(lines: Lines) -> Iterator[Row]:
    """Yield the row of each line under the header, without blank lines, comments (#) and repeated headers."""
    header = _header(lines)
    lines.file.kind = _KINDS[header.delimiter]
    lines.file.unnamed = header.names.count("")
    for cells in _rows(lines, header):
        if header.delimiter != ",":
            cells = [_with_point(lines, cell) for cell in cells]
        yield {name: number_in(cell) for name, cell in zip(header.names, cells, strict=False) if name}


def _with_point(lines: Lines, cell: str) -> str:
    """Turn a decimal comma into a point; raise CheckpointError where a file has both signs."""
    file = lines.file
    if _WITH_POINT.fullmatch(cell):
        file.decimal_point = file.decimal_point or cell
    elif _WITH_COMMA.fullmatch(cell):
        file.decimal_comma = True
    else:
        return cell
    if file.decimal_point and file.decimal_comma:
        raise lines.error(
            f"ambiguous numbers, with decimal commas and with points ({shortened(file.decimal_point)}): "
            "write all of them with points"
        )
    return cell.replace(",", ".")


def _header(lines: Lines) -> _Header:
    """Read the names: the first line that is neither blank nor a comment; or the comment above numbers (NumPy)."""
    comment = ""
    for line in lines:
        lines.begin_row()
        text = line.strip()
        if text.startswith("#"):
            comment = text.lstrip("# ")
        elif text and not _SEPARATOR.fullmatch(text):
            return _header_from(lines, line, comment)
    raise lines.file.error("the file contains only comments and blank lines")


def _header_from(lines: Lines, line: str, comment: str) -> _Header:
    delimiter = _delimiter(line)
    if not delimiter:
        raise lines.error(f"no delimiter (comma, semicolon or tab): a training log must be {KINDS}")
    cells, above = _split(lines, line, delimiter), _split(lines, comment, delimiter)
    if not all(isinstance(number_in(cell.replace(",", ".")), float) for cell in cells):
        return _Header(delimiter, _checked(lines, cells))
    if len(above) != len(cells):
        raise lines.error("expected column names, found numbers")
    return _Header(delimiter, _checked(lines, above), cells)


def _delimiter(line: str) -> str:
    """Return the most frequent of tab, semicolon and comma outside quotes, the first of equals; "" without any."""
    counts = Counter(_QUOTED.sub("", line))
    best = max(_KINDS, key=lambda delimiter: counts[delimiter])
    return best if counts[best] else ""


def _split(lines: Lines, line: str, delimiter: str) -> tuple[str, ...]:
    try:
        rows = list(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise lines.error(str(error)) from error
    return tuple(cell.strip() for cell in rows[0]) if rows else ()


def _checked(lines: Lines, names: tuple[str, ...]) -> tuple[str, ...]:
    repeated = next((name for name, times in Counter(names).items() if name and times > 1), None)
    if repeated is not None:
        raise lines.error(f"duplicate column name {shortened(repeated)}")
    if any(len(name) > MAX_NAME for name in names):
        raise lines.error(f"a column name has more than {MAX_NAME:,} characters")
    return names


def _rows(lines: Lines, header: _Header) -> Iterator[list[str]]:
    if header.first:
        yield list(header.first)
    try:
        for raw in csv.reader(lines, delimiter=header.delimiter, skipinitialspace=True):
            lines.begin_row()
            cells = [cell.strip() for cell in raw]
            if any(cells) and not cells[0].startswith("#") and _is_row(lines, header, cells):
                yield cells
    except csv.Error as error:
        raise lines.error(str(error)) from error
    lines.file.cut = lines.cut


def _is_row(lines: Lines, header: _Header, cells: list[str]) -> bool:
    """Return True if the cells of a line belong to the columns; count it otherwise."""
    width, file = len(header.names), lines.file
    if tuple(cells) == header.names:
        file.repeated += 1
    elif any(cells[width:]):
        file.leave_out(f"line {lines.number} has {len(cells)} cells, the header has {width}")
    elif len(cells) < width and lines.cut:
        file.leave_out(f"line {lines.number}, the last line, is truncated")
    else:
        file.short += len(cells) < width
        return True
    return False
