"""threshold: one plane, 1 where the weight is above a bound of its tensor: its mean, its median, or a number."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan

from wcx.core.dtypes import CodeSet, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers.contract import NOTHING, Kind, Needs, Quantizer

_NEEDS = {"mean": Needs(mean=True), "median": Needs(quantiles=(0.5,))}


@dataclass(frozen=True)
class Threshold(Quantizer):
    """bit = w > t, compared as doubles; NaN gives 0. bound: `mean`, `median`, or a number.

    Mean and median are over the finite values of the tensor; a tensor without any has t = 0.
    """

    bound: str | float

    @property
    def name(self) -> str:
        """The specification in full."""
        return f"threshold:{self.bound}"

    @property
    def needs(self) -> Needs:
        """The mean, the median, or nothing."""
        return _NEEDS[self.bound] if isinstance(self.bound, str) else NOTHING

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return one plane."""
        return ("above",)

    def fit(self, statistics: Statistics) -> Fit:
        """Return the bound of the tensor."""
        if self.bound == "mean":
            return Fit(threshold=statistics.mean or 0.0)
        if self.bound == "median":
            return Fit(threshold=statistics.quantiles[0] if statistics.quantiles else 0.0)
        return Fit(threshold=float(self.bound))

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones."""
        return (dtype.above(fit.threshold or 0.0),)


def parse(parameters: str | None) -> Threshold:
    """Read `mean`, `median` or a number."""
    if parameters in _NEEDS:
        return Threshold(parameters)
    try:
        bound = float(parameters or "")
    except ValueError:
        bound = nan
    if not isfinite(bound):
        given = "nothing" if parameters is None else repr(parameters)
        raise UsageError(f"threshold takes mean, median or a number, not {given}")
    return Threshold(bound)


KIND = Kind(
    "threshold",
    "one plane: w > t, t the mean, the median or a number: threshold:mean, threshold:median, threshold:0.01",
    parse,
)
