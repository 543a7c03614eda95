"""integer: the bits of integer codes as they are stored, one plane each."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import BitRule, DType
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import NOTHING, Needs


@dataclass(frozen=True, slots=True)
class Integer:
    """Plane k is bit k of the code; of signed types in offset binary: the highest bit inverted, so that codes ascend.

    Zero points are left aside: the codes are those in the file.
    """

    name: str = "integer"
    zero: None = None
    needs: Needs = NOTHING
    stored: bool = True

    def refuses(self, dtype: DType) -> str | None:
        """All but integers."""
        return None if dtype.kind in ("signed", "unsigned") else "not integer codes"

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """As many planes as the dtype has bits, bit0 the least significant."""
        return tuple(f"bit{bit}" for bit in range(dtype.bits))

    def fit(self, statistics: Statistics) -> Fit:
        """Nothing is learned."""
        return Fit()

    def cut(self, dtype: DType, fit: Fit) -> BitRule:
        """Return all bits."""
        return BitRule(dtype.bits)


class _Kind:
    name = "integer"
    summary = "a plane per bit of stored integer codes, offset binary for signed types"

    def parse(self, parameters: str | None) -> Integer:
        if parameters is not None:
            raise UsageError(f"integer takes no parameters, not {parameters!r}")
        return Integer()


KIND = _Kind()
