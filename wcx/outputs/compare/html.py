"""A comparison in a notebook: tables of HTML with their styles inline, no scripts, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import prose
from wcx.outputs.compare.agreement import agreements, estimate_columns
from wcx.outputs.compare.columns import SPARK, base_columns
from wcx.outputs.compare.ranking import select
from wcx.outputs.compare.sections import sections
from wcx.outputs.compare.sparks import FANCY
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.grid import Column, LineT, Section
from wcx.outputs.shared.html import CELL, HUES, RULE, TABLE, head, safe

_SPARK_WIDTH = 24


def render_html(comparison: Comparison) -> str:
    """Return the comparison as one self-contained block of HTML; of more than 40 lines those of largest change."""
    chosen = select(comparison, View(terminal=True))
    shown = sections(comparison, chosen)
    lines = [line for section in shown for line in section.lines]
    tables = list(agreements(comparison))
    heading = [prose.settings(comparison.settings), *prose.log_facts(comparison)]
    parts = [f"<div><p><b>{safe(prose.facts(comparison))}</b><br><small>{_joined(heading)}</small></p>"]
    if lines:
        parts.append(f"<p><b>{safe(prose.title(chosen))}</b></p>")
        parts += _table(base_columns(lines), shown, "layer", lambda line: FANCY.draw(line.values, _SPARK_WIDTH))
        parts.append(_small([*prose.left_out(chosen, "comparison.layers has all"), *prose.legend(lines)]))
    for table in tables:
        parts.append(f"<p><b>{safe(table.title)}</b></p>")
        parts += _table(estimate_columns(table), table.sections, "")
    parts.append(_small([*prose.agreement_legend(tables), *prose.layer_correlations(comparison)]))
    parts.append(_concluded(comparison))
    parts.append(_small([f"{kind}: {text}" for kind, text in prose.remarks(comparison)]))
    return "".join(parts) + "</div>"


def _table(
    columns: Sequence[Column[LineT]],
    sections: Sequence[Section[LineT]],
    corner: str,
    draw: Callable[[LineT], str] = lambda _line: "",
) -> Iterator[str]:
    heads = head(corner, True) + "".join(head(column.head, column.look.left) for column in columns)
    yield f'<table style="{TABLE}"><thead><tr>{heads}</tr></thead><tbody>'
    for section in sections:
        if section.title:
            yield _title(section.title, len(columns) + 1)
        for line in section.lines:
            cells = ((Cell(draw(line)) if column.key == SPARK else column.cell(line), column) for column in columns)
            tds = "".join(_cell(cell, column.look.left) for cell, column in cells)
            yield f"<tr>{_cell(Cell(line.label), True)}{tds}</tr>"
    yield "</tbody></table>"


def _cell(cell: Cell, left: bool) -> str:
    tone = ";opacity:.6" if cell.tone == "dim" else f";color:{HUES[cell.tone]}" if cell.tone in HUES else ""
    return f'<td style="{CELL};text-align:{"left" if left else "right"}{tone}">{safe(cell.text.strip())}</td>'


def _title(text: str, span: int) -> str:
    return f'<tr style="{RULE}"><td colspan="{span}" style="{CELL};text-align:left;opacity:.6">{safe(text)}</td></tr>'


def _concluded(comparison: Comparison) -> str:
    if not comparison.conclusions:
        return ""
    texts = ((conclusion.survives, safe(conclusion.text)) for conclusion in comparison.conclusions)
    items = (f"<b>{text}</b>" if survives else text for survives, text in texts)
    return f"<p><b>conclusions</b><br>{'<br>'.join(items)}<br>{safe(prose.multiplicity(comparison))}</p>"


def _small(sentences: Sequence[str]) -> str:
    return f"<p><small>{_joined(sentences)}</small></p>" if sentences else ""


def _joined(sentences: Sequence[str]) -> str:
    return "<br>".join(map(safe, sentences))
