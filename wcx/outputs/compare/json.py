"""A comparison as one indented JSON object, each series on a line of its own, written layer by layer.

The fields are the contract of docs/json.md: those of Comparison.to_dict(). The same comparison gives the same bytes;
floats are written so that they read back to the same double.
"""

from __future__ import annotations

from typing import TextIO

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.shared.json import write_json


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the comparison; raise ValueError for NaN or an infinity in it."""
    write_json(comparison, stream, inline=True)
