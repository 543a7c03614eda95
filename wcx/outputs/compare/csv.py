"""The tidy table as CSV: one row per checkpoint, layer, plane and measure that has a value there."""

from __future__ import annotations

from itertools import chain
from typing import TextIO

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.shared.csv import CsvRows

COLUMNS = ("checkpoint", "step", "layer", "plane", "measure", "value", "scope", "group")
"""The header, in the order of Comparison.rows()."""


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the header and the rows of Comparison.rows(), one after the other."""
    CsvRows(stream, view).rows(chain([COLUMNS], comparison.rows()))
