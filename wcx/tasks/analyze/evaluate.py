"""Counts to numbers: the values of planes, their nulls, and the report of a layer.

Everything here runs in one thread, in file order, on integers that are complete: this is where floats appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Any

from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import TensorInfo
from wcx.core.measure import Measure
from wcx.core.quantities import null_places, value_places
from wcx.core.report import LayerReport, NullReport, NullStatistic, PlaneReport, ReferencePlane, Total, Values
from wcx.core.scheme import Fit, Scheme
from wcx.measures.draws import generator, sampled_null
from wcx.measures.evidence import Evidence
from wcx.measures.null import Expectation, Margins, has_closed_form, permutation_null
from wcx.measures.tables import CtmTable, load_table
from wcx.scan.count import CountedLayer
from wcx.scan.layers import Layer

_FEW_BLOCKS = 16


@dataclass(frozen=True, slots=True)
class NullModel:
    """Random permutations of a plane's bits. kind: permutation, shuffle or none.

    draws: those of real shuffles, or where the permutation has no closed form. measures: those that get a null.
    """

    kind: str
    draws: int
    measures: tuple[Measure, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the measures."""
        return [measure.name for measure in self.measures]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The settings of the evaluation of counts. measures: those of planes, in the order of the registry."""

    scheme: Scheme
    measures: tuple[Measure, ...]
    null: NullModel
    rarefy: int
    seed: int

    @property
    def table(self) -> CtmTable:
        """The complexities of the scheme's blocks."""
        return load_table(self.scheme.alphabet)

    def evidence(self, counts: BlockCounts) -> Evidence:
        """Return the inputs of measures."""
        return Evidence(counts, self.table, self.rarefy, self.scheme.kind)


@dataclass(frozen=True, slots=True)
class PlaneValues:
    """Values of one plane, or of several added up, before its null.

    margins, seeds: of each plane that was added up, the invariants of its permutations and the seeds of its draws.
    values: by measure.
    """

    name: str
    symbols: int
    ones: int
    blocks: int
    possible: int
    left_over: int | None
    margins: tuple[Margins, ...]
    seeds: tuple[tuple[str, int], ...]
    values: Mapping[str, Any]

    @property
    def bdm(self) -> float | None:
        """The value that reports add up."""
        return self.values.get("bdm")

    @property
    def constant(self) -> bool:
        """True where every permutation is the plane itself."""
        return all(margins.constant for margins in self.margins)


def margins_of(counts: BlockCounts) -> Margins:
    """Return the invariants of the plane's permutations."""
    return Margins(counts.symbols, counts.ones, counts.blocks)


def evaluate_counts(
    evaluation: Evaluation,
    name: str,
    counts: BlockCounts,
    seeds: Sequence[tuple[str, int]],
    margins: Sequence[Margins] | None = None,
) -> PlaneValues:
    """Return the values of one plane; of several added up with the margins and seeds of each."""
    evidence = evaluation.evidence(counts)
    return PlaneValues(
        name=name,
        symbols=counts.symbols,
        ones=counts.ones,
        blocks=evidence.blocks,
        possible=evidence.table.possible,
        left_over=counts.left_over,
        margins=(margins_of(counts),) if margins is None else tuple(margins),
        seeds=tuple(seeds),
        values=_values(evidence, evaluation.measures),
    )


def _values(evidence: Evidence, measures: Sequence[Measure]) -> dict[str, Any]:
    """Return the values of measures, each with its parameter where it has both."""
    values: dict[str, Any] = {}
    for measure in measures:
        values[measure.name] = value = measure.of(evidence)
        if measure.parameter is not None and value is not None:
            name, parameter = measure.parameter
            values[name] = parameter(evidence)
    return values


def permutation(evaluation: Evaluation, plane: PlaneValues) -> NullReport | None:
    """Return the null of a plane in closed form, or by draws where it has none; None where none was asked for."""
    null = evaluation.null
    if null.kind != "permutation" or evaluation.scheme.kind != "ignore":
        return None
    if has_closed_form(plane.margins) or plane.constant:
        expected = permutation_null(plane.margins, evaluation.table, evaluation.rarefy, null.names)
        return null_report("permutation", None, plane, expected)
    randoms = [generator(evaluation.seed, name, index) for name, index in plane.seeds]
    expected = sampled_null(plane.margins, randoms, evaluation.table, evaluation.rarefy, null.draws, null.names)
    return null_report("sampled", null.draws, plane, expected)


def null_report(kind: str, draws: int | None, plane: PlaneValues, expected: Mapping[str, Expectation]) -> NullReport:
    """Compare each value with its expectation; a constant plane is its own shuffle, exactly."""
    found = {
        name: _statistic(plane.values[name], expectation, plane.constant)
        for name, expectation in expected.items()
        if plane.values.get(name) is not None
    }
    return NullReport(kind, draws, Values(null_places(), tuple(found.get(name) for name in null_places())))


def _statistic(value: float, expectation: Expectation, constant: bool) -> NullStatistic:
    mean, sd = (value, 0.0) if constant else (expectation.mean, expectation.sd)
    z = (value - mean) / sd if sd > 0 else None
    ratio = 1.0 if value == mean else value / mean if mean else None
    return NullStatistic(mean, sd, z, ratio)


def plane_report(plane: PlaneValues, null: NullReport | None, reference: ReferencePlane | None = None) -> PlaneReport:
    """Return the report of a plane."""
    return PlaneReport(
        plane=plane.name,
        ones=plane.ones,
        density=plane.ones / plane.symbols,
        blocks=plane.blocks,
        possible=plane.possible,
        left_over=plane.left_over,
        values=Values(value_places(), tuple(plane.values.get(name) for name in value_places())),
        null=null,
        reference=reference,
    )


def evaluate_plane(evaluation: Evaluation, name: str, counts: BlockCounts, owner: str, index: int = 0) -> PlaneReport:
    """Return the report of one plane. owner, index: the layer's name and the plane's place, which seed draws."""
    plane = evaluate_counts(evaluation, name, counts, [(owner, index)])
    return plane_report(plane, permutation(evaluation, plane))


@dataclass(frozen=True, slots=True)
class LayerValues:
    """Values of one layer without the nulls of its planes; without counts, so that all layers can wait for their draws.

    planes: for each quantizer. references: of all planes, one after the other.
    """

    layer: Layer
    fit: Fit
    zeros: int
    nonfinite: int
    planes: tuple[tuple[PlaneValues, ...], ...]
    references: tuple[ReferencePlane | None, ...]
    total: Total
    measures: Mapping[str, Any]
    warnings: tuple[str, ...]


def layer_report(values: LayerValues, nulls: Sequence[Sequence[NullReport | None]]) -> LayerReport:
    """Return the report of a layer; nulls: of its planes, for each quantizer."""
    layer, tensor = values.layer, values.layer.tensor
    planes = [plane for view in values.planes for plane in view]
    every = [null for view in nulls for null in view]
    return LayerReport(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        matrix=(layer.rows, layer.columns),
        weights=layer.weights,
        role=tensor.role,
        source=tensor.source,
        aliases=tensor.aliases,
        zeros=values.zeros,
        nonfinite=values.nonfinite,
        fit=_with_quantization(values.fit, tensor),
        planes=tuple([plane_report(*one) for one in zip(planes, every, values.references, strict=True)]),
        total=values.total,
        measures=values.measures,
        warnings=values.warnings,
    )


def _with_quantization(fit: Fit, tensor: TensorInfo) -> Fit:
    """Return the fit with the scale and zero point of integer codes, if the whole tensor has one of each."""
    quantization = tensor.quantization
    if quantization is None:
        return fit
    return replace(fit, scale=quantization.scale, zero_point=quantization.zero_point)


def layer_warnings(layer: Layer, counted: CountedLayer) -> list[str]:
    """Return the warnings about a layer's numbers."""
    counts = counted.planes[0]
    warnings = []
    left_over = counts.left_over or 0
    if 10 * left_over > layer.weights:
        warnings.append(f"left over: {100 * left_over / layer.weights:.0f} % of the weights are in no block")
    if counts.blocks < _FEW_BLOCKS:
        warnings.append(f"few blocks: {counts.blocks}")
    if counted.nonfinite:
        warnings.append(f"non-finite values: {counted.nonfinite}")
    if counted.at_most_two_values:
        warnings.append("at most two distinct values: a mask or a constant")
    return warnings


def added(values: Sequence[float | None]) -> float | None:
    """Return the sum of values, correctly rounded; None where one is missing.

    >>> added([1.5, 2.0]), added([1.5, None])
    (3.5, None)
    """
    known = [value for value in values if value is not None]
    return fsum(known) if len(known) == len(values) else None


def ratio_of(value: float | None, reference: float | None) -> float | None:
    """Return value / reference; None where either is missing, or the reference is 0."""
    return value / reference if value is not None and reference else None
