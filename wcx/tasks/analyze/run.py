"""Run a plan: fit, count, evaluate, layer by layer, then the model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from wcx.core.dtypes import DTYPES
from wcx.core.progress import Progress
from wcx.core.report import LayerReport, ModelReport
from wcx.core.scheme import Fit
from wcx.core.settings import Settings
from wcx.quantizers import Quantizer
from wcx.tasks.analyze.plan import _BATCH, Plan
from wcx.tasks.analyze.settings import scheme_of

if TYPE_CHECKING:
    from wcx.core.dtypes import PlaneRule
    from wcx.scan.changes import Changes
    from wcx.scan.compress import StreamedLayer
    from wcx.scan.count import CountedLayer
    from wcx.scan.layers import Layer


class Counting:
    """How layers are counted: fits first, then counts, in order. A comparison of checkpoints has a way of its own."""

    def __init__(
        self, settings: Settings, threads: int, on_bytes: Callable[[int], None], compiled: bool | None = None
    ) -> None:
        self._settings = settings
        self._threads = threads
        self._on_bytes = on_bytes
        self._compiled = compiled

    def fits(self, quantizer: Quantizer, layers: Sequence[Layer], make_source: Callable[[], Any]) -> Sequence[Fit]:
        """What the quantizer learns from each layer."""
        from wcx.scan.fit import fit_layers

        return fit_layers(layers, quantizer, make_source, self._threads, self._on_bytes, self._compiled)

    def counts(
        self,
        quantizer: Quantizer,
        layers: Sequence[Layer],
        cuts: Sequence[PlaneRule],
        make_source: Callable[[], Any],
        changes: Changes | None = None,
        bits: Sequence[int] | None = None,
    ) -> Generator[CountedLayer, None, None]:
        """The counts of each layer; changes, bits: as count_layers takes them."""
        from wcx.scan.count import count_layers

        yield from count_layers(
            layers,
            cuts,
            scheme_of(self._settings),
            make_source,
            self._threads,
            self._on_bytes,
            self._compiled,
            changes,
            bits,
        )


class CountingLike(Protocol):
    """What counts the layers of an analysis."""

    def fits(self, quantizer: Quantizer, layers: Sequence[Layer], make_source: Callable[[], Any]) -> Sequence[Fit]:
        """What the quantizer learns from each layer."""

    def counts(
        self, quantizer: Quantizer, layers: Sequence[Layer], cuts: Sequence[PlaneRule], make_source: Callable[[], Any]
    ) -> Generator[CountedLayer, None, None]:
        """The counts of each layer, in order."""


class _View:
    """One quantizer's view of the layers, on its way to the model's rows."""

    def __init__(self, quantizer: Quantizer, settings: Settings) -> None:
        from wcx.tasks.analyze.evaluate import Model
        from wcx.tasks.analyze.reference import ReferenceRows

        self.quantizer = quantizer
        self.model = Model(quantizer.planes(DTYPES["U8"]), settings)
        self.reference = ReferenceRows(settings)


class Run:
    """One analysis on its way from plan to report."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        make_source: Callable[[], Any],
        threads: int,
        progress: Progress,
        make_reference_source: Callable[[], Any] | None = None,
        counting: CountingLike | None = None,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._make_source = make_source
        self._make_reference_source = make_reference_source or make_source
        self._threads = threads
        self._progress = progress
        self._model_streams: StreamedLayer | None = None
        self._views = [_View(quantizer, settings) for quantizer in plan.quantizers]
        self._afresh = Counting(settings, threads, progress.on_bytes, _is_large(plan))
        self._counting: CountingLike = counting or self._afresh

    def layers(self) -> Iterator[LayerReport]:
        """Yield each layer's report, in file order; its counts are added to the model's."""
        for batch in batches(self._plan.layers):
            for views in zip(*(self._seen(view, batch) for view in self._views), strict=True):
                yield _side_by_side(views)

    def _seen(self, view: _View, layers: Sequence[Layer]) -> Iterator[LayerReport]:
        """Evaluate some layers, and set them against the reference."""
        from wcx.tasks.analyze.evaluate import evaluate_layer
        from wcx.tasks.analyze.reference import planes_of

        quantizer, partners = view.quantizer, self._plan.partners
        found = [partners.find(layer, quantizer) if partners else (None, "") for layer in layers]
        theirs_only = [other for other, _ in found if other]
        others = self._counted(quantizer, theirs_only, self._make_reference_source, self._afresh)
        streams = self._plan.streams if view is self._views[0] else ()
        mine = self._counted(quantizer, layers, self._make_source, self._counting, streams)
        for (layer, fit, counted, streamed), (other, reason) in zip(mine, found, strict=True):
            report = evaluate_layer(layer, counted, quantizer.planes(layer.dtype), self._settings, fit)
            report = self._with_streams(report, streamed)
            if partners is not None:
                theirs = None if other is None else planes_of(quantizer, other.dtype, next(others)[2].planes)
                report = view.reference.set_against(report, theirs, reason)
            view.model.add(report, counted)
            yield report

    def _counted(
        self,
        quantizer: Quantizer,
        layers: Sequence[Layer],
        make_source: Callable[[], Any],
        counting: CountingLike,
        streams: tuple[str, ...] = (),
    ) -> Iterator[tuple[Layer, Fit, CountedLayer, StreamedLayer | None]]:
        """Fit the quantizer to some layers, then count and stream them, while the page cache still has them."""
        fits = counting.fits(quantizer, layers, make_source)
        cuts = [quantizer.cut(layer.dtype, fit) for layer, fit in zip(layers, fits, strict=True)]
        counts = counting.counts(quantizer, layers, cuts, make_source)
        with closing(counts), closing(self._streamed(quantizer, layers, cuts, streams)) as streamed:
            yield from zip(layers, fits, counts, streamed, strict=True)

    def _streamed(
        self, quantizer: Quantizer, layers: Sequence[Layer], cuts: Sequence[PlaneRule], streams: tuple[str, ...]
    ) -> Generator[StreamedLayer | None, None, None]:
        """What stream measures need of each layer; None where none was asked for."""
        if not streams:
            yield from (None for _ in layers)
            return
        from wcx.scan.compress import stream_layers

        planes = [quantizer.planes(layer.dtype) for layer in layers]
        on_bytes = self._progress.on_bytes
        stored = self._plan.stored
        yield from stream_layers(layers, cuts, planes, streams, self._make_source, self._threads, on_bytes, stored)

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
            layers, rows = add_shuffles(layers, rows, margins, settings, self._threads, progress.on_draw)
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

        layers = self._plan.concatenated
        if layers is None:
            return rows
        found = concatenate(layers, self._settings, self._make_source(), self._progress.on_bytes, self._threads)
        measures = {**rows.measures, "concatenated": found.measures} if found.measures else rows.measures
        return replace(rows, concatenated=found.plane, measures=measures)


def _is_large(plan: Plan) -> bool:
    """Whether compiled code is worth its start."""
    from wcx.scan import count

    planes = (len(quantizer.planes(layer.dtype)) for quantizer in plan.quantizers for layer in plan.layers)
    return count.is_large(plan.layers, max(planes, default=1))


def _side_by_side(views: Sequence[LayerReport]) -> LayerReport:
    """One layer with the planes of all views; everything else is the first one's."""
    return replace(views[0], planes=tuple(plane for view in views for plane in view.planes))


def batches(layers: Sequence[Layer]) -> Iterator[Sequence[Layer]]:
    """Neighbouring layers of about 1 GiB together."""
    start = nbytes = 0
    for stop, layer in enumerate(layers):
        if nbytes and nbytes + layer.tensor.nbytes > _BATCH:
            yield layers[start:stop]
            start, nbytes = stop, 0
        nbytes += layer.tensor.nbytes
    if start < len(layers):
        yield layers[start:]
