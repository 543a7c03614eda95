"""The places of a pickle's values, and the values in each that may hold tensors: items, members, attributes.

Names are the keys, positions and attributes on the way, joined by dots; `_parameters`, `_buffers` and `_modules` of
pickled modules are left out, so that a module gives the names of its state_dict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from wcx.formats.pytorch.functions import (
    DICTS,
    MODULES_OF_FX,
    NESTED,
    NO_CONTENT,
    ONLY_FIRST,
    SEQUENCES,
    SPARSE,
    SUBCLASS,
    WITH_STATE,
)
from wcx.formats.pytorch.inert import FEW, PLAIN, SIMPLE, Blob, Call, Dict, Global, Value
from wcx.formats.pytorch.roles import is_ema_key, is_ema_prefix, is_optimizer_key, is_optimizer_state, keys_of
from wcx.formats.pytorch.tensors import function_of

_MAX_NAME = 4096  # characters
_EMA_DEPTH = 3
_ENCODE = "_codecs.encode"
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")


@dataclass(slots=True)  # not frozen: that takes three times as long to make
class Node:
    """A place in the file: the way to it, and what is known of everything below it; never changed."""

    parent: Node | None
    part: str
    depth: int = 0
    role: str | None = None
    ema: bool = False
    plain: bool = True  # plain values below it are metadata
    source: str | None = None

    def child(
        self, part: str, *, role: str | None = None, ema: bool = False, plain: bool = True, source: str | None = None
    ) -> Node:
        """Return a place one step below."""
        return Node(
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
        return clean(".".join(reversed(parts)))


Step = tuple[Node, Value]
"""A place and the value there."""


class Visitor(Protocol):
    """The part of a visit that decides what is still to be visited."""

    def is_first(self, value: Value) -> bool:
        """Return True if a value that may be shared is met for the first time."""

    def may_hold(self, value: Value) -> bool:
        """Return True if a visit to a value may find tensors."""

    def wants_metadata(self, node: Node) -> bool:
        """Return True if plain values one step below a place may become metadata."""


def children(node: Node, value: Value, visitor: Visitor) -> Iterator[Step]:
    """Yield the values of a container that may hold tensors, or may be metadata."""
    if type(value) is Dict:
        yield from _members(node, value, visitor)
        return
    for index, item in enumerate(value):
        if type(item) not in SIMPLE and visitor.may_hold(item):
            yield node.child(str(index)), item


def _members(node: Node, pairs: Dict, visitor: Visitor) -> Iterator[Step]:
    """Yield the values of a dict under its keys, and keys that are no texts or numbers."""
    role = "optimizer" if is_optimizer_state(pairs) else None
    for index in range(0, len(pairs), 2):
        key, value = pairs[index], pairs[index + 1]
        kind = type(value)
        wanted = (kind in PLAIN or (kind is Dict and len(value) <= FEW)) and visitor.wants_metadata(node)
        if type(key) not in SIMPLE and visitor.may_hold(key):
            yield node.child(_key_text(key, index // 2), role=role, plain=False), key
        if wanted or visitor.may_hold(value):
            yield _member(node, _key_text(key, index // 2), value, role), value


def _member(node: Node, key: str, value: Value, role: str | None) -> Node:
    """Return the place of a dict's member, with what its key says of it."""
    if node.depth == 0 and is_optimizer_key(key, value):
        role = "optimizer"
    ema = node.depth < _EMA_DEPTH and (is_ema_key(key, value) or is_ema_prefix(key))
    return node.child(key, role=role, ema=ema, plain=role is None and key != "_metadata")


def _key_text(key: Value, index: int) -> str:
    """Return the text of a key in names; its index for one that is not a text, a number or a short run of bytes."""
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


def clean(text: str) -> str:
    """Return a text without lone surrogates, which no output could hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def children_of_call(node: Node, call: Call, visitor: Visitor) -> Iterator[Step]:
    """Yield the parts of an object that may hold tensors: arguments, items, pairs and attributes, by its kind."""
    function = function_of(call)
    args = call.args if isinstance(call.args, tuple) else (call.args,)
    if function in ONLY_FIRST or function in SEQUENCES:
        yield from ((node, value) for value in args[:1])
    elif function == WITH_STATE or (function in SUBCLASS and len(args) == 4):
        yield node, args[0] if function == WITH_STATE else Call(args[0], args[2])
        yield from state_of_tensor(node, call, visitor)
    elif function in MODULES_OF_FX:
        yield from _state(node, args[0] if args else None, visitor)
    elif function in (SPARSE, NESTED):
        yield from _parts(node, function, args)
    elif function in DICTS:
        yield from _given_pairs(node, args[0] if args else None, visitor)
    elif function not in NO_CONTENT and (type(call.args) in PLAIN or visitor.may_hold(call.args)):
        yield node, call.args
    if call.items:
        yield from children(node, call.items, visitor)
    if call.pairs:
        yield from _members(node, call.pairs, visitor)
    if call.state is not None:
        yield from _state(node, call.state, visitor)


def state_of_tensor(node: Node, call: Call, visitor: Visitor) -> Iterator[Step]:
    """Yield the attributes of a parameter or a subclass of tensors: tensors may be among them, no metadata."""
    if isinstance(call.args, tuple) and len(call.args) == 4:
        yield from _state(replace(node, plain=False), call.args[3], visitor)


def _given_pairs(node: Node, pairs: Value, visitor: Visitor) -> Iterator[Step]:
    """Yield the members of a dict that was made from a list of pairs, as Python 2 did, or from a dict."""
    if not isinstance(pairs, list) or isinstance(pairs, Dict):
        yield node, pairs
    elif visitor.is_first(pairs):
        plain = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
        if plain:
            yield from _members(node, Dict(item for pair in pairs for item in pair), visitor)
        else:
            yield from children(node, pairs, visitor)


def _state(node: Node, state: Value, visitor: Visitor) -> Iterator[Step]:
    """Yield the attributes of an object: a dict, or a pair of a dict and of what is in slots."""
    if isinstance(state, Dict):
        if state and visitor.is_first(state):
            yield from _attributes(node, state, visitor)
    elif isinstance(state, tuple) and len(state) == 2 and all(part is None or isinstance(part, Dict) for part in state):
        for part in state:
            yield from _state(node, part, visitor)
    else:
        yield node, state


def _attributes(node: Node, attributes: Dict, visitor: Visitor) -> Iterator[Step]:
    """Yield the attributes of an object; those in a module's three dicts get the module's own name."""
    module = "_modules" in keys_of(attributes)
    for place, value in _members(node, attributes, visitor):
        if module and place.part in _MODULE_PARTS:
            role = "buffer" if place.part == "_buffers" else node.role
            yield replace(node, role=node.role or role, plain=False), value
        else:
            yield (replace(place, plain=False) if module else place), value


def _parts(node: Node, function: str, args: tuple[Value, ...]) -> Iterator[Step]:
    """Yield the tensors that a sparse or nested one is made of, by their names."""
    if function == NESTED:
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
