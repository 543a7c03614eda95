"""The graphs of an ONNX model: every tensor that one holds, and the operators that say what a tensor is for.

Source: onnx.proto3 (ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto, TrainingInfoProto), whose field
numbers these are. Exporters put weights into initializers, Constant nodes and other tensor attributes, in the main
graph, in the branches of If, Loop and Scan, and in functions: all are walked, by a list of what is still to be walked
and not by recursion. Of a node only what tells the use of a weight is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.onnx.external import ExternalFiles
from wcx.formats.onnx.operators import is_of_interest
from wcx.formats.onnx.protobuf import BYTES, VARINT, Extent, Field, ProtobufFile, merged_fields, packed_varints, signed
from wcx.formats.onnx.tensors import Draft, read_pairs, read_tensor

_FLOATS = 7  # the field of an attribute that can stand millions of times, and of which nothing is needed
_MAX_DEPTH = 50
_MAX_METADATA = 16 << 20
_MAX_DOC = 1000  # characters of a text that are shown
_MAX_INTS = 64
_MAX_LINKS = 100_000
_COST_NODE = 700  # bytes of memory, measured
_COST_TASK = 900
_COST_PAIR = 450


@dataclass(slots=True)
class Node:
    """One operator: `label` names it within its graph, `numbers` are its integer attributes."""

    domain: str
    operator: str
    label: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    numbers: dict[str, int | tuple[int, ...]] = field(default_factory=dict)

    def input(self, position: int) -> str:
        """The name of an input; empty where it is left out."""
        return self.inputs[position] if 0 <= position < len(self.inputs) else ""

    def output(self, position: int) -> str:
        """The name of an output; empty where it is left out."""
        return self.outputs[position] if position < len(self.outputs) else ""

    def number(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.numbers.get(name, default)
        return value if isinstance(value, int) else default


@dataclass(slots=True)
class Graph:
    """One graph or function: its tensors by name, and the nodes that matter. `path` goes before its tensors' names."""

    path: str = ""
    parent: Graph | None = None
    role: str = "weight"
    depth: int = 0
    tensors: dict[str, Draft] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)

    def below(self, step: str, role: str | None = None) -> Graph:
        """A graph inside this one; one that has the name of another gets a number behind it."""
        number = self.steps.get(step, 0) + 1
        self.steps[step] = number
        name = step if number == 1 else f"{step}~{number}"
        return Graph(f"{self.path}{name}/", self, role or self.role, self.depth + 1)


@dataclass(slots=True)
class Model:
    """What the file says of itself, and all its graphs, outer ones before those inside them."""

    ir_version: int | None = None
    producer: str = ""
    producer_version: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    docs: dict[str, str] = field(default_factory=dict)
    graphs: list[Graph] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Task:
    """A graph or function that is still to be walked."""

    graph: Graph
    extents: tuple[Extent, ...]
    is_function: bool = False


def read_model(source: ProtobufFile, files: ExternalFiles) -> Model:
    """Walk the whole file; CheckpointError where it is damaged or no model."""
    model = Model()
    reader = _Reader(source, files, model)
    reader.walk()
    return model


@dataclass(slots=True)
class _Reader:
    source: ProtobufFile
    files: ExternalFiles
    model: Model
    tasks: deque[_Task] = field(default_factory=deque)
    metadata_nbytes: int = 0

    def walk(self) -> None:
        """Read the model's own fields, then its graphs until none is left."""
        main: list[Extent] = []
        functions: list[Extent] = []
        training: list[Extent] = []
        several = {7: main, 25: functions, 20: training}
        for item in self.source.fields(0, self.source.nbytes, "model"):
            number, wire, begin, end, _value = item
            if number in several:
                self._expect(wire, BYTES, "model", item)
                self.source.spend(_COST_TASK if number == 25 else 130, begin)
                several[number].append((begin, end))
            else:
                self._model_field(item)
        if not main:
            raise CheckpointError(self.source.path, "not an ONNX model: it has no graph")
        root = Graph()
        self.tasks.append(_Task(root, tuple(main)))
        self._queue_training(root, training)
        for extent in functions:
            self.tasks.append(_Task(root.below(self._function_name(extent)), (extent,), is_function=True))
        while self.tasks:
            task = self.tasks.popleft()
            self.model.graphs.append(task.graph)
            if task.is_function:
                self._function(task)
            else:
                self._graph(task)

    # ------------------------------------------------------------------------------------------------- the model

    def _model_field(self, item: Field) -> None:
        number, wire, begin, end, value = item
        if number == 1:
            self._expect(wire, VARINT, "model", item)
            self.model.ir_version = signed(value)
        elif number in (2, 3, 6, 8, 14):
            self._expect(wire, BYTES, "model", item)
            if number == 2:
                self.model.producer = self._short(begin, end)
            elif number == 3:
                self.model.producer_version = self._short(begin, end)
            elif number == 6:
                self.model.docs["doc_string"] = self._short(begin, end)
            elif number == 8:
                self._opset((begin, end))
            else:
                self._metadata((begin, end))

    def _opset(self, extent: Extent) -> None:
        domain, version = "", 0
        for item in self.source.fields(*extent, "opset"):
            number, wire, begin, end, value = item
            if number == 1:
                self._expect(wire, BYTES, "opset", item)
                domain = self.source.kept_text(begin, end, "a domain")
            elif number == 2:
                self._expect(wire, VARINT, "opset", item)
                version = signed(value)
        self.source.spend(_COST_PAIR, extent[0])
        self.model.opsets[_domain(domain)] = version

    def _metadata(self, extent: Extent) -> None:
        begin, end = extent
        self.metadata_nbytes += end - begin
        if self.metadata_nbytes > _MAX_METADATA:
            raise CheckpointError(self.source.path, f"more than {_MAX_METADATA >> 20} MiB of metadata", begin)
        self.source.spend(_COST_PAIR, begin)
        try:
            key, value = read_pairs(self.source, extent, "metadata", _MAX_METADATA)
        except ValueError as error:
            raise CheckpointError(self.source.path, str(error), begin) from None
        self.model.metadata[key] = value

    def _short(self, begin: int, end: int) -> str:
        """The beginning of a text that is only shown."""
        text = self.source.read(begin, min(end, begin + 4 * _MAX_DOC)).decode("utf-8", "replace")
        return text if len(text) <= _MAX_DOC and end - begin <= 4 * _MAX_DOC else f"{text[:_MAX_DOC]}..."

    def _queue_training(self, root: Graph, training: list[Extent]) -> None:
        """Training algorithms: their tensors are the state of an optimizer."""
        steps = {1: "initialization", 2: "algorithm"}
        for position, extent in enumerate(training):
            parts: dict[int, list[Extent]] = {1: [], 2: []}
            for item in self.source.fields(*extent, "training_info"):
                number, wire, begin, end, _value = item
                if number in parts:
                    self._expect(wire, BYTES, "training_info", item)
                    self.source.spend(130, begin)
                    parts[number].append((begin, end))
            for number, extents in parts.items():
                if extents:
                    graph = root.below(f"training_info.{position}.{steps[number]}", "optimizer")
                    self.tasks.append(_Task(graph, tuple(extents)))

    # ------------------------------------------------------------------------------------------------- the graphs

    def _graph(self, task: _Task) -> None:
        graph, position = task.graph, 0
        for item in merged_fields(self.source, task.extents, "graph"):
            number, wire, begin, end, _value = item
            if number not in (1, 2, 5, 10, 15):
                continue
            self._expect(wire, BYTES, "graph", item)
            if number == 1:
                self._node(graph, (begin, end), position)
                position += 1
            elif number == 5:
                draft = self._tensor(graph, ((begin, end),), "initializer")
                if not draft.name:
                    raise CheckpointError(self.source.path, "an initializer without a name", begin)
                self._add(graph, draft)
            elif number == 15:
                self._sparse(graph, ((begin, end),), "sparse initializer", None)
            elif graph.parent is None:
                self.model.docs[{2: "graph", 10: "graph doc_string"}[number]] = self._short(begin, end)

    def _function_name(self, extent: Extent) -> str:
        texts = {1: "", 10: "", 13: ""}
        for item in self.source.fields(*extent, "function"):
            number, wire, begin, end, _value = item
            if number in texts:
                self._expect(wire, BYTES, "function", item)
                texts[number] = self.source.kept_text(begin, end, "a function's name")
        return ".".join(text for text in (texts[10], texts[1], texts[13]) if text)

    def _function(self, task: _Task) -> None:
        graph, position = task.graph, 0
        for item in merged_fields(self.source, task.extents, "function"):
            number, wire, begin, end, _value = item
            if number not in (7, 11):
                continue
            self._expect(wire, BYTES, "function", item)
            if number == 7:
                self._node(graph, (begin, end), position)
                position += 1
            else:
                self._attribute(graph, Node("", "function", "default"), (begin, end))

    def _node(self, graph: Graph, extent: Extent, position: int) -> None:
        inputs: list[Extent] = []
        outputs: list[Extent] = []
        attributes: list[Extent] = []
        name = operator = domain = ""
        for item in self.source.fields(*extent, "node"):
            number, wire, begin, end, _value = item
            if number > 7 or number == 6:  # a doc_string, metadata
                continue
            self._expect(wire, BYTES, "node", item)
            if len(inputs) + len(outputs) + len(attributes) >= _MAX_LINKS:
                reason = f"a node with more than {_MAX_LINKS} inputs, outputs and attributes"
                raise CheckpointError(self.source.path, reason, extent[0])
            if number == 1:
                inputs.append((begin, end))
            elif number == 2:
                outputs.append((begin, end))
            elif number == 3:
                name = self.source.text(begin, end, "a node's name")
            elif number == 4:
                operator = self.source.text(begin, end, "an operator")
            elif number == 5:
                attributes.append((begin, end))
            elif number == 7:
                domain = _domain(self.source.text(begin, end, "a domain"))
        node = Node(domain, operator, name or f"{operator}_{position}")
        kept = is_of_interest(domain, operator)
        if kept:
            self.source.spend(_COST_NODE, extent[0])
        if kept or (operator == "Constant" and not domain):
            node.inputs, node.outputs = self._texts(inputs), self._texts(outputs)
        for attribute in attributes:
            self._attribute(graph, node, attribute)
        if kept:
            graph.nodes.append(node)

    def _texts(self, extents: list[Extent]) -> tuple[str, ...]:
        return tuple(self.source.kept_text(begin, end, "a tensor's name") for begin, end in extents)

    def _attribute(self, graph: Graph, node: Node, extent: Extent) -> None:
        name = ""
        number_of: int | None = None
        ints: list[int] = []
        parts: dict[int, list[Extent]] = {}
        for item in self.source.fields(*extent, "attribute", unread=_FLOATS):
            number, wire, begin, end, value = item
            if number == 1:
                self._expect(wire, BYTES, "attribute", item)
                name = self.source.text(begin, end, "an attribute's name")
            elif number == 3:
                self._expect(wire, VARINT, "attribute", item)
                number_of = signed(value)
            elif number == 8:
                ints += self._ints(item)[: _MAX_INTS + 1 - len(ints)]
            elif number in (5, 6, 10, 11, 22, 23):
                self._expect(wire, BYTES, "attribute", item)
                self.source.spend(130, begin)
                parts.setdefault(number, []).append((begin, end))
        if number_of is not None:
            node.numbers[name] = number_of
        elif 0 < len(ints) <= _MAX_INTS:
            node.numbers[name] = tuple(ints)
        if parts:
            self._attribute_parts(graph, node, name, parts)

    def _ints(self, item: Field) -> list[int]:
        _number, wire, begin, end, value = item
        if wire == VARINT:
            return [signed(value)]
        self._expect(wire, BYTES, "attribute", item)
        if end - begin > _MAX_INTS * 10:
            return [0] * (_MAX_INTS + 1)  # too many to be of use
        try:
            return [signed(one) for one in packed_varints(self.source.read(begin, end))]
        except (IndexError, ValueError):
            raise CheckpointError(self.source.path, "damaged attribute: a malformed list of integers", begin) from None

    def _attribute_parts(self, graph: Graph, node: Node, name: str, parts: dict[int, list[Extent]]) -> None:
        """Tensors and graphs of an attribute: singular fields are merged, repeated ones are one each."""
        step = f"{node.label}.{name}"
        for extents, suffix in _each(parts, 6, 11):
            self._queue(graph, step + suffix, extents)
        is_constant = node.operator == "Constant" and not node.domain and node.output(0) != ""
        kind = "Constant" if is_constant else f"attribute {name} of {node.operator}"
        for extents, suffix in _each(parts, 5, 10):
            known_as = node.output(0) if is_constant else step + suffix
            draft = self._tensor(graph, extents, kind, known_as)
            draft.name = known_as
            self._add(graph, draft)
        for extents, suffix in _each(parts, 22, 23):
            self._sparse(graph, extents, f"sparse {kind}", node.output(0) if is_constant else step + suffix)

    def _queue(self, graph: Graph, step: str, extents: tuple[Extent, ...]) -> None:
        if graph.depth >= _MAX_DEPTH:
            reason = f"graphs in graphs to a depth of more than {_MAX_DEPTH}"
            raise CheckpointError(self.source.path, reason, extents[0][0])
        self.source.spend(_COST_TASK + len(graph.path) + len(step), extents[0][0])
        self.tasks.append(_Task(graph.below(step), extents))

    # ------------------------------------------------------------------------------------------------ the tensors

    def _tensor(self, graph: Graph, extents: tuple[Extent, ...], kind: str, known_as: str = "") -> Draft:
        draft = read_tensor(self.source, extents, self.files, known_as)
        draft.role = graph.role
        draft.place = f"{kind} of {graph.path[:-1]}" if graph.path else kind
        return draft

    def _add(self, graph: Graph, draft: Draft) -> None:
        if draft.name in graph.tensors:
            where = f"in {shortened(graph.path[:-1])}" if graph.path else "in the graph"
            reason = f"two tensors {where} have the name {shortened(draft.name)}"
            raise CheckpointError(self.source.path, reason, draft.position)
        self.source.spend(8 * len(graph.path), draft.position)
        graph.tensors[draft.name] = draft

    def _sparse(self, graph: Graph, extents: tuple[Extent, ...], kind: str, name: str | None) -> None:
        """A sparse tensor: its values and where they stand, as two tensors."""
        parts: dict[int, list[Extent]] = {1: [], 2: []}
        for item in merged_fields(self.source, extents, "sparse tensor"):
            number, wire, begin, end, _value = item
            if number in parts:
                self._expect(wire, BYTES, "sparse tensor", item)
                self.source.spend(130, begin)
                parts[number].append((begin, end))
        if not parts[1] or not parts[2]:
            raise CheckpointError(self.source.path, "a sparse tensor without values or indices", extents[0][0])
        values = self._tensor(graph, tuple(parts[1]), kind, name or "")
        indices = self._tensor(graph, tuple(parts[2]), kind, f"{values.name or name}.indices")
        whole = values.name if name is None else name
        values.name, indices.name = f"{whole}.values", f"{whole}.indices"
        indices.unsupported = "sparse indices"
        self._add(graph, values)
        self._add(graph, indices)

    def _expect(self, wire: int, expected: int, what: str, item: Field) -> None:
        if wire != expected:
            reason = f"not an ONNX model: field {item[0]} of a {what} has wire type {wire} instead of {expected}"
            raise CheckpointError(self.source.path, reason, item[2])


def _domain(text: str) -> str:
    """The name of a domain: that of the standard is empty, however it is written."""
    return "" if text == "ai.onnx" else text


def _each(parts: dict[int, list[Extent]], one: int, several: int) -> Iterator[tuple[tuple[Extent, ...], str]]:
    """The messages of an attribute's singular field, merged, and of its repeated one, with what tells them apart."""
    if one in parts:
        yield tuple(parts[one]), ""
    for position, extent in enumerate(parts.get(several, ())):
        yield (extent,), f".{position}"
