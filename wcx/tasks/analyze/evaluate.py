"""Counts to numbers: the planes and layers of a report, and the model's rows.

Everything here runs in one thread, in file order, on integers that are complete: this is where floats appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import TensorInfo
from wcx.core.quantities import null_places, plane_measures, value_places
from wcx.core.report import (
    LayerReport,
    ModelPlane,
    ModelReport,
    NullReport,
    NullStatistic,
    PlaneReport,
    Sum,
    Total,
    Values,
)
from wcx.core.scheme import Fit, Scheme
from wcx.core.settings import Settings
from wcx.measures.draws import generator, sampled_null
from wcx.measures.evidence import Evidence
from wcx.measures.null import Expectation, Margins, has_closed_form, permutation_null
from wcx.measures.tables import CtmTable, load_table
from wcx.scan.count import CountedLayer
from wcx.scan.layers import Layer
from wcx.tasks.analyze.settings import SAMPLED_DRAWS, scheme_of

_FEW_BLOCKS = 16
_NO_FIT = Fit()  # one for all: a model can have 100,000 layers
_NO_MEASURES: Mapping[str, Any] = {}


def margins_of(counts: BlockCounts) -> Margins:
    """What a permutation of the plane keeps."""
    return Margins(counts.symbols, counts.ones, counts.blocks)


def evaluate_layer(
    layer: Layer,
    counted: CountedLayer,
    planes: Sequence[str],
    settings: Settings,
    fit: Fit = _NO_FIT,
    nulls: Sequence[str] | None = None,
) -> LayerReport:
    """Return the report of one layer, with its null unless that is drawn by real shuffles.

    nulls: the measures that get a null, all that have one by default.
    """
    tensor = layer.tensor
    reports = []
    for number, (name, counts) in enumerate(zip(planes, counted.planes, strict=True)):
        seeds = [(tensor.name, number)]
        reports.append(_evaluate_plane(name, counts, [margins_of(counts)], seeds, settings, nulls))
    bdm = None if any(plane.bdm is None for plane in reports) else fsum(plane.bdm or 0.0 for plane in reports)
    return LayerReport(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        matrix=(layer.rows, layer.columns),
        weights=layer.weights,
        role=tensor.role,
        source=tensor.source,
        aliases=tensor.aliases,
        zeros=counted.zeros,
        nonfinite=counted.nonfinite,
        fit=_with_quantization(fit, tensor),
        planes=tuple(reports),
        total=Total(bdm),
        measures=_NO_MEASURES,
        warnings=tuple(_warnings(layer, counted)),
    )


def _with_quantization(fit: Fit, tensor: TensorInfo) -> Fit:
    """The fit with what integer codes stand for, where that is one scale and zero point for the whole tensor."""
    quantization = tensor.quantization
    if quantization is None:
        return fit
    return replace(fit, scale=quantization.scale, zero_point=quantization.zero_point)


def _warnings(layer: Layer, counted: CountedLayer) -> list[str]:
    """What a reader should know before trusting a layer's numbers."""
    counts = counted.planes[0]
    warnings = []
    left_over = counts.left_over or 0
    if 10 * left_over > layer.weights:
        warnings.append(f"left over: {100 * left_over / layer.weights:.0f} % of the weights fill no block")
    if counts.blocks < _FEW_BLOCKS:
        warnings.append(f"few blocks: {counts.blocks}")
    if counted.nonfinite:
        warnings.append(f"non-finite values: {counted.nonfinite}")
    if counted.at_most_two_values:
        warnings.append("at most two distinct values: a mask or a constant")
    return warnings


def evaluate_plane(name: str, counts: BlockCounts, settings: Settings) -> PlaneReport:
    """Return the numbers of a plane that belongs to no layer; its name seeds what is drawn."""
    return _evaluate_plane(name, counts, [margins_of(counts)], [(name, 0)], settings)


def _evaluate_plane(
    name: str,
    counts: BlockCounts,
    margins: Sequence[Margins],
    seeds: Sequence[tuple[str, int]],
    settings: Settings,
    nulls: Sequence[str] | None = None,
) -> PlaneReport:
    """Return the numbers of one plane, or of several added up (then with the margins and seeds of each)."""
    scheme = scheme_of(settings)
    table = load_table(scheme.alphabet)
    evidence = Evidence(counts, table, settings.rarefy, scheme.kind)
    values = _values(evidence, settings.measures)
    null = None
    if settings.null == "permutation" and scheme.kind == "ignore":
        wanted = [name for name in null_places() if name in settings.measures and (nulls is None or name in nulls)]
        kind, expected = _expect(margins, seeds, table, settings, wanted)
        draws = SAMPLED_DRAWS if kind == "sampled" else None
        null = null_report(kind, draws, expected, values, all(plane.constant for plane in margins))
    return PlaneReport(
        plane=name,
        ones=counts.ones,
        density=counts.ones / counts.symbols,
        blocks=evidence.blocks,
        possible=table.possible,
        left_over=counts.left_over,
        values=Values(value_places(), tuple(values.get(item) for item in value_places())),
        null=null,
    )


def _values(evidence: Evidence, wanted: Sequence[str]) -> dict[str, Any]:
    """The values of measures, those of coverage always, each with its parameter where it has both."""
    values: dict[str, Any] = {}
    for measure in plane_measures():
        if measure.coverage or measure.name in wanted:
            values[measure.name] = value = measure.of(evidence)
            if measure.parameter is not None and value is not None:
                name, parameter = measure.parameter
                values[name] = parameter(evidence)
    return values


def _expect(
    margins: Sequence[Margins],
    seeds: Sequence[tuple[str, int]],
    table: CtmTable,
    settings: Settings,
    measures: Sequence[str],
) -> tuple[str, dict[str, Expectation]]:
    """Return how the null was found, and each measure's mean and standard deviation under it."""
    if has_closed_form(margins) or all(plane.constant for plane in margins):
        return "permutation", permutation_null(margins, table, settings.rarefy, measures)
    randoms = [generator(settings.seed, name, plane) for name, plane in seeds]
    return "sampled", sampled_null(margins, randoms, table, settings.rarefy, SAMPLED_DRAWS, measures)


def null_report(
    kind: str, draws: int | None, expected: Mapping[str, Expectation], values: Mapping[str, Any], constant: bool
) -> NullReport:
    """Set each value against its expectation; a constant plane is its own shuffle, exactly."""
    found = {
        name: _statistic(values[name], expectation, constant)
        for name, expectation in expected.items()
        if values.get(name) is not None
    }
    return NullReport(kind, draws, Values(null_places(), tuple(found.get(name) for name in null_places())))


def _statistic(value: float, expectation: Expectation, constant: bool) -> NullStatistic:
    mean, sd = (value, 0.0) if constant else (expectation.mean, expectation.sd)
    z = (value - mean) / sd if sd > 0 else None
    ratio = 1.0 if value == mean else value / mean if mean else None
    return NullStatistic(mean, sd, z, ratio)


def with_null(plane: PlaneReport, draws: int, expected: Mapping[str, Expectation]) -> PlaneReport:
    """Return the plane with a null that was drawn by real shuffles."""
    return replace(plane, null=null_report("shuffle", draws, expected, plane.values, plane.density in (0.0, 1.0)))


class Model:
    """The model's rows, built up layer by layer: counts are added (`pooled`), and values (`sum`).

    Planes are told apart by name: a layer that lacks one (integer codes have as many as their bits) adds nothing to it.
    planes: what a model without layers shows. nulls: the measures that get a null, all that have one by default.
    """

    def __init__(self, planes: Sequence[str], settings: Settings, nulls: Sequence[str] | None = None) -> None:
        self._usual = planes
        self._nulls = nulls
        self._settings = settings
        self._planes: dict[str, _ModelPlane] = {}
        self._layers = 0
        self._weights = 0

    @property
    def margins(self) -> list[list[tuple[int, Margins]]]:
        """Of each plane, the layers that have it, by number, and what a permutation keeps in each."""
        return [list(zip(plane.layers, plane.margins, strict=True)) for plane in self._planes.values()]

    def add(self, report: LayerReport, counted: CountedLayer) -> None:
        """Take in one layer."""
        for plane, counts in zip(report.planes, counted.planes, strict=True):
            if plane.plane not in self._planes:
                self._planes[plane.plane] = _ModelPlane(load_table(scheme_of(self._settings).alphabet).possible)
            self._planes[plane.plane].add(self._layers, report.name, plane, counts)
        self._layers += 1
        self._weights += report.weights

    def report(self, scheme: Scheme) -> ModelReport:
        """Return the rows for all layers that were added."""
        planes = [
            plane.report(name, number, scheme, self._settings, self._nulls)
            for number, (name, plane) in enumerate(self._planes.items())
        ]
        planes = planes or [ModelPlane(name, None, Sum(None)) for name in self._usual]
        values = [plane.sum.bdm for plane in planes]
        total = None if None in values or not self._layers else fsum(value or 0.0 for value in values)
        return ModelReport(self._weights, self._layers, tuple(planes), Sum(total))


class _ModelPlane:
    """One plane of the layers added so far."""

    def __init__(self, possible: int) -> None:
        self._histogram: NDArray[np.int64] = np.zeros(possible, np.int64)
        self._symbols = self._ones = 0
        self._names: list[str] = []
        self._bdm: list[float | None] = []
        self.layers: list[int] = []
        self.margins: list[Margins] = []

    def add(self, layer: int, name: str, plane: PlaneReport, counts: BlockCounts) -> None:
        """Take in the plane of a layer."""
        self._histogram[counts.codes] += counts.counts
        self._symbols += counts.symbols
        self._ones += counts.ones
        self._names.append(name)
        self._bdm.append(plane.bdm)
        self.layers.append(layer)
        self.margins.append(margins_of(counts))

    def report(
        self, name: str, number: int, scheme: Scheme, settings: Settings, nulls: Sequence[str] | None
    ) -> ModelPlane:
        """Return the model's row; number: of the plane, which seeds what is drawn."""
        counts = BlockCounts.from_histogram(
            scheme.id,
            self._histogram,
            self._symbols,
            self._ones,
            scheme.cells,
            scheme.sizes[1:],
            overlapping=scheme.shift > 0,
        )
        seeds = [(layer, number) for layer in self._names]
        pooled = _evaluate_plane(name, counts, self.margins, seeds, settings, nulls)
        bdm = None if None in self._bdm else fsum(value or 0.0 for value in self._bdm)
        return ModelPlane(name, pooled, Sum(bdm))
