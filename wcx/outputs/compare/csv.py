"""The tidy table as CSV: one row per checkpoint, layer, plane and measure that has a value there."""

from __future__ import annotations

from itertools import chain
from typing import TextIO

from wcx.core.comparison import TIDY_COLUMNS, Comparison
from wcx.outputs import View
from wcx.outputs.shared.csv import CsvRows


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the header and the rows of Comparison.rows(), one after the other."""
    CsvRows(stream, view).rows(chain([TIDY_COLUMNS], comparison.rows()))
