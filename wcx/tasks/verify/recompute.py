"""Independent recomputation of a layer's planes: decoded, fitted and quantized as numbers by NumPy and ml_dtypes.

The counting shares nothing with this but the bytes: no code intervals, no tables, no statistics.
"""

from __future__ import annotations

from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import Quantization, TensorReader
from wcx.core.decode import unpack
from wcx.core.dtypes import DTYPES
from wcx.quantizers import Quantizer
from wcx.quantizers.integer import Integer
from wcx.quantizers.polarity import Polarity
from wcx.quantizers.sign import Sign
from wcx.quantizers.ternary import Ternary
from wcx.quantizers.threshold import Threshold
from wcx.quantizers.uniform import Uniform
from wcx.scan.layers import Layer

Values = NDArray[Any]
Planes = dict[str, NDArray[np.bool_]]
NUMPY = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "uint8",
}
ML_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "F4": "float4_e2m1fn",
    "I4": "int4",
    "U4": "uint4",
    "I2": "int2",
    "U2": "uint2",
}


def recomputed_planes(layer: Layer, reader: TensorReader, quantizer: Quantizer) -> Planes | None:
    """Return the planes of a layer, or of some of its rows, by their names, each as a matrix.

    Only the parameters of the quantizer are used. What they need of the tensor is found in the whole of it, which is
    held in memory for it. None for a quantizer of another package that does not recompute its planes.
    """
    if isinstance(quantizer, Integer):
        return _integer(_read(layer, reader, whole=False), DTYPES[layer.tensor.dtype].bits, layer)
    values = _decode(layer, reader, whole=False).reshape(layer.rows, layer.columns)
    if isinstance(quantizer, Sign):
        return {"sign": values >= 0 if quantizer.zero == "one" else values > 0}
    if isinstance(quantizer, Polarity):
        return {"plus": values > 0, "minus": values < 0}
    every = _finite(layer, reader)
    if isinstance(quantizer, Uniform):
        return _uniform(values, every, quantizer.bits, quantizer.range)
    if isinstance(quantizer, Ternary):
        bound = quantizer.factor * _mean(abs(every))
        return {"plus": values.astype(np.float64) > bound, "minus": values.astype(np.float64) < -bound}
    if isinstance(quantizer, Threshold):
        return {"above": values.astype(np.float64) > _threshold(quantizer.bound, every)}
    planes = quantizer.recompute(values.astype(np.float64), every)
    return None if planes is None else dict(planes)


def _finite(layer: Layer, reader: TensorReader) -> NDArray[np.float64]:
    """Return all finite values of the tensor, as doubles."""
    values = _decode(layer, reader, whole=True).astype(np.float64).reshape(-1)
    return values[np.isfinite(values)]


def _threshold(bound: str | float, every: NDArray[np.float64]) -> float:
    if bound == "mean":
        return _mean(every)
    if bound == "median":
        return float(np.median(every)) if every.size else 0.0
    return float(bound)


def _mean(values: NDArray[np.float64]) -> float:
    return fsum(values) / values.size if values.size else 0.0


def _uniform(values: Values, every: NDArray[np.float64], bits: int, range_: str | float) -> Planes:
    """Return the planes of QuBD's quantizer, in float32 from end to end."""
    with np.errstate(all="ignore"):
        lo, hi = (np.float32(bound) for bound in (_range(every, range_) if every.size else (0.0, 0.0)))
        delta = (hi - lo) / np.float32(2**bits - 1)
        steps = np.rint((values.astype(np.float32) - lo) / delta)
        levels = np.nan_to_num(np.clip(steps, 0, 2**bits - 1), nan=0.0).astype(np.int64)
    if hi - lo < np.float32(1e-8) or not np.isfinite(delta):
        levels[:] = 0
    return {f"bit{bit}": levels >> bit & 1 == 1 for bit in range(bits)}


def _range(every: NDArray[np.float64], range_: str | float) -> tuple[float, float]:
    if range_ == "absmax":
        return -abs(every).max(), abs(every).max()
    if not isinstance(range_, str):
        tail = (1.0 - range_ / 100.0) / 2.0
        return float(np.quantile(every, tail)), float(np.quantile(every, 1.0 - tail))
    return every.min(), every.max()


def _integer(raw: Values, bits: int, layer: Layer) -> Planes:
    """Return each bit of stored codes; of signed types the highest bit is inverted."""
    codes = raw.view(f"<u{max(1, bits // 8)}").reshape(layer.rows, layer.columns)
    signed = layer.tensor.dtype.startswith("I")
    planes = {f"bit{bit}": codes >> codes.dtype.type(bit) & codes.dtype.type(1) == 1 for bit in range(bits)}
    if signed:
        planes[f"bit{bits - 1}"] = ~planes[f"bit{bits - 1}"]
    return planes


def _read(layer: Layer, reader: TensorReader, *, whole: bool) -> NDArray[np.uint8]:
    """Return the bytes of the layer or of the whole tensor; codes of fewer than 8 bits a byte each."""
    bits = DTYPES[layer.tensor.dtype].bits
    first, weights = _span(layer, whole)
    begin, end = first * bits, (first + weights) * bits
    raw = np.empty(-(-end // 8) - begin // 8, np.uint8)
    reader.read_into(layer.tensor, begin // 8, raw.data)
    return unpack(raw, bits, begin % 8, weights) if bits < 8 else raw


def _span(layer: Layer, whole: bool) -> tuple[int, int]:
    """Return the first weight and the number of weights, in the tensor's C order."""
    if whole:
        return 0, int(np.prod(layer.tensor.shape))
    return layer.first * layer.columns, layer.weights


def _decode(layer: Layer, reader: TensorReader, *, whole: bool) -> Values:
    """Return the values of the layer or of the whole tensor as numbers, in C order."""
    tensor = layer.tensor
    raw = _read(layer, reader, whole=whole)
    if tensor.dtype in NUMPY:
        values: Values = raw.view(np.dtype(NUMPY[tensor.dtype]).newbyteorder("<"))
    else:
        import ml_dtypes

        values = raw.view(getattr(ml_dtypes, ML_DTYPES[tensor.dtype])).astype(np.float64)
    if tensor.quantization is None:
        return values
    first, weights = _span(layer, whole)
    return values - _zero_points(tensor.shape, tensor.quantization)[first : first + weights]


def _zero_points(shape: tuple[int, ...], quantization: Quantization) -> NDArray[np.float64]:
    """Return the zero point of every weight, in C order: cell [i, j, ...] of the grid serves a block of the tensor."""
    indices = np.ix_(
        *(np.arange(size) // -(-size // cells) for size, cells in zip(shape, quantization.grid, strict=True))
    )
    grid = np.array(quantization.zero_points, np.float64).reshape(quantization.grid)
    every: NDArray[np.float64] = grid[indices].reshape(-1)
    return every
