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
from wcx.tasks.compare.logs.files.reading import KINDS, MAX_LINE, MAX_NAME, Lines, Reading, Row, number_in

_NAMES = {"\t": "TSV", ";": "CSV with semicolons", ",": "CSV"}
_QUOTED = re.compile(r'"[^"]*+"?')
_WITH_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_WITH_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class _Header:
    """names: of the columns, "" for one without. first: the cells of a first row that was read on the way."""

    delimiter: str
    names: tuple[str, ...]
    first: tuple[str, ...] | None = None


def read_delimited(reading: Reading, lines: Lines) -> Iterator[Row]:
    """Yield the row of each line under the header; blank lines, comments (#) and the header again are passed over."""
    header = _header(reading, lines)
    reading.kind = _NAMES[header.delimiter]
    reading.unnamed = header.names.count("")
    decimals = _Decimals(reading)
    for cells in _rows(reading, lines, header):
        if header.delimiter != ",":
            cells = [decimals.with_point(cell, lines.number) for cell in cells]
        yield {name: number_in(cell) for name, cell in zip(header.names, cells, strict=False) if name}


class _Decimals:
    """Turns decimal commas into points, and sees to it that a file has one of the two."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._point = ""

    def with_point(self, cell: str, line: int) -> str:
        if _WITH_POINT.fullmatch(cell):
            self._point = self._point or cell
        elif _WITH_COMMA.fullmatch(cell):
            self._reading.decimal_comma = True
        else:
            return cell
        if self._point and self._reading.decimal_comma:
            raise self._reading.error(
                f"line {line}: numbers with a decimal comma and with a point ({shortened(self._point)}), "
                "of which one would be thousands: write all of them with points"
            )
        return cell.replace(",", ".")


def _header(reading: Reading, lines: Lines) -> _Header:
    """Read the names: the first line that is neither blank nor a comment; or the comment above numbers (NumPy)."""
    comment = ""
    for line in lines:
        lines.begin_row()
        text = line.strip()
        if text.startswith("#"):
            comment = text.lstrip("# ")
        elif text:
            return _named(reading, lines, line, comment)
    raise reading.error("nothing but comments and blank lines")


def _named(reading: Reading, lines: Lines, line: str, comment: str) -> _Header:
    delimiter = _delimiter(line)
    if not delimiter:
        raise reading.error(f"line {lines.number}: no comma, semicolon or tab in it; a training log is {KINDS}")
    cells, above = _split(reading, lines, line, delimiter), _split(reading, lines, comment, delimiter)
    if not all(isinstance(number_in(cell.replace(",", ".")), float) for cell in cells):
        return _Header(delimiter, _checked(reading, lines, cells))
    if len(above) != len(cells):
        raise reading.error(f"line {lines.number}: numbers where the names of the columns should be")
    return _Header(delimiter, _checked(reading, lines, above), cells)


def _delimiter(line: str) -> str:
    """The most frequent of tab, semicolon and comma outside quotes, the first of these if none is; "" without any."""
    counts = Counter(_QUOTED.sub("", line))
    best = max(_NAMES, key=lambda delimiter: counts[delimiter])
    return best if counts[best] else ""


csv.field_size_limit(MAX_LINE)  # for the whole process: a row's limit holds already


def _split(reading: Reading, lines: Lines, line: str, delimiter: str) -> tuple[str, ...]:
    try:
        rows = list(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise reading.error(f"line {lines.number}: {error}") from error
    return tuple(cell.strip() for cell in rows[0]) if rows else ()


def _checked(reading: Reading, lines: Lines, names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for name, times in Counter(names).items() if name and times > 1), None)
    if twice is not None:
        raise reading.error(f"line {lines.number}: two columns have the name {shortened(twice)}")
    if any(len(name) > MAX_NAME for name in names):
        raise reading.error(f"line {lines.number}: the name of a column has more than {MAX_NAME:,} characters")
    return names


def _rows(reading: Reading, lines: Lines, header: _Header) -> Iterator[list[str]]:
    if header.first is not None:
        yield list(header.first)
    reader = csv.reader(lines, delimiter=header.delimiter, skipinitialspace=True)
    try:
        for raw in reader:
            lines.begin_row()
            cells = [cell.strip() for cell in raw]
            if any(cells) and not cells[0].startswith("#") and _is_row(reading, lines, header, cells):
                yield cells
    except csv.Error as error:
        raise reading.error(f"line {lines.number}: {error}") from error
    reading.cut = lines.cut


def _is_row(reading: Reading, lines: Lines, header: _Header, cells: list[str]) -> bool:
    """Whether the cells of a line belong to the columns; counts why not."""
    width = len(header.names)
    if tuple(cells) == header.names:
        reading.repeated += 1
        return False
    if any(cells[width:]):
        reading.leave_out(f"line {lines.number} has {len(cells)} cells under {width} names")
        return False
    if len(cells) < width and lines.cut:
        reading.leave_out(f"line {lines.number}, the last, is cut short")
        return False
    reading.short += len(cells) < width
    return True
