"""polarity: two planes, w > 0 and w < 0 (the node and weight views of Sakabe et al., arXiv 2505.20646)."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import CodeSet, DType
from wcx.core.scheme import Fit
from wcx.quantizers.contract import Quantizer, kind_without_parameters


@dataclass(frozen=True)
class Polarity(Quantizer):
    """plus = w > 0 and minus = w < 0; 0, -0.0 and NaN are in neither."""

    zero: str = "zero"
    name: str = "polarity"

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return two planes."""
        return ("plus", "minus")

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones, one set a plane."""
        return dtype.positive, dtype.negative


KIND = kind_without_parameters(Polarity(), "two planes: w > 0 and w < 0")
