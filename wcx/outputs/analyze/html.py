"""A report in a notebook: one table of HTML with its styles inline, no scripts, readable on light and dark pages.

Colours are the page's own, fainter or with one of two hues that are visible on either ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wcx.core.report import Report
from wcx.outputs import View
from wcx.outputs.analyze import prose
from wcx.outputs.analyze.columns import BAR, Line, bar_share, columns
from wcx.outputs.analyze.ranking import select
from wcx.outputs.analyze.sections import longest_bar, sections
from wcx.outputs.shared.bars import FANCY
from wcx.outputs.shared.grid import Column, Section
from wcx.outputs.shared.html import CELL, HUES, RULE, TABLE, head, safe

_MOST_RANK = 13
_BAR_PIXELS = 72


def render_html(report: Report) -> str:
    """Return the report as one self-contained block of HTML; of more than 40 layers the most interesting."""
    selection = select(report.layers, View(terminal=True))
    shown = sections(report, selection)
    lines = [line for section in shown for line in section.lines]
    sentences = [text for _, text in prose.explanations(report, selection, lines, FANCY, "report.layers has all")]
    return "".join(
        [
            f"<div><p><b>{safe(report.checkpoint.path)}</b>: {safe(prose.facts(report))}<br>",
            f"<small>{safe(prose.settings(report.settings))}</small></p>",
            *(_table(shown, lines) if lines else ()),
            f"<p><small>{'<br>'.join(map(safe, sentences))}</small></p></div>",
        ]
    )


def _table(shown: Sequence[Section[Line]], lines: Sequence[Line]) -> Iterator[str]:
    chosen = [column for column in columns(lines) if column.rank < _MOST_RANK]
    longest = longest_bar(lines)
    heads = "".join(head(column.head, column.look.left) for column in chosen)
    yield f'<table style="{TABLE}"><thead><tr>{head("layer", True)}{heads}</tr></thead><tbody>'
    for section in shown:
        if section.title:
            style = f"{CELL};text-align:left;opacity:.6"
            yield f'<tr><td colspan="{len(chosen) + 1}" style="{style}">{safe(section.title)}</td></tr>'
        for index, line in enumerate(section.lines):
            rule = RULE if section.divider and index == 0 else ""
            yield _row(line, chosen, longest, "font-weight:bold;" * section.bold + rule)
    yield "</tbody></table>"


def _row(line: Line, shown: Sequence[Column[Line]], longest: float, style: str) -> str:
    name = f'<td style="{CELL};text-align:left">{safe(line.label)}</td>'
    return f'<tr style="{style}">{name}{"".join(_cell(column, line, longest) for column in shown)}</tr>'


def _cell(column: Column[Line], line: Line, longest: float) -> str:
    cell = column.cell(line)
    tone = "opacity:.6" if cell.tone == "dim" else f"color:{HUES[cell.tone]}" if cell.tone in HUES else ""
    content = _bar(bar_share(line), longest) if column.key == BAR else safe(cell.text.strip())
    return f'<td style="{CELL};text-align:{"left" if column.look.left else "right"};{tone}">{content}</td>'


def _bar(share: float | None, longest: float) -> str:
    if not share:
        return "" if share is None else FANCY.chance
    pixels = round(abs(share) / longest * _BAR_PIXELS)
    bar = f'<span style="display:inline-block;height:.7em;width:{pixels}px;background:currentColor"></span>'
    return (FANCY.less if share < 0 else FANCY.more) + bar
