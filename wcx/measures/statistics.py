"""Simple statistics: functions of the moments of a tensor, which are exact integers and extremes, and add.

All but sparsity and nonfinite are over the finite values, widened to double; integers with a zero point count as their
difference to it, not scaled. Floats appear at the end only: no order, chunk or thread changes a digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from wcx.core.measure import first_line

UNIT_BITS = 1074
"""Sums are in units of 2^-1074, the smallest double, sums of squares in units of 2^-2148."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of one tensor or of several. number: of finite values; total, squares: exact sums over those."""

    weights: int = 0
    zeros: int = 0
    nonfinite: int = 0
    number: int = 0
    lo: float | None = None
    hi: float | None = None
    total: int = 0
    squares: int = 0

    def __add__(self, other: Moments) -> Moments:
        lows = [one.lo for one in (self, other) if one.lo is not None]
        highs = [one.hi for one in (self, other) if one.hi is not None]
        return Moments(
            self.weights + other.weights,
            self.zeros + other.zeros,
            self.nonfinite + other.nonfinite,
            self.number + other.number,
            min(lows, default=None),
            max(highs, default=None),
            self.total + other.total,
            self.squares + other.squares,
        )


@dataclass(frozen=True, slots=True)
class Statistic:
    """A named function of the moments.

    formula, range, source: as docs/measures.md prints them. example: values of weights, and that of the statistic.
    sees_values: True if it needs more than the numbers of zeros and of non-finite values.
    """

    name: str
    unit: str
    evaluate: Callable[[Moments], float | int | None]
    formula: str
    example: tuple[tuple[float, ...], float | int | None]
    range: str = "of the weights"
    source: str = ""
    sees_values: bool = True

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return first_line(self.evaluate)


_UNIT = 1 << UNIT_BITS
_PRECISION = 64  # bits of a root beyond those of its integer part


def square_root(number: Fraction) -> float | None:
    """Return the square root of a number >= 0 as a double; None beyond the largest.

    >>> square_root(Fraction(2))
    1.4142135623730951
    """
    if number == 0:
        return 0.0
    size = number.numerator.bit_length() - number.denominator.bit_length()
    places = max(0, 2 * _PRECISION - size + 1) // 2 + 1  # the root has more than 64 bits at that many binary places
    square, rest = divmod(number.numerator << 2 * places, number.denominator)
    root = isqrt(square)
    more = rest > 0 or root * root < square  # what was cut off decides between two doubles at most
    return _double(Fraction(2 * root + more, 2 << places))


def _double(number: Fraction) -> float | None:
    try:
        return float(number)
    except OverflowError:
        return None


def sparsity(moments: Moments) -> float | None:
    """Weights that are exactly 0 (or -0.0, or the zero point) over all weights, from 0 to 1."""
    return moments.zeros / moments.weights if moments.weights else None


def l2_norm(moments: Moments) -> float | None:
    """Square root of the sum of squares; of 3 and 4 it is 5.0."""
    return square_root(Fraction(moments.squares, _UNIT * _UNIT))


def lowest(moments: Moments) -> float | None:
    """Smallest value, -0.0 as 0.0; None where none of 1 or more values is finite."""
    return moments.lo


def highest(moments: Moments) -> float | None:
    """Largest value, -0.0 as 0.0; None where none of 1 or more values is finite."""
    return moments.hi


def mean(moments: Moments) -> float | None:
    """The correctly rounded sum over the number, as that of the quantizers; of 1 and 2 it is 1.5."""
    if not moments.number:
        return None
    try:
        return moments.total / _UNIT / moments.number
    except OverflowError:
        return _double(Fraction(moments.total, _UNIT * moments.number))


def sd(moments: Moments) -> float | None:
    """Population standard deviation, the square root of the mean squared difference to the mean; of 1 and 2, 0.5."""
    if not moments.number:
        return None
    number = moments.number
    return square_root(Fraction(moments.squares * number - moments.total**2, (number * _UNIT) ** 2))


def nonfinite(moments: Moments) -> int:
    """Number of NaN and infinities, from 0 to n."""
    return moments.nonfinite


SPARSITY = Statistic(
    "sparsity",
    "1",
    sparsity,
    formula="elements equal to 0 (or -0.0) over all elements",
    example=((0.0, -0.0, 1.0, 2.0), 0.5),
    range="0 .. 1",
    sees_values=False,
)
L2_NORM = Statistic(
    "l2_norm",
    "of the weights",
    l2_norm,
    formula="square root of the sum of w^2",
    example=((3.0, 4.0), 5.0),
    range="of the weights; null beyond the largest double",
)
MIN = Statistic("min", "of the weights", lowest, formula="smallest value, -0.0 as 0", example=((2.0, -1.0), -1.0))
MAX = Statistic("max", "of the weights", highest, formula="largest value, -0.0 as 0", example=((2.0, -1.0), 2.0))
MEAN = Statistic("mean", "of the weights", mean, formula="sum of w / number", example=((1.0, 2.0), 1.5))
SD = Statistic(
    "sd",
    "of the weights",
    sd,
    formula="square root of the mean of (w - mean)^2, the population's, divided by n and not n - 1",
    example=((1.0, 2.0), 0.5),
)
NONFINITE = Statistic(
    "nonfinite",
    "weights",
    nonfinite,
    formula="NaN and infinities",
    example=((1.0, math.inf, math.nan), 2),
    range="0 .. n",
    sees_values=False,
)
