"""Run a plan: scan its layers for all that it asks for, and evaluate the results, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wcx.blocks.counts import BlockCounts
from wcx.core.dtypes import DTYPES
from wcx.core.progress import Progress
from wcx.core.report import LayerReport, ModelPlane, ModelReport, NullReport, Total
from wcx.core.scheme import Fit
from wcx.measures.null import Expectation
from wcx.quantizers import Quantizer
from wcx.scan.changes import Changes
from wcx.scan.count import CountBlocks, CountedLayer, scan_counts
from wcx.scan.count import is_large as is_large_count
from wcx.scan.engine import Engine, OpenSource, Work
from wcx.scan.fit import fit_layers
from wcx.scan.layers import Layer
from wcx.tasks.analyze.evaluate import (
    LayerValues,
    PlaneValues,
    added,
    evaluate_counts,
    layer_report,
    layer_warnings,
    null_report,
    permutation,
    plane_report,
    ratio_of,
)
from wcx.tasks.analyze.model import Model
from wcx.tasks.analyze.plan import Plan
from wcx.tasks.analyze.shuffled_null import Shuffled, check_size, draw_expectations, strings_of

if TYPE_CHECKING:
    from wcx.scan.compress import StreamedLayer
    from wcx.tasks.analyze.vector import Concatenated

_NOTHING: Mapping[str, Any] = {}  # one for all: a model can have 100,000 layers
_BATCH = 1 << 30  # bytes of neighbouring layers that are fitted, then counted while the page cache has them


@dataclass(frozen=True, slots=True)
class LayerResults:
    """Results of scanning a layer: fit and counts for each quantizer, and the inputs of compressors and statistics."""

    layer: Layer
    fits: tuple[Fit, ...]
    counted: tuple[CountedLayer, ...]
    streamed: StreamedLayer | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """Checkpoints that layers are compared with while they are counted.

    keys: of layers in those, by name. bits: of a weight, by key, by which all of them cut a layer into pieces.
    """

    changes: Changes
    keys: Mapping[str, str]
    bits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """The source and the engine that read layers. compiled: None leaves that to the size of the work."""

    open_source: OpenSource
    engine: Engine
    on_bytes: Callable[[int], None] = lambda _nbytes: None
    compiled: bool | None = None


Known = Iterator[tuple[tuple[Fit, ...], tuple[CountedLayer, ...]]]
"""Fits and counts of layers, in order, that need no reading."""


def scan_layers(
    plan: Plan, layers: Sequence[Layer], reach: Reach, known: Known | None = None, earlier: Earlier | None = None
) -> Generator[LayerResults, None, None]:
    """Yield the results of each layer, in order. known: those of earlier counts; then only streams are read."""
    for batch in _batches(layers):
        yield from _scan_batch(plan, batch, reach, known, earlier)


def _scan_batch(
    plan: Plan, layers: Sequence[Layer], reach: Reach, known: Known | None, earlier: Earlier | None
) -> Iterator[LayerResults]:
    if known is not None:
        before = [counted for _, counted in zip(layers, known, strict=False)]
        fits = [some for some, _ in before]
    else:
        before = []
        fits = fit_layers(layers, plan.quantizers, reach.open_source, reach.engine, reach.on_bytes, reach.compiled)
    counts = 0 if known is not None else len(plan.quantizers)
    if counts == 0 and not plan.streams:
        yield from (LayerResults(layer, *one) for layer, one in zip(layers, before, strict=True))
        return
    works = [_work(plan, layer, some, earlier, counts) for layer, some in zip(layers, fits, strict=True)]
    answers = scan_counts(works, reach.open_source, reach.engine, reach.on_bytes, reach.compiled)
    with closing(answers):
        for at, (layer, found) in enumerate(zip(layers, answers, strict=True)):
            streamed = _streamed(plan, layer, found[counts:]) if plan.streams else None
            yield LayerResults(layer, fits[at], found[:counts] if counts else before[at][1], streamed)


def _streamed(plan: Plan, layer: Layer, found: Sequence[Any]) -> StreamedLayer:
    from wcx.scan.compress import streamed_layer

    return streamed_layer(found, plan.quantizer.planes(layer.dtype))


def _work(plan: Plan, layer: Layer, fits: Sequence[Fit], earlier: Earlier | None, counts: int) -> Work:
    """Return the work on a layer."""
    rules = [quantizer.cut(layer.dtype, fit) for quantizer, fit in zip(plan.quantizers, fits, strict=True)]
    key, changes, bits = "", None, 0
    if earlier is not None:
        key, changes = earlier.keys[layer.tensor.name], earlier.changes
        bits = earlier.bits[key]
    blocks = [
        CountBlocks(rule, plan.evaluation.scheme, changes, f"{view}/{key}") for view, rule in enumerate(rules[:counts])
    ]
    return Work(layer, (*blocks, *plan.stream_specs(layer, rules[0])), bits)


def _batches(layers: Sequence[Layer]) -> Iterator[Sequence[Layer]]:
    """Yield neighbouring layers of about 1 GiB together."""
    start = nbytes = 0
    for stop, layer in enumerate(layers):
        if nbytes and nbytes + layer.tensor.nbytes > _BATCH:
            yield layers[start:stop]
            start, nbytes = stop, 0
        nbytes += layer.tensor.nbytes
    if start < len(layers):
        yield layers[start:]


Reference = Iterator[tuple[Mapping[str, BlockCounts] | None, str]]
"""The reference's planes of each layer, by name; None, with the reason, where it has no such layer."""


def scan_reference(plan: Plan, quantizer: Quantizer, reach: Reach) -> Reference:
    """Yield the planes of the tensors that the layers of a plan are compared with."""
    if plan.partners is None:
        return
    for batch in _batches(plan.layers):
        found = [plan.partners.find(layer, quantizer) for layer in batch]
        others = [other for other, _ in found if other is not None]
        counted = scan_layers(replace(plan, quantizers=(quantizer,), streams=()), others, reach)
        for other, reason in found:
            if other is None:
                yield None, reason
                continue
            counts = next(counted).counted[0].planes
            yield dict(zip(quantizer.planes(other.dtype), counts, strict=True)), ""


class Run:
    """One analysis on its way from results to reports, each of which is built once.

    reference: how the reference is read. results: of the plan's layers, where they are not to be scanned here.
    """

    def __init__(
        self,
        plan: Plan,
        reach: Reach,
        progress: Progress,
        reference: Reach | None = None,
        results: Iterator[LayerResults] | None = None,
    ) -> None:
        self._plan, self._evaluation = plan, plan.evaluation
        self._reach = reach
        self._progress = progress
        self._results = results or scan_layers(plan, plan.layers, reach)
        self._references: list[Reference] = []
        if reference is not None and plan.partners is not None:
            self._references = [scan_reference(plan, quantizer, reference) for quantizer in plan.quantizers]
        self._models = [Model(plan.evaluation) for _ in plan.quantizers]
        self._streamed: StreamedLayer | None = None

    def finish(self) -> tuple[list[LayerReport], ModelReport]:
        """Evaluate everything; returns the layers and the model's rows. Raises UsageError for too large shuffles."""
        if self._evaluation.null.kind == "shuffle":
            check_size([layer.weights for layer in self._plan.drawn], self._evaluation.scheme.boundary)
            return self._shuffled()
        layers = []
        for results in self._results:
            values = self._evaluate(results)
            layers.append(layer_report(values, [self._permutation(planes) for planes in values.planes]))
            self._progress.on_layer(layers[-1])
        nulls = [self._permutation(model.pooled()) for model in self._models]
        vector = self._vector()
        plane = None if vector is None else vector.plane
        return layers, self._rows(nulls, vector, None if plane is None else permutation(self._evaluation, plane))

    def _permutation(self, planes: Sequence[PlaneValues]) -> list[NullReport | None]:
        return [permutation(self._evaluation, plane) for plane in planes]

    def _shuffled(self) -> tuple[list[LayerReport], ModelReport]:
        """Evaluate everything, then draw every plane over all layers, then report."""
        held = [self._evaluate(results) for results in self._results]
        vector = self._vector()
        plane = None if vector is None else vector.plane
        rows = [(view, name, row) for view, model in enumerate(self._models) for name, row in model.planes.items()]
        if held or plane:
            self._progress.on_draws(self._evaluation.null.draws * (len(rows) + (plane is not None)))
        expected: dict[tuple[int | None, int, str], Mapping[str, Expectation]] = {}
        for place, (view, name, row) in enumerate(rows):
            shapes = [(held[owner].layer.rows, held[owner].layer.columns) for owner in row.owners]
            layers = [Shuffled(*one) for one in zip(row.names, shapes, row.margins, strict=True)]
            for owner, found in zip((*row.owners, None), self._draw(layers, place), strict=True):
                expected[owner, view, name] = found

        def nulls(owner: int | None, views: Sequence[Sequence[PlaneValues]]) -> list[list[NullReport | None]]:
            return [
                [self._null(plane, expected[owner, view, plane.name]) for plane in planes]
                for view, planes in enumerate(views)
            ]

        reports = [layer_report(values, nulls(owner, values.planes)) for owner, values in enumerate(held)]
        for report in reports:
            self._progress.on_layer(report)
        own = None if plane is None else self._null(plane, self._draw([strings_of(plane)], 0)[0])
        return reports, self._rows(nulls(None, [model.pooled() for model in self._models]), vector, own)

    def _draw(self, layers: Sequence[Shuffled], place: int) -> list[Mapping[str, Expectation]]:
        return draw_expectations(layers, place, self._evaluation, self._reach.engine.threads, self._progress.on_draw)

    def _null(self, plane: PlaneValues, expected: Mapping[str, Expectation]) -> NullReport:
        return null_report("shuffle", self._evaluation.null.draws, plane, expected)

    def _evaluate(self, results: LayerResults) -> LayerValues:
        """Return all values of a layer, whose counts are added to the model's."""
        layer, name = results.layer, results.layer.tensor.name
        views, references, warnings = [], [], []
        for view, quantizer in enumerate(self._plan.quantizers):
            counts = results.counted[view].planes
            planes = tuple(
                evaluate_counts(self._evaluation, plane, some, [(name, index)])
                for index, (plane, some) in enumerate(zip(quantizer.planes(layer.dtype), counts, strict=True))
            )
            theirs, reason = next(self._references[view]) if self._references else (None, "")
            references.append(self._models[view].add(layer.weights, planes, counts, theirs))
            views.append(planes)
            if reason and view == 0:
                warnings.append(f"no reference ratio: {reason}")
        total, others = added([plane.bdm for plane in views[0]]), references[0]
        known = added([other.bdm if other else None for other in others]) if any(others) else None
        counted = results.counted[0]
        return LayerValues(
            layer=layer,
            fit=results.fits[0],
            zeros=counted.zeros,
            nonfinite=counted.nonfinite,
            planes=tuple(views),
            references=tuple(reference for some in references for reference in some),
            total=Total(total, ratio_of(total, known)),
            measures=self._measures(results),
            warnings=(*layer_warnings(layer, counted), *warnings),
        )

    def _measures(self, results: LayerResults) -> Mapping[str, Any]:
        """Return the compressors and statistics of a layer, which are added to the model's."""
        if results.streamed is None:
            return _NOTHING
        from wcx.scan.compress import measures_of

        counted = results.counted[0]
        whole = results.streamed.counted(results.layer.weights, counted.zeros, counted.nonfinite)
        self._streamed = whole if self._streamed is None else self._streamed + whole
        return measures_of(whole, self._plan.streams)

    def _vector(self) -> Concatenated | None:
        """Return the results of all parameters as one vector, if a preset asks for them."""
        reach = self._reach
        if self._plan.vector is None:
            return None
        return self._plan.vector.read(self._evaluation, reach.open_source, reach.on_bytes, reach.engine.threads)

    def _rows(
        self,
        nulls: Sequence[Sequence[NullReport | None]],
        vector: Concatenated | None,
        null: NullReport | None,
    ) -> ModelReport:
        """Return the model's rows: the totals are those of the plan's own quantizer."""
        rows = []
        for model, some in zip(self._models, nulls, strict=True):
            for plane, one in zip(model.pooled(), some, strict=True):
                pooled = plane_report(plane, one, model.reference(plane))
                rows.append(ModelPlane(plane.name, pooled, model.sum(plane.name)))
        if not self._models[0].layers:
            usual = (name for quantizer in self._plan.quantizers for name in quantizer.planes(DTYPES["U8"]))
            rows = [ModelPlane(name, None, Total(None)) for name in usual]
        measures: dict[str, Any] = {}
        if self._streamed is not None:
            from wcx.scan.compress import measures_of

            measures = measures_of(self._streamed, self._plan.streams)
        if vector is not None and vector.measures:
            measures["concatenated"] = vector.measures
        first = self._models[0]
        own = None if vector is None or vector.plane is None else plane_report(vector.plane, null)
        return ModelReport(first.weights, first.layers, tuple(rows), first.total(), own, measures)


def is_large(plan: Plan) -> bool:
    """Return True if compiled code is worth its start."""
    planes = (len(quantizer.planes(layer.dtype)) for quantizer in plan.quantizers for layer in plan.layers)
    return is_large_count(plan.layers, max(planes, default=1))
