"""A report in a notebook: one table of HTML with its styles inline, no scripts, readable on light and dark pages.

Colours are the page's own, fainter or with one of two hues that stand out on either ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wcx.core.report import Report
from wcx.outputs import View
from wcx.outputs.analyze import prose
from wcx.outputs.analyze.columns import Column, Line, bar_share, columns, layer_lines, model_lines
from wcx.outputs.analyze.grid import longest_bar
from wcx.outputs.analyze.ranking import select
from wcx.outputs.shared.bars import FANCY
from wcx.outputs.shared.html import CELL, HUES, RULE, TABLE, head, safe

_MOST_RANK = 13
_BAR_PIXELS = 72


def render_html(report: Report) -> str:
    """Return the report as one self-contained block of HTML; of more than 40 layers the most interesting."""
    selection = select(report.layers, View(terminal=True))
    main, apart = list(layer_lines(selection.main)), list(layer_lines(selection.apart))
    model = list(model_lines(report.model))
    lines = [*main, *apart, *model]
    sentences = [
        *prose.left_out(report, selection, "report.layers has all"),
        *prose.legend(lines, FANCY),
        *prose.skipped(report),
        *(f"{kind}: {text}" for kind, text in prose.remarks(report)),
    ]
    return "".join(
        [
            f"<div><p><b>{safe(report.checkpoint.path)}</b>: {safe(prose.facts(report))}<br>",
            f"<small>{safe(prose.settings(report.settings))}</small></p>",
            *(_table(main, apart, model) if lines else ()),
            f"<p><small>{'<br>'.join(map(safe, sentences))}</small></p></div>",
        ]
    )


def _table(main: list[Line], apart: list[Line], model: list[Line]) -> Iterator[str]:
    lines = [*main, *apart, *model]
    shown = [column for column in columns(lines) if column.rank < _MOST_RANK]
    longest = longest_bar(lines)
    heads = "".join(head(" ".join(column.look.heads).strip(), column.look.left) for column in shown)
    yield f'<table style="{TABLE}"><thead><tr>{head("layer", True)}{heads}</tr></thead><tbody>'
    for line in main:
        yield _row(line, shown, longest, "")
    if apart:
        yield f'<tr><td colspan="{len(shown) + 1}" style="{CELL};text-align:left;opacity:.6">{prose.APART}</td></tr>'
    for line in apart:
        yield _row(line, shown, longest, "")
    for index, line in enumerate(model):
        yield _row(line, shown, longest, "font-weight:bold;" + (RULE if index == 0 else ""))
    yield "</tbody></table>"


def _row(line: Line, shown: Sequence[Column], longest: float, style: str) -> str:
    name = f'<td style="{CELL};text-align:left">{safe(line.label)}</td>'
    return f'<tr style="{style}">{name}{"".join(_cell(column, line, longest) for column in shown)}</tr>'


def _cell(column: Column, line: Line, longest: float) -> str:
    cell = column.cell(line)
    tone = "opacity:.6" if cell.tone == "dim" else f"color:{HUES[cell.tone]}" if cell.tone in HUES else ""
    content = _bar(bar_share(line), longest) if column.key == "bar" else safe(cell.text.strip())
    return f'<td style="{CELL};text-align:{"left" if column.look.left else "right"};{tone}">{content}</td>'


def _bar(share: float | None, longest: float) -> str:
    if not share:
        return "" if share is None else FANCY.chance
    pixels = round(abs(share) / longest * _BAR_PIXELS)
    bar = f'<span style="display:inline-block;height:.7em;width:{pixels}px;background:currentColor"></span>'
    return (FANCY.less if share < 0 else FANCY.more) + bar
