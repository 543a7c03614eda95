"""uniform: the planes of a uniform quantizer of 1 to 16 bits over the range of each tensor.

Source: QuBD, Bakhtiarifard et al., arXiv 2605.15551, and github.com/saintslab/QuBD, get_bitplanes in qbdm/qbdm.py: the
same numbers in float32, bit for bit, as torch computes on a CPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

from wcx.core.dtypes import DType, UniformRule
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers.contract import Kind, Needs, Quantizer, bit_names

_BITS = 16
_LEAST_RANGE = 1e-8
_PERCENTILE = re.compile(r"p[0-9]{1,3}(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True)
class Uniform(Quantizer):
    """Plane k is bit k of q = clamp(round_half_even((w - lo) / delta), 0, 2^bits - 1).

    delta = (hi - lo) / (2^bits - 1). lo, hi: of the finite values, the smallest and the largest (`minmax`), -a and a
    with a = max(abs(w)) (`absmax`), or the quantiles (1 - p) / 2 and 1 - (1 - p) / 2 of a percentile p, a number. q is
    0 everywhere where hi - lo < 1e-8, and where hi - lo is beyond float32. NaN gives 0, infinities the lowest and the
    highest level.
    """

    bits: int
    range: str | float = "minmax"
    float32_rank: bool = False

    @property
    def name(self) -> str:
        """The specification in full; minmax goes without saying."""
        if self.range == "minmax":
            return f"uniform:{self.bits}"
        return f"uniform:{self.bits}:" + (
            self.range if isinstance(self.range, str) else f"p{self.range!r}".removesuffix(".0")
        )

    @property
    def needs(self) -> Needs:
        """The range, or two quantiles."""
        if isinstance(self.range, str):
            return Needs(range=True)
        tail = (1.0 - self.range / 100.0) / 2.0  # these very operations, as QuBD
        return Needs(quantiles=(tail, 1.0 - tail), float32_rank=self.float32_rank)

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return a plane for each bit."""
        return bit_names(self.bits)

    def fit(self, statistics: Statistics) -> Fit:
        """Return the range and the step, float32 values; a step of 0 where there is none.

        >>> Uniform(8).fit(Statistics(2, -1.0, 1.0)).delta
        0.007843137718737125
        """
        if statistics.number == 0:
            return Fit(delta=0.0)
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):
            lo, hi = (np.float32(bound) for bound in self._bounds(statistics))
            width = hi - lo
            delta = float(width / np.float32((1 << self.bits) - 1))
        if width < np.float32(_LEAST_RANGE) or not isfinite(delta):
            delta = 0.0
        return Fit(lo=_finite(float(lo)), hi=_finite(float(hi)), delta=delta)

    def _bounds(self, statistics: Statistics) -> tuple[float, float]:
        if not isinstance(self.range, str):
            return statistics.quantiles[0], statistics.quantiles[1]
        lo, hi = statistics.lo or 0.0, statistics.hi or 0.0
        if self.range == "minmax":
            return lo, hi
        most = max(abs(lo), abs(hi))
        return -most, most

    def cut(self, dtype: DType, fit: Fit) -> UniformRule:
        """Return the range in steps."""
        return UniformRule(self.bits, fit.lo or 0.0, fit.delta or 0.0)


def _finite(bound: float) -> float | None:
    """Return a bound of the range without -0.0; None beyond float32."""
    return bound + 0.0 if isfinite(bound) else None


def parse(parameters: str | None) -> Uniform:
    """Read bits, and after a colon `minmax`, `absmax` or a percentile."""
    bits, colon, range_ = (parameters or "").partition(":")
    if not re.fullmatch(r"[1-9][0-9]?", bits, re.ASCII) or int(bits) > _BITS:
        given = "nothing" if parameters is None else repr(parameters)
        raise UsageError(f"uniform takes 1 to {_BITS} bits and a range, e.g. uniform:8:p99.9, not {given}")
    if not colon or range_ in ("minmax", "absmax"):
        return Uniform(int(bits), range_ or "minmax")
    if _PERCENTILE.fullmatch(range_) and 0 < float(range_[1:]) <= 100:
        return Uniform(int(bits), float(range_[1:]))
    raise UsageError(f"uniform takes the range minmax, absmax or a percentile, e.g. p99.9, not {range_!r}")


KIND = Kind(
    "uniform",
    "one plane per bit of a uniform quantizer: uniform:8 over min..max, uniform:4:p99.9, uniform:8:absmax",
    parse,
)
