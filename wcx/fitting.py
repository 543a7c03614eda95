"""What quantizers learn of tensors before they cut them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wcx.layers import Layer, Source
from wcx.quantizers import Quantizer
from wcx.types import Fit, Statistics

__all__ = ["fit_layers"]


def fit_layers(
    layers: Sequence[Layer],
    quantizer: Quantizer,
    make_source: Callable[[], Source],
    threads: int,
    on_bytes: Callable[[int], None] | None = None,
) -> list[Fit]:
    """Return what a quantizer learns of each layer; the arguments are those of count_layers."""
    if not any(quantizer.needs):
        return [quantizer.fit(Statistics())] * len(layers)
    raise NotImplementedError
