"""The visit to all that a pickle says: every tensor with the name of its place in the file, and the plain values.

No recursion: every container is visited once, so that references in a circle and bombs of references end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from wcx.core.text import shortened
from wcx.formats.pytorch.children import Node, Step, children, children_of_call, clean, state_of_tensor
from wcx.formats.pytorch.functions import (
    OF_TENSORS,
    REBUILDS,
    TENSORS,
    holds_nothing,
    is_buffer,
    is_pickled_plainly,
    unwrapped,
)
from wcx.formats.pytorch.inert import CONTAINERS, FEW, PLAIN, SIMPLE, Call, Persistent, Value
from wcx.formats.pytorch.numpy_arrays import array_of
from wcx.formats.pytorch.rebuild import view_of
from wcx.formats.pytorch.tensors import Storages, View, function_of, is_storage, storage_of

_MAX_DEPTH = 1000
_MAX_CONTAINERS = 500_000
_MAX_NAMES = 100_000
_MAX_NAMES_LENGTH = 32 << 20
_MAX_METADATA = 200
_MAX_METADATA_LENGTH = 1000
_METADATA_DEPTH = 4
_MAX_PLAIN = 10_000  # plain values looked at for metadata, those of one name included


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """A tensor under one of its names."""

    name: str
    view: View
    role: str | None
    ema: bool
    source: str | None


@dataclass(slots=True)
class Contents:
    """All that a visit has found."""

    tensors: list[NamedTensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    unopened: int = 0  # tensors that plain pickle has wrapped in bytes

    def add(self, other: Contents) -> None:
        """Add what another visit to the same file has found; ValueError where that is more than one may find."""
        self.tensors += other.tensors
        self.metadata |= other.metadata
        self.unopened += other.unopened
        if len(self.tensors) > _MAX_NAMES:
            raise ValueError(f"more than {_MAX_NAMES} tensors")


_Make = Callable[[], View | None]


def visit(
    value: Value, storages: Storages, prefix: str = "", *, source: str | None = None, plain: bool = True
) -> Contents:
    """Find the tensors and, if wanted, the plain values of a pickle's value.

    prefix, source: what all names begin with, and what the tensors' source is. ValueError, with the name, where a
    tensor can't be right.
    """
    visitor = _Visit(storages)
    root = Node(None, "", source=source, plain=plain)
    visitor.run(root.child(prefix) if prefix else root, value)
    return visitor.result


class _Visit:
    def __init__(self, storages: Storages) -> None:
        self.result = Contents()
        self._storages = storages
        self._visited: dict[int, Value] = {}  # by identity; keeping them keeps the identities apart
        self._views: dict[int, tuple[Call, View, str | None]] = {}  # likewise: calls that make tensors
        self._others: set[int] = set()  # calls that make none, all of them visited
        self._length = 0
        self._plain = 0

    def run(self, root: Node, value: Value) -> None:
        """Visit everything below a value, depth first, in the order of the file."""
        pending = [iter([(root, value)])]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
            elif (children := self._visit(*step)) is not None:
                pending.append(children)
                if len(pending) > _MAX_DEPTH:
                    raise ValueError(f"the values are nested more than {_MAX_DEPTH} levels deep")

    def _visit(self, node: Node, value: Value) -> Iterator[Step] | None:
        """Note a tensor or a plain value; return what is in a container.

        A pickle of 2 million opcodes can refer to one object a million times: only the first time may it take long.
        """
        kind = type(value)
        if kind is Call:
            return self._visit_call(node, value)
        if kind in CONTAINERS:
            return children(node, value, self) if value and self.is_first(value) else None
        if kind in PLAIN:
            self._add_metadata(node, value)
        elif is_storage(value):
            self._add(node, lambda: storage_of(value, self._storages), "storage")
        return None

    def _visit_call(self, node: Node, call: Call) -> Iterator[Step] | None:
        if id(call) in self._others:
            return None
        function = function_of(call)
        if function not in OF_TENSORS and not function.startswith(REBUILDS):
            return self._visit_object(node, call)
        inner = unwrapped(call)
        if is_pickled_plainly(inner):
            self.result.unopened += 1
            self._others.add(id(call))
            return state_of_tensor(node, call, self) if self.is_first(call) and call is not inner else None
        if call is not inner and is_buffer(call):
            node = replace(node, role=node.role or "buffer")
        if function_of(inner) not in TENSORS or not self._add_call(node, call, inner):
            return self._visit_object(node, call)
        return state_of_tensor(node, call, self) if call is not inner and self.is_first(call) else None

    def _visit_object(self, node: Node, call: Call) -> Iterator[Step] | None:
        self._others.add(id(call))
        return children_of_call(node, call, self) if self.is_first(call) else None

    def may_hold(self, value: Value) -> bool:
        """Return True if a visit to a value may find tensors: not to a simple one, nor again to one that had none."""
        kind = type(value)
        if kind is Call:
            return id(value) not in self._others and not holds_nothing(value)
        if kind in CONTAINERS:
            return id(value) not in self._visited and not _is_leaf(value)
        return kind is Persistent

    def wants_metadata(self, node: Node) -> bool:
        """Return True if plain values one step below a place may become metadata."""
        is_open = len(self.result.metadata) < _MAX_METADATA and self._plain < _MAX_PLAIN
        return is_open and node.plain and node.depth < _METADATA_DEPTH

    def is_first(self, value: Value) -> bool:
        """Return True if a value that may be shared is met for the first time."""
        if id(value) in self._visited:
            return False
        if len(self._visited) >= _MAX_CONTAINERS:
            raise ValueError(f"more than {_MAX_CONTAINERS} containers and objects")
        self._visited[id(value)] = value
        return True

    def _add_call(self, node: Node, call: Call, inner: Call) -> bool:
        """Note the tensor or the array that a call makes; False where it makes none."""
        if id(call) in self._views:
            _call, view, source = self._views[id(call)]
            return self._add(node, lambda: view, source)
        for make, source in ((lambda: view_of(inner, self._storages), None), (lambda: array_of(inner), "NumPy array")):
            if self._add(node, make, source):
                self._views[id(call)] = call, self.result.tensors[-1].view, source
                return True
        return False

    def _add(self, node: Node, make: _Make, source: str | None = None) -> bool:
        """Note the tensor that `make` gives; False where it gives none."""
        try:
            view = make()
        except ValueError as error:
            raise ValueError(f"tensor {_shown(node)}: {error}") from error
        if view is None:
            return False
        name = node.name() or "tensor"
        self._length += len(name) + (16 * len(view.quantization.zero_points) if view.quantization else 0)
        if len(self.result.tensors) >= _MAX_NAMES or self._length > _MAX_NAMES_LENGTH:
            raise ValueError(f"more than {_MAX_NAMES} tensors, or {_MAX_NAMES_LENGTH >> 20} MiB of their names")
        self.result.tensors.append(NamedTensor(name, view, node.role, node.ema, node.source or source))
        return True

    def _add_metadata(self, node: Node, value: str | float) -> None:
        metadata = self.result.metadata
        if not node.plain or not 0 < node.depth <= _METADATA_DEPTH or len(metadata) >= _MAX_METADATA:
            return
        self._plain += 1
        if self._plain > _MAX_PLAIN or len(node.part) > _MAX_METADATA_LENGTH:
            return
        text = str(value) if not isinstance(value, str) else clean(value[: _MAX_METADATA_LENGTH + 1])
        if len(text) > _MAX_METADATA_LENGTH:
            text = f"{text[: _MAX_METADATA_LENGTH - 3]}..."
        metadata.setdefault(node.name(), text)


def _is_leaf(value: Value) -> bool:
    """Return True if a container has no items, or a few that are all simple, and so needs no visit."""
    return len(value) <= FEW and SIMPLE.issuperset(map(type, value))


def _shown(node: Node) -> str:
    try:
        return shortened(node.name() or "tensor")
    except ValueError:
        return shortened(node.part)
