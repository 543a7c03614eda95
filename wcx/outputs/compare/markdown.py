"""A comparison as GitHub's Markdown, for a README or an issue; nothing from a file can be Markdown or HTML itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import prose
from wcx.outputs.compare.agreement import Agreement, agreements, estimate_columns
from wcx.outputs.compare.columns import SPARK, base_columns
from wcx.outputs.compare.ranking import check, select
from wcx.outputs.compare.sections import sections
from wcx.outputs.compare.sparks import Sparks, sparks_for
from wcx.outputs.shared.grid import BASE_RANK
from wcx.outputs.shared.markdown import table, text, write_lines

_SPARK_WIDTH = 16


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the comparison; UsageError for an order that it does not have."""
    check(view)
    write_lines(stream, _lines(comparison, view, sparks_for(stream)))


def _lines(comparison: Comparison, view: View, sparks: Sparks) -> Iterator[str]:
    chosen = select(comparison, view)
    shown = sections(comparison, chosen)
    lines = [line for section in shown for line in section.lines]
    if not view.quiet:
        yield f"### {text(prose.facts(comparison))}"
        yield from ("", text("; ".join([prose.settings(comparison.settings), *prose.log_facts(comparison)])))
        yield from ("", f"**{text(prose.title(chosen))}**", "") if lines else ()
    if lines:
        yield from table(base_columns(lines), shown, lambda line: sparks.draw(line.values, _SPARK_WIDTH), SPARK)
    found = list(agreements(comparison))
    for agreement in found:
        columns = [column for column in estimate_columns(agreement) if column.rank < BASE_RANK]
        yield from ("", f"**{text(agreement.title)}**", "")
        yield from table(columns, agreement.sections, corner="")
    if not view.quiet:
        yield from _explanations(comparison, [*prose.left_out(chosen), *prose.legend(lines)], found)


def _explanations(comparison: Comparison, sentences: Sequence[str], tables: Sequence[Agreement]) -> Iterator[str]:
    others = [*sentences, *prose.agreement_legend(tables), *prose.layer_correlations(comparison)]
    yield from ("", *(f"- {text(sentence)}" for sentence in others)) if others else ()
    if comparison.conclusions:
        yield from ("", "**conclusions**", "")
        yield from (f"- {text(conclusion.text)}" for conclusion in comparison.conclusions)
        yield f"\n{text(prose.multiplicity(comparison))}"
    remarks = [f"{kind}: {said}" for kind, said in prose.remarks(comparison)]
    yield from ("", "**notes**", "", *(f"- {text(remark)}" for remark in remarks)) if remarks else ()
