"""Settings of a comparison, checked once at the edge."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from wcx.core.errors import UsageError
from wcx.core.plain import to_plain
from wcx.core.settings import Settings
from wcx.measures import main_compressors
from wcx.tasks.analyze.settings import make_settings
from wcx.tasks.compare.series.discover import Order
from wcx.tasks.compare.statistics.correlate import RESAMPLES

ORDERS = ("step", "given")
SMOOTHINGS = ("sakabe",)


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """All settings of a comparison.

    analysis: of each checkpoint. packed: compressors that take the bits of planes only. logs: files, one for all or one
    a run. cache: whether counts of earlier runs may be used.
    """

    analysis: Settings
    order: Order = "step"
    logs: tuple[str, ...] = ()
    step_column: str | None = None
    metrics: tuple[str, ...] = ()
    smooth: str | None = None
    group: bool = False
    packed: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    cache: bool = True

    def to_dict(self, log: dict[str, Any] | None, block_length: int | None) -> dict[str, Any]:
        """Return the settings as the JSON has them: those of an analysis, then those of the comparison."""
        analysis: dict[str, Any] = to_plain(self.analysis)
        return analysis | {
            "packed": list(self.packed),
            "order": self.order,
            "group": self.group,
            "log": log,
            "metrics": list(self.metrics),
            "smooth": self.smooth,
            "block_length": block_length,
            "resamples": self.resamples,
        }


def make_comparison_settings(
    *,
    order: str = "step",
    log: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    step_column: str | None = None,
    metrics: str | Sequence[str] = (),
    smooth: str | None = None,
    group: bool = False,
    cache: bool = True,
    **analysis: Any,  # noqa: ANN401
) -> ComparisonSettings:
    """Return checked settings; the UsageError of a wrong one lists the possible values.

    analysis: arguments of make_settings. With a log and no measures named, the packed bits of each plane are also
    compressed with gzip: the baseline of what BDM says of the log.
    """
    _check("order", order, ORDERS)
    if smooth is not None:
        _check("smoothing", smooth, SMOOTHINGS)
    logs = (os.fspath(log),) if isinstance(log, (str, os.PathLike)) else tuple(os.fspath(path) for path in log)
    if not logs and (step_column is not None or metrics or smooth is not None):
        raise UsageError("step_column, metrics and smooth need a training log: pass one with --log")
    return ComparisonSettings(
        make_settings(**analysis),
        order=cast(Order, order),
        logs=logs,
        step_column=step_column,
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
        smooth=smooth,
        group=bool(group),
        packed=main_compressors() if logs and not analysis.get("measures") else (),
        cache=bool(cache),
    )


def _check(name: str, value: str, values: Sequence[str]) -> None:
    if value not in values:
        raise UsageError(f"unknown {name} {value!r}: choose one of {', '.join(values)}")
