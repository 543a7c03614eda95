"""The tidy table as CSV (RFC 4180, lines end in a newline alone): one row per checkpoint, layer, plane and measure.

Only numbers that are there have a row. Floats read back to the same double; a text that a spreadsheet would take for a
formula gets a leading quote.
"""

from __future__ import annotations

from typing import TextIO

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.shared.cells import Cells

COLUMNS = ("checkpoint", "step", "layer", "plane", "measure", "value", "scope", "group")
"""The header, in the order of Comparison.rows()."""


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the header and the rows of Comparison.rows(), one after the other."""
    cells = Cells(stream, view)
    stream.write(",".join(COLUMNS) + "\n")
    stream.writelines(cells.line(row) for row in comparison.rows())
    stream.flush()
