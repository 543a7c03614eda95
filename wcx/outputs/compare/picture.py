"""The numbers of a comparison's picture: curves of the model, and layers by checkpoints.

Nothing here draws. Curves are changes since a run's first checkpoint, in per cent, so that bits, bits per block and
bytes share one axis. Heat maps are of the shown measure and of the bits that flip; of several runs that have the
same steps they are means over the runs, else those of the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from wcx.core.comparison import Comparison, LayerSeries, Series
from wcx.core.groups import first_known, mean
from wcx.core.quantities import model_series
from wcx.outputs import View
from wcx.outputs.compare.lines import Run, runs
from wcx.outputs.compare.ranking import shown_measure

_MOST_METRICS = 2
_FEW_PLANES = 2
_UNEVEN = 6  # the widest distance of two checkpoints over the median one, beyond which an axis to scale hides most
_PER_CENT = 100


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis: the first run's steps. to_scale: steps are positions, else checkpoints are evenly spaced."""

    label: str
    ticks: tuple[str, ...]
    steps: tuple[float, ...]
    to_scale: bool

    @property
    def positions(self) -> tuple[float, ...]:
        """The positions of the checkpoints."""
        return self.steps if self.to_scale else tuple(map(float, range(len(self.steps))))


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of one run. name: shared by the curves of all runs; hue, dash: indices of colour and line style."""

    name: str
    hue: int
    dash: int
    positions: tuple[float, ...]
    values: Series


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Layers by checkpoints. centre: the value from which colours diverge, None if they only rise."""

    label: str
    rows: tuple[str, ...]
    values: tuple[Series, ...]
    centre: float | None


def make_axis(comparison: Comparison) -> Axis:
    """Return the axis of the first run: by the steps in the names, to scale unless most would crowd in a corner."""
    found = runs(comparison)
    checkpoints = [comparison.checkpoints[index] for index in found[0].indices] if found else []
    steps = [one.step for one in checkpoints if one.step is not None]
    if len(steps) < len(checkpoints) or any(b <= a for a, b in pairwise(steps)):
        return Axis(
            "checkpoint", tuple(one.label for one in checkpoints), tuple(map(float, range(len(checkpoints)))), False
        )
    units = {one.unit for one in checkpoints}
    label = units.pop() if len(units) == 1 else None
    return Axis(label or "step", tuple(map(str, steps)), tuple(map(float, steps)), _is_even(steps))


def _is_even(steps: Sequence[int]) -> bool:
    distances = sorted(b - a for a, b in pairwise(steps))
    return not distances or distances[-1] <= _UNEVEN * distances[len(distances) // 2]


def curves(comparison: Comparison, axis: Axis) -> Iterator[Curve]:
    """Yield the model's measures, pooled: change since the run's first checkpoint, in per cent."""
    planes = comparison.model.planes
    several, many = len(planes) > 1, len(planes) > _FEW_PLANES
    usual = model_series()
    for dash, plane in enumerate(planes):
        measures = [name for name in usual if name in plane.pooled] or list(plane.pooled)[: len(usual)]
        for hue, measure in enumerate(measures[:1] if many else measures):
            name = f"{measure} {plane.plane}" if several else measure
            for run in runs(comparison):
                values = _changes(run.of(plane.pooled[measure]))
                if values is not None:
                    place = (dash, 0) if many else (hue, dash)
                    yield Curve(name, *place, _positions(comparison, run, axis), values)


def metrics(comparison: Comparison, axis: Axis) -> Iterator[Curve]:
    """Yield the log's columns that are losses, two at most; without one the first column."""
    columns = list(dict.fromkeys(name for one in comparison.checkpoints for name in one.log))
    losses = [name for name in columns if "loss" in name.lower()]
    for hue, name in enumerate(losses[:_MOST_METRICS] or columns[:1]):
        logged = tuple(one.log.get(name) for one in comparison.checkpoints)
        for run in runs(comparison):
            values = run.of(logged)
            if any(value is not None for value in values):
                yield Curve(name, hue, 0, _positions(comparison, run, axis), values)


def _positions(comparison: Comparison, run: Run, axis: Axis) -> tuple[float, ...]:
    """Return the positions of a run's checkpoints: their steps, or one after the other."""
    steps = [comparison.checkpoints[index].step for index in run.indices]
    known = [float(step) for step in steps if step is not None]
    return tuple(known) if axis.to_scale and len(known) == len(steps) else tuple(map(float, range(len(steps))))


def _changes(values: Series) -> Series | None:
    """Return the change since the first value, in per cent; None without a first value other than 0."""
    first = first_known(values)
    if not first:
        return None
    return tuple(None if value is None else _PER_CENT * (value / first - 1) for value in values)


def heat_maps(comparison: Comparison) -> Iterator[HeatMap]:
    """Yield the shown measure of each layer (a null ratio as it is, else over its first value), and the flips."""
    layers = [layer for layer in comparison.layers if layer.plane is not None]
    if not layers:
        return
    measure = shown_measure(comparison, View())
    of_runs, whose = _over_runs(comparison)
    rows = tuple(_label(layer, layers) for layer in layers)
    values = tuple(of_runs(layer.series.get(measure, (None,) * len(layer.flips))) for layer in layers)
    if measure.endswith("ratio"):
        label = f"{measure.removeprefix('null.').removesuffix('.ratio')} / expectation under shuffle"
    else:
        values, label = tuple(map(_over_first, values)), f"{measure} / its first value"
    if _has_any(values):
        yield HeatMap(label + whose, rows, values, 1.0)
    flips = tuple(_scaled(of_runs(layer.flips), _PER_CENT) for layer in layers)
    if _has_any(flips):
        yield HeatMap("bits flipped since previous checkpoint, %" + whose, rows, flips, None)


def _over_runs(comparison: Comparison) -> tuple[Callable[[Series], Series], str]:
    """Return the function from a series over all checkpoints to one over the axis, and a remark for the label."""
    found = runs(comparison)
    steps = {tuple(comparison.checkpoints[index].step for index in run.indices) for run in found}
    if len(found) < 2:
        return found[0].of, ""
    if len(steps) == 1 and None not in steps.pop():
        return lambda series: tuple(map(mean, zip(*(run.of(series) for run in found), strict=True))), " (mean of runs)"
    return found[0].of, f" ({found[0].label})"


def _label(layer: LayerSeries, layers: Sequence[LayerSeries]) -> str:
    several = len({one.plane for one in layers}) > 1
    name = layer.name or '""'
    return f"{name} {layer.plane}" if several else name


def _over_first(values: Series) -> Series:
    first = first_known(values)
    return _scaled(values, 1 / first) if first else (None,) * len(values)


def _scaled(values: Series, factor: float) -> Series:
    return tuple(None if value is None else factor * value for value in values)


def _has_any(rows: Sequence[Series]) -> bool:
    return any(value is not None for row in rows for value in row)
