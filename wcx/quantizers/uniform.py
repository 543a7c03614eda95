"""uniform: the planes of a uniform quantizer of 1 to 16 bits over the range of each tensor.

Source: QuBD, Bakhtiarifard et al., arXiv 2605.15551, and github.com/saintslab/QuBD, get_bitplanes in qbdm/qbdm.py: the
same numbers in float32, bit for bit, as torch computes on a CPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from wcx.core.dtypes import DType, UniformRule
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import Needs

if TYPE_CHECKING:
    import numpy as np

_BITS = 16
_LEAST_RANGE = 1e-8


@dataclass(frozen=True, slots=True)
class Uniform:
    """Plane k is bit k of q = clamp(round_half_even((w - lo) / delta), 0, 2^bits - 1).

    delta = (hi - lo) / (2^bits - 1). lo, hi: of the finite values, the smallest and the largest (`minmax`), -a and a
    with a = max(abs(w)) (`absmax`), or the quantiles (1 - p) / 2 and 1 - (1 - p) / 2 (p99.9). q is 0 everywhere where
    hi - lo < 1e-8, and where hi - lo is beyond float32. NaN gives 0, infinities the lowest and the highest level.
    """

    bits: int
    range: str = "minmax"
    zero: None = None
    stored: bool = False
    float32_rank: bool = False

    @property
    def name(self) -> str:
        """The specification in full; minmax goes without saying."""
        return f"uniform:{self.bits}" + ("" if self.range == "minmax" else f":{self.range}")

    @property
    def needs(self) -> Needs:
        """The range, or two quantiles."""
        if self.range in ("minmax", "absmax"):
            return Needs(range=True)
        tail = (1.0 - float(self.range[1:]) / 100.0) / 2.0  # these very operations, as QuBD
        return Needs(quantiles=(tail, 1.0 - tail), float32_rank=self.float32_rank)

    def refuses(self, dtype: DType) -> str | None:
        """None: every number has a level."""
        return None

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """As many planes as bits, bit0 the least significant."""
        return tuple(f"bit{bit}" for bit in range(self.bits))

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
        return Fit(lo=_plain(lo), hi=_plain(hi), delta=delta)

    def _bounds(self, statistics: Statistics) -> tuple[float, float]:
        if self.range[0] == "p":
            return statistics.quantiles[0], statistics.quantiles[1]
        lo, hi = statistics.lo or 0.0, statistics.hi or 0.0
        if self.range == "minmax":
            return lo, hi
        most = max(abs(lo), abs(hi))
        return -most, most

    def cut(self, dtype: DType, fit: Fit) -> UniformRule:
        """Return the levels."""
        return UniformRule(self.bits, fit.lo or 0.0, fit.delta or 0.0)


def _plain(bound: np.float32) -> float | None:
    """A bound of the range as a number without -0.0; None beyond float32."""
    return float(bound) + 0.0 if isfinite(bound) else None


class _Kind:
    name = "uniform"
    summary = "a plane per bit of a uniform quantizer, as uniform:8 over min..max, uniform:4:p99.9, uniform:8:absmax"

    def parse(self, parameters: str | None) -> Uniform:
        bits, colon, range_ = (parameters or "").partition(":")
        if not re.fullmatch(r"[1-9][0-9]?", bits, re.ASCII) or int(bits) > _BITS:
            given = "nothing" if parameters is None else repr(parameters)
            raise UsageError(f"uniform takes 1 to {_BITS} bits and a range, as uniform:8:p99.9, not {given}")
        if not colon or range_ in ("minmax", "absmax"):
            return Uniform(int(bits), range_ or "minmax")
        if re.fullmatch(r"p[0-9]{1,3}(\.[0-9]{1,12})?", range_, re.ASCII) and 0 < float(range_[1:]) <= 100:
            return Uniform(int(bits), "p" + repr(float(range_[1:])).removesuffix(".0"))
        raise UsageError(f"uniform takes the range minmax, absmax or a percentile such as p99.9, not {range_!r}")


KIND = _Kind()
