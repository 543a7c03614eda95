"""An ONNX model as far as its weights are concerned: graphs with their tensors, and the operators that use these."""

from __future__ import annotations

from dataclasses import dataclass, field

from wcx.formats.onnx.tensors import Draft


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
        """Return the name of an input; empty where it is left out."""
        return self.inputs[position] if 0 <= position < len(self.inputs) else ""

    def number(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        value = self.numbers.get(name, default)
        return value if isinstance(value, int) else default

    @property
    def constant(self) -> str:
        """The name of the tensor that a Constant gives; empty for other operators."""
        is_constant = self.operator == "Constant" and not self.domain and self.outputs
        return self.outputs[0] if is_constant else ""


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
        """Return a new graph inside this one; one with the name of another gets a number behind it."""
        count = self.steps.get(step, 0) + 1
        self.steps[step] = count
        name = step if count == 1 else f"{step}~{count}"
        return Graph(f"{self.path}{name}/", self, role or self.role, self.depth + 1)


@dataclass(slots=True)
class Model:
    """The file's own description, and all its graphs, outer ones before those inside them."""

    ir_version: int | None = None
    producer: str = ""
    producer_version: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    docs: dict[str, str] = field(default_factory=dict)
    graphs: list[Graph] = field(default_factory=list)
