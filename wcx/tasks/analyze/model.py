"""The model's rows, built up layer by layer: counts are added (`pooled`), and values (`sum`); the reference's likewise.

Planes go by name: a layer that lacks one (integer codes have one per bit) adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.report import ReferencePlane, Total
from wcx.core.scheme import Scheme
from wcx.measures.bdm import BDM
from wcx.measures.null import Margins
from wcx.tasks.analyze.evaluate import Evaluation, PlaneValues, added, evaluate_counts, ratio_of


class Pool:
    """Counts of layers, added up in one histogram."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._histogram: NDArray[np.int64] = np.zeros(sum(1 << cells for cells in scheme.sizes), np.int64)
        self._symbols = self._ones = 0

    def add(self, counts: BlockCounts) -> None:
        """Take in the counts of a plane."""
        self._histogram[counts.codes] += counts.counts
        self._symbols += counts.symbols
        self._ones += counts.ones

    @property
    def counts(self) -> BlockCounts:
        """All counts together."""
        scheme, overlapping = self._scheme, self._scheme.shift > 0
        sizes = scheme.cells, scheme.sizes[1:]
        return BlockCounts.from_histogram(
            scheme.id, self._histogram, self._symbols, self._ones, *sizes, overlapping=overlapping
        )


@dataclass(slots=True)
class ModelPlane:
    """One plane of the layers so far. owners: of each layer that has it, the index. references: their sums."""

    pool: Pool
    owners: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    margins: list[Margins] = field(default_factory=list)
    bdm: list[float | None] = field(default_factory=list)
    references: list[float | None] = field(default_factory=list)
    reference_pool: Pool | None = None


class Model:
    """The rows of one quantizer's planes."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._complete = True
        self.planes: dict[str, ModelPlane] = {}
        self.layers = self.weights = 0

    def add(
        self,
        weights: int,
        planes: Sequence[PlaneValues],
        counts: Sequence[BlockCounts],
        theirs: Mapping[str, BlockCounts] | None = None,
    ) -> list[ReferencePlane | None]:
        """Take in one layer, and the reference's counts of its planes; returns the planes' references."""
        references = []
        for plane, mine in zip(planes, counts, strict=True):
            row = self.planes.setdefault(plane.name, ModelPlane(Pool(self._evaluation.scheme)))
            row.pool.add(mine)
            row.owners.append(self.layers)
            row.names.append(plane.seeds[0][0])
            row.margins += plane.margins
            row.bdm.append(plane.bdm)
            references.append(self._refer(row, plane, None if theirs is None else theirs.get(plane.name)))
        self.layers += 1
        self.weights += weights
        return references

    def _refer(self, row: ModelPlane, plane: PlaneValues, theirs: BlockCounts | None) -> ReferencePlane | None:
        if theirs is None:
            self._complete = False
            return None
        bdm = self._bdm(theirs)
        row.references.append(bdm)
        row.reference_pool = row.reference_pool or Pool(self._evaluation.scheme)
        row.reference_pool.add(theirs)
        return ReferencePlane(bdm, ratio_of(plane.bdm, bdm))

    def _bdm(self, counts: BlockCounts) -> float:
        """Return the reference's bdm, for any choice of measures."""
        return float(BDM.of(self._evaluation.evidence(counts)) or 0.0)

    def pooled(self) -> list[PlaneValues]:
        """Return the values of each plane's added counts."""
        return [
            evaluate_counts(
                self._evaluation, name, row.pool.counts, [(layer, place) for layer in row.names], row.margins
            )
            for place, (name, row) in enumerate(self.planes.items())
        ]

    def reference(self, plane: PlaneValues) -> ReferencePlane | None:
        """Return the reference of a plane's added counts; None where a layer has none."""
        pool = self.planes[plane.name].reference_pool
        if pool is None or not self._complete:
            return None
        bdm = self._bdm(pool.counts)
        return ReferencePlane(bdm, ratio_of(plane.bdm, bdm))

    def sum(self, name: str) -> Total:
        """Return the layers' values of a plane, added."""
        row = self.planes[name]
        bdm = added(row.bdm)
        return Total(bdm, ratio_of(bdm, added(row.references)) if self._complete and row.references else None)

    def total(self) -> Total:
        """Return the layers' values of all planes, added."""
        rows = self.planes.values()
        bdm = added([added(row.bdm) for row in rows]) if self.layers else None
        known = self._complete and all(row.references for row in rows)
        return Total(bdm, ratio_of(bdm, added([added(row.references) for row in rows])) if known else None)
