"""Plan, count, merge, measure, report: the only file that knows all stages."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from wcx import __version__
from wcx.blocks.layout import arrange
from wcx.dtypes import DTYPES
from wcx.errors import UsageError
from wcx.presets import find_preset
from wcx.quantizers import Quantizer, parse_quantizer
from wcx.quantizers.uniform import Uniform
from wcx.selection import select, select_each
from wcx.settings import check_whole, make_settings, preset_notes, scheme_of
from wcx.streams import STREAMS
from wcx.types import (
    Checkpoint,
    Fit,
    LayerReport,
    ModelReport,
    Report,
    Settings,
    SkippedTensor,
    TensorInfo,
)
from wcx.workers import cores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from wcx.changes import Changes
    from wcx.count import CountedLayer
    from wcx.dtypes import Cut
    from wcx.layers import Layer
    from wcx.reference import Partners
    from wcx.streaming import StreamedLayer

__all__ = [
    "Counting",
    "Plan",
    "Progress",
    "Run",
    "analyze",
    "analyze_checkpoint",
    "batches",
    "make_plan",
    "measure",
    "notes_of",
    "open_reference",
    "quantizer_text",
]

SCHEMA = "wcx/analysis/1"
_BATCH = 1 << 30


@dataclass(frozen=True, slots=True)
class Progress:
    """What is called while an analysis runs; any of it from a worker thread."""

    on_start: Callable[[int], None] = lambda _nbytes: None
    on_bytes: Callable[[int], None] = lambda _nbytes: None
    on_layer: Callable[[LayerReport], None] = lambda _layer: None
    on_draws: Callable[[int], None] = lambda _draws: None
    on_draw: Callable[[], None] = lambda: None
    on_correlations: Callable[[int], None] = lambda _steps: None
    on_correlation: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is counted and what is skipped, and how: same input and settings, same plan.

    concatenated: what a preset takes as one vector, and how often it reads that. stored: whether compressors take the
    stored bytes too, not only the bits of planes.
    """

    quantizer: Quantizer
    layers: list[Layer]
    skipped: list[SkippedTensor]
    streams: tuple[str, ...] = ()
    beside: Quantizer | None = None
    partners: Partners | None = None
    concatenated: list[Layer] | None = None
    readings: int = 1
    stored: bool = True

    @property
    def quantizers(self) -> list[Quantizer]:
        """The plan's own, and the one whose planes a preset sets beside them."""
        return [self.quantizer] if self.beside is None else [self.quantizer, self.beside]

    @property
    def drawn(self) -> list[Layer]:
        """What a null by shuffles permutes: the layers, and those of the vector once more."""
        return [*self.layers, *(self.concatenated or ())]

    @property
    def nbytes(self) -> int:
        """Bytes that will be read: twice where a quantizer has to be fitted, the reference's, and those of streams."""
        readings = sum(2 if any(quantizer.needs) else 1 for quantizer in self.quantizers)
        counted = sum(layer.tensor.nbytes for layer in self.layers) * readings * (1 if self.partners is None else 2)
        counted += sum(layer.tensor.nbytes for layer in self.concatenated or ()) * self.readings
        if not self.streams:
            return counted
        from wcx.streaming import nbytes_read

        planes = [len(self.quantizer.planes(layer.dtype)) for layer in self.layers]
        return counted + nbytes_read(self.layers, planes, self.streams, self.stored)


def analyze(path: str | os.PathLike[str], *, threads: int | None = None, **settings: Any) -> Report:  # noqa: ANN401
    """Analyse one checkpoint and return its report.

    path: a checkpoint file, an index of shards, or a directory with one. threads: workers, all cores by default; the
    report does not depend on it. settings: preset, quantize, block, boundary, layout, measures, null, rarefy, seed,
    include, exclude, include_optimizer, reference, as the options of `wcx analyze` (wcx.settings.make_settings).

    Raises CheckpointError for a checkpoint that can't be read, UsageError for settings that make no sense.

        report = wcx.analyze("model.safetensors", quantize="sign", exclude=["lm_head.*"])
        report.layers[0].planes[0].bdm
    """
    from wcx.formats import open_checkpoint

    made = make_settings(**settings)
    return analyze_checkpoint(open_checkpoint(path), made, _workers(threads), reference=open_reference(made))


def open_reference(settings: Settings) -> Checkpoint | None:
    """Open the checkpoint that settings compare with, if any; raises CheckpointError."""
    from wcx.formats import open_checkpoint

    return None if settings.reference is None else open_checkpoint(settings.reference)


def _workers(threads: int | None) -> int:
    if threads is None:
        return cores()
    check_whole("threads", threads, 1)
    return threads


def analyze_checkpoint(
    checkpoint: Checkpoint,
    settings: Settings,
    threads: int,
    progress: Progress | None = None,
    reference: Checkpoint | None = None,
) -> Report:
    """Analyse an opened checkpoint. progress.on_layer gets every layer as soon as it and all before it are done.

    reference: what settings.reference names, opened.
    """
    from wcx.formats import open_reader
    from wcx.layers import FileSource

    progress = progress or Progress()
    plan = make_plan(checkpoint, settings, reference)
    progress.on_start(plan.nbytes)
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(checkpoint))
        theirs = reader if reference is None else stack.enter_context(open_reader(reference))
        run = Run(plan, settings, lambda: FileSource(reader), threads, progress, lambda: FileSource(theirs))
        report = make_report(checkpoint, plan, settings, run)
        reader.check_unchanged()
        theirs.check_unchanged()
    return report


def make_plan(checkpoint: Checkpoint, settings: Settings, reference: Checkpoint | None = None) -> Plan:
    """Decide of every tensor whether it is analysed, and as which matrix."""
    from wcx.layers import layer_of
    from wcx.reference import Partners

    preset = None if settings.preset is None else find_preset(settings.preset)
    quantizer = quantizer_of(settings)
    layers: list[Layer] = []
    skipped: list[SkippedTensor] = []
    for tensor, reason in select_each(checkpoint.tensors, settings, scheme_of(settings), quantizer.refuses):
        if reason is None and preset is not None and not settings.include:
            reason = preset.leaves_out(tensor)
        if reason is None:
            layers.append(layer_of(tensor, settings.layout, as_stored=quantizer.stored))
        else:
            skipped.append(SkippedTensor(tensor.name, tensor.dtype, tensor.shape, tensor.role, reason))
    partners = None if reference is None else Partners(reference, settings)
    beside, concatenated = _presets_own(settings, checkpoint.tensors)
    often = _readings(settings, concatenated)
    return Plan(quantizer, layers, skipped, _streams(settings), beside, partners, concatenated, often)


def _streams(settings: Settings) -> tuple[str, ...]:
    """Those of the measures that are no function of block counts."""
    return tuple(name for name in settings.measures if name in STREAMS)


def _presets_own(settings: Settings, tensors: Sequence[TensorInfo]) -> tuple[Quantizer | None, list[Layer] | None]:
    """What a preset adds: a quantizer beside the usual one, and the tensors whose signs are one string."""
    from wcx.concatenated import parameters

    if settings.preset is None:
        return None, None
    preset = find_preset(settings.preset)
    beside = None if preset.beside is None else parse_quantizer(preset.beside)
    one_string = preset.concatenated and (settings.block, settings.boundary) == ("1x12", "ignore")
    return beside, parameters(tensors) if one_string else None


def _readings(settings: Settings, concatenated: Sequence[Layer] | None) -> int:
    """How often the tensors that are one vector are read."""
    from wcx.concatenated import measures_wanted, readings

    return 0 if concatenated is None else readings(concatenated, measures_wanted(settings))


def quantizer_of(settings: Settings) -> Quantizer:
    """The quantizer of settings, with torch's rank of quantiles where a preset wants it."""
    quantizer = parse_quantizer(quantizer_text(settings))
    narrow = settings.preset is not None and find_preset(settings.preset).narrow_rank
    return replace(quantizer, narrow_rank=True) if narrow and isinstance(quantizer, Uniform) else quantizer


def quantizer_text(settings: Settings) -> str:
    """The quantizer of settings, as it is written on the command line."""
    return settings.quantize if settings.zero != "one" else f"{settings.quantize}:zero=one"


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
        from wcx.fitting import fit_layers

        return fit_layers(layers, quantizer, make_source, self._threads, self._on_bytes, self._compiled)

    def counts(
        self,
        quantizer: Quantizer,
        layers: Sequence[Layer],
        cuts: Sequence[Cut],
        make_source: Callable[[], Any],
        changes: Changes | None = None,
        bits: Sequence[int] | None = None,
    ) -> Generator[CountedLayer, None, None]:
        """The counts of each layer; changes, bits: as count_layers takes them."""
        from wcx.count import count_layers

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
        self, quantizer: Quantizer, layers: Sequence[Layer], cuts: Sequence[Cut], make_source: Callable[[], Any]
    ) -> Generator[CountedLayer, None, None]:
        """The counts of each layer, in order."""


class _View:
    """One quantizer's view of the layers, on its way to the model's rows."""

    def __init__(self, quantizer: Quantizer, settings: Settings) -> None:
        from wcx.evaluate import Model
        from wcx.reference import ReferenceRows

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
        from wcx.evaluate import evaluate_layer
        from wcx.reference import planes_of

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
        self, quantizer: Quantizer, layers: Sequence[Layer], cuts: Sequence[Cut], streams: tuple[str, ...]
    ) -> Generator[StreamedLayer | None, None, None]:
        """What stream measures need of each layer; None where none was asked for."""
        if not streams:
            yield from (None for _ in layers)
            return
        from wcx.streaming import stream_layers

        planes = [quantizer.planes(layer.dtype) for layer in layers]
        on_bytes = self._progress.on_bytes
        stored = self._plan.stored
        yield from stream_layers(layers, cuts, planes, streams, self._make_source, self._threads, on_bytes, stored)

    def _with_streams(self, report: LayerReport, streamed: StreamedLayer | None) -> LayerReport:
        """The report with its stream measures, which are added to the model's."""
        if streamed is None:
            return report
        from wcx.streaming import measures_of

        whole = streamed.counted(report.weights, report.zeros, report.nonfinite)
        self._model_streams = whole if self._model_streams is None else self._model_streams + whole
        return replace(report, measures=measures_of(whole, self._plan.streams))

    def finish(self) -> tuple[list[LayerReport], ModelReport]:
        """Count and evaluate everything; returns the layers and the model's rows."""
        from wcx.shuffle import add_shuffles, check_size

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
        from wcx.streaming import measures_of

        return measures_of(self._model_streams, self._plan.streams)

    def _rows(self) -> ModelReport:
        """The model's rows: the totals are the first view's."""
        rows = [view.reference.set_against_model(view.model.report(scheme_of(self._settings))) for view in self._views]
        planes = tuple(plane for row in rows for plane in row.planes)
        rows[0] = replace(rows[0], planes=planes, measures=self._model_measures())
        return self._with_concatenated(rows[0])

    def _with_concatenated(self, rows: ModelReport) -> ModelReport:
        """The model's rows with what a preset wants of all parameters as one vector."""
        from wcx.concatenated import concatenate

        layers = self._plan.concatenated
        if layers is None:
            return rows
        found = concatenate(layers, self._settings, self._make_source(), self._progress.on_bytes, self._threads)
        measures = {**rows.measures, "concatenated": found.measures} if found.measures else rows.measures
        return replace(rows, concatenated=found.plane, measures=measures)


def _is_large(plan: Plan) -> bool:
    """Whether compiled code is worth its start."""
    from wcx import count

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


def make_report(checkpoint: Checkpoint, plan: Plan, settings: Settings, run: Run) -> Report:
    """Put the report of a checkpoint together."""
    layers, rows = run.finish()
    return Report(
        schema=SCHEMA,
        wcx=__version__,
        checkpoint=checkpoint.summary(),
        settings=settings,
        layers=tuple(layers),
        skipped=tuple(plan.skipped),
        model=rows,
        notes=(*checkpoint.notes, *notes_of(layers, settings), *_notes_of_settings(settings)),
        warnings=tuple(_warnings(layers)),
    )


def notes_of(layers: Sequence[LayerReport], settings: Settings) -> list[str]:
    """What a reader should know of the numbers as a whole."""
    planes = [plane for layer in layers for plane in layer.planes]
    loaded = sum(plane.load is not None and plane.load > 0.25 for plane in planes)
    saturated = sum(plane.regime == "saturated" for plane in planes)
    notes = []
    if settings.null == "permutation" and settings.boundary != "ignore":
        notes.append("null: the closed form is for the ignore boundary; use --null shuffle:K")
    if loaded and settings.boundary != "ignore":
        notes.append(
            f"{loaded} of {len(planes)} planes have more than 0.25 blocks per possible block: their bdm depends on "
            "size more than on structure"
        )
    elif loaded:
        notes.append(
            f"{loaded} of {len(planes)} planes have more than 0.25 blocks per possible block ({saturated} saturated): "
            "their bdm depends on size more than on structure; compare bdm_rarefied and the ratios to the null"
        )
    return notes


def _notes_of_settings(settings: Settings) -> list[str]:
    """What a preset does, and which ratio is which."""
    from wcx.reference import reference_note

    return preset_notes(settings) + ([] if settings.reference is None else [reference_note(settings.reference)])


def _warnings(layers: Sequence[LayerReport]) -> list[str]:
    if not layers:
        return ["no layer was analysed: see skipped for the reasons"]
    return []


def measure(array: ArrayLike, *, name: str = "array", threads: int | None = None, **settings: Any) -> LayerReport:  # noqa: ANN401
    """Measure one array in memory and return its report.

    array: two or more dimensions, of any real NumPy dtype, or of ml_dtypes' (bfloat16, float8_*); rows are its first
    axis. name: of the layer, which also seeds what is drawn. settings: as for analyze, less include and exclude.

    Raises UsageError for an array that has no 4x4 block or no order (complex).

        wcx.measure(numpy.zeros((12, 12), numpy.float32)).planes[0].bdm  ->  25.176631293734488
    """
    import numpy as np

    from wcx.layers import ArraySource, layer_of

    if np.ma.is_masked(array):
        raise UsageError("an array with masked values can't be measured: fill it first")
    if {"include", "exclude"} & settings.keys():
        raise UsageError("include and exclude choose among tensors: there is one array")
    if settings.get("reference") is not None:
        raise UsageError("a reference is a checkpoint, whose tensors have names: there is one array")
    values = np.asarray(array)
    dtype = _ARRAY_DTYPES.get(values.dtype.name, values.dtype.name)
    reason = "no such dtype in wcx" if dtype not in DTYPES else None
    info = TensorInfo(name, dtype, values.shape, values.nbytes)
    made = make_settings(**settings)
    quantizer = quantizer_of(made)
    reason = reason or select(info, scheme_of(made), refuses=quantizer.refuses, include=["*"])
    if reason is not None:
        raise UsageError(f"an array of shape {values.shape} and dtype {values.dtype} can't be measured: {reason}")
    layer = layer_of(info, made.layout)
    axes = arrange(values.shape, made.layout).axes
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    moved = np.ascontiguousarray(little if axes is None else little.transpose(axes))
    codes = moved.reshape(layer.rows, layer.columns).view(f"<u{values.itemsize}")
    plan = Plan(quantizer, [layer], [], _streams(made), _presets_own(made, ())[0])
    layers, _ = Run(plan, made, lambda: ArraySource(codes, little), _workers(threads), Progress()).finish()
    return layers[0]


_ARRAY_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float6_e2m3fn": "F6_E2M3",
    "float6_e3m2fn": "F6_E3M2",
    "float4_e2m1fn": "F4",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
    "complex128": "C128",
}
