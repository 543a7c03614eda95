"""Tensor values to planes of bits. A quantizer says, for a dtype, which raw codes are ones in each of its planes.

Where the rule needs no decoded value (a sign does not), the planes are intervals of raw codes and nothing is decoded.
A new quantizer is one file and one line here.
"""

from __future__ import annotations

from typing import Protocol

from wcx.dtypes import Codes, DType
from wcx.registry import Registry

__all__ = ["QUANTIZERS", "Quantizer", "QuantizerKind", "parse_quantizer"]


class Quantizer(Protocol):
    """A quantizer with its parameters."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    @property
    def planes(self) -> tuple[str, ...]:
        """The names of its planes."""

    @property
    def zero(self) -> str:
        """Whether a weight of 0 is a `zero` or a `one`."""

    def rules(self, dtype: DType) -> tuple[Codes, ...]:
        """Return the codes that are ones, one set a plane."""


class QuantizerKind(Protocol):
    """What is registered: a name, a line for `wcx kinds`, and how its parameters are read."""

    name: str
    summary: str

    def parse(self, parameters: str | None) -> Quantizer:
        """Make a quantizer from what follows the name and a colon; UsageError where it makes no sense."""


QUANTIZERS: Registry[QuantizerKind] = Registry(
    "quantizer",
    {"sign": "wcx.quantizers.sign:KIND", "polarity": "wcx.quantizers.polarity:KIND"},
)


def parse_quantizer(specification: str) -> Quantizer:
    """Return the quantizer that a specification such as `sign:zero=one` names; UsageError for any other text."""
    name, colon, parameters = specification.partition(":")
    return QUANTIZERS[name].parse(parameters if colon else None)
