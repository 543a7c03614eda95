"""The onnx library: models of a bounded size, loaded whole, and external data one tensor at a time.

Tensors are found by the names that wcx gives them (docs/formats.md), by a search of their own through the graphs.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.tasks.verify.libraries import (
    LibraryFile,
    LibraryTensor,
    UnreadError,
    array_codes,
    by_name,
    check_size,
    named,
)
from wcx.tasks.verify.recompute import ML_DTYPES, NUMPY

_COMPLEX = {"C64": "complex64", "C128": "complex128"}
_DTYPES = {numpy: dtype for dtype, numpy in (NUMPY | ML_DTYPES | _COMPLEX | {"U8": "uint8", "BOOL": "bool"}).items()}


@dataclass(frozen=True, slots=True)
class _File:
    """A model; tensors: its messages by the names that wcx gives them."""

    checkpoint: Checkpoint
    tensors: dict[str, Any]

    def tensor(self, tensor: TensorInfo) -> LibraryTensor:
        from onnx.numpy_helper import to_array

        message = named(self.tensors, tensor, "onnx")
        check_size(self._needed(message), "the tensor", "onnx")
        array = to_array(message, self.checkpoint.directory)
        dtype = _DTYPES.get(array.dtype.name)
        if dtype is None:
            raise UnreadError(f"onnx gives an array of {array.dtype.name}")
        flat = array.reshape(-1)
        return LibraryTensor(
            dtype, array.shape, lambda run: array_codes(flat[run.first : run.first + run.count], dtype)
        )

    def _needed(self, message: Any) -> int:  # noqa: ANN401
        """Return the bytes that onnx takes: of an external tensor without a length, all to the end of its file."""
        lengths = [int(entry.value) for entry in message.external_data if entry.key == "length"]
        if message.external_data and not lengths:
            return max(signature.nbytes for signature in self.checkpoint.signatures)
        return max(int(prod(message.dims)), *lengths, 0)


class Onnx:
    """Reads ONNX models."""

    name = "onnx"

    def version(self) -> str:
        """Return the version of the library."""
        import onnx

        return str(onnx.__version__)

    @contextmanager
    def open(self, checkpoint: Checkpoint, file: int) -> Iterator[LibraryFile]:
        """Load the model without its external data, which the tensors read one by one."""
        import onnx

        check_size(_loaded_nbytes(checkpoint), "the model", "onnx")
        model = onnx.load(os.path.join(checkpoint.directory, checkpoint.files[0]), load_external_data=False)
        yield _File(checkpoint, by_name(_tensors(model)))


def _loaded_nbytes(checkpoint: Checkpoint) -> int:
    """Return the size of a model in memory: lists of variable-length integers grow to at most eight bytes a number."""
    lists = (tensor for tensor in checkpoint.tensors if tensor.storage or tensor.unsupported)
    return checkpoint.signatures[0].nbytes + sum(8 * prod(tensor.shape) for tensor in lists if not tensor.file)


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield all tensors of the main graph, of the graphs inside it and of functions, the outer ones first."""
    graphs = deque([("", model.graph), *((f"{_function_name(function)}/", function) for function in model.functions)])
    while graphs:
        path, graph = graphs.popleft()
        yield from ((f"{path}{name}", tensor) for name, tensor in _own_tensors(graph))
        graphs.extend((f"{path}{step}/", inner) for step, inner in _inner_graphs(graph))


def _function_name(function: Any) -> str:  # noqa: ANN401
    return ".".join(part for part in (function.domain, function.name, function.overload) if part)


def _own_tensors(graph: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the tensors of a graph without those inside it; a function has no initializers."""
    for tensor in getattr(graph, "initializer", ()):
        yield tensor.name, tensor
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield f"{sparse.values.name}.values", sparse.values
    for node, label in _labelled(graph.node):
        constant = node.output[0] if node.op_type == "Constant" and node.output else ""
        for attribute in node.attribute:
            step = constant or f"{label}.{attribute.name}"
            if attribute.HasField("t"):
                yield step, attribute.t
            if attribute.HasField("sparse_tensor"):
                yield f"{step}.values", attribute.sparse_tensor.values
            for position, tensor in enumerate(attribute.tensors):
                yield f"{step}.{position}", tensor


def _inner_graphs(graph: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for node, label in _labelled(graph.node):
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield f"{label}.{attribute.name}", attribute.g
            for position, inner in enumerate(attribute.graphs):
                yield f"{label}.{attribute.name}.{position}", inner


def _labelled(nodes: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """Yield every node with its name, or its operator and position."""
    for position, node in enumerate(nodes):
        yield node, node.name or f"{node.op_type}_{position}"
