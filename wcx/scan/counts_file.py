"""What is kept of counted layers, as bytes: block counts small and fast, other numbers exact.

Counts are kept in frames of some layers each; frames that follow each other are one text, so that layers can be
written and read a few at a time. Inside a frame, zlib packs the columns of a table: of each layer its numbers, of each
plane its size, and of all planes one after the other the gaps between their codes and the counts. Most of these are
below 255 and take a byte; what does not fit stands in wider columns behind. A plane of 65,536 codes that occur 16 times
each on average (Poisson) takes 0.53 bytes a code, against 10 in memory.

Whatever bytes are read, ValueError is the only error, and no more memory is taken than zlib can make of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import fields
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.scheme import Fit
from wcx.scan.count import CountedLayer

Planes = tuple[BlockCounts, ...]
_Column = NDArray[Any]
_COUNTED = b"wcxcoun1"
_CHANGES = b"wcxchan1"
_ROWS = b"wcxrows1"
_HEAD = Struct("<8sQQ")  # magic, packed bytes, bytes
_SIZES = Struct("<IIIQ")  # layers, planes, kinds of planes, codes
_EXPANSION = 1032  # bytes that zlib can make of one, at most
_MOST_NBYTES = 128 << 20  # of a frame; the widest that is written has 16 planes of all codes
_FRAME_CODES = 1 << 18
_FRAME_LAYERS = 1 << 12
_MOST_CODES = 1 << 21
_MOST_PLANES = 1 << 17
_MOST_COUNT = 1 << 41  # so that the counts of a frame add up in 63 bits
_MOST_CODE = 1 << 17
_NOTHING = 0xFFFF  # planes of a layer that has none
_FIT = tuple(item.name for item in fields(Fit))
_TYPES = {name: int if name == "zero_point" else float for name in _FIT}
_NUMBERS = [(name, "<f8" if _TYPES[name] is float else "<i8") for name in _FIT]
_LAYER = np.dtype(
    [("planes", "<u2"), ("zeros", "<u8"), ("nonfinite", "<u8"), ("few", "u1"), ("given", "u1"), *_NUMBERS]
)
_PLANE = np.dtype([("kind", "<u2"), ("codes", "<u4"), ("symbols", "<u8"), ("ones", "<u8")])


def encode_counted(layers: Sequence[tuple[Fit, CountedLayer]]) -> bytes:
    """Write down counted layers and what was learned of them; decode_counted reads back equal values.

    encode_counted(a) + encode_counted(b) is read as a + b. Raises ValueError for counts that no tensor has.
    """
    frames = _frames([counted.planes for _fit, counted in layers])
    return b"".join(
        _pack(_COUNTED, _layer_columns(layers[start:stop]), [one.planes for _fit, one in layers[start:stop]])
        for start, stop in frames
    )


def decode_counted(data: bytes) -> list[tuple[Fit, CountedLayer]]:
    """Read what encode_counted wrote; ValueError where the data are damaged."""
    return list(iterate_counted(data))


def iterate_counted(data: bytes) -> Generator[tuple[Fit, CountedLayer], None, None]:
    """Yield what encode_counted wrote, a few layers in memory at a time; ValueError when it comes to damage."""
    for table, planes in _unpack(_COUNTED, data):
        _check_finite(table)
        for row, found in zip(table.tolist(), planes, strict=True):
            _planes, zeros, nonfinite, few, given, *numbers = row
            if found is None or few > 1 or given >= 1 << len(_FIT):
                raise ValueError("no counted layer")
            fit = (number if given >> place & 1 else None for place, number in enumerate(numbers))
            yield Fit(*fit), CountedLayer(found, zeros, nonfinite, bool(few))


def encode_changes(layers: Sequence[Planes | None]) -> bytes:
    """Write down the counts of layers' changed bits, None where a layer has none; decode_changes reads them back.

    encode_changes(a) + encode_changes(b) is read as a + b. Raises ValueError for counts that no tensor has.
    """
    return b"".join(
        _pack(_CHANGES, np.array([_number_of(planes) for planes in layers[start:stop]], "<u2"), layers[start:stop])
        for start, stop in _frames(layers)
    )


def decode_changes(data: bytes) -> list[Planes | None]:
    """Read what encode_changes wrote; ValueError where the data are damaged."""
    return list(iterate_changes(data))


def iterate_changes(data: bytes) -> Generator[Planes | None, None, None]:
    """Yield what encode_changes wrote, a few layers in memory at a time; ValueError when it comes to damage."""
    for _table, planes in _unpack(_CHANGES, data):
        yield from planes


def encode_rows(rows: object) -> bytes:
    """Write down numbers, texts and None, in lists and in dicts by text; doubles are read back exactly.

    Raises ValueError for NaN and infinities. Tuples are read back as lists.
    """
    text = json.dumps(rows, allow_nan=False, separators=(",", ":")).encode()
    packed = zlib.compress(text, 1)
    return _HEAD.pack(_ROWS, len(packed), len(text)) + packed


def decode_rows(data: bytes) -> Any:  # noqa: ANN401
    """Read what encode_rows wrote; ValueError where the data are damaged."""
    text, end = _inflate(_ROWS, data, 0)
    if end != len(data):
        raise ValueError("more bytes than there should be")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


# ------------------------------------------------------------------------------------------------------------ frames


def _frames(layers: Sequence[Planes | None]) -> Iterator[tuple[int, int]]:
    """From which layer to which each frame goes."""
    start = codes = 0
    for stop, planes in enumerate(layers):
        more = sum(plane.codes.size for plane in planes or ())
        if start < stop and (codes + more > _FRAME_CODES or stop - start == _FRAME_LAYERS):
            yield start, stop
            start, codes = stop, 0
        codes += more
    if start < len(layers):
        yield start, len(layers)


def _pack(magic: bytes, table: _Column, layers: Sequence[Planes | None]) -> bytes:
    """One frame of layers and the table that belongs to them."""
    planes = [plane for found in layers for plane in found or ()]
    kinds: dict[bytes, int] = {}
    heads = [(kinds.setdefault(_write_kind(one), len(kinds)), one.codes.size, one.symbols, one.ones) for one in planes]
    codes = np.concatenate([np.zeros(0, np.int64), *(plane.codes for plane in planes)], dtype=np.int64)
    counts = np.concatenate([np.zeros(0, np.int64), *(plane.counts for plane in planes)])
    if len(planes) > _MOST_PLANES or codes.size > _MOST_CODES or counts.max(initial=1) > _MOST_COUNT:
        raise ValueError("counts that no tensor has")
    gaps = np.diff(codes, prepend=0) - 1
    starts = _starts([plane.codes.size for plane in planes])
    gaps[starts] = codes[starts]
    columns = [
        _SIZES.pack(len(layers), len(planes), len(kinds), codes.size),
        *kinds,
        table.tobytes(),
        np.array(heads, _PLANE).tobytes(),
        *_narrow(gaps),
        *_narrow(counts - 1),
    ]
    raw = b"".join(columns)
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)  # as small as matches, twice as fast
    packed = packer.compress(raw) + packer.flush()
    return _HEAD.pack(magic, len(packed), len(raw)) + packed


def _unpack(magic: bytes, data: bytes) -> Iterator[tuple[_Column, list[Planes | None]]]:
    """The tables of all frames and the planes of their layers."""
    at = 0
    while at < len(data):
        raw, at = _inflate(magic, data, at)
        rest = _Rest(raw)
        layers, planes, kinds, codes = rest.unpack(_SIZES)
        if layers > _FRAME_LAYERS or planes > _MOST_PLANES or codes > _MOST_CODES:
            raise ValueError("more than a frame has")
        shapes = [_read_kind(rest) for _ in range(kinds)] if kinds <= planes else []
        table = rest.column(_LAYER if magic == _COUNTED else np.dtype("<u2"), layers)
        heads = rest.column(_PLANE, planes)
        if heads["codes"].sum(dtype=np.uint64) != codes:
            raise ValueError("a wrong number of codes")
        gaps, counts = _widen(rest, codes, _MOST_CODE), _widen(rest, codes, _MOST_COUNT) + 1
        rest.end()
        numbers = (table["planes"] if magic == _COUNTED else table).tolist()
        yield table, _by_layer(numbers, _planes(heads.tolist(), shapes, gaps, counts))


def _inflate(magic: bytes, data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes that are packed at a position, and where they end."""
    if len(data) - at < _HEAD.size:
        raise ValueError("fewer bytes than a head has")
    found, packed, nbytes = _HEAD.unpack_from(data, at)
    at += _HEAD.size
    if found != magic or packed > len(data) - at or nbytes > min(_EXPANSION * packed, _MOST_NBYTES):
        raise ValueError("not what it should be, or damaged")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(memoryview(data)[at : at + packed], nbytes + 1)  # 0 would be no limit
    except zlib.error as error:
        raise ValueError("damaged bytes") from error
    if len(raw) != nbytes or not unpacker.eof or unpacker.unused_data:
        raise ValueError("packed bytes of a wrong length")
    return raw, at + packed


class _Rest:
    """What has not been read yet of a frame."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, nbytes: int) -> bytes:
        """The next bytes; ValueError where there are not as many."""
        if nbytes > len(self._raw) - self._at:
            raise ValueError("fewer bytes than there should be")
        self._at += nbytes
        return self._raw[self._at - nbytes : self._at]

    def unpack(self, form: Struct) -> tuple[Any, ...]:
        """The next numbers."""
        return form.unpack(self.take(form.size))

    def column(self, dtype: np.dtype[Any], number: int) -> _Column:
        """The next column."""
        return np.frombuffer(self.take(dtype.itemsize * number), dtype)

    def end(self) -> None:
        """Raise ValueError where there is more."""
        if self._at != len(self._raw):
            raise ValueError("more bytes than there should be")


# ------------------------------------------------------------------------------------------------------------ layers


def _layer_columns(layers: Sequence[tuple[Fit, CountedLayer]]) -> _Column:
    """The numbers of each layer; what a fit does not have is a zero that its mask tells of."""
    rows = []
    for fit, counted in layers:
        numbers = [getattr(fit, name) for name in _FIT]
        if any(type(number) not in (_TYPES[name], type(None)) for name, number in zip(_FIT, numbers, strict=True)):
            raise TypeError(f"{fit} has a number of another type")
        given = sum((number is not None) << place for place, number in enumerate(numbers))
        plain = (0 if number is None else number for number in numbers)
        rows.append(
            (_number_of(counted.planes), counted.zeros, counted.nonfinite, counted.at_most_two_values, given, *plain)
        )
    table = np.array(rows, _LAYER)
    _check_finite(table)
    return table


def _check_finite(table: _Column) -> None:
    """Raise ValueError for NaN and infinities in fits."""
    if not all(np.isfinite(table[name]).all() for name in _FIT):
        raise ValueError("a fit that is not finite")


def _number_of(planes: Planes | None) -> int:
    if planes is None:
        return _NOTHING
    if len(planes) >= _NOTHING:
        raise ValueError(f"{len(planes)} planes")
    return len(planes)


def _by_layer(numbers: Sequence[int], planes: Sequence[BlockCounts]) -> list[Planes | None]:
    """The planes of each layer."""
    found: list[Planes | None] = []
    at = 0
    for number in numbers:
        found.append(None if number == _NOTHING else tuple(planes[at : at + number]))
        at += 0 if number == _NOTHING else number
    if at != len(planes):
        raise ValueError("a wrong number of planes")
    return found


# ------------------------------------------------------------------------------------------------------------ planes


_Kind = tuple[str, int, tuple[int, ...], bool]


def _write_kind(plane: BlockCounts) -> bytes:
    """The scheme of a plane, and its cells, smaller blocks and overlaps."""
    scheme = plane.scheme.encode()
    head = bytes([len(scheme), plane.cells, plane.overlapping, len(plane.smaller)])
    return head + bytes(plane.smaller) + scheme


def _read_kind(rest: _Rest) -> _Kind:
    length, cells, overlapping, smaller = rest.take(4)
    sizes = tuple(rest.take(smaller))
    if overlapping > 1 or not all(1 <= some <= 16 for some in (cells, *sizes)):
        raise ValueError("blocks of a wrong shape")
    return rest.take(length).decode(), cells, sizes, bool(overlapping)


def _starts(numbers: Sequence[int]) -> _Column:
    """With which code each plane begins that has any."""
    sizes = np.array([number for number in numbers if number], np.int64)
    starts: _Column = np.cumsum(sizes) - sizes
    return starts


def _planes(
    heads: Sequence[tuple[int, int, int, int]], kinds: Sequence[_Kind], gaps: _Column, counts: _Column
) -> list[BlockCounts]:
    """The planes of a frame, each checked as BlockCounts.from_bytes checks."""
    sums = np.cumsum(gaps + 1)
    made, start = [], 0
    for kind, number, symbols, ones in heads:
        if kind >= len(kinds):
            raise ValueError("a plane of no kind")
        scheme, cells, smaller, overlapping = kinds[kind]
        inside = slice(start, start + number)
        before = 1 if start == 0 else int(sums[start - 1]) + 1
        codes = sums[inside] - before
        if number and codes[-1] >= sum(1 << some for some in (cells, *smaller)):
            raise ValueError("a code that no block has")
        kept = codes.astype(np.uint32 if smaller else np.uint16)
        plane = BlockCounts(scheme, kept, counts[inside], symbols, ones, cells, smaller, overlapping)
        if ones > symbols or (not overlapping and min(cells, *smaller, cells) * plane.blocks > symbols):
            raise ValueError("block counts that do not add up")
        if smaller and plane.left_over is not None and plane.left_over < 0:
            raise ValueError("block counts that do not add up")
        made.append(plane)
        start += number
    return made


# ----------------------------------------------------------------------------------------------------------- columns


def _narrow(values: _Column) -> list[bytes]:
    """Numbers from 0 up as columns of bytes: the number or 255; of those of 255 and more what is beyond, in two."""
    first = np.minimum(values, 255).astype(np.uint8)
    beyond = values[first == 255] - 255
    second = np.minimum(beyond, 65535).astype(np.uint16)
    last = beyond[second == 65535] - 65535
    low, high = (second & 255).astype(np.uint8), (second >> 8).astype(np.uint8)
    return [first.tobytes(), low.tobytes(), high.tobytes(), last.astype("<u8").tobytes()]


def _widen(rest: _Rest, number: int, most: int) -> _Column:
    """The numbers that _narrow wrote, all of them below `most`."""
    bytes_ = np.dtype(np.uint8)
    first = rest.column(bytes_, number)
    wide = first == 255
    values = first.astype(np.int64)
    among = int(np.count_nonzero(wide))
    if among:
        low, high = rest.column(bytes_, among).astype(np.int64), rest.column(bytes_, among).astype(np.int64)
        beyond = low + (high << 8)
        widest = beyond == 65535
        last = rest.column(np.dtype("<u8"), int(np.count_nonzero(widest)))
        if (last >= most).any():
            raise ValueError("a number that is too large")
        beyond[widest] += last.astype(np.int64)
        values[wide] += beyond
        if (values[wide] >= most).any():
            raise ValueError("a number that is too large")
    return values
