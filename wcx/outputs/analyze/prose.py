"""The sentences around a table: the checkpoint, the settings, what is left out, what to know about the numbers.

Plain texts; escaping and wrapping are up to the output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from wcx.core.plain import as_dict
from wcx.core.report import Report
from wcx.core.settings import Settings
from wcx.outputs.analyze.columns import CROWDED, SATURATED, Line, bar_share, mark
from wcx.outputs.analyze.heat import Heat
from wcx.outputs.analyze.ranking import TRIVIAL, Selection
from wcx.outputs.shared import figures
from wcx.outputs.shared.bars import Bars
from wcx.outputs.shared.sentences import plural, settings_parts, some

_FEW = 3


def facts(report: Report) -> str:
    """Return the facts of the checkpoint that follow its path."""
    tensors = len(report.layers) + len(report.skipped)
    parts = (
        report.checkpoint.format,
        f"{len(report.layers):,} of {plural(tensors, 'tensor')}",
        plural(report.model.weights, "weight"),
        figures.nbytes(report.checkpoint.nbytes),
    )
    return ", ".join(parts)


def settings(settings: Settings) -> str:
    """Return the settings that the numbers depend on."""
    reference = [f"reference {settings.reference}"] if settings.reference else []
    return ", ".join([*settings_parts(as_dict(settings)), *reference])


def left_out(report: Report, selection: Selection, others: str = "--top 0 shows all") -> Iterator[str]:
    """Yield the number of layers that the table leaves out, and how to see them."""
    shown = len(report.layers) - selection.left_out
    if not selection.left_out:
        return
    order = {"file": "in file order", "name": "by name"}.get(selection.order, f"sorted by {selection.order}")
    yield f"showing {shown:,} of {plural(len(report.layers), 'layer')}, {order}; {others}"


def legend(lines: Sequence[Line], bars: Bars) -> Iterator[str]:
    """Yield the meaning of the columns and marks that these lines have."""
    if any(bar_share(line) is not None for line in lines):
        marks = f"{bars.less} less, {bars.more} more complex, {bars.chance} within chance"
        yield f"vs own shuffle: bdm_rarefied against random shuffles; {marks}"
    if any(line.reference_ratio is not None for line in lines):
        yield "ratio to reference: bdm divided by the bdm of the same layer of the reference"
    trust = {mark(line.plane) for line in lines if line.plane}
    if CROWDED in trust:
        yield f"{CROWDED} crowded (load above 0.25): bdm depends partly on size, the ratio does not"
    if SATURATED in trust:
        yield f"{SATURATED} saturated (nearly every possible block occurs): bdm depends on size alone"


def heat(view: Heat) -> str:
    """Return the meaning of the cells of a heat map."""
    if view.is_ratio:
        return f"cells: {view.field}, shaded by its distance from 1"
    return f"cells: {view.field}, shaded from {view.least:.4g} to {view.most:.4g}"


def skipped(report: Report) -> Iterator[str]:
    """Yield the numbers of skipped tensors by reason, the most frequent first."""
    if not report.skipped:
        return
    reasons = Counter(tensor.reason for tensor in report.skipped)
    groups = (f"{reason} ({count:,})" for reason, count in reasons.most_common())
    yield f"skipped {len(report.skipped):,}: {', '.join(groups)}"


def explanations(
    report: Report, selection: Selection, lines: Sequence[Line], bars: Bars, others: str = "--top 0 shows all"
) -> Iterator[tuple[str, str]]:
    """Yield all sentences below a table, each with its tone. others: how to see the layers left out."""
    yield from (("bold", text) for text in left_out(report, selection, others))
    yield from (("dim", text) for text in legend(lines, bars))
    yield from (("plain", text) for text in skipped(report))
    yield from ((kind, f"{kind}: {text}") for kind, text in notes(report))


def notes(report: Report) -> Iterator[tuple[str, str]]:
    """Yield notes, warnings and the layers' warnings, each with its kind; masks and constants have a title instead."""
    yield from (("note", text) for text in report.notes)
    yield from (("warning", text) for text in report.warnings)
    yield from (("warning", text) for text in _layer_warnings(report))


def _layer_warnings(report: Report) -> Iterator[str]:
    """Yield one sentence for each kind of warning (the text before a colon) with its layers and their details."""
    named: dict[str, list[str]] = {}
    for layer in report.layers:
        for text in layer.warnings:
            kind, _, detail = text.partition(": ")
            named.setdefault(kind, []).append(f"{layer.name} ({detail})" if detail else layer.name)
    yield from (f"{kind}: {some(names, _FEW)}" for kind, names in named.items() if not kind.startswith(TRIVIAL))
