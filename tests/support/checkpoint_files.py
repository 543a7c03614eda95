"""Builders of checkpoint files for tests, byte by byte: no library, so that damaged ones can be built too."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BITS", "entry", "header_text", "write_header", "write_index", "write_tensors"]

BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Bits of one element, as the format's documentation has them (not taken from wcx)."""


def entry(dtype: str = "F32", shape: Sequence[Any] = (1,), data_offsets: Sequence[Any] = (0, 4)) -> dict[str, Any]:
    """What a header says of one tensor."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(data_offsets)}


def write_header(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    """Write a header (an object, or its text as bytes) and data; `length` is what the file claims of the header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def header_text(tensors: Mapping[str, tuple[str, Sequence[int]]], metadata: Mapping[str, str] | None = None) -> bytes:
    """The header of tensors that lie one behind the other."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    begin = 0
    for name, (dtype, shape) in tensors.items():
        nbits = BITS[dtype]
        for size in shape:
            nbits *= size
        header[name] = entry(dtype, shape, (begin, begin + nbits // 8))
        begin += nbits // 8
    return json.dumps(header).encode()


def write_tensors(
    path: Path, tensors: Mapping[str, tuple[str, Sequence[int]]], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a valid file whose data bytes count up, so that every place can be told from every other."""
    text = header_text(tensors, metadata)
    ends = [item["data_offsets"][1] for name, item in json.loads(text).items() if name != "__metadata__"]
    nbytes = max(ends, default=0)
    return write_header(path, text, (bytes(range(251)) * (nbytes // 251 + 1))[:nbytes])


def write_index(path: Path, weight_map: object, metadata: object = None) -> Path:
    """Write an index.json."""
    index = {"metadata": {"total_size": 1} if metadata is None else metadata, "weight_map": weight_map}
    path.write_text(json.dumps(index))
    return path
