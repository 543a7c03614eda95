"""The lines of a comparison's table, one series of one run each.

`change` is the last value / the first - 1 within a run, over the checkpoints that could be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wcx.core.comparison import Comparison, LayerSeries, ModelPlaneSeries, Series
from wcx.core.groups import first_known, grouped
from wcx.core.text import escape
from wcx.outputs.shared.names import shorten

_LONGEST_RUN = 16


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
class SeriesLine:
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


def line_of(layer: LayerSeries, measure: str, run: Run) -> SeriesLine:
    """Return the line of a measure of a plane, or of a layer as a whole, in one run."""
    values = layer.series.get(measure, (None,) * len(layer.flips))
    return SeriesLine(
        layer.name or '""', run.label, layer.plane or "", measure, run.of(values), layer.shape, **changes_of(layer, run)
    )


def changes_of(series: LayerSeries | ModelPlaneSeries, run: Run) -> dict[str, Any]:
    """Return the run's part of the series of changed bits, by the fields of a line."""
    return {
        "flips": run.of(series.flips),
        "flips_from_first": run.of(series.flips_from_first),
        "delta": {name: run.of(values) for name, values in series.delta.items()},
        "delta_from_first": {name: run.of(values) for name, values in series.delta_from_first.items()},
    }
