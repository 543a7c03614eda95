"""The signs of all parameters as one string, in pieces of 12: MoMos' complexity of a network.

Source: Bakhtiarifard et al., arXiv 2602.14896, and `saintslab/MoMos`, src/metrics.py, flatten_weights and compute_bdm:
all parameters one after the other, biases and norms included, a bit is 1 where w > 0, pybdm's BDM(ndim=1) of them.
Strings cross from one tensor into the next, so this is one stream, read in the file's order by one worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counter import Counter
from wcx.blocks.counts import BlockCounts
from wcx.blocks.grid import Stripe, pieces
from wcx.dtypes import DTYPES, Codes
from wcx.evaluate import evaluate_plane
from wcx.layers import Layer, Source, layer_of
from wcx.types import PlaneReport, Scheme, Settings, TensorInfo

__all__ = ["concatenate", "parameters"]

NAME = "concatenated"
"""What the plane is called, and what seeds its null."""

_SCHEME = Scheme("1x12", "ignore", "flat")
_STRING = 12
_ONE = (Codes(1, 255),)


def parameters(tensors: Sequence[TensorInfo]) -> list[Layer]:
    """The tensors that a network would call its parameters: numbers of a floating type, no buffers, none empty."""
    return [layer_of(tensor, "flat") for tensor in tensors if _is_parameter(tensor)]


def _is_parameter(tensor: TensorInfo) -> bool:
    floating = DTYPES[tensor.dtype].kind == "float" or tensor.quantization is not None
    return tensor.role == "weight" and floating and not tensor.obstacle and prod(tensor.shape) > 0


def concatenate(
    layers: Sequence[Layer], settings: Settings, source: Source, on_bytes: Callable[[int], None]
) -> PlaneReport | None:
    """Return the plane of all signs, one tensor after the other; None where they fill no string of 12.

    settings: of block 1x12. The last symbols that fill no string are left over.
    """
    counter = Counter(1, strings=True)
    counter.begin(DTYPES["U8"], _ONE)
    rest: NDArray[np.uint8] = np.empty(0, np.uint8)
    histogram: NDArray[np.int64] = np.zeros(counter.histograms.shape, np.int64)
    symbols = ones = 0
    for layer in layers:
        for piece in pieces(Stripe(0, 0, layer.columns, last=True), 1, layer.columns, layer.dtype.bits):
            codes = source.codes(layer, piece)
            bits = np.concatenate([rest, _above(codes, layer.dtype.positive)])
            whole = bits.size // _STRING * _STRING
            if whole:
                counter.count(bits[:whole], 1, whole)
                counter.add_to(histogram)
            rest = bits[whole:]
            symbols += codes.size
            ones += int(bits[:whole].sum(dtype=np.int64))
            on_bytes(codes.size * layer.stored.bits // 8)
    if symbols < _STRING:
        return None
    ones += int(rest.sum())
    counts = BlockCounts.from_histogram(_SCHEME.id, histogram[0], symbols, ones, _STRING)
    return evaluate_plane(NAME, counts, settings)


def _above(codes: NDArray[Any], positive: Codes) -> NDArray[np.uint8]:
    """The bits of a piece, one a byte."""
    kind = codes.dtype.type
    inside: NDArray[np.bool_] = codes - kind(positive.first) < kind(positive.length)
    return inside.view(np.uint8)
