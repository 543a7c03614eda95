"""A comparison as GitHub's Markdown, for a README or an issue; nothing from a file can be Markdown or HTML itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import prose
from wcx.outputs.compare.agreement import Agreement, agreements, estimate_columns
from wcx.outputs.compare.columns import SPARK, Column, columns
from wcx.outputs.compare.lines import Line, blocks, check, layer_lines, select
from wcx.outputs.compare.sparks import Sparks, sparks_for
from wcx.outputs.shared.bars import encoding_of
from wcx.outputs.shared.cells import Cell
from wcx.outputs.shared.fit import BASE_RANK
from wcx.outputs.shared.markdown import code, row, text

_SPARK_WIDTH = 16


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the comparison; UsageError for an order that it does not have."""
    check(view)
    written = "\n".join(_lines(comparison, view, sparks_for(stream))) + "\n"
    encoding = encoding_of(stream)
    stream.write(written.encode(encoding, "xmlcharrefreplace").decode(encoding))
    stream.flush()


def _lines(comparison: Comparison, view: View, sparks: Sparks) -> Iterator[str]:
    selection = select(comparison, view)
    main = list(layer_lines(comparison, selection))
    closing = list(blocks(comparison, selection.measure))
    lines = [*main, *(line for block in closing for line in block.lines)]
    shown = [column for column in columns(lines) if column.rank < BASE_RANK]
    if not view.quiet:
        yield f"### {text(prose.facts(comparison))}"
        yield from ("", text("; ".join([prose.settings(comparison.settings), *prose.log_facts(comparison)])))
        yield from ("", f"**{text(prose.title(selection))}**", "") if lines else ()
    if lines:
        yield row(["layer", *(" ".join(column.heads).strip() for column in shown)])
        yield row([":--", *(":--" if column.left else "--:" for column in shown)])
        yield from (_row(line, shown, sparks) for line in main)
        for block in closing:
            yield row([f"**{text(block.title)}**", *("" for _ in shown)])
            yield from (_row(line, shown, sparks) for line in block.lines)
    tables = list(agreements(comparison))
    for table in tables:
        yield from _agreement(table)
    if not view.quiet:
        yield from _explanations(comparison, [*prose.left_out(selection), *prose.legend(lines)], tables)


def _row(line: Line, shown: Sequence[Column], sparks: Sparks) -> str:
    cells = (
        sparks.draw(line.values, _SPARK_WIDTH) if column.key == SPARK else _cell(column.cell(line), column.left)
        for column in shown
    )
    return row([code(line.label) if line.label else "", *cells])


def _cell(cell: Cell, is_text: bool) -> str:
    """Numbers are ours and have no markup; names of planes and runs may."""
    return text(cell.text.strip()) if is_text else cell.text.strip()


def _agreement(one: Agreement) -> Iterator[str]:
    found = [column for column in estimate_columns(one) if column.rank < BASE_RANK]
    yield from ("", f"**{text(one.title)}**", "")
    yield row(["", *(column.head for column in found)])
    yield row([":--", *(":--" if column.left else "--:" for column in found)])
    for at, item in enumerate(one.rows):
        if item.is_difference and not one.rows[at - 1].is_difference:
            yield row([f"*{text(one.difference_title)}*", *("" for _ in found)])
        yield row([code(item.label), *(_cell(column.cells[at], column.left) for column in found)])


def _explanations(comparison: Comparison, sentences: Sequence[str], tables: Sequence[Agreement]) -> Iterator[str]:
    others = [*sentences, *prose.agreement_legend(tables), *prose.layer_correlations(comparison)]
    yield from ("", *(f"- {text(sentence)}" for sentence in others)) if others else ()
    if comparison.conclusions:
        yield from ("", "**what can be concluded**", "")
        yield from (f"- {text(one.text)}" for one in comparison.conclusions)
        yield f"\n{text(prose.multiplicity(comparison))}"
    remarks = [f"{kind}: {said}" for kind, said in prose.remarks(comparison)]
    yield from ("", "**notes**", "", *(f"- {text(remark)}" for remark in remarks)) if remarks else ()
