"""sign: one plane, 1 where the weight is above zero (BinaryConnect, Courbariaux et al. 2015; Sakabe et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import CodeSet, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit
from wcx.quantizers.contract import Kind, Quantizer


@dataclass(frozen=True)
class Sign(Quantizer):
    """bit = w > 0: 0, -0.0 and NaN give 0. With zero = `one`, bit = w >= 0: 0 and -0.0 give 1, NaN still 0."""

    zero: str = "zero"
    name: str = "sign"

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return one plane."""
        return ("sign",)

    def cut(self, dtype: DType, fit: Fit) -> tuple[CodeSet, ...]:
        """Return the codes that are ones."""
        return (dtype.positive if self.zero == "zero" else dtype.nonnegative,)


def parse(parameters: str | None) -> Sign:
    """Read `zero=one` or `zero=zero`."""
    if parameters is None:
        return Sign()
    if parameters in ("zero=one", "zero=zero"):
        return Sign(zero=parameters.removeprefix("zero="))
    raise UsageError(f"sign takes zero=zero or zero=one, not {parameters!r}")


KIND = Kind("sign", "one plane: w > 0; sign:zero=one sets w >= 0", parse)
