"""Integer weights of an ONNX model: which zero points and scale the operators that read them give them.

Source: DequantizeLinear and QLinear* of onnx, MatMulNBits and its kin of onnxruntime (docs/ContribOperators.md). What
can't be determined (a zero point that is computed, blocks that do not divide) is an unsupported reason, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from wcx.core.checkpoint import Quantization
from wcx.core.dtypes import DTYPES
from wcx.formats.onnx.model import Graph, Node
from wcx.formats.onnx.operators import QUANTIZED, Quantized
from wcx.formats.onnx.tensors import Draft, OperatorView
from wcx.formats.onnx.values import Origin, Origins, UnsupportedError, Values

_NBITS = {2: "U2", 4: "U4", 8: "U8"}
_MICROSOFT = "com.microsoft"


@dataclass(frozen=True, slots=True)
class _Use:
    """A weight of codes where a node uses it, with what describes it there."""

    graph: Graph
    node: Node
    rule: Quantized
    origin: Origin
    origins: Origins
    values: Values

    def tensor(self, position: int) -> Draft | None:
        """Return the tensor behind an input, if its elements come as they are stored."""
        origin = self.origins.of(self.graph, self.node.input(position))
        return None if origin is None or origin.through else origin.tensor


def note_codes(graph: Graph, node: Node, origins: Origins, values: Values) -> None:
    """Note the meaning of every weight of codes that a node uses, and that scales and zero points are buffers."""
    for rule in QUANTIZED.get((node.domain, node.operator), ()):
        for position in (rule.scale, rule.zero_point):
            _mark_buffer(origins.of(graph, node.input(position)))
        origin = origins.of(graph, node.input(rule.codes))
        if origin is not None and DTYPES[origin.tensor.dtype].kind in ("signed", "unsigned"):
            view = _view(_Use(graph, node, rule, origin, origins, values))
            if view not in origin.tensor.views:
                origin.tensor.views.append(view)


def _mark_buffer(origin: Origin | None) -> None:
    if origin is not None and origin.tensor.role == "weight":
        origin.tensor.role = "buffer"


def _view(use: _Use) -> OperatorView:
    tensor = use.origin.tensor
    plain = OperatorView(tensor.dtype, tensor.shape)
    try:
        if (use.node.domain, use.node.operator) == (_MICROSOFT, "MatMulNBits"):
            return _nbits(use)
        if (use.node.domain, use.node.operator) == (_MICROSOFT, "GatherBlockQuantized"):
            return _block_quantized(use)
        return replace(plain, quantization=_quantization(use))
    except UnsupportedError as error:
        return replace(plain, unsupported=str(error))


def _quantization(use: _Use) -> Quantization:
    """Return the zero points along the axes that the node says, on the tensor's own dimensions."""
    scale = _scale(use)
    tensor = use.origin.tensor
    ones = (1,) * len(tensor.shape)
    if not use.node.input(use.rule.zero_point):
        return Quantization((0,), ones, scale)
    points = _zero_point_tensor(use)
    if points.dtype != tensor.dtype:
        raise UnsupportedError(f"zero point of another dtype, {points.dtype}")
    count = prod(points.shape)
    numbers = use.values.integers(points, points.dtype, count)[:count]
    if not numbers:
        raise UnsupportedError("empty zero point")
    if len(set(numbers)) == 1:
        return Quantization(numbers[:1], ones, scale)
    return Quantization(numbers, _grid(use, points.shape), scale)


def _zero_point_tensor(use: _Use) -> Draft:
    points = use.tensor(use.rule.zero_point)
    if points is None:
        raise UnsupportedError("zero point is computed at run time")
    return points


def _scale(use: _Use) -> float | None:
    tensor = use.tensor(use.rule.scale)
    return None if tensor is None else use.values.scale(tensor)


# ------------------------------------------------------------------------------------------------ zero points by weight


def _grid(use: _Use, points: tuple[int, ...]) -> tuple[int, ...]:
    """Return the grid, on the tensor's own dimensions, of zero points that differ."""
    axes = use.origin.axes
    if axes is None:
        raise UnsupportedError("zero points of a tensor that is rearranged before use")
    shape = tuple(use.origin.tensor.shape[axis] for axis in axes)  # as the node sees it
    sizes = _sizes(use, shape, points)
    grid = [1] * len(shape)
    for axis, size in zip(axes, sizes, strict=True):
        grid[axis] = size
    several = [axis for axis, size in zip(axes, sizes, strict=True) if size > 1]
    if several != sorted(several):
        raise UnsupportedError("zero points along several axes that are transposed before use")
    return tuple(grid)


def _sizes(use: _Use, shape: tuple[int, ...], points: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of zero points along each dimension of the codes as the node sees them."""
    block = use.node.number("block_size", 0)
    if use.node.operator == "DequantizeLinear" and block:
        return _blocks(shape, points, _axis(use.node.number("axis", 1), shape), block)
    axes = _axes(use, shape)
    sizes = [1] * len(shape)
    if len(points) == len(shape) and all(size in (1, shape[at]) for at, size in enumerate(points)):
        return points
    if len(points) > len(axes):
        raise UnsupportedError("zero points that do not match its shape")
    for size, axis in zip(points, axes, strict=False):
        if size not in (1, shape[axis]):
            raise UnsupportedError("zero points that do not match its shape")
        sizes[axis] = size
    return tuple(sizes)


def _axes(use: _Use, shape: tuple[int, ...]) -> tuple[int, ...]:
    axes = use.rule.axes
    if axes is None:
        transposed = use.node.number("transB", 0)
        axes = (0 if transposed else 1,) if use.node.operator == "QGemm" else (use.node.number("axis", 1),)
    return tuple(_axis(axis, shape) for axis in axes)


def _axis(axis: int, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= axis < len(shape):
        raise UnsupportedError("zero points along an axis that is out of range")
    return axis % len(shape)


def _blocks(shape: tuple[int, ...], points: tuple[int, ...], axis: int, block: int) -> tuple[int, ...]:
    """Check one zero point for each block of `block` elements along one axis, and for each element of the others."""
    expected = tuple(-(-size // block) if at == axis else size for at, size in enumerate(shape)) if block > 0 else ()
    if points != expected:
        raise UnsupportedError("zero points that do not match its shape")
    _check_block(shape[axis], points[axis], block)
    return points


def _check_block(size: int, count: int, block: int) -> None:
    """Refuse a block size that the number of blocks does not determine."""
    if count > 1 and -(-size // count) != block:
        raise UnsupportedError(f"blocks of {block} that do not divide its {size} elements")


# -------------------------------------------------------------------------------------- operators with codes in bytes


def _nbits(use: _Use) -> OperatorView:
    """Return MatMulNBits' view: bytes [rows, blocks, codes of a block], low bits first, padding columns included."""
    node, tensor = use.node, use.origin.tensor
    rows, columns = node.number("N", 0), node.number("K", 0)
    bits, block = node.number("bits", 4), node.number("block_size", 0)
    if use.origin.through:
        raise UnsupportedError("MatMulNBits of a tensor that is rearranged before use")
    if node.number("weight_prepacked", 0):
        raise UnsupportedError("codes in a runtime-specific order (weight_prepacked)")
    if bits not in _NBITS:
        raise UnsupportedError(f"codes of {bits} bits")
    if min(rows, columns, block) < 1 or tensor.dtype not in ("U8", "I8"):
        raise UnsupportedError("MatMulNBits with inconsistent sizes")
    blocks = -(-columns // block)
    if block * bits % 8 or prod(tensor.shape) != rows * blocks * block * bits // 8:
        raise UnsupportedError("MatMulNBits with inconsistent sizes")
    points, grid = _nbits_zero_points(use, (rows, blocks), bits)
    scale = _scale(use)
    return OperatorView(_NBITS[bits], (rows, blocks * block), Quantization(points, grid, scale))


def _nbits_zero_points(use: _Use, grid: tuple[int, int], bits: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return zero points packed like the codes, each row filled up to whole bytes; half the range if none."""
    if not use.node.input(use.rule.zero_point):
        return (1 << (bits - 1),), (1, 1)
    tensor = _zero_point_tensor(use)
    if tensor.dtype != "U8":
        raise UnsupportedError("zero points that are not integers")
    return _unpacked(use, tensor, grid, bits)


def _unpacked(use: _Use, tensor: Draft, grid: tuple[int, ...], bits: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    per_row = 8 // bits * -(-grid[-1] * bits // 8)  # numbers in the bytes of a row, those that fill it up included
    rows = prod(grid[:-1])
    if prod(tensor.shape) != rows * per_row * bits // 8:
        raise UnsupportedError("zero points that do not match its shape")
    numbers = use.values.integers(tensor, _NBITS[bits], rows * per_row)
    if per_row != grid[-1]:
        numbers = tuple(number for row in range(rows) for number in numbers[row * per_row :][: grid[-1]])
    if len(set(numbers)) == 1:
        return numbers[:1], (1,) * len(grid)
    return numbers, grid


def _block_quantized(use: _Use) -> OperatorView:
    """Return GatherBlockQuantized's view: codes of 4 or 8 bits, a zero point for each block along one axis."""
    node, tensor = use.node, use.origin.tensor
    bits, block = node.number("bits", 4), node.number("block_size", 128)
    if use.origin.through or not tensor.shape:
        raise UnsupportedError("GatherBlockQuantized of a tensor that is rearranged before use")
    packed = tensor.dtype == "U8"
    if packed and bits not in (4, 8):
        raise UnsupportedError(f"codes of {bits} bits")
    dtype = _NBITS[bits] if packed else tensor.dtype
    shape = (*tensor.shape[:-1], tensor.shape[-1] * (8 // bits)) if packed else tensor.shape
    ones = (1,) * len(shape)
    scale = _scale(use)
    if not use.node.input(use.rule.zero_point):
        return OperatorView(dtype, shape, Quantization((1 << (bits - 1) if packed else 0,), ones, scale))
    axis = _axis(node.number("quantize_axis", 1), shape)
    points = _zero_point_tensor(use)
    if block < 1 or points.dtype != tensor.dtype:
        raise UnsupportedError("zero points that do not match its shape")
    grid = tuple(-(-size // block) if at == axis else size for at, size in enumerate(shape))
    _check_block(shape[axis], grid[axis], block)
    if packed:
        return OperatorView(dtype, shape, Quantization(*_unpacked(use, points, grid, bits), scale))
    if points.shape != grid:
        raise UnsupportedError("zero points that do not match its shape")
    numbers = use.values.integers(points, dtype, prod(grid))[: prod(grid)]
    return OperatorView(dtype, shape, Quantization(numbers, grid, scale))
