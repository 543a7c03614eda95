"""The meaning of the bits of each dtype: the one table that formats, quantizers and the scan share.

Names are those that safetensors writes. The table holds orders and classes of codes: a weight is above or below zero or
a threshold by its raw code alone, without decoding. Arrays of codes become numbers in decode.py.

A code is the unsigned integer of an element's bits (little-endian). For every IEEE-like format the positive
numbers are the codes 1..T, so that "above zero" is one interval of codes. Sources: IEEE 754-2019; Micikevicius et
al., arXiv 2209.05433 (E4M3, E5M2); OCP Microscaling Formats 1.0 (E8M0, E3M2, E2M3, E2M1); the FNUZ forms as in
ONNX 1.14 (no negative zero, the one NaN is 0x80).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, ldexp, nan


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A set of raw codes as two intervals, each a first code and a length; a length of 0 is an empty interval."""

    first: int = 0
    length: int = 0
    second_first: int = 0
    second_length: int = 0

    @property
    def interval(self) -> tuple[int, int]:
        """The first interval."""
        return self.first, self.length

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
"""The rule by which the codes of a tensor become planes: one set of codes a plane, or the bits of a number."""


@dataclass(frozen=True, slots=True)
class DType:
    """One stored type: its width in bits and which of its codes are above, below, equal to zero, or not finite.

    `kind` is float, signed, unsigned, bool, scale (E8M0: powers of two, no sign), complex or text. mantissa, bias: of
    floats, the bits of the fraction and what is subtracted from the exponent.
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
        """Return the number of a code, exactly (integers beyond 2^53 rounded); NaN and infinities too.

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
        exponent = code >> self.mantissa & (1 << (self.bits - 1 - self.mantissa)) - 1
        significand = (code & (1 << self.mantissa) - 1) + ((1 << self.mantissa) if exponent else 0)
        size = ldexp(significand, max(exponent, 1) - self.bias - self.mantissa)
        return -size if code >> (self.bits - 1) else size

    def above(self, threshold: float) -> CodeSet:
        """Return the codes of numbers greater than a finite threshold, strictly, compared as doubles.

        >>> DTYPES["I8"].above(-2.0)
        CodeSet(first=0, length=128, second_first=255, second_length=1)
        """
        if threshold >= 0:
            first, length = self.positive.interval
            skipped = _first_true(length, lambda index: self.value(first + index) > threshold)
            return CodeSet(first + skipped, length - skipped)
        least = self.nonnegative
        more = self._negative_above(threshold)
        if more.length == 0:
            return least
        if least.second_length:  # -0.0 comes right before the negative numbers
            return CodeSet(least.first, least.length, least.second_first, least.second_length + more.length)
        return CodeSet(*least.interval, *more.interval)

    def below(self, threshold: float) -> CodeSet:
        """Return the codes of numbers less than a threshold of 0 or less, strictly."""
        first, length = self.negative.interval
        above = self._negative_above(threshold).length
        if self.kind == "signed":  # two's complement: the smallest number has the lowest code
            equal = above < length and self.value(first + length - 1 - above) == threshold
            return CodeSet(first, length - above - equal)
        equal = above < length and self.value(first + above) == threshold
        return CodeSet(first + above + equal, length - above - equal)

    def _negative_above(self, threshold: float) -> CodeSet:
        """Return the codes of the negative numbers greater than a negative threshold."""
        first, length = self.negative.interval
        if self.kind == "signed":
            last = first + length - 1
            number = _first_true(length, lambda index: self.value(last - index) <= threshold)
            return CodeSet(first + length - number, number)
        return CodeSet(first, _first_true(length, lambda index: self.value(first + index) <= threshold))

    @property
    def nonnegative(self) -> CodeSet:
        """The codes of numbers >= 0: 0, -0.0 and the positive ones, no NaN."""
        if self.kind in ("unsigned", "bool", "scale"):
            return CodeSet(*self.positive.interval, *self.zero.interval)
        return CodeSet(0, self.positive.length + 1, self.zero.second_first, self.zero.second_length)

    @property
    def ordered(self) -> bool:
        """True where "above zero" has a meaning: for everything but complex numbers and text."""
        return self.kind not in ("complex", "text")


def _first_true(length: int, test: Callable[[int], bool]) -> int:
    """Return the first of 0 .. length - 1 for which a test holds that holds for all after it, too; else length."""
    low, high = 0, length
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if test(middle) else (middle + 1, high)
    return low


def _float(
    name: str,
    bits: int,
    mantissa: int,
    positive: int,
    nonfinite: CodeSet,
    bias: int | None = None,
) -> DType:
    """Return a float with sign bit, both zeros, and so many positive codes, with the bias of IEEE 754 unless given."""
    sign = 1 << (bits - 1)
    return DType(
        name,
        bits,
        "float",
        positive=CodeSet(1, positive),
        negative=CodeSet(sign + 1, positive),
        zero=CodeSet(0, 1) if sign in nonfinite else CodeSet(0, 1, sign, 1),
        nonfinite=nonfinite,
        mantissa=mantissa,
        bias=(1 << (bits - 2 - mantissa)) - 1 if bias is None else bias,
    )


def _ieee(name: str, bits: int, mantissa: int) -> DType:
    """Return a float with infinity and NaN at the top; infinity is a positive number."""
    sign = 1 << (bits - 1)
    infinity = sign - (1 << mantissa)
    nonfinite = CodeSet(infinity, sign - infinity, sign + infinity, sign - infinity)
    return _float(name, bits, mantissa, infinity, nonfinite)


def _finite(name: str, bits: int, mantissa: int) -> DType:
    """Return a float whose every code is a finite number (FP6 and FP4)."""
    return _float(name, bits, mantissa, (1 << (bits - 1)) - 1, CodeSet())


def _fnuz(name: str, mantissa: int) -> DType:
    """Return an 8-bit float without infinities and without -0.0, whose code 0x80 is the one NaN."""
    return _float(name, 8, mantissa, 0x7F, CodeSet(0x80, 1), bias=1 << (6 - mantissa))


def _signed(name: str, bits: int) -> DType:
    sign = 1 << (bits - 1)
    return DType(name, bits, "signed", positive=CodeSet(1, sign - 1), negative=CodeSet(sign, sign), zero=CodeSet(0, 1))


def _unsigned(name: str, bits: int, kind: str = "unsigned") -> DType:
    return DType(name, bits, kind, positive=CodeSet(1, (1 << bits) - 1), zero=CodeSet(0, 1))


DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        _ieee("F64", 64, 52),
        _ieee("F32", 32, 23),
        _ieee("F16", 16, 10),
        _ieee("BF16", 16, 7),
        _float("F8_E4M3", 8, 3, 0x7E, CodeSet(0x7F, 1, 0xFF, 1)),
        _ieee("F8_E5M2", 8, 2),
        _fnuz("F8_E4M3FNUZ", 3),
        _fnuz("F8_E5M2FNUZ", 2),
        DType("F8_E8M0", 8, "scale", positive=CodeSet(0, 0xFF), nonfinite=CodeSet(0xFF, 1)),
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
"""Every dtype by the name that safetensors gives it, and I4, U4, I2, U2, C32, C128 and STRING, which it lacks."""
