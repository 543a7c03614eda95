"""The layers that a comparison shows, their order and their measure: --sort and --top.

The layers' lines show one measure: that which --sort names, else the null ratio of bdm_rarefied, which can be compared
between layers and does not saturate, else the next available one. Layers of largest change come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from wcx.core.comparison import Comparison
from wcx.core.errors import UsageError
from wcx.core.groups import grouped
from wcx.core.quantities import plane_numbers, preferred_series
from wcx.outputs import View
from wcx.outputs.compare.lines import SeriesLine, line_of, runs
from wcx.outputs.shared.ordering import check_order, descending

_MOST = 40
_ORDERS = ("change", "name", "file", "flips")
_OF_STREAM = re.compile(r"\w++(\.\w++)*+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChosenLayers:
    """The lines of the layers to show, by name in the order to show them; of: the number of all layers."""

    lines: Mapping[str, Sequence[SeriesLine]]
    of: int
    order: str
    measure: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers to show."""
        return tuple(self.lines)


def check(view: View) -> None:
    """Raise UsageError for an order or a length that no comparison can have, before anything is read."""
    known = (*_ORDERS, *plane_numbers())
    check_order(view, known, lambda name: bool(_OF_STREAM.fullmatch(name)) and not get_close_matches(name, known, 1))


def shown_measure(comparison: Comparison, view: View) -> str:
    """Return the measure of the layers' lines; raise UsageError if --sort names one that the comparison lacks."""
    series = {name: None for layer in comparison.layers for name in layer.series}
    series |= {name: None for plane in comparison.model.planes for name in plane.pooled}
    if view.sort is not None and view.sort not in _ORDERS:
        if series and view.sort not in series:
            raise UsageError(
                f"--sort {view.sort}: no such series in this comparison: choose one of {', '.join((*_ORDERS, *series))}"
            )
        return view.sort
    usual = preferred_series()
    return next((name for name in usual if name in series), next(iter(series), usual[0]))


def select(comparison: Comparison, view: View) -> ChosenLayers:
    """Choose and order layers; of more than 40 lines a terminal shows the layers of largest change by default."""
    measure = shown_measure(comparison, view)
    order = view.sort if view.sort in _ORDERS else "change"
    lines = _lines(comparison, measure)
    names = _ordered(lines, str(order))
    most = view.top if view.top is not None else _top(lines) if view.terminal else 0
    return ChosenLayers({name: lines[name] for name in names[: most or None]}, len(names), str(order), measure)


def _lines(comparison: Comparison, measure: str) -> dict[str, list[SeriesLine]]:
    """Return by layer the lines of planes or of the whole that have the measure; all planes of a layer without it."""
    having = {layer.name for layer in comparison.layers if measure in layer.series}
    shown = [
        layer
        for layer in comparison.layers
        if measure in layer.series or (layer.plane is not None and layer.name not in having)
    ]
    every = runs(comparison)
    return {
        name: [line_of(layer, measure, run) for layer in layers for run in every]
        for name, layers in grouped(shown, lambda layer: layer.name).items()
    }


def _top(lines: Mapping[str, Sequence[SeriesLine]]) -> int:
    """Return the number of layers that have 40 lines."""
    return max(_MOST // max(map(len, lines.values()), default=1), 1)


def _ordered(lines: Mapping[str, Sequence[SeriesLine]], order: str) -> list[str]:
    if order == "file":
        return list(lines)
    if order == "name":
        return sorted(lines)
    return sorted(lines, key=lambda name: descending(_largest(lines[name], order)))


def _largest(lines: Iterable[SeriesLine], order: str) -> float | None:
    if order == "flips":
        values = [line.flips_from_first[-1] for line in lines if line.flips_from_first]
    else:
        values = [None if line.change is None else abs(line.change - 1) for line in lines]
    return max((value for value in values if value is not None), default=None)
