"""Protobuf's wire format, written byte by byte for tests: no library, so that damaged messages can be built too."""

from __future__ import annotations

__all__ = ["fixed", "group", "length_delimited", "number", "varint_bytes"]


def varint_bytes(value: int) -> bytes:
    """An integer from 0 on, seven bits a byte, the low ones first."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def number(field: int, value: int) -> bytes:
    """A field of an integer; negative ones as 64 bits."""
    return varint_bytes(field << 3) + varint_bytes(value % 2**64)


def length_delimited(field: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint_bytes(field << 3 | 2) + varint_bytes(len(content)) + content


def fixed(field: int, wire: int, content: bytes) -> bytes:
    """A field of 4 bytes (wire type 5) or 8 (wire type 1)."""
    return varint_bytes(field << 3 | wire) + content


def group(field: int) -> bytes:
    """An empty group."""
    return varint_bytes(field << 3 | 3) + varint_bytes(field << 3 | 4)
