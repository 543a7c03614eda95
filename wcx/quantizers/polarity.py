"""polarity: two planes, w > 0 and w < 0 (the node and weight views of Sakabe et al., arXiv 2505.20646)."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import CodeSet, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import NOTHING, Needs


@dataclass(frozen=True, slots=True)
class Polarity:
    """plus = w > 0 and minus = w < 0; 0, -0.0 and NaN are in neither."""

    zero: str = "zero"
    name: str = "polarity"
    needs: Needs = NOTHING
    stored: bool = False

    def refuses(self, dtype: DType) -> str | None:
        """None: every number has a sign."""
        return None

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Two planes."""
        return ("plus", "minus")

    def fit(self, statistics: Statistics) -> Fit:
        """Nothing is learned."""
        return Fit()

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones, one set a plane."""
        return dtype.positive, dtype.negative


class _Kind:
    name = "polarity"
    summary = "two planes: w > 0 and w < 0"

    def parse(self, parameters: str | None) -> Polarity:
        if parameters is not None:
            raise UsageError(f"polarity takes no parameters, not {parameters!r}")
        return Polarity()


KIND = _Kind()
