"""What every form of a training log shares: a row, what its cells can hold, the file's lines, what was left out.

Every size is bounded here: the file, a line, a name.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from wcx.core.errors import CheckpointError

KINDS = "CSV, TSV, JSON lines, a JSON array of objects, or trainer_state.json"
MAX_NAME = 1000  # characters of a column's name
MAX_LINE = 1 << 20
_MISSING = frozenset(("", "null", "none", "n/a", "na", "-"))


class Cell(Enum):
    """What a cell holds that is neither a finite number nor nothing."""

    NONFINITE = "NaN or infinite"
    TEXT = "text"


Row = Mapping[str, float | Cell | None]
"""Of each column that the row names: a number, what is none (Cell), or None where nothing stands there."""


@dataclass(slots=True)
class Reading:
    """One file and what was found in it beside its rows; filled while they are read.

    kind: the form in words. left_out: rows that can't be read; why_left_out: the first of them. short: lines with fewer
    cells than the header. repeated: lines that are the header again. cut: whether the last line has no end. unnamed:
    columns without a name. decimal_comma: whether 0,5 was read as 0.5.
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

    def error(self, reason: str) -> CheckpointError:
        """What ends the reading."""
        return CheckpointError(self.path, reason)

    def leave_out(self, why: str) -> None:
        """Count a row that can't be read."""
        self.left_out += 1
        self.why_left_out = self.why_left_out or why


class Lines:
    """The lines of an open text file, with their ends, from its beginning; `number` is that of the last, from 1.

    CheckpointError where a line, or several that quotes make one row, are above 1 MiB.
    """

    def __init__(self, reading: Reading, descriptor: int, encoding: str) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        raw = io.FileIO(descriptor, closefd=False)  # whoever opened the descriptor closes it
        self._text = io.TextIOWrapper(io.BufferedReader(raw), encoding=encoding, errors="replace", newline="")
        self._reading = reading
        self._in_row = 0
        self.number = 0
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._in_row += len(line)
        if self._in_row > MAX_LINE:
            raise self._reading.error(f"line {self.number}: a row of more than 1 MiB, or a quote that nothing closes")
        self.last = line
        return line

    def begin_row(self) -> None:
        """What follows is another row."""
        self._in_row = 0

    @property
    def cut(self) -> bool:
        """Whether the last line has no end, as while it is being written."""
        return not self.last.endswith(("\n", "\r"))


def number_in(text: str) -> float | Cell | None:
    """Read a cell written as text: digits in ASCII, no underscores, no thousands.

    >>> number_in("-1.5e-3"), number_in(""), number_in("NaN"), number_in("1_000")
    (-0.0015, None, <Cell.NONFINITE: 'NaN or infinite'>, <Cell.TEXT: 'text'>)
    """
    try:
        number = float(text)
    except ValueError:
        return None if text.strip().lower() in _MISSING else Cell.TEXT
    return finite(number) if "_" not in text and text.isascii() else Cell.TEXT


def finite(number: float) -> float | Cell:
    """A number as double; an integer beyond its range counts as infinite."""
    try:
        number = float(number)
    except OverflowError:
        return Cell.NONFINITE
    return number if math.isfinite(number) else Cell.NONFINITE
