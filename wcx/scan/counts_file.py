"""Counts files, wcx/counts/1: the block counts of layers as arrays in a zip archive, described by a JSON text.

docs/counts-file.md is the format in full. Everything is checked before it is believed: the digest and form of the
archive, the JSON text, the size of each array before it is unpacked, and the counts against the symbols that they
count. Whatever bytes are read, ValueError is the only error.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.scheme import Fit
from wcx.scan.archive import Member, pack, read_archive, write_archive

SCHEMA = "wcx/counts/1"
_JSON = "counts.json"
_MOST_JSON = 4 << 20  # bytes
_PART_CODES = 1 << 18
_MOST_CODES = 1 << 21  # of a part: 31 planes of all blocks
_MOST_COUNT = 1 << 41  # so that the counts of a part add up in 63 bits
_CODE_WIDTH, _COUNT_WIDTH = 3, 6  # bytes of a number, at most
_NPY_HEAD = 128  # bytes


@dataclass(frozen=True, slots=True)
class LayerCounts:
    """The counts of one layer. planes: under one scheme, or None for a change since a checkpoint with other planes."""

    name: str
    shape: tuple[int, ...]
    planes: tuple[BlockCounts, ...] | None
    fit: Fit = field(default_factory=Fit)
    zeros: int = 0
    nonfinite: int = 0
    at_most_two_values: bool = False

    @property
    def codes(self) -> int:
        """Number of different blocks, over all planes."""
        return sum(plane.codes.size for plane in self.planes or ())


def encode_counts(layers: Sequence[LayerCounts], settings: Mapping[str, object]) -> bytes:
    """Return the bytes of a counts file; settings: those that the counts depend on, as plain JSON values.

    Raises ValueError for impossible counts, planes under several schemes, and more than 4 MiB of JSON.
    """
    parts = list(_parts(layers))
    described = [[_describe(layer) for layer in part] for part in parts]
    header = {"schema": SCHEMA, "settings": settings, "scheme": _scheme(layers), "parts": described}
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    _read_header(text)
    members = [member for index, part in enumerate(parts) for member in _pack_part(index, part)]
    return write_archive([*members, pack(_JSON, text, level=6)])


def decode_counts(data: bytes) -> tuple[dict[str, Any], Iterator[LayerCounts]]:
    """Return the settings of a counts file and its layers, a part of them in memory at a time.

    Raises ValueError for what encode_counts did not write, at the latest on reaching the layer.
    """
    *arrays, described = read_archive(data)
    if described.name != _JSON.encode() or described.nbytes > _MOST_JSON:
        raise ValueError("not JSON, or too large")
    header = _read_header(described.unpack())
    names = [name.encode() for index in range(len(header["parts"])) for name in _names(index)]
    if [member.name for member in arrays] != names:
        raise ValueError("unexpected member names")
    return header["settings"], _read_parts(header, arrays)


# ----------------------------------------------------------------------------------------------------------- writing


def _parts(layers: Sequence[LayerCounts]) -> Iterator[Sequence[LayerCounts]]:
    """Yield the layers in parts that are read at once."""
    start = codes = 0
    for stop, layer in enumerate(layers):
        if start < stop and codes + layer.codes > _PART_CODES:
            yield layers[start:stop]
            start, codes = stop, 0
        codes += layer.codes
    if layers:
        yield layers[start:]


def _names(part: int) -> tuple[str, str]:
    return f"{part}/codes.npy", f"{part}/counts.npy"


def _scheme(layers: Sequence[LayerCounts]) -> dict[str, object] | None:
    """Return the scheme of all planes, or None where there is no plane."""
    planes = (plane for layer in layers for plane in layer.planes or ())
    found = {(plane.scheme, plane.cells, plane.smaller, plane.overlapping) for plane in planes}
    if len(found) > 1:
        raise ValueError("planes under several schemes")
    return dict(zip(_SCHEME, found.pop(), strict=True)) if found else None


def _describe(layer: LayerCounts) -> dict[str, object]:
    """Return the JSON object of a layer."""
    symbols = {plane.symbols for plane in layer.planes or ()}
    if len(symbols) > 1:
        raise ValueError("planes of a layer with different numbers of symbols")
    return {
        "name": layer.name,
        "shape": layer.shape,
        "fit": asdict(layer.fit),
        "zeros": layer.zeros,
        "nonfinite": layer.nonfinite,
        "at_most_two_values": layer.at_most_two_values,
        "symbols": max(symbols, default=0),
        "planes": None if layer.planes is None else [(plane.codes.size, plane.ones) for plane in layer.planes],
    }


def _pack_part(index: int, part: Sequence[LayerCounts]) -> list[Member]:
    """Return the two arrays of some layers: differences of codes, and counts."""
    planes = [plane for layer in part for plane in layer.planes or ()]
    steps = [np.diff(plane.codes.astype(np.int64), prepend=0) for plane in planes]
    arrays = [np.concatenate([np.zeros(0, np.int64), *found]) for found in (steps, [plane.counts for plane in planes])]
    if arrays[0].size > _MOST_CODES or arrays[1].max(initial=1) > _MOST_COUNT:
        raise ValueError("impossible counts")
    # runs alone make it as small as matches of strings would, in half the time
    return [pack(name, _npy(values), 1, zlib.Z_RLE) for name, values in zip(_names(index), arrays, strict=True)]


def _npy(values: NDArray[np.int64]) -> bytes:
    """Return a .npy file of the numbers' bytes: the lowest of all numbers, then the next, up to the last one needed."""
    width = max(1, (int(values.max(initial=0)).bit_length() + 7) // 8)
    digits = values.astype("<i8").view(np.uint8).reshape(-1, 8)
    return _npy_head(width, values.size) + digits[:, :width].T.tobytes()


def _npy_head(width: int, size: int) -> bytes:
    """Return NumPy's header of an array of bytes, version 1.0."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({width}, {size}), }}"
    return b"\x93NUMPY\1\0v\0" + text.ljust(_NPY_HEAD - 11).encode() + b"\n"


# ----------------------------------------------------------------------------------------------------------- reading


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_cells(value: object) -> bool:
    return type(value) is int and 1 <= value <= 16


def _is_number(value: object) -> bool:
    """Return True for a finite double, a whole number of 64 bits, or None."""
    whole = type(value) is int and -(1 << 63) <= value < 1 << 63
    return value is None or whole or (type(value) is float and isfinite(value))


_SCHEME = {"id": str, "cells": _is_cells, "smaller": (_is_cells, 15), "overlapping": bool}
_LAYER = {
    "name": str,
    "shape": (_is_count, 64),
    "fit": {item.name: _is_number for item in fields(Fit)},
    "zeros": _is_count,
    "nonfinite": _is_count,
    "at_most_two_values": bool,
    "symbols": _is_count,
    "planes": [((_is_count, 2), 256), type(None)],
}
_PARTS = ((_LAYER, _MOST_JSON), _MOST_JSON)
_HEADER = {"schema": str, "settings": dict, "scheme": [_SCHEME, type(None)], "parts": _PARTS}


def _matches(value: Any, form: Any) -> bool:  # noqa: ANN401
    """Return True for JSON of a form: any of a list, item and most items, an object of forms, a type, or a test."""
    if isinstance(form, list):
        return any(_matches(value, one) for one in form)
    if isinstance(form, tuple):
        return type(value) is list and len(value) <= form[1] and all(_matches(item, form[0]) for item in value)
    if isinstance(form, dict):
        same = type(value) is dict and list(value) == list(form)
        return same and all(_matches(value[key], form[key]) for key in form)
    return type(value) is form if isinstance(form, type) else bool(form(value))


def _read_header(text: bytes) -> dict[str, Any]:
    """Return the JSON object, in which everything is of the right type and range."""
    try:
        header: dict[str, Any] = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if len(text) > _MOST_JSON or not _matches(header, _HEADER) or header["schema"] != SCHEMA:
        raise ValueError(f"not {SCHEMA}, or too large")
    return header


def _read_parts(header: Mapping[str, Any], members: Sequence[Member]) -> Iterator[LayerCounts]:
    for part, codes, counts in zip(header["parts"], members[::2], members[1::2], strict=True):
        yield from _read_part(part, header["scheme"], codes, counts)


def _read_part(layers: Sequence[Any], scheme: Any, codes: Member, counts: Member) -> Iterator[LayerCounts]:  # noqa: ANN401
    size = sum(number for layer in layers for number, _ in layer["planes"] or ())
    if size > _MOST_CODES:
        raise ValueError("more codes than a part has")
    steps, numbers = _read_npy(codes, size, _CODE_WIDTH), _read_npy(counts, size, _COUNT_WIDTH)
    if size and not 0 < numbers.min() <= numbers.max() <= _MOST_COUNT:
        raise ValueError("impossible counts")
    start = 0
    for layer in layers:
        planes = []
        for number, ones in layer["planes"] or ():
            inside = slice(start, start + number)
            planes.append(_read_plane(scheme, steps[inside], numbers[inside], layer["symbols"], ones))
            start += number
        found = None if layer["planes"] is None else tuple(planes)
        facts = (layer[name] for name in ("zeros", "nonfinite", "at_most_two_values"))
        yield LayerCounts(layer["name"], tuple(layer["shape"]), found, Fit(**layer["fit"]), *facts)


def _read_npy(member: Member, size: int, most: int) -> NDArray[np.int64]:
    """Return the numbers that _npy wrote; the archive's claim is checked before anything is unpacked."""
    width = (member.nbytes - _NPY_HEAD) // size if size else 1
    if not 1 <= width <= most or member.nbytes != _NPY_HEAD + width * size:
        raise ValueError("an array with a wrong size")
    raw = member.unpack()
    if raw[:_NPY_HEAD] != _npy_head(width, size):
        raise ValueError("an array with another dtype or shape")
    values = np.zeros((size, 8), np.uint8)
    values[:, :width] = np.frombuffer(raw, np.uint8, offset=_NPY_HEAD).reshape(width, size).T
    return values.view("<i8").reshape(size).astype(np.int64, copy=False)


def _read_plane(
    scheme: Mapping[str, Any] | None, steps: NDArray[np.int64], counts: NDArray[np.int64], symbols: int, ones: int
) -> BlockCounts:
    if scheme is None:
        raise ValueError("a plane without a scheme")
    name, cells, smaller, overlapping = scheme.values()
    codes = np.cumsum(steps)
    if not steps[1:].all() or (codes.size and codes[-1] >= sum(1 << some for some in (cells, *smaller))):
        raise ValueError("codes that are out of order or out of range")
    kept = codes.astype(np.uint32 if smaller else np.uint16)
    plane = BlockCounts(name, kept, counts, symbols, ones, cells, tuple(smaller), overlapping)
    rest = symbols - plane.blocks if plane.left_over is None else plane.left_over
    if ones > symbols or rest < 0:
        raise ValueError("block counts that do not add up")
    return plane
