"""A comparison on a terminal, and the same as plain text for a program or a file.

First the layers, largest change first, closed by the model and the training log; then how the model's measures move
with each column of the log, levels next to differences; then the conclusions, and what could not be compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.text import Text

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import prose
from wcx.outputs.compare.agreement import Agreement, agreements, estimate_columns
from wcx.outputs.compare.columns import columns, spark_drawing
from wcx.outputs.compare.ranking import ChosenLayers, check, select
from wcx.outputs.compare.sections import sections
from wcx.outputs.compare.sparks import PLAIN, Sparks, sparks_for
from wcx.outputs.shared.grid import BASE_RANK, Grid, choose, column_widths
from wcx.outputs.shared.names import cut
from wcx.outputs.shared.page import STYLES, Page
from wcx.outputs.shared.table import Table, make_table

_MOST_METRICS = 4
_GAP = "  "


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Print the comparison; raise UsageError for an order that it does not have."""
    check(view)
    page = Page(stream, view)
    sparks = PLAIN if os.environ.get("TERM") == "dumb" else sparks_for(stream)
    page.print(_Tables(comparison, page, sparks).texts())
    page.flush()


class _Tables:
    """The lines of one comparison on a page."""

    def __init__(self, comparison: Comparison, page: Page, sparks: Sparks) -> None:
        self._comparison = comparison
        self._page = page
        self._sparks = sparks

    def texts(self) -> Iterator[Text]:
        chosen = select(self._comparison, self._page.view)
        if not self._page.view.quiet:
            yield from self._heading()
        yield from self._layers(chosen)
        yield from self._agreements()
        if not self._page.view.quiet:
            yield from self._conclusions()
            yield from self._remarks()

    def _layers(self, chosen: ChosenLayers) -> Iterator[Text]:
        shown = sections(self._comparison, chosen)
        lines = [line for section in shown for line in section.lines]
        if not lines:
            return
        table = make_table(self._page, columns(lines), shown, spark_drawing(lines, self._sparks))
        if self._page.view.quiet:
            yield from table.texts()
            return
        yield Text()
        yield from self._sentences("bold", [prose.title(chosen)])
        yield from table.texts()
        yield from self._sentences("bold", prose.left_out(chosen))
        yield from self._sentences("dim", prose.legend(lines, table.grid))

    def _heading(self) -> Iterator[Text]:
        yield from self._sentences("bold", [prose.facts(self._comparison)])
        yield from self._sentences("dim", [prose.settings(self._comparison.settings)])
        yield from self._sentences("dim", prose.log_facts(self._comparison))

    def _agreements(self) -> Iterator[Text]:
        found = list(agreements(self._comparison))
        metrics = list(dict.fromkeys(agreement.metric for agreement in found))
        most = _MOST_METRICS if self._page.view.terminal else len(metrics)
        shown = [agreement for agreement in found if agreement.metric in metrics[:most]]
        for agreement in shown:
            yield Text()
            yield from self._sentences("bold", [agreement.title])
            yield from self._agreement(agreement)
        if self._page.view.quiet:
            return
        if metrics[most:]:
            yield from self._sentences("bold", [f"not shown: {', '.join(metrics[most:])}; choose with --metric NAME"])
        yield from self._sentences("dim", prose.agreement_legend(shown))
        yield from self._sentences("plain", prose.layer_correlations(self._comparison))

    def _agreement(self, agreement: Agreement) -> Iterator[Text]:
        page, rows = self._page, agreement.rows
        names = {row.label: page.printable(row.label) for row in rows}
        longest = max(map(cell_len, names.values()))
        candidates = estimate_columns(agreement)
        widths = column_widths(candidates, rows)
        if longest + sum(widths[column.key] + 2 for column in candidates if column.rank < BASE_RANK) > page.width:
            candidates = estimate_columns(agreement, tight=True)
            widths = column_widths(candidates, rows)
        costs = {key: width + len(_GAP) for key, width in widths.items()}
        shown = choose(candidates, costs, page.width, longest)
        if page.view.terminal:
            room = max(min(longest, page.width - sum(costs[column.key] for column in shown)), 1)
            names = {label: cut(name, room, cell_len, page.bars.ellipsis) for label, name in names.items()}
            longest = max(map(cell_len, names.values()))
        grid = Grid(shown, [widths[column.key] for column in shown], longest, _GAP, corner="")
        yield Text(grid.heads(1), "bold")
        yield from Table(page, grid, names, agreement.sections).rows()

    def _conclusions(self) -> Iterator[Text]:
        if not self._comparison.conclusions:
            return
        yield Text()
        yield Text("conclusions", "bold")
        for conclusion in self._comparison.conclusions:
            yield from self._sentences("bold" if conclusion.survives else "plain", [f"- {conclusion.text}"])
        yield from self._sentences("dim", [prose.multiplicity(self._comparison)])

    def _remarks(self) -> Iterator[Text]:
        remarks = list(prose.remarks(self._comparison))
        if remarks:
            yield Text()
        for kind, text in remarks:
            yield from self._sentences("note" if kind == "note" else "warning", [f"{kind}: {text}"])

    def _sentences(self, tone: str, sentences: Iterable[str]) -> Iterator[Text]:
        for sentence in sentences:
            yield from self._page.wrapped(Text(self._page.printable(sentence), STYLES[tone]))
