"""Stream measures: layers are read in order, through compressors and into exact sums.

One worker takes one layer. It reads it in pieces of about 1 MiB, as often as it must for its compressors to fit into
memory that all workers share: as a rule once, with lzma once for every stream. What comes out depends neither on that
nor on the number of workers. A plane's bits are in the order of its matrix, eight a byte, the first in the highest bit
(numpy.packbits), the last byte filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Condition, Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.bits import bits_of
from wcx.core.dtypes import PlaneRule
from wcx.measures import MEASURES
from wcx.measures.compression import Compression, Size, Tap, Unit, in_passes
from wcx.measures.statistics import Moments, Statistic
from wcx.scan.grid import PIECE_BYTES, Piece
from wcx.scan.layers import Layer
from wcx.scan.moments import MomentsTally, begin_tally
from wcx.scan.sources import Source
from wcx.scan.threads import map_ordered

_AHEAD = 8
_MEMORY = 104 << 20  # bytes that the compressors of all workers may take together
_PASS_MEMORY = 32 << 20  # bytes that those of one pass may take, unless one alone takes more
_RAW = -1  # the stream of the stored bytes; others are planes, by number
_PIECE_BYTES = PIECE_BYTES
_WHOLE = 4096  # weights: whole bytes of bits, and parts of zlib's window, so that no match is lost where it moves
_NO_MOMENTS = Moments()


@dataclass(frozen=True, slots=True)
class StreamedLayer:
    """What streaming tells of a layer, or of several: its moments, and of each compression and stream the size.

    sizes: by name of the compression, then by plane; None is the stored bytes.
    """

    moments: Moments = _NO_MOMENTS
    sizes: Mapping[str, Mapping[str | None, Size]] = field(default_factory=dict)

    def counted(self, weights: int, zeros: int, nonfinite: int) -> StreamedLayer:
        """The same with the numbers that counting tells."""
        return replace(self, moments=replace(self.moments, weights=weights, zeros=zeros, nonfinite=nonfinite))

    def __add__(self, other: StreamedLayer) -> StreamedLayer:
        sizes = {name: dict(streams) for name, streams in self.sizes.items()}
        for name, streams in other.sizes.items():
            mine = sizes.setdefault(name, {})
            for stream, size in streams.items():
                mine[stream] = mine.get(stream, Size()) + size
        return StreamedLayer(self.moments + other.moments, sizes)


_Unit = Unit[int]  # the stream is _RAW or the number of a plane


def measures_of(streamed: StreamedLayer, names: Sequence[str]) -> dict[str, Any]:
    """The stream measures of that name, as the report has them."""
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


def nbytes_read(layers: Sequence[Layer], planes: Sequence[int], names: Sequence[str], stored: bool = True) -> int:
    """Bytes that stream_layers reads of layers of so many planes."""
    return sum(
        layer.tensor.nbytes * sum(_reads(layer, units, sums) for units, sums in _passes(layer, number, names, stored))
        for layer, number in zip(layers, planes, strict=True)
    )


def stream_layers(
    layers: Sequence[Layer],
    cuts: Sequence[PlaneRule],
    planes: Sequence[Sequence[str]],
    names: Sequence[str],
    make_source: Callable[[], Source],
    threads: int,
    on_bytes: Callable[[int], None] | None = None,
    stored: bool = True,
) -> Generator[StreamedLayer, None, None]:
    """Yield what the stream measures of those names need of each layer, in order; without zeros and non-finites.

    cuts, planes: how each layer becomes planes, and their names. make_source: gives a worker its source. on_bytes:
    called by workers with the bytes read since its last call. stored: whether compressors take the stored bytes, not
    only the bits of planes. Raises what the source raises, and MissingDependencyError
    where a compressor's library is missing.
    """
    job = _Job(layers, cuts, planes, names, stored, on_bytes or (lambda _nbytes: None), _Memory(_MEMORY), Event())
    numbers = range(len(layers))
    make_worker = lambda: _Worker(job, make_source())  # noqa: E731
    yield from map_ordered(make_worker, _Worker.run, numbers, threads, _AHEAD, on_stop=job.stopped.set)


def _passes(layer: Layer, planes: int, names: Sequence[str], stored: bool) -> list[tuple[list[_Unit], bool]]:
    """What is done in each reading of a layer: the compressors, and whether its values are summed up."""
    measures = [MEASURES[name] for name in names]
    packed = -(-layer.weights // 8)
    streams = [(_RAW, layer.tensor.nbytes)] * stored + [(plane, packed) for plane in range(planes)]
    units = [
        Unit(measure, stream, nbytes)
        for measure in measures
        if isinstance(measure, Compression)
        for stream, nbytes in streams
    ]
    passes = in_passes(units, _PASS_MEMORY)
    sums = any(isinstance(measure, Statistic) and measure.sees_values for measure in measures)
    if sums and not passes:
        passes = [[]]
    return [(units, sums and number == 0) for number, units in enumerate(passes)]


def _reads(layer: Layer, units: Sequence[_Unit], sums: bool) -> int:
    """How often a pass reads the tensor: its stored bytes and its codes are the same as a rule."""
    stored = any(unit.stream == _RAW for unit in units)
    codes = sums or any(unit.stream != _RAW for unit in units)
    return 1 if _codes_are_stored(layer) else stored + codes


def _codes_are_stored(layer: Layer) -> bool:
    return layer.view is layer.tensor and layer.dtype is layer.stored and layer.stored.bits >= 8


@dataclass(frozen=True, slots=True)
class _Job:
    """What all workers share."""

    layers: Sequence[Layer]
    cuts: Sequence[PlaneRule]
    planes: Sequence[Sequence[str]]
    names: Sequence[str]
    stored: bool
    on_bytes: Callable[[int], None]
    memory: _Memory
    stopped: Event


class _StoppedError(Exception):
    """Nobody waits for the layer in hand any more."""


class _Memory:
    """Bytes of memory that several workers share; one that wants more than there is at all waits to have it all."""

    def __init__(self, nbytes: int) -> None:
        self._most = self._free = nbytes
        self._changed = Condition()

    @contextmanager
    def lent(self, nbytes: int) -> Iterator[None]:
        """Wait until there are so many, and take them for a while."""
        nbytes = min(nbytes, self._most)
        with self._changed:
            self._changed.wait_for(lambda: nbytes <= self._free)
            self._free -= nbytes
        try:
            yield
        finally:
            with self._changed:
                self._free += nbytes
                self._changed.notify_all()


class _Worker:
    """One worker: a source, and what it does with a layer."""

    def __init__(self, job: _Job, source: Source) -> None:
        self._job = job
        self._source = source

    def run(self, number: int) -> StreamedLayer:
        """Stream one layer through everything."""
        job = self._job
        layer, names = job.layers[number], job.planes[number]
        sizes: dict[str, dict[str | None, Size]] = {}
        moments = _NO_MOMENTS
        for units, sums in _passes(layer, len(names), job.names, job.stored):
            with job.memory.lent(sum(unit.memory for unit in units)):
                tally = begin_tally(layer.dtype) if sums else None
                found = self._pass(layer, job.cuts[number], units, tally)
            if tally is not None:
                moments = tally.finish()
            for unit, size in zip(units, found, strict=True):
                stream = None if unit.stream == _RAW else names[unit.stream]
                sizes.setdefault(unit.compression.name, {})[stream] = size
        return StreamedLayer(moments, sizes)

    def _pass(self, layer: Layer, cut: PlaneRule, units: Sequence[_Unit], tally: MomentsTally | None) -> list[Size]:
        """Read a layer once, through some compressors."""
        taps = [Tap(unit) for unit in units]
        stored = [tap for tap in taps if tap.stream == _RAW]
        planes = {tap.stream: [one for one in taps if one.stream == tap.stream] for tap in taps if tap not in stored}
        if stored and not _codes_are_stored(layer):
            self._feed_stored(layer, stored)
            stored = []
        if stored or planes or tally is not None:
            for codes in self._codes(layer):
                _feed(stored, codes.view(np.uint8).data)
                for plane, bits in zip(planes, bits_of(codes, layer.dtype, cut, list(planes)), strict=True):
                    _feed(planes[plane], np.packbits(bits).data)
                if tally is not None:
                    tally.add(codes)
        return [tap.finish() for tap in taps]

    def _check_wanted(self) -> None:
        if self._job.stopped.is_set():
            raise _StoppedError

    def _feed_stored(self, layer: Layer, taps: Sequence[Tap[int]]) -> None:
        for start in range(0, layer.tensor.nbytes, _PIECE_BYTES):
            self._check_wanted()
            data = self._source.stored(layer, start, min(_PIECE_BYTES, layer.tensor.nbytes - start))
            _feed(taps, data)
            self._job.on_bytes(len(data))

    def _codes(self, layer: Layer) -> Iterator[NDArray[Any]]:
        """The codes of a layer in order, in pieces of whole bytes of bits."""
        flat = replace(layer, rows=1, columns=layer.weights)
        step = max(_WHOLE, _PIECE_BYTES * 8 // layer.stored.bits // _WHOLE * _WHOLE)
        for start in range(0, layer.weights, step):
            self._check_wanted()
            number = min(step, layer.weights - start)
            yield self._source.codes(flat, Piece(0, 1, start, number))
            self._job.on_bytes(number * layer.stored.bits // 8)


def _feed(taps: Sequence[Tap[int]], data: memoryview) -> None:
    for tap in taps:
        tap.take(data)
