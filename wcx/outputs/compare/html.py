"""A comparison in a notebook: tables of HTML with their styles inline, no scripts, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import prose
from wcx.outputs.compare.agreement import Agreement, agreements, estimate_columns
from wcx.outputs.compare.columns import SPARK, Column, columns
from wcx.outputs.compare.lines import Line, blocks, layer_lines, select
from wcx.outputs.compare.sparks import FANCY
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.fit import BASE_RANK
from wcx.outputs.shared.html import CELL, HUES, RULE, TABLE, head, safe

_SPARK_WIDTH = 24


def render_html(comparison: Comparison) -> str:
    """Return the comparison as one self-contained block of HTML; of more than 40 lines the biggest movers."""
    selection = select(comparison, View(terminal=True))
    main = list(layer_lines(comparison, selection))
    closing = list(blocks(comparison, selection.measure))
    lines = [*main, *(line for block in closing for line in block.lines)]
    shown = [column for column in columns(lines) if column.rank < BASE_RANK]
    tables = list(agreements(comparison))
    heading = [prose.settings(comparison.settings), *prose.log_facts(comparison)]
    parts = [f"<div><p><b>{safe(prose.facts(comparison))}</b><br><small>{_joined(heading)}</small></p>"]
    if lines:
        parts.append(f"<p><b>{safe(prose.title(selection))}</b></p>")
        parts += _open(["layer", *(" ".join(column.heads).strip() for column in shown)], shown)
        parts += [_row(line, shown) for line in main]
        for block in closing:
            parts.append(_title(block.title, len(shown) + 1))
            parts += [_row(line, shown) for line in block.lines]
        parts.append("</tbody></table>")
        parts.append(_small([*prose.left_out(selection, "comparison.layers has all"), *prose.legend(lines)]))
    parts += [piece for table in tables for piece in _agreement(table)]
    parts.append(_small([*prose.agreement_legend(tables), *prose.layer_correlations(comparison)]))
    parts.append(_concluded(comparison))
    parts.append(_small([f"{kind}: {text}" for kind, text in prose.remarks(comparison)]))
    return "".join(parts) + "</div>"


def _open(heads: Sequence[str], shown: Sequence[Column]) -> Iterator[str]:
    lefts = [True, *(column.left for column in shown)]
    cells = "".join(head(text, left) for text, left in zip(heads, lefts, strict=True))
    yield f'<table style="{TABLE}"><thead><tr>{cells}</tr></thead><tbody>'


def _row(line: Line, shown: Sequence[Column]) -> str:
    cells = (
        Cell(FANCY.draw(line.values, _SPARK_WIDTH)) if column.key == SPARK else column.cell(line) for column in shown
    )
    tds = (_cell(cell, column.left) for cell, column in zip(cells, shown, strict=True))
    return f"<tr>{_cell(Cell(line.label), True)}{''.join(tds)}</tr>"


def _cell(cell: Cell, left: bool) -> str:
    tone = ";opacity:.6" if cell.tone == "dim" else f";color:{HUES[cell.tone]}" if cell.tone in HUES else ""
    return f'<td style="{CELL};text-align:{"left" if left else "right"}{tone}">{safe(cell.text.strip())}</td>'


def _title(text: str, span: int) -> str:
    return f'<tr style="{RULE}"><td colspan="{span}" style="{CELL};text-align:left;opacity:.6">{safe(text)}</td></tr>'


def _agreement(one: Agreement) -> Iterator[str]:
    found = estimate_columns(one)
    heads = head("", True) + "".join(head(column.head, column.left) for column in found)
    yield f"<p><b>{safe(one.title)}</b></p>"
    yield f'<table style="{TABLE}"><thead><tr>{heads}</tr></thead><tbody>'
    for at, row in enumerate(one.rows):
        if row.is_difference and not one.rows[at - 1].is_difference:
            yield _title(one.difference_title, len(found) + 1)
        tds = "".join(_cell(column.cells[at], column.left) for column in found)
        yield f"<tr>{_cell(Cell(row.label), True)}{tds}</tr>"
    yield "</tbody></table>"


def _concluded(comparison: Comparison) -> str:
    if not comparison.conclusions:
        return ""
    items = (f"<b>{safe(one.text)}</b>" if one.survives else safe(one.text) for one in comparison.conclusions)
    return f"<p><b>what can be concluded</b><br>{'<br>'.join(items)}<br>{safe(prose.multiplicity(comparison))}</p>"


def _small(sentences: Sequence[str]) -> str:
    return f"<p><small>{_joined(sentences)}</small></p>" if sentences else ""


def _joined(sentences: Sequence[str]) -> str:
    return "<br>".join(map(safe, sentences))
