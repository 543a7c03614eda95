"""The few numbers of an ONNX model that describe other tensors: zero points and single scales. Bounded reads.

Also the tensors behind the names that operators use, through operators that only pass a tensor on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from wcx.core.dtypes import DTYPES
from wcx.formats.onnx.external import ExternalFiles
from wcx.formats.onnx.model import Graph, Node
from wcx.formats.onnx.operators import KEEPING
from wcx.formats.onnx.protobuf import ProtobufFile, packed_varints
from wcx.formats.onnx.tensors import Draft
from wcx.formats.sources import source_of
from wcx.formats.storage.codes import float_of, integers_of

_MAX_NBYTES = 1 << 20  # of one tensor that is read
_MAX_NUMBERS = 8_000_000  # of all that are read, by their memory
_MAX_WORK = 40_000_000  # takes about a second
_SCALES = ("F32", "F64", "F16", "BF16")


class UnsupportedError(Exception):
    """Codes of a tensor that can't be interpreted; the message is the reason, as one short phrase."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The tensor behind a name. axes: which of its dimensions each of the value's is; None where they were mixed."""

    tensor: Draft
    axes: tuple[int, ...] | None
    through: tuple[str, ...] = ()


@dataclass(slots=True)
class Origins:
    """The tensors behind the names of all graphs; graphs are passed on in the order in which they run."""

    _passed: dict[tuple[int, str], Origin] = field(default_factory=dict)

    def of(self, graph: Graph, name: str) -> Origin | None:
        """Return the tensor behind `name` in a graph or in one around it; None for what is computed or an input."""
        scope: Graph | None = graph
        while scope is not None and name:
            if name in scope.tensors:
                tensor = scope.tensors[name]
                return Origin(tensor, tuple(range(len(tensor.shape))))
            if (id(scope), name) in self._passed:
                return self._passed[id(scope), name]
            scope = scope.parent
        return None

    def pass_on(self, graph: Graph, node: Node, origin: Origin) -> None:
        """Note that a node's outputs hold the elements of its first input."""
        axes = origin.axes if node.operator in KEEPING else _moved(node, origin.axes)
        through = origin.through if node.operator == "Identity" else (*origin.through, node.operator)[:4]
        for output in node.outputs if node.operator == "Split" else node.outputs[:1]:
            self._passed[id(graph), output] = Origin(origin.tensor, axes, through)


def _moved(node: Node, axes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if node.operator != "Transpose" or axes is None:
        return None
    order = node.numbers.get("perm", tuple(reversed(range(len(axes)))))
    if not isinstance(order, tuple) or sorted(order) != list(range(len(axes))):
        return None
    return tuple(axes[axis] for axis in order)


@dataclass(slots=True)
class Values:
    """A reader of the numbers of small tensors, of the model or of an external file."""

    source: ProtobufFile
    files: ExternalFiles
    _left: int = _MAX_NUMBERS
    _work: int = _MAX_WORK
    _read: dict[tuple[int, str], tuple[int, ...]] = field(default_factory=dict)

    def integers(self, tensor: Draft, dtype: str, count: int) -> tuple[int, ...]:
        """Return a tensor's bytes as `count` integers of a dtype; UnsupportedError where it can't."""
        key = id(tensor), dtype
        self._work -= count  # by its callers, also of what has been read before
        if key not in self._read:
            if tensor.nbytes > _MAX_NBYTES or count > self._left or self._work < 0:
                raise UnsupportedError(f"{count} zero points, more than wcx reads")
            self._left -= count
            self._read[key] = self._integers(tensor, dtype)
        if self._work < 0:
            raise UnsupportedError("more zero points than wcx reads")
        return self._read[key]

    def _integers(self, tensor: Draft, dtype: str) -> tuple[int, ...]:
        if DTYPES[dtype].kind not in ("signed", "unsigned"):
            raise UnsupportedError("zero points that are not integers")
        return integers_of(self._bytes(tensor), dtype)

    def scale(self, tensor: Draft) -> float | None:
        """Return the one number of a tensor of one float; None for other tensors, and where it is not finite."""
        if prod(tensor.shape) != 1 or tensor.dtype not in _SCALES:
            return None
        try:
            return float_of(self._bytes(tensor), tensor.dtype)
        except UnsupportedError:
            return None

    def _bytes(self, tensor: Draft) -> bytes:
        """Return the elements as bytes, little-endian."""
        if tensor.unsupported:
            raise UnsupportedError(f"zero point that can't be read: {tensor.unsupported}")
        if tensor.storage is None:
            return self._extent(tensor, tensor.offset, tensor.nbytes)
        width = max(1, DTYPES[tensor.dtype].bits // 8)
        mask = (1 << 8 * width) - 1
        if tensor.storage.nbytes > 10 * _MAX_NBYTES:
            raise UnsupportedError("zero points of more bytes than wcx reads")
        run = self._extent(tensor, tensor.storage.start, tensor.storage.nbytes)
        try:
            return b"".join((value & mask).to_bytes(width, "little") for value in packed_varints(run))
        except ValueError as error:
            raise self.source.error(f"damaged tensor: {error}", tensor.storage.start) from None

    def _extent(self, tensor: Draft, start: int, nbytes: int) -> bytes:
        if tensor.file == 0:
            return self.source.read(start, start + nbytes)
        directory = self.files.directory
        source = source_of(directory)
        with source.open(source.join(directory, self.files.names[tensor.file - 1])) as file:
            return file.read(start, nbytes)
