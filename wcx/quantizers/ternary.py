"""ternary: two planes, w > d and w < -d with d = 0.7 mean(abs(w)).

Source: Li, Zhang & Liu, Ternary Weight Networks, arXiv 1605.04711, equation 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from wcx.core.dtypes import CodeSet, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers.contract import Kind, Needs, Quantizer

_MEAN = Needs(mean_abs=True)


@dataclass(frozen=True)
class Ternary(Quantizer):
    """plus = w > d and minus = w < -d, compared as doubles; d = factor * mean(abs(w)) over the finite values."""

    factor: float = 0.7
    needs: Needs = _MEAN

    @property
    def name(self) -> str:
        """The specification in full."""
        return f"ternary:{self.factor!r}"

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return two planes."""
        return ("plus", "minus")

    def fit(self, statistics: Statistics) -> Fit:
        """Return the bound d of the tensor."""
        return Fit(threshold=self.factor * (statistics.mean_abs or 0.0))

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones, one set a plane."""
        bound = fit.threshold or 0.0
        return dtype.above(bound), dtype.below(-bound)


def parse(parameters: str | None) -> Ternary:
    """Read a factor."""
    if parameters is None:
        return Ternary()
    try:
        factor = float(parameters)
    except ValueError:
        factor = -1.0
    if not isfinite(factor) or factor < 0:
        raise UsageError(f"ternary takes a factor of 0 or more, not {parameters!r}")
    return Ternary(factor)


KIND = Kind("ternary", "two planes: w > d and w < -d, d = 0.7 mean(abs(w)); ternary:0.5 sets another factor", parse)
