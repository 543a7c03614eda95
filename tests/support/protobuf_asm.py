"""A small assembler of protobuf messages and of ONNX models, field by field, so that each can lie.

Sources: the encoding guide of protocol buffers, and onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

__all__ = ["attribute", "external", "field", "floats", "graph", "key", "model", "node", "packed", "tensor", "varint"]


def varint(value: int) -> bytes:
    """A variable-length integer; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def key(number: int, wire: int) -> bytes:
    """What stands before a field: its number and how it is encoded."""
    return varint(number << 3 | wire)


def field(number: int, *values: int | bytes | str) -> bytes:
    """A field: integers as varints, the others with their length; repeated where there are several."""
    parts = []
    for value in values:
        if isinstance(value, int):
            parts.append(key(number, 0) + varint(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts.append(key(number, 2) + varint(len(data)) + data)
    return b"".join(parts)


def packed(number: int, values: Sequence[int]) -> bytes:
    """A field of many integers in one piece."""
    return field(number, b"".join(map(varint, values)))


def floats(number: int, values: Sequence[float]) -> bytes:
    """A field of many floats in one piece."""
    return field(number, struct.pack(f"<{len(values)}f", *values))


def tensor(
    name: str = "w", dims: Sequence[int] = (4, 4), dtype: int = 1, *, raw: bytes | None = None, more: bytes = b""
) -> bytes:
    """A TensorProto; float32 unless it is said otherwise, with `raw` as raw_data and `more` fields."""
    data = b"" if raw is None else field(9, raw)
    return field(1, *dims) + field(2, dtype) + field(8, name) + data + more


def external(
    entries: Mapping[str, str | bytes], name: str = "w", dims: Sequence[int] = (4, 4), dtype: int = 1
) -> bytes:
    """A TensorProto whose data lie in another file."""
    pairs = b"".join(field(13, field(1, key_) + field(2, value)) for key_, value in entries.items())
    return tensor(name, dims, dtype, more=pairs + field(14, 1))


def attribute(name: str, **fields: bytes) -> bytes:
    """An AttributeProto; fields: t (a tensor), g (a graph) or sparse_tensor."""
    numbers = {"t": (5, 4), "g": (6, 5), "sparse_tensor": (22, 11)}
    return field(1, name) + b"".join(
        field(numbers[label][0], value) + field(20, numbers[label][1]) for label, value in fields.items()
    )


def node(operator: str, inputs: Sequence[str] = (), outputs: Sequence[str] = (), *attributes: bytes) -> bytes:
    """A NodeProto."""
    return field(1, *inputs) + field(2, *outputs) + field(4, operator) + field(5, *attributes)


def graph(*initializers: bytes, nodes: Sequence[bytes] = (), more: bytes = b"") -> bytes:
    """A GraphProto."""
    return field(1, *nodes) + field(2, "g") + field(5, *initializers) + more


def model(content: bytes = b"", more: bytes = b"") -> bytes:
    """A ModelProto with this graph."""
    return field(1, 8) + field(2, "hand") + field(7, content) + field(8, field(1, "") + field(2, 17)) + more
