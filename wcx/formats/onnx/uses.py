"""The uses of the tensors of an ONNX model: the operators that read each, in which layout, and as which codes."""

from __future__ import annotations

from wcx.core.dtypes import DTYPES
from wcx.formats.onnx.model import Model, Node
from wcx.formats.onnx.operators import BUFFERS, KEEPING, LAYOUTS, MOVING, PACKING, QUANTIZED
from wcx.formats.onnx.quantized import note_codes
from wcx.formats.onnx.tensors import OperatorView
from wcx.formats.onnx.values import Origin, Origins, Values

_MAX_USES = 2  # that a source tells


def note_uses(model: Model, values: Values) -> None:
    """Note on every tensor of the model its uses, and the meaning of its codes there."""
    origins = Origins()
    for graph in model.graphs:
        for node in graph.nodes:
            note_codes(graph, node, origins, values)
            for position, name in enumerate(node.inputs):
                origin = origins.of(graph, name)
                if origin is not None:
                    _note_use(node, position, origin)
            first = origins.of(graph, node.input(0))
            if first is not None and not node.domain and (node.operator in KEEPING or node.operator in MOVING):
                origins.pass_on(graph, node, first)


def _note_use(node: Node, position: int, origin: Origin) -> None:
    tensor = origin.tensor
    if position in BUFFERS.get((node.domain, node.operator), ()) and tensor.role == "weight":
        tensor.role = "buffer"
    unsupported = _unsupported_codes(node, position, origin)
    if unsupported is not None and not any(view.unsupported == unsupported for view in tensor.views):
        tensor.views.append(OperatorView(tensor.dtype, tensor.shape, unsupported=unsupported))
    text = _use_text(node, position, origin)
    if text and text not in tensor.uses and len(tensor.uses) < _MAX_USES:
        tensor.uses.append(text)


def _unsupported_codes(node: Node, position: int, origin: Origin) -> str | None:
    """Return why small integers of a matrix are more than their values; None where they are not, or rules apply."""
    tensor = origin.tensor
    kind = DTYPES[tensor.dtype]
    if kind.kind not in ("signed", "unsigned") or kind.bits > 8 or len(tensor.shape) < 2:
        return None
    if "DequantizeLinear" in origin.through or tensor.role != "weight":
        return None
    if not node.domain:
        return PACKING.get(node.operator) if position == 0 else None
    if node.domain == "ai.onnx.ml" or any(
        position == rule.codes for rule in QUANTIZED.get((node.domain, node.operator), ())
    ):
        return None
    return f"codes of the operator {node.domain}.{node.operator}"


def _use_text(node: Node, position: int, origin: Origin) -> str:
    """Return a text such as `MatMul B: stored [in, out]`; empty where nothing is known of the operator or input."""
    name, layout = LAYOUTS.get((node.domain, node.operator), {}).get(position, ("", ""))
    if not name:
        return ""
    text = f"{node.operator} {name}"
    if origin.through:
        text += f" through {', '.join(origin.through)}"
    if node.operator == "MatMulNBits":
        return f"{text}: stored [out, in]{_padding(node)}"
    layout = _stored(layout, position, node, origin)
    return f"{text}: stored {layout}" if layout else text


def _padding(node: Node) -> str:
    """Return the columns that fill the last block."""
    block, columns = node.number("block_size", 0), node.number("K", 0)
    padding = -columns % block if block > 0 else 0
    return f", {padding} padding columns" if padding else ""


def _stored(layout: str, position: int, node: Node, origin: Origin) -> str:
    """Return a layout as the tensor has it: turned where the operator or one before it transposes; empty if unclear."""
    shape, axes = origin.tensor.shape, origin.axes
    if not layout or axes is None:
        return ""
    plain = axes == tuple(range(len(shape)))
    if layout.endswith("...]"):
        return layout if plain else ""
    if len(shape) < 2:
        return ""
    turned = bool(node.number("transA" if position == 0 else "transB", 0))
    if not plain:
        if axes != (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2):
            return ""
        turned = not turned
    if turned:
        layout = {"[in, out]": "[out, in]", "[out, in]": "[in, out]"}[layout]
    return layout if len(shape) == 2 else f"[..., {layout[1:]}"
