"""A comparison as one indented JSON object, each series on a line of its own.

The fields are the contract of docs/json.md: those of Comparison.to_dict(). The same comparison gives the same bytes;
floats are written so that they read back to the same double. It is written layer by layer.
"""

from __future__ import annotations

from typing import TextIO

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.shared.encoding import Encoder


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the comparison; raises ValueError for NaN or an infinity in it."""
    stream.writelines(Encoder.for_stream(stream, indented=True, inline=True).pieces(comparison))
    stream.write("\n")
    stream.flush()
