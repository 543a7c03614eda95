"""What was asked of a comparison, checked once at the edge."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from wcx.core.errors import UsageError
from wcx.core.plain import to_plain
from wcx.core.settings import Settings
from wcx.tasks.analyze.settings import make_settings
from wcx.tasks.compare.series.discover import Order
from wcx.tasks.compare.statistics.correlate import RESAMPLES

BASELINE = "gzip"
"""The compressor of packed bits that BDM is set against wherever there is a log."""

ORDERS = ("step", "given")
SMOOTHINGS = ("sakabe",)


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """All that a comparison depends on besides the checkpoints and the log.

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
        """The settings as the JSON has them: those of an analysis, then those of the comparison."""
        found: dict[str, Any] = to_plain(self.analysis)
        return found | {
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
    """Return checked settings; UsageError says what is wrong and what there is.

    analysis: as make_settings takes them. With a log and no measures named, the packed bits of each plane are also
    compressed with gzip: the baseline for what BDM says of the log.
    """
    if order not in ORDERS:
        raise UsageError(f"unknown order {order!r}: one of {', '.join(ORDERS)}")
    if smooth is not None and smooth not in SMOOTHINGS:
        raise UsageError(f"unknown smoothing {smooth!r}: one of {', '.join(SMOOTHINGS)}")
    logs = (os.fspath(log),) if isinstance(log, (str, os.PathLike)) else tuple(os.fspath(one) for one in log)
    if not logs and (step_column is not None or metrics or smooth is not None):
        raise UsageError("step_column, metrics and smooth are about a training log: name one with --log")
    made = make_settings(**analysis)
    packed = (BASELINE,) if logs and not analysis.get("measures") else ()
    columns = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    return ComparisonSettings(
        made, cast(Order, order), logs, step_column, columns, smooth, bool(group), packed, cache=bool(cache)
    )
