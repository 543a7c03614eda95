"""The sections of a report's table, and the bars of its lines, for terminals, Markdown and notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from wcx.core.report import Report
from wcx.outputs.analyze.columns import BAR, Line, bar_share, layer_lines, model_lines
from wcx.outputs.analyze.ranking import Selection
from wcx.outputs.shared.bars import Bars
from wcx.outputs.shared.grid import Drawing, Section

TRIVIAL_TITLE = "at most two distinct values (masks, constants)"
_BAR_FLOOR = 0.05


def sections(report: Report, selection: Selection) -> list[Section[Line]]:
    """Return the layers, those of at most two distinct values under a title, and the model."""
    trivial = list(layer_lines(selection.apart))
    return [
        Section(list(layer_lines(selection.main))),
        *([Section(trivial, TRIVIAL_TITLE)] if trivial else ()),
        Section(list(model_lines(report.model)), divider="rule", bold=True),
    ]


def longest_bar(lines: Sequence[Line]) -> float:
    """Return the share that fills a bar: the largest of these lines, but no small one."""
    return max((*(abs(bar_share(line) or 0.0) for line in lines), _BAR_FLOOR))


def bar_drawing(lines: Sequence[Line], bars: Bars, width: int) -> Drawing[Line]:
    """Return what draws the bars of these lines, the longest of that width."""
    longest = longest_bar(lines)
    return Drawing(BAR, width, width, lambda line, room: bars.draw(bar_share(line), longest, room))
