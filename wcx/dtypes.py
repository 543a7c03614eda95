"""What the bits of each dtype mean: the one table that formats, quantizers and the pipeline share.

Names are those that safetensors writes. Only orders and classes of codes live here, no decoded values: wcx asks of
a weight whether it is above or below zero, and for that its raw code is enough.

A code is the unsigned integer that an element's bits spell (little-endian). For every IEEE-like format the positive
numbers are the codes 1..T, so that "above zero" is one interval of codes. Sources: IEEE 754-2019; Micikevicius et
al., arXiv 2209.05433 (E4M3, E5M2); OCP Microscaling Formats 1.0 (E8M0, E3M2, E2M3, E2M1); the FNUZ forms as in
ONNX 1.14 (no negative zero, the one NaN is 0x80).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DTYPES", "Codes", "DType"]


@dataclass(frozen=True, slots=True)
class Codes:
    """A set of raw codes as two intervals, each a first code and a length; a length of 0 is an empty interval."""

    first: int = 0
    length: int = 0
    second_first: int = 0
    second_length: int = 0

    def __contains__(self, code: int) -> bool:
        return 0 <= code - self.first < self.length or 0 <= code - self.second_first < self.second_length


@dataclass(frozen=True, slots=True)
class DType:
    """One stored type: its width in bits and which of its codes are above, below, equal to zero, or not finite.

    `kind` is float, signed, unsigned, bool, scale (E8M0: powers of two, no sign), complex or text.
    """

    name: str
    bits: int
    kind: str
    positive: Codes = Codes()
    negative: Codes = Codes()
    zero: Codes = Codes()
    nonfinite: Codes = Codes()

    @property
    def nonnegative(self) -> Codes:
        """The codes of numbers >= 0: 0, -0.0 and the positive ones, no NaN."""
        if self.kind in ("unsigned", "bool", "scale"):
            return Codes(*self._first(self.positive), *self._first(self.zero))
        return Codes(0, self.positive.length + 1, self.zero.second_first, self.zero.second_length)

    @staticmethod
    def _first(codes: Codes) -> tuple[int, int]:
        return codes.first, codes.length

    @property
    def ordered(self) -> bool:
        """Whether "above zero" means something: everything but complex numbers and text."""
        return self.kind not in ("complex", "text")


def _ieee(name: str, bits: int, infinity: int) -> DType:
    """A float with sign bit, both zeros, and inf and NaN at the top: `infinity` is the code of +inf."""
    sign = 1 << (bits - 1)
    return DType(
        name,
        bits,
        "float",
        positive=Codes(1, infinity),
        negative=Codes(sign + 1, infinity),
        zero=Codes(0, 1, sign, 1),
        nonfinite=Codes(infinity, sign - infinity, sign + infinity, sign - infinity),
    )


def _finite(name: str, bits: int) -> DType:
    """A float with sign bit and both zeros whose every code is a finite number (FP6 and FP4)."""
    sign = 1 << (bits - 1)
    return DType(
        name,
        bits,
        "float",
        positive=Codes(1, sign - 1),
        negative=Codes(sign + 1, sign - 1),
        zero=Codes(0, 1, sign, 1),
    )


def _fnuz(name: str) -> DType:
    """An 8-bit float without infinities and without -0.0, whose code 0x80 is the one NaN."""
    return DType(
        name,
        8,
        "float",
        positive=Codes(1, 0x7F),
        negative=Codes(0x81, 0x7F),
        zero=Codes(0, 1),
        nonfinite=Codes(0x80, 1),
    )


def _signed(name: str, bits: int) -> DType:
    sign = 1 << (bits - 1)
    return DType(name, bits, "signed", positive=Codes(1, sign - 1), negative=Codes(sign, sign), zero=Codes(0, 1))


def _unsigned(name: str, bits: int, kind: str = "unsigned") -> DType:
    return DType(name, bits, kind, positive=Codes(1, (1 << bits) - 1), zero=Codes(0, 1))


_E4M3 = DType(
    "F8_E4M3",
    8,
    "float",
    positive=Codes(1, 0x7E),
    negative=Codes(0x81, 0x7E),
    zero=Codes(0, 1, 0x80, 1),
    nonfinite=Codes(0x7F, 1, 0xFF, 1),
)
_E8M0 = DType("F8_E8M0", 8, "scale", positive=Codes(0, 0xFF), nonfinite=Codes(0xFF, 1))

DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        _ieee("F64", 64, 0x7FF0 << 48),
        _ieee("F32", 32, 0x7F800000),
        _ieee("F16", 16, 0x7C00),
        _ieee("BF16", 16, 0x7F80),
        _E4M3,
        _ieee("F8_E5M2", 8, 0x7C),
        _fnuz("F8_E4M3FNUZ"),
        _fnuz("F8_E5M2FNUZ"),
        _E8M0,
        _finite("F6_E2M3", 6),
        _finite("F6_E3M2", 6),
        _finite("F4", 4),
        _signed("I64", 64),
        _signed("I32", 32),
        _signed("I16", 16),
        _signed("I8", 8),
        _unsigned("U64", 64),
        _unsigned("U32", 32),
        _unsigned("U16", 16),
        _unsigned("U8", 8),
        _signed("I4", 4),
        _unsigned("U4", 4),
        _signed("I2", 2),
        _unsigned("U2", 2),
        _unsigned("BOOL", 8, "bool"),
        DType("C32", 32, "complex"),
        DType("C64", 64, "complex"),
        DType("C128", 128, "complex"),
        DType("STRING", 0, "text"),
    )
}
"""Every dtype by the name that safetensors gives it; I4, U4, I2, U2, C32, C128 and STRING beside, which it lacks."""
