"""Fit quantizers: exact statistics of the finite values of layers, in passes on the engine.

A pass keeps integers that add (statistics.py), so that neither threads nor the grid change a result. What a pass finds
is the statistics, or the pass that has to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import Quantizer
from wcx.scan.engine import Engine, OpenSource, Threads, Work, scan
from wcx.scan.layers import Layer, useful_threads
from wcx.scan.statistics import First, Pass

_NUMPY_SECONDS = 0.4  # loading numba and the compiled code takes about as long
_NUMPY_SECONDS_PER_WEIGHT = 4e-9


def fit_layers(
    layers: Sequence[Layer],
    quantizers: Sequence[Quantizer],
    open_source: OpenSource,
    engine: Engine | None = None,
    on_bytes: Callable[[int], None] | None = None,
    compiled: bool | None = None,
) -> list[tuple[Fit, ...]]:
    """Return the fit of each quantizer to each layer; all that need the values read them together.

    on_bytes: called with the bytes of the first pass alone; later ones find them in the page cache. compiled: as of
    count_layers.
    """
    engine = engine or Threads()
    if compiled is None:
        compiled = _NUMPY_SECONDS_PER_WEIGHT * sum(layer.weights for layer in layers) > _NUMPY_SECONDS
    known: dict[tuple[int, int], Statistics] = {}
    readers = [at for at, quantizer in enumerate(quantizers) if any(quantizer.needs)]
    passes: dict[int, dict[int, Pass]] = {
        index: {at: First(layer.dtype, quantizers[at].needs) for at in readers}
        for index, layer in enumerate(layers if readers else ())
    }
    threads = useful_threads(layers, engine.threads)
    while passes:
        works = [Work(layers[index], tuple(wanted.values())) for index, wanted in passes.items()]
        answers = scan(works, open_source, engine, threads=threads, compiled=compiled, on_bytes=on_bytes)
        following: dict[int, dict[int, Pass]] = {}
        for (index, wanted), results in zip(passes.items(), answers, strict=True):
            for at, result in zip(wanted, results, strict=True):
                if isinstance(result, Statistics):
                    known[index, at] = result
                else:
                    following.setdefault(index, {})[at] = result
        passes, on_bytes = following, None
    nothing = Statistics()
    unread = [None if at in readers else quantizer.fit(nothing) for at, quantizer in enumerate(quantizers)]
    return [
        tuple(unread[at] or quantizer.fit(known[index, at]) for at, quantizer in enumerate(quantizers))
        for index in range(len(layers))
    ]
