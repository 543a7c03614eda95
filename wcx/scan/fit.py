"""What quantizers learn of tensors before they cut them: exact statistics of the finite values, in streaming passes.

The work grid is that of counting, and the same workers read it. A pass keeps integers that add (tallies.py), so that
neither threads nor the grid change a result. A worker holds one piece and one tally; a layer of several stripes has one
tally more until its last stripe is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from wcx.blocks.counter import compiled_kernels
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import Quantizer
from wcx.scan.grid import PIECE_BYTES, Stripe, pieces, work_items
from wcx.scan.layers import Layer, useful_threads
from wcx.scan.sources import Source
from wcx.scan.statistics import First, Pass, Tally
from wcx.scan.threads import map_ordered

_AHEAD = 8
_NUMPY_SECONDS = 0.4  # loading numba and the compiled code takes about as long
_NUMPY_SECONDS_PER_WEIGHT = 4e-9


def fit_layers(
    layers: Sequence[Layer],
    quantizer: Quantizer,
    make_source: Callable[[], Source],
    threads: int,
    on_bytes: Callable[[int], None] | None = None,
    compiled: bool | None = None,
) -> list[Fit]:
    """Return what a quantizer learns of each layer; the arguments are those of count_layers.

    on_bytes: called with the bytes of the first pass alone; later ones find them in the page cache.
    """
    if not any(quantizer.needs):
        return [quantizer.fit(Statistics())] * len(layers)
    first = {number: First(layer.dtype, quantizer.needs) for number, layer in enumerate(layers)}
    if compiled is None:
        compiled = _NUMPY_SECONDS_PER_WEIGHT * sum(layer.weights for layer in layers) > _NUMPY_SECONDS
    kernels = compiled_kernels() if compiled else None
    found = _run_passes(layers, dict(first), make_source, threads, on_bytes or (lambda _nbytes: None), kernels)
    return [quantizer.fit(found[number]) for number in range(len(layers))]


def _run_passes(
    layers: Sequence[Layer],
    passes: dict[int, Pass],
    make_source: Callable[[], Source],
    threads: int,
    on_bytes: Callable[[int], None],
    kernels: Any,  # noqa: ANN401
) -> dict[int, Statistics]:
    """Run passes over the layers of those numbers, and those that they ask for, until all statistics are there."""
    found: dict[int, Statistics] = {}
    threads = useful_threads(layers, threads)
    while passes:
        numbers = list(passes)
        chosen = [layers[number] for number in numbers]
        items = work_items([(layer.rows, layer.columns) for layer in chosen], [layer.dtype.bits for layer in chosen])
        job = _Job(chosen, [passes[number] for number in numbers], {}, Lock(), on_bytes, kernels)
        passes = {}
        for done in map_ordered(lambda: _Worker(job, make_source()), _Worker.run, items, threads, _AHEAD):  # noqa: B023
            for place, result in done.items():
                if isinstance(result, Statistics):
                    found[numbers[place]] = result
                else:
                    passes[numbers[place]] = result
        on_bytes = lambda _nbytes: None  # noqa: E731
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    """What all workers of one pass share."""

    layers: Sequence[Layer]
    passes: Sequence[Pass]
    tallies: dict[int, tuple[Tally, int]]
    lock: Lock
    on_bytes: Callable[[int], None]
    kernels: Any


class _Worker:
    """One worker: a source, and what it does with a work item."""

    def __init__(self, job: _Job, source: Source) -> None:
        self._job = job
        self._source = source

    def run(self, stripes: list[Stripe]) -> Mapping[int, Statistics | Pass]:
        """Look at the stripes of an item; returns what is known of the layers that are complete by it."""
        done = {stripe.layer: self._look(stripe) for stripe in stripes}
        return {number: result for number, result in done.items() if result is not None}

    def _look(self, stripe: Stripe) -> Statistics | Pass | None:
        job = self._job
        layer = job.layers[stripe.layer]
        tally = job.passes[stripe.layer].begin(job.kernels)
        seen = nbytes = 0
        for piece in pieces(stripe, layer.rows, layer.columns, layer.dtype.bits):
            codes = self._source.codes(layer, piece)
            tally.add(codes)
            seen += codes.size
            nbytes += codes.size * layer.stored.bits // 8
            if nbytes >= PIECE_BYTES:
                job.on_bytes(nbytes)
                nbytes = 0
        job.on_bytes(nbytes)
        if seen == layer.weights:
            return tally.finish()
        return self._merge(stripe.layer, tally, seen)

    def _merge(self, number: int, tally: Tally, seen: int) -> Statistics | Pass | None:
        """Add a stripe's tally to its layer's; returns what is known when that was the last of it."""
        job = self._job
        with job.lock:
            if number in job.tallies:
                whole, before = job.tallies[number]
                whole.merge(tally)
                tally, seen = whole, before + seen
            job.tallies[number] = tally, seen
            if seen < job.layers[number].weights:
                return None
            del job.tallies[number]
        return tally.finish()
