"""sign: one plane, 1 where the weight is above zero (BinaryConnect, Courbariaux et al. 2015; Sakabe et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import CodeSet, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import NOTHING, Needs


@dataclass(frozen=True, slots=True)
class Sign:
    """bit = w > 0: 0, -0.0 and NaN give 0. With zero = `one`, bit = w >= 0: 0 and -0.0 give 1, NaN still 0."""

    zero: str = "zero"
    name: str = "sign"
    needs: Needs = NOTHING
    stored: bool = False

    def refuses(self, dtype: DType) -> str | None:
        """None: every number has a sign."""
        return None

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """One plane."""
        return ("sign",)

    def fit(self, statistics: Statistics) -> Fit:
        """Nothing is learned."""
        return Fit()

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones."""
        return (dtype.positive if self.zero == "zero" else dtype.nonnegative,)


class _Kind:
    name = "sign"
    summary = "one plane: w > 0; sign:zero=one for w >= 0"

    def parse(self, parameters: str | None) -> Sign:
        if parameters is None:
            return Sign()
        if parameters in ("zero=one", "zero=zero"):
            return Sign(zero=parameters.removeprefix("zero="))
        raise UsageError(f"sign takes zero=zero or zero=one, not {parameters!r}")


KIND = _Kind()
