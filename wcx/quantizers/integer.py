"""integer: the bits of integer codes as they are stored, one plane each."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import BitRule, DType
from wcx.core.scheme import Fit
from wcx.quantizers.contract import Quantizer, bit_names, kind_without_parameters


@dataclass(frozen=True)
class Integer(Quantizer):
    """Plane k is bit k of the code; of signed types in offset binary: the highest bit inverted, so that codes ascend.

    Zero points are ignored: the codes are those in the file.
    """

    name: str = "integer"
    stored: bool = True

    def refuses(self, dtype: DType) -> str | None:
        """Refuse all but integers."""
        return None if dtype.kind in ("signed", "unsigned") else "not integer codes"

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """Return a plane for each bit of the dtype."""
        return bit_names(dtype.bits)

    def cut(self, dtype: DType, fit: Fit) -> BitRule:
        """Return all bits."""
        return BitRule(dtype.bits)


KIND = kind_without_parameters(Integer(), "one plane per bit of stored integer codes (offset binary for signed dtypes)")
