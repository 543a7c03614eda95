"""A comparison of checkpoints as text: one file per kind of output, each with `write(comparison, stream, view)`.

Rendering computes nothing but formatting, a series' change from its first to its last value, and means over a series
or over runs, labelled as such. A new kind is one file and one line in COMPARISON_OUTPUTS; no output is imported before
it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

from wcx.core.registry import Registry

if TYPE_CHECKING:
    from wcx.core.comparison import Comparison
    from wcx.outputs import View

__all__ = ["COMPARISON_OUTPUTS", "WriteComparison"]


class WriteComparison(Protocol):
    """The function that each output's module offers."""

    def __call__(self, comparison: Comparison, stream: TextIO, view: View) -> None:
        """Write all of it and flush; raise UsageError for a view that makes no sense to this comparison."""


COMPARISON_OUTPUTS: Registry[WriteComparison] = Registry(
    "output",
    {
        "table": "wcx.outputs.compare.table:write",
        "json": "wcx.outputs.compare.json:write",
        "ndjson": "wcx.outputs.compare.ndjson:write",
        "csv": "wcx.outputs.compare.csv:write",
        "markdown": "wcx.outputs.compare.markdown:write",
    },
)
