"""The sentences around a comparison's tables: the checkpoints, the meaning of the columns, what is missing and why.

Plain texts; escaping and wrapping are up to the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wcx.core.comparison import ComparedCheckpoint, Comparison, Correlation
from wcx.core.groups import grouped
from wcx.core.quantities import claimed_measures, meaning
from wcx.outputs.compare.agreement import Agreement
from wcx.outputs.compare.columns import ABSENT, delta_measure
from wcx.outputs.compare.lines import SeriesLine
from wcx.outputs.compare.ranking import ChosenLayers
from wcx.outputs.shared.grid import Grid
from wcx.outputs.shared.sentences import plural, settings_parts, some

_FEW = 5
_MOST_REMARKS = 20
_SIGNIFICANT = 0.05
_COUNTED = (("raw", "levels"), ("diff", "differences"))


def facts(comparison: Comparison) -> str:
    """Return the facts of the checkpoints compared."""
    readable = [checkpoint for checkpoint in comparison.checkpoints if checkpoint.error is None]
    groups = list(dict.fromkeys(checkpoint.group for checkpoint in comparison.checkpoints))
    parts = [plural(len(comparison.checkpoints), "checkpoint")]
    if len(groups) > 1:
        parts[0] += f" in {len(groups):,} runs ({some([str(group) for group in groups], _FEW)})"
    if len(readable) < len(comparison.checkpoints):
        parts[0] += f", {len(comparison.checkpoints) - len(readable):,} unreadable"
    if readable:
        parts.append(_span(readable))
        parts.append("+".join(dict.fromkeys(checkpoint.format or "?" for checkpoint in readable)))
    parts.append(plural(len({layer.name for layer in comparison.layers}), "layer"))
    return ", ".join(parts)


def _span(readable: Sequence[ComparedCheckpoint]) -> str:
    """Return the first and last checkpoint, by the numbers in their names if all have one of one kind."""
    steps = [checkpoint.step for checkpoint in readable if checkpoint.step is not None]
    units = {checkpoint.unit for checkpoint in readable}
    if len(steps) == len(readable) and len(units) == 1:
        return f"{units.pop() or 'number'} {min(steps):,} to {max(steps):,}"
    return f"{readable[0].label} to {readable[-1].label}"


def settings(settings: Mapping[str, Any]) -> str:
    """Return the settings that the numbers depend on."""
    smooth = [f"smoothing {settings['smooth']}"] if settings.get("smooth") else []
    return ", ".join([*settings_parts(settings), *smooth])


def log_facts(comparison: Comparison) -> Iterator[str]:
    """Yield the log that was joined, and how."""
    log, joined = comparison.settings.get("log"), comparison.joined
    if not isinstance(log, Mapping):
        return
    text = f"log {log.get('path')}, joined by column {log.get('step_column')} ({log.get('rule')} row)"
    if joined is not None:
        text += f": {joined.used:,} of {plural(joined.rows, 'row')} used"
        text += f", {joined.duplicates:,} replaced by later rows" if joined.duplicates else ""
    yield text


def title(chosen: ChosenLayers) -> str:
    """Return the measure of the table's series, and their order."""
    unit = meaning(chosen.measure)
    order = {"change": "largest change first", "flips": "most changed bits first", "name": "by name"}
    parts = [
        chosen.measure + (f" ({unit})" if unit else ""),
        order.get(chosen.order, "in file order"),
    ]
    return ", ".join(parts)


def left_out(chosen: ChosenLayers, others: str = "--top 0 shows all") -> Iterator[str]:
    """Yield the number of layers that the table leaves out, and how to see them."""
    if len(chosen.lines) < chosen.of:
        yield f"{len(chosen.lines):,} of {plural(chosen.of, 'layer')}; {others}"


def legend(lines: Sequence[SeriesLine], grid: Grid[SeriesLine] | None = None) -> Iterator[str]:
    """Yield the meaning of the columns and marks that these lines have."""
    keys = {column.key for column in grid.columns} if grid else {"change", "spark", "since", "step", "delta_first"}
    if "change" in keys:
        yield "change: last value / first value - 1"
    if "spark" in keys:
        yield "over time: each line is scaled from its minimum to its maximum; a range below 1 % is drawn as 1 %"
    changed = [line for line in lines if line.flips]
    if changed and "since" in keys:
        yield "changed: fraction of bits that differ from the first checkpoint"
    if changed and "step" in keys:
        yield "mean flips: mean fraction of bits that differ between consecutive checkpoints"
    delta = next((name for name in map(delta_measure, changed) if name), None)
    if delta and keys & {"delta_first", "delta"}:
        yield f"XOR vs shuffle: {delta} - 1 of the changed bits; below 0 they are less complex than their shuffle"
    if any(line.begins_late or line.ends_early for line in lines):
        yield f"{ABSENT} no value in the first or last checkpoint: the nearest value is shown"


def agreement_legend(shown: Sequence[Agreement]) -> Iterator[str]:
    """Yield the meaning of the columns of the tables of correlations."""
    if not shown:
        return
    if shown[0].over_runs:
        yield "differences: from one checkpoint to the next; correlations: mean Fisher z over runs, transformed back"
    else:
        yield "n_eff: effective number of independent checkpoints; differences: from one checkpoint to the next"


def multiplicity(comparison: Comparison) -> str:
    """Return the number of conclusions that chance alone would give."""
    levels = sum(conclusion.levels is not None for conclusion in comparison.conclusions)
    differences = sum(conclusion.differences is not None for conclusion in comparison.conclusions)
    tests = (
        f"tests at the 5 % level, not corrected for multiple testing: {levels} of levels, {differences} of differences"
    )
    return f"{tests}; by chance alone about {levels / 20:.1f} and {differences / 20:.1f} of them are significant"


def layer_correlations(comparison: Comparison) -> Iterator[str]:
    """Yield the number of layers in which a claimed measure moves with each column of the log, corrected by q."""
    for measure in claimed_measures():
        yield from _layer_correlations(comparison, measure.name)


def _layer_correlations(comparison: Comparison, measure: str) -> Iterator[str]:
    of_layers = [item for item in comparison.correlations if item.scope == "layer" and item.measure == measure]
    for metric, of_metric in grouped(of_layers, lambda item: item.metric).items():
        by_transform = grouped(of_metric, lambda item: item.transform)
        parts = [_share(by_transform[name], label) for name, label in _COUNTED if name in by_transform]
        yield f"{measure} and {metric} by layer: q < {_SIGNIFICANT} in {', '.join(parts)}"


def _share(correlations: Sequence[Correlation], transform: str) -> str:
    significant = sum(item.q is not None and item.q < _SIGNIFICANT for item in correlations)
    noun = "layers" if len({item.layer for item in correlations}) == len(correlations) else "layer series"
    return f"{significant:,} of {len(correlations):,} {noun} ({transform})"


def remarks(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield unreadable checkpoints, unmatched layers, notes and warnings, each with its kind."""
    failed = [checkpoint for checkpoint in comparison.checkpoints if checkpoint.error is not None]
    unreadable = [f"{checkpoint.label}: {checkpoint.error}" for checkpoint in failed]
    yield from (("unreadable", text) for text in _limited(unreadable))
    yield from (("unmatched", text) for text in _limited(list(_unmatched(comparison.unmatched))))
    yield from (("note", text) for text in comparison.notes)
    yield from (("warning", text) for text in comparison.warnings)


def _unmatched(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one sentence for all layers of one reason in the same checkpoints."""
    by_reason = grouped(items, lambda item: (str(item.get("reason")), tuple(map(str, item.get("in", ())))))
    for (reason, places), layers in by_reason.items():
        names = [str(layer.get("name")) or '""' for layer in layers]
        yield f"{some(names, _FEW)}: {reason} in {some(places, _FEW)}"


def _limited(texts: list[str]) -> list[str]:
    more = len(texts) - _MOST_REMARKS
    return texts if more <= 0 else [*texts[:_MOST_REMARKS], f"{more:,} more; --json lists all"]
