"""Recognise an ONNX model by the fields that both ends of the file show; it has no magic number."""

from __future__ import annotations

from wcx.formats.format import FileHead, Match
from wcx.formats.onnx.protobuf import BYTES, VARINT, varint

_TEXTS = frozenset({2, 3, 4, 6})  # fields of ModelProto
_MESSAGES = frozenset({8, 14, 20, 25, 26})
_NUMBERS = frozenset({1, 5})
_GRAPH = 7
_WITH_LENGTH = _TEXTS | _MESSAGES | {_GRAPH}
_GRAPH_FIELDS = frozenset({1, 2, 5, 10, 11, 12, 13, 14, 15, 16})
_MAX_IR_VERSION = 100
_MAX_FIELDS = 10_000
_MIN_TRUNCATED = 1024


def sniff(ends: FileHead) -> Match:
    """Recognise the fields of a model, one behind the other up to the end of the file, with a graph; never raises."""
    if _is_model(ends):
        return Match.STRUCTURE
    return Match.SUFFIX if ends.name.lower().endswith(".onnx") else Match.NO


def _is_model(ends: FileHead) -> bool:
    """Return True if all fields in both ends of the file are those of a model; one field may lie out of sight."""
    position, graphs, versions = 0, 0, 0
    for _ in range(_MAX_FIELDS):
        data = None if position == ends.nbytes else _bytes_at(ends, position)
        if data is None:  # the end, or behind a large field that is not the last
            break
        tag, value, nbytes = _two_varints(data)
        number, wire = tag >> 3, tag & 7
        position += nbytes
        if wire == VARINT and number in _NUMBERS:
            if number == 1 and value >= _MAX_IR_VERSION:
                return False
            versions += number == 1
        elif wire == BYTES and number in _WITH_LENGTH and _is_plausible(ends, number, position, value):
            position += value
            if position > ends.nbytes:  # a download that broke off, if it had begun
                return number == _GRAPH and versions > 0 and ends.nbytes >= _MIN_TRUNCATED
            graphs += number == _GRAPH
            versions += number == 8
        else:
            return False
    return graphs > 0 and versions > 0


def _bytes_at(ends: FileHead, position: int) -> bytes | None:
    """Return the bytes from a position on, as far as they are known."""
    if position < len(ends.head):
        return ends.head[position : position + 4096]
    tail = ends.nbytes - len(ends.tail)
    return ends.tail[position - tail :][:4096] if position >= tail else None


def _two_varints(data: bytes) -> tuple[int, int, int]:
    """Return a tag, the integer or length behind it, and the bytes of both; a tag of 0 where there are none."""
    try:
        tag, index = varint(data, 0)
        value, index = varint(data, index)
    except (IndexError, ValueError):
        return 0, 0, 0
    return tag, value, index


def _is_plausible(ends: FileHead, number: int, begin: int, nbytes: int) -> bool:
    """Return True if a text is one, or the first field of a graph or another message is one that it has."""
    data = (_bytes_at(ends, begin) or b"")[:nbytes]
    if number in _TEXTS:
        return not any(byte < 9 for byte in data)
    if not data:
        return True
    if number != _GRAPH:
        return data[0] & 7 in (VARINT, BYTES) and data[0] > 7
    tag, value, index = _two_varints(data)
    return tag >> 3 in _GRAPH_FIELDS and tag & 7 == BYTES and index + value <= nbytes
