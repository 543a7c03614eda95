"""What the bits of each dtype mean: the one table that formats, quantizers and the pipeline share.

Names are those that safetensors writes. Mostly orders and classes of codes live here: whether a weight is above or
below zero or a threshold is seen on its raw code, and nothing has to be decoded for it.

A code is the unsigned integer that an element's bits spell (little-endian). For every IEEE-like format the positive
numbers are the codes 1..T, so that "above zero" is one interval of codes. Sources: IEEE 754-2019; Micikevicius et
al., arXiv 2209.05433 (E4M3, E5M2); OCP Microscaling Formats 1.0 (E8M0, E3M2, E2M3, E2M1); the FNUZ forms as in
ONNX 1.14 (no negative zero, the one NaN is 0x80).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, ldexp, nan


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A set of raw codes as two intervals, each a first code and a length; a length of 0 is an empty interval."""

    first: int = 0
    length: int = 0
    second_first: int = 0
    second_length: int = 0

    def __contains__(self, code: int) -> bool:
        return 0 <= code - self.first < self.length or 0 <= code - self.second_first < self.second_length


@dataclass(frozen=True, slots=True)
class UniformRule:
    """Planes of a uniform quantizer: bit k of q = clamp(round_half_even((w - lo) / delta), 0, 2^bits - 1), in float32.

    lo, delta: float32 values; a delta of 0 gives q = 0 everywhere, and so does NaN.
    """

    bits: int
    lo: float
    delta: float

    def __len__(self) -> int:
        return self.bits


@dataclass(frozen=True, slots=True)
class BitRule:
    """Planes of integer codes as they are, bit by bit; of signed types as offset binary (the highest bit inverted)."""

    bits: int

    def __len__(self) -> int:
        return self.bits


PlaneRule = tuple[CodeSet, ...] | UniformRule | BitRule
"""How the codes of a tensor become planes of bits: one set of codes a plane, or the bits of a number."""


@dataclass(frozen=True, slots=True)
class DType:
    """One stored type: its width in bits and which of its codes are above, below, equal to zero, or not finite.

    `kind` is float, signed, unsigned, bool, scale (E8M0: powers of two, no sign), complex or text. mantissa, bias: of
    floats, the bits of the fraction and what is taken off the exponent.
    """

    name: str
    bits: int
    kind: str
    positive: CodeSet = CodeSet()
    negative: CodeSet = CodeSet()
    zero: CodeSet = CodeSet()
    nonfinite: CodeSet = CodeSet()
    mantissa: int = 0
    bias: int = 0

    @property
    def itemsize(self) -> int:
        """Bytes of a code in memory; one for codes of fewer than 8 bits."""
        return max(1, self.bits // 8)

    def value(self, code: int) -> float:
        """The number that a code spells, exactly (integers beyond 2^53 rounded); NaN and infinities too.

        >>> DTYPES["BF16"].value(0xBF80), DTYPES["F4"].value(7), DTYPES["I8"].value(0x80)
        (-1.0, 6.0, -128.0)
        """
        if self.kind == "bool":
            return float(code != 0)
        if self.kind == "unsigned":
            return float(code)
        if self.kind == "signed":
            return float(code - (code >> (self.bits - 1) << self.bits))
        if code in self.nonfinite:
            infinite = self.kind == "float" and self.nonfinite.length > 1 and code & (1 << self.mantissa) - 1 == 0
            return (-inf if code >> (self.bits - 1) else inf) if infinite else nan
        if self.kind == "scale":
            return ldexp(1.0, code - 127)
        sign = code >> (self.bits - 1)
        exponent, fraction = (
            code >> self.mantissa & (1 << (self.bits - 1 - self.mantissa)) - 1,
            code & (1 << self.mantissa) - 1,
        )
        size = ldexp(fraction + ((1 << self.mantissa) if exponent else 0), max(exponent, 1) - self.bias - self.mantissa)
        return -size if sign else size

    def above(self, threshold: float) -> CodeSet:
        """The codes of numbers greater than a finite threshold, strictly, compared as doubles.

        >>> DTYPES["I8"].above(-2.0)
        CodeSet(first=0, length=128, second_first=255, second_length=1)
        """
        if threshold >= 0:
            skipped = self._not_above(threshold, self.positive)
            return CodeSet(self.positive.first + skipped, self.positive.length - skipped)
        least = self.nonnegative
        kept = self._less_than(threshold)
        if kept.length == 0:
            return least
        if least.second_length:  # -0.0 stands just before the negative numbers
            return CodeSet(least.first, least.length, least.second_first, least.second_length + kept.length)
        return CodeSet(least.first, least.length, kept.first, kept.length)

    def below(self, threshold: float) -> CodeSet:
        """The codes of numbers less than a threshold of 0 or less, strictly."""
        first, length = self._first(self.negative)
        kept = self._less_than(threshold).length
        if self.kind == "signed":  # two's complement: the smallest number has the lowest code
            equal = kept < length and self.value(first + length - 1 - kept) == threshold
            return CodeSet(first, length - kept - equal)
        equal = kept < length and self.value(first + kept) == threshold
        return CodeSet(first + kept + equal, length - kept - equal)

    def _less_than(self, threshold: float) -> CodeSet:
        """The codes of the negative numbers greater than a negative threshold."""
        first, length = self._first(self.negative)
        low, high = 0, length  # how many of them there are, counted from the one nearest to 0
        while low < high:
            middle = (low + high) // 2
            nearest = first + length - 1 - middle if self.kind == "signed" else first + middle
            low, high = (middle + 1, high) if self.value(nearest) > threshold else (low, middle)
        return CodeSet(first + length - low, low) if self.kind == "signed" else CodeSet(first, low)

    def _not_above(self, threshold: float, codes: CodeSet) -> int:
        """How many of the positive codes, which ascend with their numbers, are not above a threshold."""
        low, high = 0, codes.length
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.value(codes.first + middle) > threshold else (middle + 1, high)
        return low

    @property
    def nonnegative(self) -> CodeSet:
        """The codes of numbers >= 0: 0, -0.0 and the positive ones, no NaN."""
        if self.kind in ("unsigned", "bool", "scale"):
            return CodeSet(*self._first(self.positive), *self._first(self.zero))
        return CodeSet(0, self.positive.length + 1, self.zero.second_first, self.zero.second_length)

    @staticmethod
    def _first(codes: CodeSet) -> tuple[int, int]:
        return codes.first, codes.length

    @property
    def ordered(self) -> bool:
        """Whether "above zero" means something: everything but complex numbers and text."""
        return self.kind not in ("complex", "text")


def _ieee(name: str, bits: int, infinity: int) -> DType:
    """A float with sign bit, both zeros, and inf and NaN at the top: `infinity` is the code of +inf."""
    sign = 1 << (bits - 1)
    mantissa = (infinity & -infinity).bit_length() - 1
    return DType(
        name,
        bits,
        "float",
        positive=CodeSet(1, infinity),
        negative=CodeSet(sign + 1, infinity),
        zero=CodeSet(0, 1, sign, 1),
        nonfinite=CodeSet(infinity, sign - infinity, sign + infinity, sign - infinity),
        mantissa=mantissa,
        bias=(1 << (bits - 2 - mantissa)) - 1,
    )


def _finite(name: str, bits: int, mantissa: int) -> DType:
    """A float with sign bit and both zeros whose every code is a finite number (FP6 and FP4)."""
    sign = 1 << (bits - 1)
    return DType(
        name,
        bits,
        "float",
        positive=CodeSet(1, sign - 1),
        negative=CodeSet(sign + 1, sign - 1),
        zero=CodeSet(0, 1, sign, 1),
        mantissa=mantissa,
        bias=(1 << (bits - 2 - mantissa)) - 1,
    )


def _fnuz(name: str, mantissa: int) -> DType:
    """An 8-bit float without infinities and without -0.0, whose code 0x80 is the one NaN."""
    return DType(
        name,
        8,
        "float",
        positive=CodeSet(1, 0x7F),
        negative=CodeSet(0x81, 0x7F),
        zero=CodeSet(0, 1),
        nonfinite=CodeSet(0x80, 1),
        mantissa=mantissa,
        bias=1 << (6 - mantissa),
    )


def _signed(name: str, bits: int) -> DType:
    sign = 1 << (bits - 1)
    return DType(name, bits, "signed", positive=CodeSet(1, sign - 1), negative=CodeSet(sign, sign), zero=CodeSet(0, 1))


def _unsigned(name: str, bits: int, kind: str = "unsigned") -> DType:
    return DType(name, bits, kind, positive=CodeSet(1, (1 << bits) - 1), zero=CodeSet(0, 1))


_E4M3 = DType(
    "F8_E4M3",
    8,
    "float",
    positive=CodeSet(1, 0x7E),
    negative=CodeSet(0x81, 0x7E),
    zero=CodeSet(0, 1, 0x80, 1),
    nonfinite=CodeSet(0x7F, 1, 0xFF, 1),
    mantissa=3,
    bias=7,
)
_E8M0 = DType("F8_E8M0", 8, "scale", positive=CodeSet(0, 0xFF), nonfinite=CodeSet(0xFF, 1))
DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        _ieee("F64", 64, 0x7FF0 << 48),
        _ieee("F32", 32, 0x7F800000),
        _ieee("F16", 16, 0x7C00),
        _ieee("BF16", 16, 0x7F80),
        _E4M3,
        _ieee("F8_E5M2", 8, 0x7C),
        _fnuz("F8_E4M3FNUZ", 3),
        _fnuz("F8_E5M2FNUZ", 2),
        _E8M0,
        _finite("F6_E2M3", 6, 3),
        _finite("F6_E3M2", 6, 2),
        _finite("F4", 4, 1),
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
