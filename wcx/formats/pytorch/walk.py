"""The walk over what a pickle says: every tensor with the name that its place in the file gives, and the plain values.

Names are the keys, positions and attributes on the way, joined by dots; `_parameters`, `_buffers` and `_modules` of
pickled modules are left out, so that a module gives the names of its state_dict. No recursion: every container is
visited once, so that references in a circle and bombs of references end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from wcx.core.text import shortened
from wcx.formats.pytorch.inert import Blob, Call, Dict, Global, Persistent, Set, Value
from wcx.formats.pytorch.numpy_arrays import ARRAYS, array_of
from wcx.formats.pytorch.roles import is_ema_key, is_ema_prefix, is_optimizer_key, is_optimizer_state, keys_of
from wcx.formats.pytorch.tensors import REBUILD, Storages, View, function_of, is_storage, storage_of, view_of

_PLAIN = frozenset({str, int, float, bool})
_SIMPLE = _PLAIN | {type(None), Blob, Global}  # types of what holds nothing; an interpreted pickle has no subclasses
_CONTAINERS = frozenset({list, tuple, Dict, Set})
_FEW = 16
_MAX_DEPTH = 1000
_MAX_CONTAINERS = 500_000
_MAX_NAME = 4096  # characters
_MAX_NAMES = 100_000
_MAX_NAMES_LENGTH = 32 << 20
_MAX_METADATA = 200
_MAX_METADATA_LENGTH = 1000
_METADATA_DEPTH = 4
_MAX_PLAIN = 10_000  # plain values looked at for metadata, those of one name included
_EMA_DEPTH = 3
_ONLY_FIRST = frozenset(
    {f"torch._utils.{name}" for name in ("_rebuild_parameter", "_rebuild_device_tensor_from_cpu_tensor")}
    | {f"torch._utils.{name}" for name in ("_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor")}
    | {f"torch.nn.parameter.{name}" for name in ("Parameter", "Buffer")}
    | {f"torch.jit._pickle.build_{kind}list" for kind in ("int", "tensor", "double", "bool")}
    | {"torch.jit._pickle.restore_type_tag"}
)
_WITH_STATE = "torch._utils._rebuild_parameter_with_state"
_SUBCLASS = frozenset(
    f"torch.{module}._rebuild_from_type{version}" for module in ("_tensor", "tensor") for version in ("", "_v2")
)
_MODULES_OF_FX = frozenset(
    f"torch.fx.graph_module.reduce_{kind}" for kind in ("graph_module", "package_graph_module", "deploy_graph_module")
)
_MAX_WRAPPERS = 4
_FIRST_ATTRIBUTES = 40
_SPARSE = "torch._utils._rebuild_sparse_tensor"
_NESTED = "torch._utils._rebuild_nested_tensor"
_FROM_BYTES = "torch.storage._load_from_bytes"
_REBUILDS = "torch._utils._rebuild_"
_SEQUENCES = frozenset(
    f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "frozenset", "list", "tuple")
) | {"collections.deque"}
_DICTS = frozenset({"collections.OrderedDict", "collections.Counter", "builtins.dict", "__builtin__.dict"})
_NO_CONTENT = frozenset({"torch.Size", "numpy.dtype", "torch.device"})
_TENSORS = ARRAYS | frozenset(REBUILD)
_OF_TENSORS = _TENSORS | _ONLY_FIRST | _SUBCLASS | {_WITH_STATE, _FROM_BYTES}
_ENCODE = "_codecs.encode"
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")


@dataclass(slots=True)  # not frozen: that takes three times as long to make
class _Node:
    """A place in the file: the way to it, and what is known of everything below it; never changed."""

    parent: _Node | None
    part: str
    depth: int = 0
    role: str | None = None
    ema: bool = False
    plain: bool = True  # plain values below it are metadata
    source: str | None = None

    def child(
        self,
        part: str,
        *,
        role: str | None = None,
        ema: bool = False,
        plain: bool = True,
        source: str | None = None,
    ) -> _Node:
        """Return a place one step below."""
        return _Node(
            self, part, self.depth + 1, self.role or role, self.ema or ema, self.plain and plain, source or self.source
        )

    def name(self) -> str:
        """Return the whole name; ValueError for one that is too long."""
        parts: list[str] = []
        node = self
        length = 0
        while node.parent is not None:
            parts.append(node.part)
            length += len(node.part) + 1
            if length > _MAX_NAME:
                raise ValueError(f"a name of more than {_MAX_NAME} characters")
            node = node.parent
        return _clean(".".join(reversed(parts)))


@dataclass(frozen=True, slots=True)
class Found:
    """A tensor under one of its names."""

    name: str
    view: View
    role: str | None
    ema: bool
    source: str | None


@dataclass(slots=True)
class Walk:
    """All that a walk has found."""

    found: list[Found] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    unopened: int = 0  # tensors that plain pickle has wrapped in bytes

    def add(self, other: Walk) -> None:
        """Take over what another walk in the same file has found; ValueError where that is more than one may find."""
        self.found += other.found
        self.metadata |= other.metadata
        self.unopened += other.unopened
        if len(self.found) > _MAX_NAMES:
            raise ValueError(f"more than {_MAX_NAMES} tensors")


_Step = tuple[_Node, Value]
_Make = Callable[[], View | None]


def walk(value: Value, storages: Storages, prefix: str = "", *, source: str | None = None, plain: bool = True) -> Walk:
    """Find the tensors and, if wanted, the plain values of a pickle's value.

    prefix, source: what all names begin with, and what the tensors' source is. ValueError, with the name, where a
    tensor can't be right.
    """
    walker = _Walker(storages)
    root = _Node(None, "", source=source, plain=plain)
    walker.run(root.child(prefix) if prefix else root, value)
    return walker.result


class _Walker:
    def __init__(self, storages: Storages) -> None:
        self.result = Walk()
        self._storages = storages
        self._visited: dict[int, Value] = {}  # by identity; keeping them keeps the identities apart
        self._views: dict[int, tuple[Call, View, str | None]] = {}  # likewise, of calls met before: the tensors
        self._others: set[int] = set()  # and what are none, all of which were visited
        self._length = 0
        self._plain = 0

    def run(self, root: _Node, value: Value) -> None:
        """Visit everything below a value, depth first, in the order of the file."""
        pending = [iter([(root, value)])]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
            elif (children := self._visit(*step)) is not None:
                pending.append(children)
                if len(pending) > _MAX_DEPTH:
                    raise ValueError(f"the values are nested more than {_MAX_DEPTH} deep")

    def _visit(self, node: _Node, value: Value) -> Iterator[_Step] | None:
        """Note a tensor or a plain value; return what is in a container.

        A pickle of 2 million opcodes can refer to one object a million times: only the first time may it take long.
        """
        kind = type(value)
        if kind is Call:
            return self._visit_call(node, value)
        if kind in _CONTAINERS:
            return _children(node, value, self) if value and self.is_first(value) else None
        if kind in _PLAIN:
            self._add_metadata(node, value)
        elif is_storage(value):
            self._add(node, lambda: storage_of(value, self._storages), "storage")
        return None

    def _visit_call(self, node: _Node, call: Call) -> Iterator[_Step] | None:
        if id(call) in self._others:
            return None
        function = function_of(call)
        if function not in _OF_TENSORS and not function.startswith(_REBUILDS):
            return self._visit_object(node, call)
        inner = _unwrapped(call)
        if _is_pickled_plainly(inner):
            self.result.unopened += 1
            self._others.add(id(call))
            return _state_of_tensor(node, call, self) if self.is_first(call) and call is not inner else None
        if call is not inner and _is_buffer(call):
            node = replace(node, role=node.role or "buffer")
        if function_of(inner) not in _TENSORS or not self._add_call(node, call, inner):
            return self._visit_object(node, call)
        return _state_of_tensor(node, call, self) if call is not inner and self.is_first(call) else None

    def _visit_object(self, node: _Node, call: Call) -> Iterator[_Step] | None:
        self._others.add(id(call))
        return _children_of_call(node, call, self) if self.is_first(call) else None

    def may_hold(self, value: Value) -> bool:
        """Return True if a visit to a value may find tensors: not to a simple one, nor again to one that had none."""
        kind = type(value)
        if kind is Call:
            return id(value) not in self._others and not _holds_nothing(value)
        if kind in _CONTAINERS:
            return id(value) not in self._visited and not _is_leaf(value)
        return kind is Persistent

    def wants_metadata(self, node: _Node) -> bool:
        """Return True if plain values one step below a place may become metadata."""
        is_open = len(self.result.metadata) < _MAX_METADATA and self._plain < _MAX_PLAIN
        return is_open and node.plain and node.depth < _METADATA_DEPTH

    def is_first(self, value: Value) -> bool:
        """Return True if a value that may be shared is met for the first time."""
        if id(value) in self._visited:
            return False
        if len(self._visited) >= _MAX_CONTAINERS:
            raise ValueError(f"more than {_MAX_CONTAINERS} containers and objects, the limit")
        self._visited[id(value)] = value
        return True

    def _add_call(self, node: _Node, call: Call, inner: Call) -> bool:
        """Note the tensor or the array that a call makes; False where it makes none."""
        if id(call) in self._views:
            _call, view, source = self._views[id(call)]
            return self._add(node, lambda: view, source)
        for make, source in ((lambda: view_of(inner, self._storages), None), (lambda: array_of(inner), "NumPy array")):
            if self._add(node, make, source):
                self._views[id(call)] = call, self.result.found[-1].view, source
                return True
        return False

    def _add(self, node: _Node, make: _Make, source: str | None = None) -> bool:
        """Note the tensor that `make` gives; False where it gives none."""
        try:
            view = make()
        except ValueError as error:
            raise ValueError(f"tensor {_shown(node)}: {error}") from error
        if view is None:
            return False
        name = node.name() or "tensor"
        self._length += len(name) + (16 * len(view.quantization.zero_points) if view.quantization else 0)
        if len(self.result.found) >= _MAX_NAMES or self._length > _MAX_NAMES_LENGTH:
            raise ValueError(f"more than {_MAX_NAMES} tensors, or {_MAX_NAMES_LENGTH >> 20} MiB of their names")
        self.result.found.append(Found(name, view, node.role, node.ema, node.source or source))
        return True

    def _add_metadata(self, node: _Node, value: str | float) -> None:
        metadata = self.result.metadata
        if not node.plain or not 0 < node.depth <= _METADATA_DEPTH or len(metadata) >= _MAX_METADATA:
            return
        self._plain += 1
        if self._plain > _MAX_PLAIN or len(node.part) > _MAX_METADATA_LENGTH:
            return
        text = str(value) if not isinstance(value, str) else _clean(value[: _MAX_METADATA_LENGTH + 1])
        if len(text) > _MAX_METADATA_LENGTH:
            text = f"{text[: _MAX_METADATA_LENGTH - 3]}..."
        metadata.setdefault(node.name(), text)


# --------------------------------------------------------------------------------------------- what is in a container


def _children(node: _Node, value: Value, walker: _Walker) -> Iterator[_Step]:
    if type(value) is Dict:
        yield from _members(node, value, walker)
        return
    for index, item in enumerate(value):
        if type(item) not in _SIMPLE and walker.may_hold(item):
            yield node.child(str(index)), item


def _is_leaf(value: Value) -> bool:
    """Return True if a container has no items, or a few that are all simple, and so needs no visit."""
    return len(value) <= _FEW and _SIMPLE.issuperset(map(type, value))


def _members(node: _Node, pairs: Dict, walker: _Walker) -> Iterator[_Step]:
    """Yield the values of a dict under its keys, and keys that are no texts or numbers."""
    role = "optimizer" if is_optimizer_state(pairs) else None
    for index in range(0, len(pairs), 2):
        key, value = pairs[index], pairs[index + 1]
        kind = type(value)
        wanted = (kind in _PLAIN or (kind is Dict and len(value) <= _FEW)) and walker.wants_metadata(node)
        if type(key) not in _SIMPLE and walker.may_hold(key):
            yield node.child(_key_text(key, index // 2), role=role, plain=False), key
        if wanted or walker.may_hold(value):
            yield _member(node, _key_text(key, index // 2), value, role), value


def _member(node: _Node, key: str, value: Value, role: str | None) -> _Node:
    """Return the place of a dict's member, with what its key says of it."""
    if node.depth == 0 and is_optimizer_key(key, value):
        role = "optimizer"
    ema = node.depth < _EMA_DEPTH and (is_ema_key(key, value) or is_ema_prefix(key))
    return node.child(key, role=role, ema=ema, plain=role is None and key != "_metadata")


def _key_text(key: Value, index: int) -> str:
    """Return the text of a key in names; its index for one that is no text, number or short run of bytes."""
    if isinstance(key, str):
        return key[: _MAX_NAME + 1]
    if isinstance(key, (int, float)) or key is None:
        return str(key)
    raw = _bytes_of(key)
    return f"key{index}" if raw is None else raw.decode("utf-8", "backslashreplace")


def _bytes_of(value: Value) -> bytes | None:
    """Return the bytes that a value is, if they are few; up to protocol 2 they are a call that encodes a text."""
    if isinstance(value, Blob):
        return value.data if len(value.data) == value.nbytes else None
    if not isinstance(value, Call) or function_of(value) != _ENCODE or not isinstance(value.args, tuple):
        return None
    text = value.args[0] if value.args[1:] == ("latin1",) else None
    return text[: _MAX_NAME + 1].encode("latin1", "replace") if isinstance(text, str) else None


def _clean(text: str) -> str:
    """Return a text without lone surrogates, which no output could hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


# --------------------------------------------------------------------------------------------- what is in an object


def _children_of_call(node: _Node, call: Call, walker: _Walker) -> Iterator[_Step]:
    """Yield the parts of an object that may hold tensors: arguments, items, pairs and attributes, by its kind."""
    function = function_of(call)
    args = call.args if isinstance(call.args, tuple) else (call.args,)
    if function in _ONLY_FIRST or function in _SEQUENCES:
        yield from ((node, value) for value in args[:1])
    elif function == _WITH_STATE or (function in _SUBCLASS and len(args) == 4):
        yield node, args[0] if function == _WITH_STATE else Call(args[0], args[2])
        yield from _state_of_tensor(node, call, walker)
    elif function in _MODULES_OF_FX:
        yield from _state(node, args[0] if args else None, walker)
    elif function in (_SPARSE, _NESTED):
        yield from _parts(node, function, args)
    elif function in _DICTS:
        yield from _given_pairs(node, args[0] if args else None, walker)
    elif function not in _NO_CONTENT and (type(call.args) in _PLAIN or walker.may_hold(call.args)):
        yield node, call.args
    if call.items:
        yield from _children(node, call.items, walker)
    if call.pairs:
        yield from _members(node, call.pairs, walker)
    if call.state is not None:
        yield from _state(node, call.state, walker)


def _holds_nothing(call: Call) -> bool:
    """Return True if an object, no tensor, has no attributes, items and arguments that could hold anything."""
    if call.items or call.pairs or not (call.state is None or _is_empty(call.state)):
        return False
    function = function_of(call)
    return function in _NO_CONTENT or (_is_empty(call.args) and function not in _OF_TENSORS)


def _is_empty(value: Value) -> bool:
    return type(value) in _CONTAINERS and not value


def _unwrapped(call: Call) -> Call:
    """Return the call that rebuilds the tensor itself, inside those that make a parameter or a subclass of it."""
    for _ in range(_MAX_WRAPPERS):
        args = call.args
        function = function_of(call)
        if not isinstance(args, tuple) or not args:
            break
        if function in _SUBCLASS and len(args) == 4:
            call = Call(args[0], args[2])
        elif (function in _ONLY_FIRST or function == _WITH_STATE) and isinstance(args[0], Call):
            call = args[0]
        else:
            break
    return call


def _state_of_tensor(node: _Node, call: Call, walker: _Walker) -> Iterator[_Step]:
    """Yield the attributes of a parameter or a subclass of tensors: tensors may be among them, no metadata."""
    if isinstance(call.args, tuple) and len(call.args) == 4:
        yield from _state(replace(node, plain=False), call.args[3], walker)


def _is_buffer(call: Call) -> bool:
    """Return True if the first attributes of a tensor's subclass say that it is a torch.nn.Buffer."""
    state = call.args[3] if isinstance(call.args, tuple) and len(call.args) == 4 else None
    return type(state) is Dict and "_is_buffer" in state[: 2 * _FIRST_ATTRIBUTES : 2]


def _given_pairs(node: _Node, pairs: Value, walker: _Walker) -> Iterator[_Step]:
    """Yield the members of a dict that was made from a list of pairs, as Python 2 did, or from a dict."""
    if not isinstance(pairs, list) or isinstance(pairs, Dict):
        yield node, pairs
    elif walker.is_first(pairs):
        plain = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
        if plain:
            yield from _members(node, Dict(item for pair in pairs for item in pair), walker)
        else:
            yield from _children(node, pairs, walker)


def _state(node: _Node, state: Value, walker: _Walker) -> Iterator[_Step]:
    """Yield the attributes of an object: a dict, or a pair of a dict and of what is in slots."""
    if isinstance(state, Dict):
        if state and walker.is_first(state):
            yield from _attributes(node, state, walker)
    elif isinstance(state, tuple) and len(state) == 2 and all(part is None or isinstance(part, Dict) for part in state):
        for part in state:
            yield from _state(node, part, walker)
    else:
        yield node, state


def _attributes(node: _Node, attributes: Dict, walker: _Walker) -> Iterator[_Step]:
    """Yield the attributes of an object; those in a module's three dicts get the module's own name."""
    module = "_modules" in keys_of(attributes)
    for place, value in _members(node, attributes, walker):
        if module and place.part in _MODULE_PARTS:
            role = "buffer" if place.part == "_buffers" else node.role
            yield replace(node, role=node.role or role, plain=False), value
        else:
            yield (replace(place, plain=False) if module else place), value


def _parts(node: _Node, function: str, args: tuple[Value, ...]) -> Iterator[_Step]:
    """Yield the tensors that a sparse or nested one is made of, by their names."""
    if function == _NESTED:
        names: tuple[str, ...] = ("values", "sizes", "strides", "offsets")
        values = args
        source = "nested tensor"
    else:
        layout, values = args if len(args) == 2 and isinstance(args[1], tuple) else (None, args)
        if isinstance(layout, Call) and isinstance(layout.args, tuple):
            layout = layout.args[0] if layout.args else None
        names = _SPARSE_PARTS.get(str(layout) if isinstance(layout, (str, Global)) else "", _COO_PARTS)
        source = "sparse tensor"
    for name, value in zip(names, values, strict=False):
        yield node.child(name, source=source, plain=False), value


_COO_PARTS = ("indices", "values")
_SPARSE_PARTS = {
    **{f"torch.sparse_{kind}": ("crow_indices", "col_indices", "values") for kind in ("csr", "bsr")},
    **{f"torch.sparse_{kind}": ("ccol_indices", "row_indices", "values") for kind in ("csc", "bsc")},
}


def _is_pickled_plainly(call: Call) -> bool:
    """Return True if a tensor's storage is wrapped in bytes, as plain pickle does it, and never opened here."""
    if function_of(call) == _FROM_BYTES:
        return True
    storage = call.args[0] if isinstance(call.args, tuple) and call.args else None
    return isinstance(storage, Call) and function_of(storage) == _FROM_BYTES and function_of(call).startswith(_REBUILDS)


def _shown(node: _Node) -> str:
    try:
        return shortened(node.name() or "tensor")
    except ValueError:
        return shortened(node.part)
