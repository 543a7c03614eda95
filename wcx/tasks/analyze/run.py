"""Run a plan: scan its layers for all that is wanted of them, and evaluate what comes back, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wcx.core.dtypes import DTYPES
from wcx.core.progress import Progress
from wcx.core.report import LayerReport, ModelReport
from wcx.core.scheme import Fit
from wcx.core.settings import Settings
from wcx.quantizers import Quantizer
from wcx.tasks.analyze.plan import Plan
from wcx.tasks.analyze.settings import scheme_of

if TYPE_CHECKING:
    from wcx.blocks.counts import BlockCounts
    from wcx.scan.changes import Changes
    from wcx.scan.compress import StreamedLayer
    from wcx.scan.count import CountedLayer
    from wcx.scan.engine import Engine, OpenSource
    from wcx.scan.layers import Layer

_BATCH = 1 << 30  # bytes of neighbouring layers that are fitted, then counted while the page cache has them


@dataclass(frozen=True, slots=True)
class LayerResults:
    """What scans found in a layer: fit and counts for each quantizer, and what compressors and statistics need."""

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
    """How layers are read: where from, by what engine. compiled: None leaves that to the size of the work."""

    open_source: OpenSource
    engine: Engine
    on_bytes: Callable[[int], None] = lambda _nbytes: None
    compiled: bool | None = None


Known = Iterator[tuple[tuple[Fit, ...], tuple["CountedLayer", ...]]]
"""Fits and counts of layers, in order, that need no reading."""


def scan_layers(
    plan: Plan, layers: Sequence[Layer], reach: Reach, known: Known | None = None, earlier: Earlier | None = None
) -> Generator[LayerResults, None, None]:
    """Yield what is wanted of each layer, in order. known: what was counted before; then streams alone are read."""
    for batch in _batches(layers):
        yield from _scan_batch(plan, batch, reach, known, earlier)


def _scan_batch(
    plan: Plan, layers: Sequence[Layer], reach: Reach, known: Known | None, earlier: Earlier | None
) -> Iterator[LayerResults]:
    from wcx.scan.compress import streamed_layer
    from wcx.scan.count import scan_counts
    from wcx.scan.fit import fit_layers

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
            names = plan.quantizer.planes(layer.dtype)
            streamed = streamed_layer(found[counts:], names) if plan.streams else None
            yield LayerResults(layer, fits[at], found[:counts] if counts else before[at][1], streamed)


def _work(plan: Plan, layer: Layer, fits: Sequence[Fit], earlier: Earlier | None, counts: int) -> Any:  # noqa: ANN401
    """Return what is to be done with a layer."""
    from wcx.scan.compress import stream_specs
    from wcx.scan.count import CountBlocks
    from wcx.scan.engine import Work

    rules = [quantizer.cut(layer.dtype, fit) for quantizer, fit in zip(plan.quantizers, fits, strict=True)]
    key, changes, bits = "", None, 0
    if earlier is not None:
        key, changes = earlier.keys[layer.tensor.name], earlier.changes
        bits = earlier.bits[key]
    blocks = [CountBlocks(rule, plan.scheme, changes, f"{view}/{key}") for view, rule in enumerate(rules[:counts])]
    planes = len(plan.quantizer.planes(layer.dtype))
    streams = stream_specs(layer, rules[0], planes, plan.streams, plan.stored) if plan.streams else ()
    return Work(layer, (*blocks, *streams), bits)


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


class _View:
    """One quantizer's view of the layers, on its way to the model's rows."""

    def __init__(self, quantizer: Quantizer, settings: Settings) -> None:
        from wcx.tasks.analyze.evaluate import Model
        from wcx.tasks.analyze.reference import ReferenceRows

        self.quantizer = quantizer
        self.model = Model(quantizer.planes(DTYPES["U8"]), settings)
        self.reference = ReferenceRows(settings)


class Run:
    """One analysis on its way from plan to report.

    results: of the plan's layers, where they are not to be scanned here. reference: how the reference is read.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        reach: Reach,
        progress: Progress,
        reference: Reach | None = None,
        results: Iterator[LayerResults] | None = None,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._reach = reach
        self._progress = progress
        self._reference = reference
        self._results = results or scan_layers(plan, plan.layers, reach)
        self._model_streams: StreamedLayer | None = None
        self._views = [_View(quantizer, settings) for quantizer in plan.quantizers]

    def layers(self) -> Iterator[LayerReport]:
        """Yield each layer's report, in file order; its counts are added to the model's."""
        theirs = [self._references(view) for view in self._views]
        for results in self._results:
            views = [
                self._evaluated(view, results, number, *next(theirs[number])) for number, view in enumerate(self._views)
            ]
            yield self._with_streams(_side_by_side(views), results.streamed)

    def _references(self, view: _View) -> Iterator[tuple[Sequence[tuple[str, BlockCounts]] | None, str | None]]:
        """Yield the reference's planes of each layer; None, with the reason, where it has no such layer."""
        from wcx.tasks.analyze.reference import planes_of

        plan, quantizer = self._plan, view.quantizer
        if plan.partners is None or self._reference is None:
            while True:
                yield None, None
        for batch in _batches(plan.layers):
            found = [plan.partners.find(layer, quantizer) for layer in batch]
            others = [other for other, _ in found if other is not None]
            counted = scan_layers(replace(plan, quantizers=(quantizer,), streams=()), others, self._reference)
            for other, reason in found:
                planes = None
                if other is not None:
                    planes = planes_of(quantizer, other.dtype, next(counted).counted[0].planes)
                yield planes, reason

    def _evaluated(
        self,
        view: _View,
        results: LayerResults,
        number: int,
        theirs: Sequence[tuple[str, BlockCounts]] | None,
        reason: str | None,
    ) -> LayerReport:
        """Evaluate one quantizer's planes of a layer, and compare them with the reference."""
        from wcx.tasks.analyze.evaluate import evaluate_layer

        layer, counted = results.layer, results.counted[number]
        planes = view.quantizer.planes(layer.dtype)
        report = evaluate_layer(layer, counted, planes, self._settings, results.fits[number])
        if reason is not None:
            report = view.reference.set_against(report, theirs, reason)
        view.model.add(report, counted)
        return report

    def _with_streams(self, report: LayerReport, streamed: StreamedLayer | None) -> LayerReport:
        """The report with its stream measures, which are added to the model's."""
        if streamed is None:
            return report
        from wcx.scan.compress import measures_of

        whole = streamed.counted(report.weights, report.zeros, report.nonfinite)
        self._model_streams = whole if self._model_streams is None else self._model_streams + whole
        return replace(report, measures=measures_of(whole, self._plan.streams))

    def finish(self) -> tuple[list[LayerReport], ModelReport]:
        """Count and evaluate everything; returns the layers and the model's rows."""
        from wcx.tasks.analyze.shuffled_null import add_shuffles, check_size

        settings, progress = self._settings, self._progress
        shuffles = settings.null == "shuffle"
        if shuffles:
            check_size([layer.weights for layer in self._plan.drawn], settings.boundary)
        layers: list[LayerReport] = []
        for layer in self.layers():
            layers.append(layer)
            if not shuffles:
                progress.on_layer(layer)
        rows = self._rows()
        if shuffles and (layers or rows.concatenated):
            margins = [plane for view in self._views for plane in view.model.margins]
            progress.on_draws((settings.null_draws or 0) * (len(margins) + (rows.concatenated is not None)))
            layers, rows = add_shuffles(layers, rows, margins, settings, self._reach.engine.threads, progress.on_draw)
            for layer in layers:
                progress.on_layer(layer)
        return layers, rows

    def _model_measures(self) -> dict[str, Any]:
        """The stream measures of all layers together; none where there is no layer."""
        if self._model_streams is None:
            return {}
        from wcx.scan.compress import measures_of

        return measures_of(self._model_streams, self._plan.streams)

    def _rows(self) -> ModelReport:
        """The model's rows: the totals are the first view's."""
        rows = [view.reference.set_against_model(view.model.report(scheme_of(self._settings))) for view in self._views]
        planes = tuple(plane for row in rows for plane in row.planes)
        rows[0] = replace(rows[0], planes=planes, measures=self._model_measures())
        return self._with_concatenated(rows[0])

    def _with_concatenated(self, rows: ModelReport) -> ModelReport:
        """The model's rows with what a preset wants of all parameters as one vector."""
        from wcx.tasks.analyze.vector import concatenate

        layers, reach = self._plan.concatenated, self._reach
        if layers is None:
            return rows
        found = concatenate(layers, self._settings, reach.open_source, reach.on_bytes, reach.engine.threads)
        measures = {**rows.measures, "concatenated": found.measures} if found.measures else rows.measures
        return replace(rows, concatenated=found.plane, measures=measures)


def is_large(plan: Plan) -> bool:
    """Return True if compiled code is worth its start."""
    from wcx.scan import count

    planes = (len(quantizer.planes(layer.dtype)) for quantizer in plan.quantizers for layer in plan.layers)
    return count.is_large(plan.layers, max(planes, default=1))


def _side_by_side(views: Sequence[LayerReport]) -> LayerReport:
    """One layer with the planes of all views; everything else is the first one's."""
    return replace(views[0], planes=tuple(plane for view in views for plane in view.planes))
