"""Read the graphs of an ONNX model: every tensor that one holds, and the operators that show what a tensor is for.

Source: onnx.proto3 (ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto, TrainingInfoProto), whose field
numbers these are. Exporters put weights into initializers, Constant nodes and other tensor attributes, in the main
graph, in the branches of If, Loop and Scan, and in functions: all are visited, by a list of what is still to be visited
and not by recursion. Of a node only what shows the use of a weight is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wcx.core.text import shortened
from wcx.formats.onnx.external import ExternalFiles
from wcx.formats.onnx.model import Graph, Model, Node
from wcx.formats.onnx.operators import is_of_interest
from wcx.formats.onnx.protobuf import BYTES, VARINT, Extent, Field, ProtobufFile, packed_varints, signed
from wcx.formats.onnx.tensor_fields import read_pairs
from wcx.formats.onnx.tensors import Draft, read_tensor

_FLOATS = 7  # the field of an attribute that can occur millions of times, and of which nothing is needed
_MAX_DEPTH = 50
_MAX_METADATA = 16 << 20
_MAX_DOC = 1000  # characters of a text that are shown
_MAX_INTS = 64
_MAX_LINKS = 100_000
_COST_NODE = 700  # bytes of memory, measured
_COST_TASK = 900
_COST_PAIR = 450
_COST_EXTENT = 130
# The fields that are read of each message, and their wire types: the first is named in errors.
_Wires = Mapping[int, tuple[int, ...]]
_MODEL: _Wires = {1: (VARINT,), **dict.fromkeys((2, 3, 6, 7, 8, 14, 20, 25), (BYTES,))}
_OPSET: _Wires = {1: (BYTES,), 2: (VARINT,)}
_PARTS: _Wires = {1: (BYTES,), 2: (BYTES,)}
_GRAPH: _Wires = dict.fromkeys((1, 2, 5, 10, 15), (BYTES,))
_NODE: _Wires = dict.fromkeys((1, 2, 3, 4, 5, 7), (BYTES,))
_FUNCTION: _Wires = dict.fromkeys((7, 11), (BYTES,))
_FUNCTION_NAME: _Wires = dict.fromkeys((10, 1, 13), (BYTES,))
_ATTRIBUTE: _Wires = {3: (VARINT,), 8: (BYTES, VARINT), **dict.fromkeys((1, 5, 6, 10, 11, 22, 23), (BYTES,))}


@dataclass(frozen=True, slots=True)
class _Task:
    """A graph or function that is still to be visited."""

    graph: Graph
    extents: tuple[Extent, ...]
    is_function: bool = False


def read_model(source: ProtobufFile, files: ExternalFiles) -> Model:
    """Read the whole file; CheckpointError where it is damaged or no model."""
    reader = _Reader(source, files)
    reader.run()
    return reader.model


@dataclass(slots=True)
class _Reader:
    source: ProtobufFile
    files: ExternalFiles
    model: Model = field(default_factory=Model)
    tasks: deque[_Task] = field(default_factory=deque)
    metadata_nbytes: int = 0

    def run(self) -> None:
        """Read the model's own fields, then its graphs until none is left."""
        whole = (0, self.source.nbytes)
        parts: dict[int, list[Extent]] = {7: [], 20: [], 25: []}
        for number, _wire, begin, end, value in self._fields((whole,), "model", _MODEL):
            if number in parts:
                self.source.spend(_COST_TASK if number == 25 else _COST_EXTENT, begin)
                parts[number].append((begin, end))
            else:
                self._model_field(number, (begin, end), value)
        if not parts[7]:
            raise self.source.error("not an ONNX model: it has no graph")
        root = Graph()
        self.tasks.append(_Task(root, tuple(parts[7])))
        self._queue_training(root, parts[20])
        for extent in parts[25]:
            self.tasks.append(_Task(root.below(self._function_name(extent)), (extent,), is_function=True))
        while self.tasks:
            task = self.tasks.popleft()
            self.model.graphs.append(task.graph)
            if task.is_function:
                self._function(task)
            else:
                self._graph(task)

    def _fields(self, extents: Iterable[Extent], what: str, wires: _Wires, unread: int = 0) -> Iterator[Field]:
        """Yield the fields that `wires` names of a message, which may be in several pieces: protobuf merges them."""
        for extent in extents:
            for item in self.source.fields(*extent, what, unread):
                expected = wires.get(item[0])
                if expected is None:
                    continue
                if item[1] not in expected:
                    wrong = f"field {item[0]} of a {what} has wire type {item[1]} instead of {expected[0]}"
                    raise self.source.error(f"not an ONNX model: {wrong}", item[2])
                yield item

    def _two_parts(self, extents: Iterable[Extent], what: str) -> tuple[list[Extent], list[Extent]]:
        """Return the extents of fields 1 and 2 of a message."""
        parts: tuple[list[Extent], list[Extent]] = ([], [])
        for number, _wire, begin, end, _value in self._fields(extents, what, _PARTS):
            self.source.spend(_COST_EXTENT, begin)
            parts[number - 1].append((begin, end))
        return parts

    # ------------------------------------------------------------------------------------------------- the model

    def _model_field(self, number: int, extent: Extent, value: int) -> None:
        model = self.model
        if number == 1:
            model.ir_version = signed(value)
        elif number == 2:
            model.producer = self._short(extent)
        elif number == 3:
            model.producer_version = self._short(extent)
        elif number == 6:
            model.docs["doc_string"] = self._short(extent)
        elif number == 8:
            self._opset(extent)
        else:
            self._metadata(extent)

    def _opset(self, extent: Extent) -> None:
        domain, version = "", 0
        for number, _wire, begin, end, value in self._fields((extent,), "opset", _OPSET):
            if number == 1:
                domain = self.source.kept_text(begin, end, "a domain")
            else:
                version = signed(value)
        self.source.spend(_COST_PAIR, extent[0])
        self.model.opsets[_domain(domain)] = version

    def _metadata(self, extent: Extent) -> None:
        begin, end = extent
        self.metadata_nbytes += end - begin
        if self.metadata_nbytes > _MAX_METADATA:
            raise self.source.error(f"more than {_MAX_METADATA >> 20} MiB of metadata", begin)
        self.source.spend(_COST_PAIR, begin)
        try:
            key, value = read_pairs(self.source, extent, "metadata", _MAX_METADATA)
        except ValueError as error:
            raise self.source.error(str(error), begin) from None
        self.model.metadata[key] = value

    def _short(self, extent: Extent) -> str:
        """Return the beginning of a text that is only shown."""
        begin, end = extent
        text = self.source.read(begin, min(end, begin + 4 * _MAX_DOC)).decode("utf-8", "replace")
        return text if len(text) <= _MAX_DOC and end - begin <= 4 * _MAX_DOC else f"{text[:_MAX_DOC]}..."

    def _queue_training(self, root: Graph, training: list[Extent]) -> None:
        """Queue training algorithms: their tensors are the state of an optimizer."""
        for position, extent in enumerate(training):
            parts = self._two_parts((extent,), "training_info")
            for step, extents in zip(("initialization", "algorithm"), parts, strict=True):
                if extents:
                    graph = root.below(f"training_info.{position}.{step}", "optimizer")
                    self.tasks.append(_Task(graph, tuple(extents)))

    # ------------------------------------------------------------------------------------------------- the graphs

    def _graph(self, task: _Task) -> None:
        graph, position = task.graph, 0
        for number, _wire, begin, end, _value in self._fields(task.extents, "graph", _GRAPH):
            extent = begin, end
            if number == 1:
                self._node(graph, extent, position)
                position += 1
            elif number == 5:
                draft = self._tensor(graph, (extent,), "initializer")
                if not draft.name:
                    raise self.source.error("an initializer without a name", begin)
                self._add(graph, draft)
            elif number == 15:
                self._sparse(graph, (extent,), "sparse initializer", None)
            elif graph.parent is None:
                self.model.docs[{2: "graph", 10: "graph doc_string"}[number]] = self._short(extent)

    def _function_name(self, extent: Extent) -> str:
        texts = dict.fromkeys(_FUNCTION_NAME, "")
        for number, _wire, begin, end, _value in self._fields((extent,), "function", _FUNCTION_NAME):
            texts[number] = self.source.kept_text(begin, end, "a function's name")
        return ".".join(filter(None, texts.values()))

    def _function(self, task: _Task) -> None:
        position = 0
        for number, _wire, begin, end, _value in self._fields(task.extents, "function", _FUNCTION):
            if number == 7:
                self._node(task.graph, (begin, end), position)
                position += 1
            else:
                self._attribute(task.graph, Node("", "function", "default"), (begin, end))

    def _node(self, graph: Graph, extent: Extent, position: int) -> None:
        links: dict[int, list[Extent]] = {1: [], 2: [], 5: []}  # inputs, outputs, attributes
        texts = {3: "", 4: "", 7: ""}  # name, operator, domain
        count = 0
        for number, _wire, begin, end, _value in self._fields((extent,), "node", _NODE):
            if count >= _MAX_LINKS:
                raise self.source.error(f"a node with more than {_MAX_LINKS} inputs, outputs and attributes", extent[0])
            if number in links:
                links[number].append((begin, end))
                count += 1
            else:
                texts[number] = self.source.text(begin, end, _NODE_TEXTS[number])
        name, operator, domain = texts[3], texts[4], _domain(texts[7])
        node = Node(domain, operator, name or f"{operator}_{position}")
        kept = is_of_interest(domain, operator)
        if kept:
            self.source.spend(_COST_NODE, extent[0])
        if kept or (operator == "Constant" and not domain):
            node.inputs, node.outputs = self._texts(links[1]), self._texts(links[2])
        for attribute in links[5]:
            self._attribute(graph, node, attribute)
        if kept:
            graph.nodes.append(node)

    def _texts(self, extents: list[Extent]) -> tuple[str, ...]:
        return tuple(self.source.kept_text(begin, end, "a tensor's name") for begin, end in extents)

    def _attribute(self, graph: Graph, node: Node, extent: Extent) -> None:
        name = ""
        integer: int | None = None
        ints: list[int] = []
        parts: dict[int, list[Extent]] = {}
        for item in self._fields((extent,), "attribute", _ATTRIBUTE, unread=_FLOATS):
            number, _wire, begin, end, value = item
            if number == 1:
                name = self.source.text(begin, end, "an attribute's name")
            elif number == 3:
                integer = signed(value)
            elif number == 8:
                ints += self._ints(item)[: _MAX_INTS + 1 - len(ints)]
            else:
                self.source.spend(_COST_EXTENT, begin)
                parts.setdefault(number, []).append((begin, end))
        if integer is not None:
            node.numbers[name] = integer
        elif 0 < len(ints) <= _MAX_INTS:
            node.numbers[name] = tuple(ints)
        if parts:
            self._attribute_parts(graph, node, name, parts)

    def _ints(self, item: Field) -> list[int]:
        _number, wire, begin, end, value = item
        if wire == VARINT:
            return [signed(value)]
        if end - begin > _MAX_INTS * 10:
            return [0] * (_MAX_INTS + 1)  # too many to be of use
        try:
            return list(map(signed, packed_varints(self.source.read(begin, end))))
        except (IndexError, ValueError):
            raise self.source.error("damaged attribute: a malformed list of integers", begin) from None

    def _attribute_parts(self, graph: Graph, node: Node, name: str, parts: dict[int, list[Extent]]) -> None:
        """Read the tensors and queue the graphs of an attribute: singular fields are merged, repeated ones one each."""
        step = f"{node.label}.{name}"
        for extents, suffix in _each(parts, 6, 11):
            self._queue(graph, step + suffix, extents)
        constant = node.constant
        place = "Constant" if constant else f"attribute {name} of {node.operator}"
        for extents, suffix in _each(parts, 5, 10):
            known_as = constant or step + suffix
            draft = self._tensor(graph, extents, place, known_as)
            draft.name = known_as
            self._add(graph, draft)
        for extents, suffix in _each(parts, 22, 23):
            self._sparse(graph, extents, f"sparse {place}", constant or step + suffix)

    def _queue(self, graph: Graph, step: str, extents: tuple[Extent, ...]) -> None:
        if graph.depth >= _MAX_DEPTH:
            raise self.source.error(f"graphs nested more than {_MAX_DEPTH} levels deep", extents[0][0])
        self.source.spend(_COST_TASK + len(graph.path) + len(step), extents[0][0])
        self.tasks.append(_Task(graph.below(step), extents))

    # ------------------------------------------------------------------------------------------------ the tensors

    def _tensor(self, graph: Graph, extents: Sequence[Extent], place: str, known_as: str = "") -> Draft:
        draft = read_tensor(self.source, extents, self.files, known_as)
        draft.role = graph.role
        draft.place = f"{place} of {graph.path[:-1]}" if graph.path else place
        return draft

    def _add(self, graph: Graph, draft: Draft) -> None:
        if draft.name in graph.tensors:
            where = f"in {shortened(graph.path[:-1])}" if graph.path else "in the graph"
            raise self.source.error(f"duplicate tensor name {shortened(draft.name)} {where}", draft.position)
        self.source.spend(8 * len(graph.path), draft.position)
        graph.tensors[draft.name] = draft

    def _sparse(self, graph: Graph, extents: Sequence[Extent], place: str, name: str | None) -> None:
        """Add a sparse tensor as two: its values and their indices."""
        values_at, indices_at = self._two_parts(extents, "sparse tensor")
        if not values_at or not indices_at:
            raise self.source.error("a sparse tensor without values or indices", extents[0][0])
        values = self._tensor(graph, values_at, place, name or "")
        indices = self._tensor(graph, indices_at, place, f"{values.name or name}.indices")
        whole = values.name if name is None else name
        values.name, indices.name = f"{whole}.values", f"{whole}.indices"
        indices.unsupported = "sparse indices"
        self._add(graph, values)
        self._add(graph, indices)


_NODE_TEXTS = {3: "a node's name", 4: "an operator", 7: "a domain"}


def _domain(text: str) -> str:
    """Return the name of a domain: that of the standard is empty, however it is written."""
    return "" if text == "ai.onnx" else text


def _each(parts: dict[int, list[Extent]], one: int, several: int) -> Iterator[tuple[tuple[Extent, ...], str]]:
    """Yield the messages of an attribute's singular field, merged, and of its repeated one, with a suffix for each."""
    if one in parts:
        yield tuple(parts[one]), ""
    for position, extent in enumerate(parts.get(several, ())):
        yield (extent,), f".{position}"
