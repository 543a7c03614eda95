"""Reports as text: one file per kind of output, each with an `Output` that opens its writers.

Rendering computes nothing but formatting and such plain display ratios as bits per weight. A new kind is one file and
one line in OUTPUTS, or an entry point of the group `wcx.outputs` in another package, which is chosen by the suffix of
the file that -o names; no output is imported before it is used.

A writer's calls come in this order: for each checkpoint its layers in file order and then its report, or, for an input
that can't be read, one error (possibly after some of its layers); after the last checkpoint one end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from wcx.core.registry import Registry

if TYPE_CHECKING:
    from wcx.core.errors import CheckpointError
    from wcx.core.report import LayerReport, Report

__all__ = ["OUTPUTS", "OpenWriter", "Output", "View", "Writer"]


@dataclass(frozen=True, slots=True)
class View:
    """The options that decide what reports look like.

    several: there can be more than one checkpoint, so JSON is one object per line. sort, top: the table's order and
    length; None is the output's own choice, top 0 is all. planes: a heat map of layers by planes. width: columns of the
    terminal, None where unknown. color: colours may be used. terminal: a person looks at it. quiet: the table alone,
    without explanations.
    """

    several: bool = False
    sort: str | None = None
    top: int | None = None
    planes: bool = False
    width: int | None = None
    color: bool = False
    terminal: bool = False
    quiet: bool = False


class Writer:
    """Receives results as they are done; streaming outputs write and flush at once, the others wait for the report.

    An output is a subclass with the methods in which it writes.
    """

    def layer(self, path: str, layer: LayerReport) -> None:
        """Take one layer of the checkpoint at `path`; layers come in file order."""

    def report(self, report: Report) -> None:
        """Take the report of a checkpoint, after its layers."""

    def error(self, error: CheckpointError) -> None:
        """Take an input that can't be read; outputs for people write nothing, as the command line reports it."""

    def end(self) -> None:
        """End the output."""


class OpenWriter(Protocol):
    """The function that opens a writer."""

    def __call__(self, stream: TextIO, view: View) -> Writer:
        """Begin writing on `stream`; raise UsageError for a view that makes no sense to this output."""


@dataclass(frozen=True, slots=True)
class Output:
    """One kind of output. summary: a line for `wcx kinds`. suffixes: of the files that -o writes in this way."""

    name: str
    summary: str
    suffixes: tuple[str, ...]
    open_writer: OpenWriter


OUTPUTS: Registry[Output] = Registry(
    "output",
    {
        "table": "wcx.outputs.analyze.table:OUTPUT",
        "json": "wcx.outputs.analyze.json:OUTPUT",
        "ndjson": "wcx.outputs.analyze.ndjson:OUTPUT",
        "csv": "wcx.outputs.analyze.csv:OUTPUT",
        "markdown": "wcx.outputs.analyze.markdown:OUTPUT",
    },
    group="wcx.outputs",
    accepts=lambda item: isinstance(item, Output),
)
