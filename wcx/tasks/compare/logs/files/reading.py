"""Parts that every format of a training log shares: rows, cells, the file with its counters, and its lines.

Every size is bounded here: the file, a line, a name.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wcx.core.errors import CheckpointError

KINDS = "CSV, TSV, JSON lines, a JSON array of objects, or trainer_state.json"
MAX_NAME = 1000  # characters of a column's name
MAX_LINE = 1 << 20
_MISSING = frozenset(("", "null", "none", "n/a", "na", "-"))


Cell = float | str | None
"""A number (NaN for infinite ones too), the text of a cell that is not a number, or None for an empty cell."""

Row = Mapping[str, Cell]
"""The cells by column."""


@dataclass(slots=True)
class LogFile:
    """One file and the counts of unusual rows in it, filled while it is read.

    kind: the format in words. left_out: rows that can't be read; why_left_out: the first of them. short: lines with
    fewer cells than the header. repeated: lines that repeat the header. cut: whether the last line has no end. unnamed:
    columns without a name. decimal_comma: whether 0,5 was read as 0.5; decimal_point: the first number with a point.
    long_form: the column of tags of a log that was read as one metric a row.
    """

    path: str
    kind: str = ""
    left_out: int = 0
    why_left_out: str = ""
    short: int = 0
    repeated: int = 0
    unnamed: int = 0
    cut: bool = False
    decimal_comma: bool = False
    decimal_point: str = ""
    long_form: str = ""

    def error(self, reason: str) -> CheckpointError:
        """Return the error that ends the reading."""
        return CheckpointError(self.path, reason)

    def leave_out(self, why: str) -> None:
        """Count a row that can't be read."""
        self.left_out += 1
        self.why_left_out = self.why_left_out or why


class Lines:
    """The lines of an open text file, with their ends, from its beginning; `number` is that of the last, from 1.

    CheckpointError where a line, or several that quotes make one row, are above 1 MiB.
    """

    def __init__(self, file: LogFile, descriptor: int, encoding: str) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        raw = io.FileIO(descriptor, closefd=False)  # whoever opened the descriptor closes it
        self._text = io.TextIOWrapper(io.BufferedReader(raw), encoding=encoding, errors="replace", newline="")
        self._in_row = 0
        self._last = ""
        self.file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._in_row += len(line)
        if self._in_row > MAX_LINE:
            raise self.error("a row of more than 1 MiB, or an unclosed quote")
        self._last = line
        return line

    def begin_row(self) -> None:
        """Begin another row with the next line."""
        self._in_row = 0

    def error(self, reason: str) -> CheckpointError:
        """Return an error in the last line."""
        return self.file.error(f"line {self.number}: {reason}")

    @property
    def cut(self) -> bool:
        """True if the last line has no end, as while it is being written."""
        return not self._last.endswith(("\n", "\r"))


def number_in(text: str) -> Cell:
    """Return the value of a cell written as text: digits in ASCII, no underscores, no thousands, no units.

    >>> number_in("-1.5e-3"), number_in(""), number_in("Infinity"), number_in("1_000"), number_in("51%")
    (-0.0015, None, nan, '1_000', '51%')
    """
    try:
        number = float(text)
    except ValueError:
        return None if text.strip().lower() in _MISSING else text
    return finite(number) if "_" not in text and text.isascii() else text


def finite(number: float) -> float:
    """Return a number as double, NaN for an infinite one and for an integer beyond the range."""
    try:
        number = float(number)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan
