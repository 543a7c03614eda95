"""The lines of a comparison's table, one series each, in sections; the choice and the order of its layers.

The layers' lines show one measure: that which --sort names, else the null ratio of bdm_rarefied, which can be compared
between layers and does not saturate, else the next available one. `change` is the last value / the first - 1 within a
run, over the checkpoints that could be read; the biggest movers come first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from wcx.core.comparison import Comparison, LayerSeries, ModelPlaneSeries, Series
from wcx.core.errors import UsageError
from wcx.core.groups import first_known, grouped
from wcx.core.quantities import model_series, plane_numbers, preferred_series, summed_measures
from wcx.core.text import escape
from wcx.outputs import View
from wcx.outputs.shared.grid import Section
from wcx.outputs.shared.names import shorten

_MOST = 40
_ORDERS = ("change", "name", "file", "flips")
_FEW_PLANES = 2
_LONGEST_RUN = 16
_OF_STREAM = re.compile(r"\w+(\.\w+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, or all checkpoints if there are no groups: the indices of those that could be read, in order.

    label: short and ASCII, for a cell.
    """

    label: str
    indices: tuple[int, ...]

    def of(self, series: Series) -> Series:
        """Return the run's part of a series over all checkpoints."""
        return tuple(series[index] for index in self.indices)


@dataclass(frozen=True, slots=True)
class Line:
    """One series of one run. label: empty if it is that of the line above.

    flips, flips_from_first, delta, delta_from_first: of the plane, empty where they belong to another line.
    """

    label: str
    run: str
    plane: str
    measure: str
    values: Series
    shape: tuple[int, ...] | None = None
    flips: Series = ()
    flips_from_first: Series = ()
    delta: Mapping[str, Series] = field(default_factory=dict)
    delta_from_first: Mapping[str, Series] = field(default_factory=dict)

    @property
    def first(self) -> float | None:
        """The first value that is not None."""
        return first_known(self.values)

    @property
    def last(self) -> float | None:
        """The last value that is not None."""
        return first_known(reversed(self.values))

    @property
    def change(self) -> float | None:
        """last / first; None if there are fewer than two values or the first is 0."""
        first, last = self.first, self.last
        known = sum(value is not None for value in self.values)
        return last / first if known > 1 and first and last is not None else None

    @property
    def begins_late(self) -> bool:
        """True if the run's first checkpoint has no value."""
        return bool(self.values) and self.values[0] is None and self.first is not None

    @property
    def ends_early(self) -> bool:
        """True if the run's last checkpoint has no value."""
        return bool(self.values) and self.values[-1] is None and self.last is not None


@dataclass(frozen=True, slots=True)
class Selection:
    """The layers to show, by name in the order to show them, and how many there are in all."""

    names: tuple[str, ...]
    of: int
    order: str
    measure: str

    @property
    def left_out(self) -> int:
        """The number of layers that are not shown."""
        return self.of - len(self.names)


def check(view: View) -> None:
    """Raise UsageError for an order or a length that no comparison can have, before anything is read."""
    known = (*_ORDERS, *plane_numbers())
    name = view.sort
    if name is not None and name not in known:
        close = get_close_matches(name, known, 1)
        if close or not _OF_STREAM.fullmatch(name):
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UsageError(f"unknown column {name!r} to sort by{hint}: one of {', '.join(known)}")
    if view.top is not None and view.top < 0:
        raise UsageError(f"--top {view.top}: a number of layers, or 0 for all")


def runs(comparison: Comparison) -> list[Run]:
    """Return the runs in order of appearance, each with its readable checkpoints."""
    checkpoints = comparison.checkpoints
    groups = grouped(range(len(checkpoints)), lambda index: checkpoints[index].group)
    labels = [escape(label or "").encode("ascii", "backslashreplace").decode() for label in groups]
    short = shorten(labels, _LONGEST_RUN, len, "..")
    return [
        Run(label, tuple(index for index in indices if checkpoints[index].error is None))
        for label, indices in zip(short, groups.values(), strict=True)
    ]


def shown_measure(comparison: Comparison, view: View) -> str:
    """Return the measure of the layers' lines; raise UsageError if --sort names one that the comparison lacks."""
    there = {name: None for layer in comparison.layers for name in layer.series}
    there |= {name: None for plane in comparison.model.planes for name in plane.pooled}
    if view.sort is not None and view.sort not in _ORDERS:
        if there and view.sort not in there:
            raise UsageError(f"--sort {view.sort}: no such series here: one of {', '.join((*_ORDERS, *there))}")
        return view.sort
    usual = preferred_series()
    return next((name for name in usual if name in there), next(iter(there), usual[0]))


def select(comparison: Comparison, view: View) -> Selection:
    """Choose and order layers; of more than 40 lines a terminal shows the biggest movers by default."""
    measure = shown_measure(comparison, view)
    order = view.sort if view.sort in _ORDERS else "change"
    found = runs(comparison)
    lines = {
        name: [_line(layer, measure, run) for layer in layers for run in found]
        for name, layers in _shown(comparison, measure).items()
    }
    names = _ordered(lines, order)
    most = view.top if view.top is not None else _top(lines) if view.terminal else 0
    return Selection(tuple(names[:most] if most else names), len(names), order, measure)


def _top(lines: Mapping[str, Sequence[Line]]) -> int:
    """Return the number of layers that have 40 lines."""
    return max(_MOST // max(map(len, lines.values()), default=1), 1)


def _shown(comparison: Comparison, measure: str) -> dict[str, list[LayerSeries]]:
    """Return by name the planes or whole layers that have the measure; all planes of a layer without it."""
    having = {layer.name for layer in comparison.layers if measure in layer.series}
    shown = (layer for layer in comparison.layers if measure in layer.series or _is_plane_without(layer, having))
    return grouped(shown, lambda layer: layer.name)


def _is_plane_without(layer: LayerSeries, having: Collection[str]) -> bool:
    return layer.plane is not None and layer.name not in having


def _ordered(lines: Mapping[str, Sequence[Line]], order: str) -> list[str]:
    if order == "file":
        return list(lines)
    if order == "name":
        return sorted(lines)
    keys = {name: _key(mine, order) for name, mine in lines.items()}
    return sorted(lines, key=lambda name: keys[name])


def _key(lines: Iterable[Line], order: str) -> tuple[bool, float]:
    """Return a sort key: descending, None last; equal ones keep the file's order, as sorting is stable."""
    if order == "flips":
        found = [line.flips_from_first[-1] for line in lines if line.flips_from_first]
    else:
        found = [None if line.change is None else abs(line.change - 1) for line in lines]
    known = [value for value in found if value is not None]
    return (False, -max(known)) if known else (True, 0.0)


def layer_lines(comparison: Comparison, selection: Selection) -> Iterator[Line]:
    """Yield a line for each plane and run of the layers chosen."""
    return _once(_layer_lines(comparison, selection))


def _layer_lines(comparison: Comparison, selection: Selection) -> Iterator[Line]:
    found = runs(comparison)
    by_name = _shown(comparison, selection.measure)
    for name in selection.names:
        for layer in by_name[name]:
            yield from (_line(layer, selection.measure, run) for run in found)


def _once(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines, each label on the first of its lines only."""
    last = None
    for line in lines:
        yield replace(line, label="") if line.label == last else line
        last = line.label


def _line(layer: LayerSeries, measure: str, run: Run) -> Line:
    values = layer.series.get(measure, (None,) * len(layer.flips))
    return Line(
        layer.name or '""', run.label, layer.plane or "", measure, run.of(values), layer.shape, **_changes(layer, run)
    )


def _changes(series: LayerSeries | ModelPlaneSeries, run: Run) -> dict[str, Any]:
    return {
        "flips": run.of(series.flips),
        "flips_from_first": run.of(series.flips_from_first),
        "delta": {name: run.of(values) for name, values in series.delta.items()},
        "delta_from_first": {name: run.of(values) for name, values in series.delta_from_first.items()},
    }


def sections(comparison: Comparison, selection: Selection) -> list[Section[Line]]:
    """Return the sections of a table: the layers chosen, the model and the training log."""
    return [Section(list(layer_lines(comparison, selection))), *_closing(comparison, selection.measure)]


def _closing(comparison: Comparison, measure: str) -> Iterator[Section[Line]]:
    """Yield the model, pooled and as a sum, its measures, and the training log."""
    found, model = runs(comparison), comparison.model
    names = [measure] if len(model.planes) > _FEW_PLANES else list(dict.fromkeys((measure, *model_series())))
    pooled = [
        line
        for name in names
        for plane in model.planes
        for line in _model_lines(plane, name, plane.pooled, found, changed=name == names[0])
    ]
    added = []
    for name in summed_measures():
        added += [line for plane in model.planes for line in _model_lines(plane, name, plane.sum, found)]
        if len(model.planes) > 1:
            added += _plain_lines(f"total {name}", "all", model.total.get(name), found)
    whole = [line for name, values in model.measures.items() for line in _plain_lines(name, "", values, found)]
    vector = [
        line for name, values in (model.concatenated or {}).items() for line in _plain_lines(name, "", values, found)
    ]
    columns = {name: None for checkpoint in comparison.checkpoints for name in checkpoint.log}
    logged = [
        line
        for name in columns
        for line in _plain_lines(name, "", tuple(one.log.get(name) for one in comparison.checkpoints), found)
    ]
    candidates = (
        ("model, counts of all layers pooled", pooled),
        ("model, sum over layers", added),
        ("model", whole),
        ("model, all parameters as one string", vector),
        ("training log", logged),
    )
    divider = "rule"
    for title, lines in candidates:
        if lines:
            yield Section(tuple(_once(lines)), title, divider)
            divider = "space"


def _model_lines(
    plane: ModelPlaneSeries, name: str, there: Mapping[str, Series], found: Sequence[Run], changed: bool = False
) -> Iterator[Line]:
    if name not in there:
        return
    for run in found:
        changes = _changes(plane, run) if changed else {}
        yield Line(name, run.label, plane.plane, name, run.of(there[name]), **changes)


def _plain_lines(name: str, plane: str, values: Series | None, found: Sequence[Run]) -> Iterator[Line]:
    for run in found if values is not None else ():
        yield Line(name, run.label, plane, name, run.of(values or ()))
