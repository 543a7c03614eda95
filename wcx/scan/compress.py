"""Compress layers and sum up their values, on the engine: the inputs of compressors and statistics.

A layer goes through its compressors in order, in one reading where their memory allows, with lzma in one for every
stream. The result depends neither on that nor on the number of workers. A plane's bits are in the order of its
matrix, eight a byte, the first in the highest bit (numpy.packbits), the last byte filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from wcx.blocks.bits import bits_of
from wcx.core.dtypes import PlaneRule
from wcx.measures import MEASURES
from wcx.measures.compression import Compression, Size, Tap, Unit, in_passes
from wcx.measures.statistics import Moments, Statistic
from wcx.scan.engine import Spec, Tools
from wcx.scan.grid import WHOLE_WEIGHTS, Flat, Grid, Rows, Stored
from wcx.scan.layers import Codes, Layer, Piece
from wcx.scan.moments import SumValues

_PASS_MEMORY = 32 << 20  # bytes that the compressors of one reading may take, unless one alone takes more
_STORED = -1  # the stream of the stored bytes; others are planes, by number
_NO_MOMENTS = Moments()

Streams = Mapping[str, Mapping[int, Size]]
"""Sizes by compression, then by stream: the number of a plane, or -1 for the stored bytes."""


@dataclass(frozen=True, slots=True)
class StreamedLayer:
    """Results of compressors and sums for a layer, or several: moments, and sizes by compression and stream.

    sizes: by name of the compression, then by plane; None is the stored bytes.
    """

    moments: Moments = _NO_MOMENTS
    sizes: Mapping[str, Mapping[str | None, Size]] = field(default_factory=dict)

    def counted(self, weights: int, zeros: int, nonfinite: int) -> StreamedLayer:
        """Return the same with the totals of counting."""
        return replace(self, moments=replace(self.moments, weights=weights, zeros=zeros, nonfinite=nonfinite))

    def __add__(self, other: StreamedLayer) -> StreamedLayer:
        sizes = {name: dict(streams) for name, streams in self.sizes.items()}
        for name, streams in other.sizes.items():
            mine = sizes.setdefault(name, {})
            for stream, size in streams.items():
                mine[stream] = mine.get(stream, Size()) + size
        return StreamedLayer(self.moments + other.moments, sizes)


def measures_of(streamed: StreamedLayer, names: Sequence[str]) -> dict[str, Any]:
    """Return the measures of those names, as the report has them."""
    found: dict[str, Any] = {}
    for name in names:
        measure = MEASURES[name]
        if isinstance(measure, Statistic):
            found[name] = measure.evaluate(streamed.moments)
        else:
            sizes = dict(streamed.sizes.get(name, {}))
            raw = sizes.pop(None, Size())
            found[name] = {**_plain(raw), "planes": {plane: _plain(size) for plane, size in sizes.items()}}
    return found


def _plain(size: Size) -> dict[str, Any]:
    return {"nbytes": size.nbytes, "ratio": size.ratio}


@dataclass(frozen=True, slots=True)
class Compress:
    """Some streams of a layer through compressors, as a spec of the engine; rule: how codes become planes."""

    units: tuple[Unit[int], ...]
    grid: Grid
    rule: PlaneRule = ()
    ordered: ClassVar[bool] = True

    @property
    def memory(self) -> int:
        """Bytes that the compressors take."""
        return sum(unit.memory for unit in self.units)

    def kernels(self, _layer: Layer) -> Any:  # noqa: ANN401
        """Return None."""

    def begin(self, layer: Layer, _tools: Tools) -> _Compressing:
        """Return the compressors, ready."""
        return _Compressing(self, layer)


class _Compressing:
    """Compressors at work on the streams of a layer."""

    def __init__(self, spec: Compress, layer: Layer) -> None:
        self._layer = layer
        self._rule = spec.rule
        self._taps = [Tap(unit) for unit in spec.units]
        self._names = [(unit.compression.name, unit.stream) for unit in spec.units]
        self._stored = [tap for tap in self._taps if tap.stream == _STORED]
        self._planes: dict[int, list[Tap[int]]] = {}
        for tap in self._taps:
            if tap.stream != _STORED:
                self._planes.setdefault(tap.stream, []).append(tap)
        self._rest: Codes | None = None
        self._seen = 0

    def add(self, _piece: Piece, codes: Codes) -> None:
        """Compress the next codes, as far as they are whole parts; the rest waits for more."""
        self._seen += codes.size
        if self._rest is not None:
            codes = np.concatenate([self._rest, codes])
        whole = codes.size if self._seen == self._layer.weights else codes.size // WHOLE_WEIGHTS * WHOLE_WEIGHTS
        self._rest = codes[whole:].copy() if whole < codes.size else None
        if whole:
            self._take(codes[:whole])

    def _take(self, codes: Codes) -> None:
        _feed(self._stored, codes.view(np.uint8).data)
        for plane, bits in zip(
            self._planes, bits_of(codes, self._layer.dtype, self._rule, list(self._planes)), strict=True
        ):
            _feed(self._planes[plane], np.packbits(bits).data)

    def release(self) -> None:
        """Do nothing: the layer is seen whole."""

    def merge(self, other: _Compressing) -> None:
        """Refuse: streams come in order."""
        raise NotImplementedError

    def finish(self) -> Streams:
        """Return the sizes."""
        if self._rest is not None:
            self._take(self._rest)
        sizes: dict[str, dict[int, Size]] = {}
        for (name, stream), tap in zip(self._names, self._taps, strict=True):
            sizes.setdefault(name, {})[stream] = tap.finish()
        return sizes


def _feed(taps: Sequence[Tap[int]], data: memoryview) -> None:
    for tap in taps:
        tap.take(data)


def stream_specs(layer: Layer, rule: PlaneRule, planes: int, names: Sequence[str], stored: bool) -> tuple[Spec, ...]:
    """Return the specs that measures of those names need for a layer of so many planes.

    stored: compress the stored bytes, not only the bits of planes.
    """
    measures = [MEASURES[name] for name in names]
    compressions = [measure for measure in measures if isinstance(measure, Compression)]
    specs = list(_compress(layer, rule, planes, compressions, stored))
    if any(isinstance(measure, Statistic) and measure.sees_values for measure in measures):
        specs.append(SumValues())
    return tuple(specs)


def _compress(
    layer: Layer, rule: PlaneRule, planes: int, compressions: Sequence[Compression], stored: bool
) -> Iterator[Spec]:
    """Yield the compressions of a layer, by the readings that their memory allows."""
    streams = [(_STORED, layer.tensor.nbytes)] * stored + [(plane, -(-layer.weights // 8)) for plane in range(planes)]
    units = [Unit(compression, stream, nbytes) for compression in compressions for stream, nbytes in streams]
    codes_grid: Grid = Rows() if Rows.in_order(layer.rows, layer.columns) else Flat()
    for some in in_passes(units, _PASS_MEMORY):
        apart = [] if _codes_are_stored(layer) else [unit for unit in some if unit.stream == _STORED]
        others = [unit for unit in some if unit not in apart]
        if apart:
            yield Compress(tuple(apart), Stored(layer.tensor.nbytes))
        if others:
            yield Compress(tuple(others), codes_grid, rule)


def _codes_are_stored(layer: Layer) -> bool:
    return layer.view is layer.tensor and layer.dtype is layer.stored and layer.stored.bits >= 8


def streamed_layer(results: Sequence[Any], planes: Sequence[str]) -> StreamedLayer:
    """Put the results of stream_specs together; planes: their names."""
    sizes: dict[str, dict[str | None, Size]] = {}
    moments = _NO_MOMENTS
    for result in results:
        if isinstance(result, Moments):
            moments = result
            continue
        for name, streams in result.items():
            for stream, size in streams.items():
                sizes.setdefault(name, {})[None if stream == _STORED else planes[stream]] = size
    return StreamedLayer(moments, sizes)
