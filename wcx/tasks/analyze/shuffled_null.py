"""The null by real shuffles, for checking the closed form: draw after draw, each over all layers.

One draw of the whole model is at hand at a time, so memory stays bounded whatever the number of draws and layers. Every
plane and draw has its own generator: the result does not depend on how draws are spread over threads. Under another
boundary than ignore blocks are not exchangeable, so there whole planes are permuted in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import UsageError
from wcx.core.measure import Measure
from wcx.core.quantities import null_measures
from wcx.core.report import LayerReport, ModelReport, PlaneReport
from wcx.core.scheme import Scheme
from wcx.core.settings import Settings
from wcx.measures.draws import generator, shuffled_histograms, summarise
from wcx.measures.evidence import Evidence
from wcx.measures.null import Expectation, Margins
from wcx.measures.tables import load_table
from wcx.scan.count import count_layers
from wcx.scan.layers import Layer
from wcx.scan.sources import ArraySource
from wcx.scan.threads import map_ordered
from wcx.tasks.analyze.evaluate import with_null
from wcx.tasks.analyze.settings import scheme_of

_MOST_WEIGHTS = 10**9
_MOST_IN_MEMORY = 10**8  # of one layer, a byte each, in every thread


def check_size(weights: Sequence[int], boundary: str = "ignore") -> None:
    """Refuse what would take hours, or too much memory; weights: of each layer."""
    if sum(weights) > _MOST_WEIGHTS:
        raise UsageError(
            f"--null shuffle would permute {sum(weights):,} weights again and again (more than 10^9): use the closed "
            "form, --null permutation, or name some layers by --include"
        )
    if boundary != "ignore" and max(weights, default=0) > _MOST_IN_MEMORY:
        raise UsageError(
            f"--null shuffle under the boundary {boundary} permutes whole layers in memory, and one has "
            f"{max(weights):,} weights (more than 10^8): use --boundary ignore, or leave it out by --exclude"
        )


def add_shuffles(
    layers: Sequence[LayerReport],
    model: ModelReport,
    margins: Sequence[Sequence[tuple[int, Margins]]],
    settings: Settings,
    threads: int,
    on_draw: Callable[[], None],
) -> tuple[list[LayerReport], ModelReport]:
    """Return the layers and the model with their nulls from settings.null_draws shuffles of every plane.

    margins: of each plane, the layers that have it, by number, and theirs.
    """
    draws = settings.null_draws or 0
    kind = scheme_of(settings).kind
    wanted = [measure for measure in null_measures() if measure.name in settings.measures]
    measures = [measure for measure in wanted if kind in measure.boundaries]
    planes = []  # [plane][draw][layer that has it, then the model][measure]
    for number, of_plane in enumerate(margins):
        shuffled = [_Shuffled(layers[at].name, layers[at].matrix, known) for at, known in of_plane]
        planes.append(_drawn(shuffled, number, settings, measures, threads, on_draw))
    summaries = [
        {at: _summary(planes[number], place, measures) for place, (at, _) in enumerate(of_plane)}
        for number, of_plane in enumerate(margins)
    ]
    changed = [
        replace(
            layer,
            planes=tuple(
                with_null(plane, draws, some[at]) for plane, some in zip(layer.planes, summaries, strict=False)
            ),
        )
        for at, layer in enumerate(layers)
    ]
    rows = [
        replace(row, pooled=row.pooled and with_null(row.pooled, draws, _summary(planes[number], -1, measures)))
        for number, row in enumerate(model.planes)
    ]
    concatenated = model.concatenated
    if concatenated is not None:
        shuffled = [_of_strings(concatenated, scheme_of(settings).cells)]
        drawn = _drawn(shuffled, 0, settings, measures, threads, on_draw)
        concatenated = with_null(concatenated, draws, _summary(drawn, 0, measures))
    return changed, replace(model, planes=tuple(rows), concatenated=concatenated)


@dataclass(frozen=True, slots=True)
class _Shuffled:
    """One plane of a layer, or of all parameters as one string: its name seeds the draws."""

    name: str
    matrix: tuple[int, int]
    margins: Margins


def _of_strings(plane: PlaneReport, cells: int) -> _Shuffled:
    symbols = plane.blocks * cells + (plane.left_over or 0)
    return _Shuffled(plane.plane, (1, symbols), Margins(symbols, plane.ones, plane.blocks))


def _drawn(
    shuffled: Sequence[_Shuffled],
    plane: int,
    settings: Settings,
    measures: Sequence[Measure],
    threads: int,
    on_draw: Callable[[], None],
) -> list[list[list[float]]]:
    """The values of every draw: [draw][layer, then all together][measure]."""
    work = partial(_Draw, shuffled, plane, settings, measures)
    drawn = []
    for values in map_ordered(work, _Draw.run, range(settings.null_draws or 0), threads, 2 * threads):
        drawn.append(values)
        on_draw()
    return drawn


def _summary(drawn: list[list[list[float]]], at: int, measures: Sequence[Measure]) -> dict[str, Expectation]:
    return {
        measure.name: summarise([values[at][number] for values in drawn]) for number, measure in enumerate(measures)
    }


class _Draw:
    """One permutation of one plane of every layer."""

    def __init__(
        self, layers: Sequence[_Shuffled], plane: int, settings: Settings, measures: Sequence[Measure]
    ) -> None:
        self._layers = layers
        self._plane = plane
        self._settings = settings
        self._measures = measures
        self._scheme = scheme_of(settings)
        self._table = load_table(self._scheme.alphabet)

    def run(self, draw: int) -> list[list[float]]:
        """Return each layer's values and then those of their added counts."""
        pooled: NDArray[np.int64] = np.zeros(self._table.possible, np.int64)
        values = []
        for layer in self._layers:
            margins = layer.margins
            random = generator(self._settings.seed, layer.name, self._plane, draw)
            histogram: NDArray[np.int64] = np.zeros(self._table.possible, np.int64)
            if self._scheme.kind == "ignore":
                for part in shuffled_histograms(margins, self._table.cells, random):
                    histogram += part
            else:
                counts = _count(_shuffled(layer.matrix, margins.ones, random), self._scheme)
                histogram[counts.codes] = counts.counts
            values.append(self._evaluate(histogram, margins.symbols, margins.ones))
            pooled += histogram
        symbols = sum(layer.margins.symbols for layer in self._layers)
        values.append(self._evaluate(pooled, symbols, sum(layer.margins.ones for layer in self._layers)))
        return values

    def _evaluate(self, histogram: NDArray[np.int64], symbols: int, ones: int) -> list[float]:
        scheme = self._scheme
        counts = BlockCounts.from_histogram(
            scheme.id, histogram, symbols, ones, scheme.cells, scheme.sizes[1:], overlapping=scheme.shift > 0
        )
        evidence = Evidence(counts, self._table, self._settings.rarefy, scheme.kind)
        return [float(measure.of(evidence) or 0.0) for measure in self._measures]


def _shuffled(matrix: tuple[int, int], ones: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A plane of that many ones in random places."""
    bits = np.zeros(matrix[0] * matrix[1], np.uint8)
    bits[:ones] = 1
    random.shuffle(bits)
    return bits.reshape(matrix)


def _count(bits: NDArray[np.uint8], scheme: Scheme) -> BlockCounts:
    """Count the blocks of a plane in memory."""
    rows, columns = bits.shape
    dtype = DTYPES["U8"]
    layer = Layer(*(TensorInfo("", "U8", bits.shape, bits.size),) * 2, dtype, rows, columns)
    (counted,) = count_layers([layer], [(dtype.positive,)], scheme, partial(ArraySource, bits))
    return counted.planes[0]
