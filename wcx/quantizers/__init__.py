"""Tensor values to planes of bits, one quantizer a file; contract.py says what a quantizer must do.

A new quantizer is one file and one line here, or an entry point of the group `wcx.quantizers` in another package.
"""

from __future__ import annotations

from wcx.core.registry import Registry
from wcx.quantizers.contract import NOTHING, Kind, Needs, Quantizer, QuantizerKind

__all__ = ["NOTHING", "QUANTIZERS", "Kind", "Needs", "Quantizer", "QuantizerKind", "parse_quantizer"]

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
    group="wcx.quantizers",
    accepts=lambda item: isinstance(item, QuantizerKind),
)


def parse_quantizer(specification: str) -> Quantizer:
    """Return the quantizer that a specification such as `sign:zero=one` names; UsageError for any other text."""
    name, colon, parameters = specification.partition(":")
    return QUANTIZERS[name].parse(parameters if colon else None)
