"""The null by real shuffles, for checking the closed form: draw after draw, each over all layers.

One draw of the whole model is at hand at a time, so memory stays bounded whatever the number of draws and layers. Every
plane and draw has its own generator: the result does not depend on how draws are spread over threads. Under another
boundary than ignore blocks are not exchangeable, so there whole planes are permuted in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import UsageError
from wcx.core.measure import Measure
from wcx.core.scheme import Scheme
from wcx.measures.draws import generator, shuffled_histograms, summarise
from wcx.measures.null import Expectation, Margins
from wcx.scan.count import count_layers
from wcx.scan.layers import Layer
from wcx.scan.sources import ArraySource
from wcx.scan.threads import map_ordered
from wcx.tasks.analyze.evaluate import Evaluation, PlaneValues

_MOST_WEIGHTS = 10**9
_MOST_IN_MEMORY = 10**8  # of one layer, a byte each, in every thread


def check_size(weights: Sequence[int], boundary: str = "ignore") -> None:
    """Refuse a task that would take hours, or too much memory; weights: of each layer."""
    if sum(weights) > _MOST_WEIGHTS:
        raise UsageError(
            f"--null shuffle would permute {sum(weights):,} weights per draw (more than 10^9): use the closed form, "
            "--null permutation, or select layers with --include"
        )
    if boundary != "ignore" and max(weights, default=0) > _MOST_IN_MEMORY:
        raise UsageError(
            f"--null shuffle under the boundary {boundary} permutes whole layers in memory, and one has "
            f"{max(weights):,} weights (more than 10^8): use --boundary ignore, or leave it out with --exclude"
        )


@dataclass(frozen=True, slots=True)
class Shuffled:
    """One plane of a layer, or of all parameters as one string: its name seeds the draws."""

    name: str
    matrix: tuple[int, int]
    margins: Margins


def strings_of(plane: PlaneValues) -> Shuffled:
    """Return the plane of all parameters, as one row."""
    return Shuffled(plane.name, (1, plane.symbols), plane.margins[0])


def draw_expectations(
    layers: Sequence[Shuffled], plane: int, evaluation: Evaluation, threads: int, on_draw: Callable[[], None]
) -> list[Mapping[str, Expectation]]:
    """Return each measure's expectation under shuffles of a plane: of each layer that has it, then of all together.

    plane: its place among all planes, which seeds the draws.
    """
    measures = [measure for measure in evaluation.null.measures if evaluation.scheme.kind in measure.boundaries]
    make = partial(_Draw, layers, plane, evaluation, measures)
    drawn = []  # [draw][layer, then all together][measure]
    for values in map_ordered(make, _Draw.run, range(evaluation.null.draws), threads, 2 * threads):
        drawn.append(values)
        on_draw()
    return [
        {measure.name: summarise([values[at][place] for values in drawn]) for place, measure in enumerate(measures)}
        for at in range(len(layers) + 1)
    ]


class _Draw:
    """One permutation of one plane of every layer."""

    def __init__(
        self, layers: Sequence[Shuffled], plane: int, evaluation: Evaluation, measures: Sequence[Measure]
    ) -> None:
        self._layers = layers
        self._plane = plane
        self._evaluation = evaluation
        self._measures = measures

    def run(self, draw: int) -> list[list[float]]:
        """Return each layer's values and then those of their added counts."""
        scheme, seed = self._evaluation.scheme, self._evaluation.seed
        possible, cells = self._evaluation.table.possible, self._evaluation.table.cells
        pooled: NDArray[np.int64] = np.zeros(possible, np.int64)
        values = []
        for layer in self._layers:
            margins = layer.margins
            random = generator(seed, layer.name, self._plane, draw)
            histogram: NDArray[np.int64] = np.zeros(possible, np.int64)
            if scheme.kind == "ignore":
                for part in shuffled_histograms(margins, cells, random):
                    histogram += part
            else:
                counts = _count(_shuffled(layer.matrix, margins.ones, random), scheme)
                histogram[counts.codes] = counts.counts
            values.append(self._evaluate(histogram, margins.symbols, margins.ones))
            pooled += histogram
        symbols = sum(layer.margins.symbols for layer in self._layers)
        values.append(self._evaluate(pooled, symbols, sum(layer.margins.ones for layer in self._layers)))
        return values

    def _evaluate(self, histogram: NDArray[np.int64], symbols: int, ones: int) -> list[float]:
        scheme = self._evaluation.scheme
        counts = BlockCounts.from_histogram(
            scheme.id, histogram, symbols, ones, scheme.cells, scheme.sizes[1:], overlapping=scheme.shift > 0
        )
        evidence = self._evaluation.evidence(counts)
        return [float(measure.of(evidence) or 0.0) for measure in self._measures]


def _shuffled(matrix: tuple[int, int], ones: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a plane of that many ones in random places."""
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
