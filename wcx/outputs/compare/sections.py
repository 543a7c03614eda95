"""The sections of a comparison's table: the layers chosen, the model and the training log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from wcx.core.comparison import Comparison, ModelPlaneSeries, Series
from wcx.core.quantities import model_series, summed_measures
from wcx.outputs.compare.lines import Run, SeriesLine, changes_of, runs
from wcx.outputs.compare.ranking import ChosenLayers
from wcx.outputs.shared.grid import Section

_FEW_PLANES = 2


def sections(comparison: Comparison, chosen: ChosenLayers) -> list[Section[SeriesLine]]:
    """Return the sections of a table."""
    found = [Section(list(_once(chain.from_iterable(chosen.lines.values()))))]
    for title, lines in _closing(comparison, chosen.measure).items():
        if lines:
            found.append(Section(list(_once(lines)), title, "space" if found[1:] else "rule"))
    return found


def _once(lines: Iterable[SeriesLine]) -> Iterator[SeriesLine]:
    """Yield the lines, each label on the first of its lines only."""
    last = None
    for line in lines:
        yield replace(line, label="") if line.label == last else line
        last = line.label


def _closing(comparison: Comparison, measure: str) -> dict[str, list[SeriesLine]]:
    """Return the model's lines, pooled and as a sum, its measures, and the training log, by title."""
    every, model = runs(comparison), comparison.model
    names = [measure] if len(model.planes) > _FEW_PLANES else list(dict.fromkeys((measure, *model_series())))
    pooled = [
        line
        for name in names
        for plane in model.planes
        for line in _plane_lines(plane, name, plane.pooled, every, changed=name == names[0])
    ]
    added = []
    for name in summed_measures():
        added += [line for plane in model.planes for line in _plane_lines(plane, name, plane.sum, every)]
        if len(model.planes) > 1 and name in model.total:
            added += _model_lines({f"total {name}": model.total[name]}, every, "all")
    columns = {name: None for checkpoint in comparison.checkpoints for name in checkpoint.log}
    log = {name: tuple(checkpoint.log.get(name) for checkpoint in comparison.checkpoints) for name in columns}
    return {
        "model, pooled counts of all layers": pooled,
        "model, sum over layers": added,
        "model": _model_lines(model.measures, every),
        "model, all parameters as one string": _model_lines(model.concatenated or {}, every),
        "training log": _model_lines(log, every),
    }


def _plane_lines(
    plane: ModelPlaneSeries, name: str, series: Mapping[str, Series], every: Iterable[Run], changed: bool = False
) -> Iterator[SeriesLine]:
    for run in every if name in series else ():
        changes = changes_of(plane, run) if changed else {}
        yield SeriesLine(name, run.label, plane.plane, name, run.of(series[name]), **changes)


def _model_lines(series: Mapping[str, Series], every: Iterable[Run], plane: str = "") -> list[SeriesLine]:
    return [
        SeriesLine(name, run.label, plane, name, run.of(values)) for name, values in series.items() for run in every
    ]
