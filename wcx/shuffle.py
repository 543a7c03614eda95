"""The null by real shuffles, for checking the closed form: draw after draw, each over all layers.

One draw of the whole model is at hand at a time, so memory stays bounded whatever the number of draws and layers. Every
plane and draw has its own generator: the result does not depend on how draws are spread over threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.errors import UsageError
from wcx.evaluate import with_null
from wcx.measures import MEASURES
from wcx.measures.draws import generator, shuffled_histograms, summarise
from wcx.measures.evidence import Evidence
from wcx.measures.null import NULL_MEASURES, Expectation, Margins
from wcx.measures.tables import load_table
from wcx.types import LayerReport, ModelReport, Settings
from wcx.workers import map_ordered

__all__ = ["add_shuffles", "check_size"]

_MOST_WEIGHTS = 10**9


def check_size(weights: int) -> None:
    """Refuse what would take hours."""
    if weights > _MOST_WEIGHTS:
        raise UsageError(
            f"--null shuffle would permute {weights:,} weights again and again (more than 10^9): use the closed form, "
            "--null permutation, or name some layers by --include"
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
    measures = [measure for measure in NULL_MEASURES if measure in settings.measures]
    names = [layer.name for layer in layers]
    planes = []  # [plane][draw][layer that has it, then the model][measure]
    for number, of_plane in enumerate(margins):
        work = partial(_Draw, [(names[at], known) for at, known in of_plane], number, settings, measures)
        drawn = []
        for values in map_ordered(work, _Draw.run, range(draws), threads, 2 * threads):
            drawn.append(values)
            on_draw()
        planes.append(drawn)
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
    return changed, replace(model, planes=tuple(rows))


def _summary(drawn: list[list[list[float]]], at: int, measures: Sequence[str]) -> dict[str, Expectation]:
    return {measure: summarise([values[at][number] for values in drawn]) for number, measure in enumerate(measures)}


class _Draw:
    """One permutation of one plane of every layer."""

    def __init__(
        self, layers: Sequence[tuple[str, Margins]], plane: int, settings: Settings, measures: Sequence[str]
    ) -> None:
        self._layers = layers
        self._plane = plane
        self._settings = settings
        self._measures = measures
        self._table = load_table(settings.block)

    def run(self, draw: int) -> list[list[float]]:
        """Return each layer's values and then those of their added counts."""
        pooled: NDArray[np.int64] = np.zeros(self._table.possible, np.int64)
        values = []
        for name, margins in self._layers:
            random = generator(self._settings.seed, name, self._plane, draw)
            histogram: NDArray[np.int64] = np.zeros(self._table.possible, np.int64)
            for part in shuffled_histograms(margins, self._table.cells, random):
                histogram += part
            values.append(self._evaluate(histogram, margins.symbols, margins.ones))
            pooled += histogram
        symbols = sum(margins.symbols for _, margins in self._layers)
        values.append(self._evaluate(pooled, symbols, sum(margins.ones for _, margins in self._layers)))
        return values

    def _evaluate(self, histogram: NDArray[np.int64], symbols: int, ones: int) -> list[float]:
        counts = BlockCounts.from_histogram("", histogram, symbols, ones, self._table.cells)
        evidence = Evidence(counts, self._table, self._settings.rarefy)
        return [float(MEASURES[measure].evaluate(evidence) or 0.0) for measure in self._measures]
