"""Tensor values to planes of bits. A quantizer says how the codes of a tensor become planes: a PlaneRule.

Where a plane is a set of values above or below some bound, it is two intervals of raw codes, and nothing is decoded.
What a quantizer has to know of a tensor before (its range, a median) it names in `needs` and gets as Statistics; what
it makes of them, the Fit, stands in the report. A new quantizer is one file and one line here.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from wcx.core.dtypes import DType, PlaneRule
from wcx.core.registry import Registry
from wcx.core.scheme import Fit, Statistics

__all__ = ["NOTHING", "QUANTIZERS", "Needs", "Quantizer", "QuantizerKind", "parse_quantizer"]


class Needs(NamedTuple):
    """What a quantizer must know of a tensor. quantiles: which, each from 0 to 1.

    float32_rank: whether the rank of a quantile is computed in float32, as torch.quantile does.
    """

    range: bool = False
    mean: bool = False
    mean_abs: bool = False
    quantiles: tuple[float, ...] = ()
    float32_rank: bool = False


NOTHING = Needs()
"""The needs of a quantizer that looks at each weight on its own."""


class Quantizer(Protocol):
    """A quantizer with its parameters."""

    @property
    def name(self) -> str:
        """What the report calls it: its specification in full."""

    @property
    def zero(self) -> str | None:
        """Whether a weight of 0 is a `zero` or a `one`; None where that is no choice."""

    @property
    def stored(self) -> bool:
        """Whether it takes integer codes as they are stored, whatever zero point they have."""

    @property
    def needs(self) -> Needs:
        """What `fit` has to be given."""

    def refuses(self, dtype: DType) -> str | None:
        """The reason why tensors of a dtype can't be cut, or None."""

    def planes(self, dtype: DType) -> tuple[str, ...]:
        """The names of the planes of a tensor of that dtype."""

    def fit(self, statistics: Statistics) -> Fit:
        """What is learned from a tensor: plain numbers, by which every weight can be cut on its own."""

    def cut(self, dtype: DType, fit: Fit) -> PlaneRule:
        """How the codes of a tensor become its planes."""


class QuantizerKind(Protocol):
    """What is registered: a name, a line for `wcx kinds`, and how its parameters are read."""

    name: str
    summary: str

    def parse(self, parameters: str | None) -> Quantizer:
        """Make a quantizer from what follows the name and a colon; UsageError where it makes no sense."""


QUANTIZERS: Registry[QuantizerKind] = Registry(
    "quantizer",
    {
        "sign": "wcx.quantizers.sign:KIND",
        "polarity": "wcx.quantizers.polarity:KIND",
        "threshold": "wcx.quantizers.threshold:KIND",
        "ternary": "wcx.quantizers.ternary:KIND",
        "uniform": "wcx.quantizers.uniform:KIND",
        "integer": "wcx.quantizers.integer:KIND",
    },
)


def parse_quantizer(specification: str) -> Quantizer:
    """Return the quantizer that a specification such as `sign:zero=one` names; UsageError for any other text."""
    name, colon, parameters = specification.partition(":")
    return QUANTIZERS[name].parse(parameters if colon else None)
