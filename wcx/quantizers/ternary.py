"""ternary: two planes, w > d and w < -d with d = 0.7 mean(abs(w)).

Source: Li, Zhang & Liu, Ternary Weight Networks, arXiv 1605.04711, equation 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from wcx.core.dtypes import CodeSet, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import Needs

_NEEDS = Needs(mean_abs=True)


@dataclass(frozen=True, slots=True)
class Ternary:
    """plus = w > d and minus = w < -d, compared as doubles; d = factor * mean(abs(w)) over the finite values."""

    factor: float = 0.7
    zero: None = None
    needs: Needs = _NEEDS
    stored: bool = False

    @property
    def name(self) -> str:
        """The specification in full."""
        return f"ternary:{self.factor!r}"

    def refuses(self, dtype: DType) -> str | None:
        """None: every number is above a bound or not."""
        return None

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Two planes."""
        return ("plus", "minus")

    def fit(self, statistics: Statistics) -> Fit:
        """The bound d of the tensor."""
        return Fit(threshold=self.factor * (statistics.mean_abs or 0.0))

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones, one set a plane."""
        bound = fit.threshold or 0.0
        return dtype.above(bound), dtype.below(-bound)


class _Kind:
    name = "ternary"
    summary = "two planes: w > d and w < -d, d = 0.7 mean(abs(w)); ternary:0.5 for another factor"

    def parse(self, parameters: str | None) -> Ternary:
        if parameters is None:
            return Ternary()
        try:
            factor = float(parameters)
        except ValueError:
            factor = -1.0
        if not isfinite(factor) or factor < 0:
            raise UsageError(f"ternary takes a factor of 0 or more, not {parameters!r}")
        return Ternary(factor)


KIND = _Kind()
