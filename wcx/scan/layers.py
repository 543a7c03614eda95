"""Layers: tensors as the matrices that are counted, and their codes, from files or arrays.

Integers that represent other numbers (code - zero point, as in quantized ONNX and PyTorch models) are given as these
differences, in a wider signed type: then "above zero" means above the zero point, whatever the rule that asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.layout import arrange
from wcx.core.checkpoint import Storage, TensorInfo
from wcx.core.dtypes import DTYPES, DType

Codes = NDArray[Any]
PIECE_BYTES = 1 << 20  # stays in the second-level cache between reading and counting
_SMALL_LAYER = 1 << 18  # weights; of smaller ones most time goes by in Python, which threads would only contend for
_WIDER = {2: "I16", 4: "I16", 8: "I16", 16: "I32", 32: "I64", 64: "I64"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A tensor, or some of its rows, that is to be counted as a matrix.

    view: the tensor with its axes in the order of the layout; its C order, cut into rows, is the matrix. dtype: of the
    codes that are counted, which is the tensor's own unless it has a zero point. first: the row of the whole matrix
    that the layer begins with.
    """

    tensor: TensorInfo
    view: TensorInfo
    dtype: DType
    rows: int
    columns: int
    first: int = 0

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.rows * self.columns

    @property
    def stored(self) -> DType:
        """The dtype of the tensor."""
        return DTYPES[self.tensor.dtype]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a layer that is read and counted at once: rows start .. start + height, columns first .. first + width.

    more_rows, more_columns: those after it that are read too, for the blocks that begin in the piece.
    """

    start: int
    height: int
    first: int
    width: int
    more_rows: int = 0
    more_columns: int = 0


def layer_of(tensor: TensorInfo, layout: str = "rows", *, as_stored: bool = False) -> Layer:
    """Return the whole of a tensor under a layout; ValueError where it has no matrix.

    as_stored: whether integer codes are left as they are, whatever their zero point.

    >>> from wcx.core.checkpoint import Quantization
    >>> layer_of(TensorInfo("w", "U8", (8, 4), 32, quantization=Quantization((128,), (1, 1)))).dtype.name
    'I16'
    """
    matrix = arrange(tensor.shape, layout)
    stored = DTYPES[tensor.dtype]
    shifted = not as_stored and tensor.quantization is not None and any(tensor.quantization.zero_points)
    view = tensor if matrix.axes is None else permuted(tensor, matrix.axes)
    return Layer(tensor, view, DTYPES[_WIDER[stored.bits]] if shifted else stored, matrix.rows, matrix.columns)


def useful_threads(layers: Sequence[Layer], threads: int) -> int:
    """Return the number of useful threads: one if the layers are small on average, else all."""
    return 1 if sum(layer.weights for layer in layers) < _SMALL_LAYER * len(layers) else threads


def permuted(tensor: TensorInfo, axes: tuple[int, ...]) -> TensorInfo:
    """Return the view of a tensor whose axes come in another order; of 8 bits or more an element."""
    storage = tensor.storage or Storage(tensor.offset, tensor.nbytes, prod(tensor.shape))
    strides = storage.strides or tuple(prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape)))
    moved = replace(storage, strides=tuple(strides[axis] for axis in axes))
    quantization = tensor.quantization
    if quantization is not None:
        grid = np.array(quantization.zero_points).reshape(quantization.grid).transpose(axes)
        quantization = replace(quantization, zero_points=tuple(grid.reshape(-1).tolist()), grid=grid.shape)
    shape = tuple(tensor.shape[axis] for axis in axes)
    return replace(tensor, shape=shape, storage=moved, quantization=quantization)


_Run = tuple[int, int, TensorInfo]
