"""Planes of a layer as wcx itself cuts them, for quantizers that can't be recomputed independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.bits import bits_of
from wcx.core.checkpoint import TensorReader
from wcx.core.dtypes import PlaneRule
from wcx.scan.layers import PIECE_BYTES, Layer, Piece
from wcx.scan.sources import FileSource

_STEP = PIECE_BYTES // 8  # weights, of 8 bytes at most


def own_planes(
    layer: Layer, reader: TensorReader, rule: PlaneRule, names: Sequence[str]
) -> dict[str, NDArray[np.bool_]]:
    """Return the planes of a layer, or of some of its rows, by their names, each as a matrix."""
    source, weights = FileSource(reader), layer.rows * layer.columns
    flat = replace(layer, rows=1, columns=prod(layer.tensor.shape), first=0)
    planes = np.zeros((len(names), weights), np.bool_)
    for start in range(0, weights, _STEP):
        size = min(_STEP, weights - start)
        codes = source.codes(flat, Piece(0, 1, layer.first * layer.columns + start, size))
        for plane, bits in enumerate(bits_of(codes, layer.dtype, rule, range(len(names)))):
            planes[plane, start : start + size] = bits
    return {name: plane.reshape(layer.rows, layer.columns) for name, plane in zip(names, planes, strict=True)}
