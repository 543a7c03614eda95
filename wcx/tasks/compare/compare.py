"""Paths to one Comparison: survey, match, walk, join the log, correlate. The only file of the folder that knows all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from math import prod
from typing import Any

from wcx.core.checkpoint import Checkpoint
from wcx.core.comparison import ComparedCheckpoint, Comparison, LayerSeries, ModelSeries, Series, SeriesMap
from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError
from wcx.core.progress import Progress
from wcx.core.quantities import DENSITY, claimed_measures, plane_measures
from wcx.core.text import escape
from wcx.core.version import __version__
from wcx.measures import MEASURES, is_streamed, main_compressors
from wcx.scan.cache import Store, open_store
from wcx.scan.count import worth_compiling
from wcx.scan.threads import cores
from wcx.tasks.analyze.analyze import open_reference
from wcx.tasks.analyze.plan import quantizer_of
from wcx.tasks.analyze.settings import check_whole, preset_notes
from wcx.tasks.compare.collect import Collected
from wcx.tasks.compare.counting import Around, Member
from wcx.tasks.compare.logs.logs import Logs, join_logs
from wcx.tasks.compare.series.discover import locate
from wcx.tasks.compare.series.header_scan import HeaderScan, duplicates, key_of, scan_headers
from wcx.tasks.compare.series.matching import Matching, match
from wcx.tasks.compare.settings import ComparisonSettings, make_comparison_settings
from wcx.tasks.compare.statistics.correlate import correlate
from wcx.tasks.compare.statistics.records import Correlated, Measured
from wcx.tasks.compare.visit import Walk

SCHEMA = "wcx/comparison/1"


def compare(
    *paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    threads: int | None = None,
    **settings: Any,  # noqa: ANN401
) -> Comparison:
    """Compare checkpoints of one network and return the series of their numbers, and what changed between them.

    paths: files, patterns, or directories of checkpoints, one by one or in a list. threads: workers, all cores by
    default; the result does not depend on it. settings: log, step_column, metrics, smooth, group, order, cache, as the
    options of `wcx compare` (cache=False for --no-cache), and those of analyze.

    Raises UsageError for settings that make no sense, CheckpointError where no checkpoint can be read, or the log.

        comparison = wcx.compare("runs/epoch_*.safetensors", log="runs/log.csv")
        comparison.model.planes[0].pooled["bdm"]
        pandas.DataFrame(comparison.table())
    """
    if threads is not None:
        check_whole("threads", threads, 1)
    arguments: list[str] = []
    for path in paths:
        arguments += [os.fspath(path)] if isinstance(path, (str, os.PathLike)) else [os.fspath(one) for one in path]
    made = make_comparison_settings(**settings)
    found = compare_checkpoints(arguments, made, threads or cores(), store=open_store(enabled=made.cache))
    unreadable = [checkpoint for checkpoint in found.checkpoints if checkpoint.error is not None]
    if len(unreadable) == len(found.checkpoints):
        raise CheckpointError(unreadable[0].path, unreadable[0].error or "can't be read")
    return found


def compare_checkpoints(
    arguments: Sequence[str],
    settings: ComparisonSettings,
    threads: int,
    progress: Progress | None = None,
    store: Store | None = None,
) -> Comparison:
    """Compare the checkpoints that the arguments name; the result lists those that can't be read.

    store: where counts are kept and taken from, nowhere by default.
    """
    progress, store = progress or Progress(), store or Store(None)
    series = locate(arguments, order=settings.order, group=settings.group)
    reference = open_reference(settings.analysis)
    scans = scan_headers(series.located, settings.analysis, reference)
    logs = join_logs(series.located, settings)  # an unreadable log ends the comparison before hours of counting
    progress.on_start(sum(one.nbytes for one in scans))
    matching = match(
        [one.located.label for one in scans],
        [None if one.error else one.layers for one in scans],
        [one.located.group for one in scans],
    )
    collected = _walked(scans, matching, settings, store, threads, progress, reference)
    same = duplicates(scans, store)
    labels = [one.label for one in series.located]
    checkpoints = tuple(
        _checkpoint(one, collected.errors.get(number), labels[same[number]] if number in same else None, values)
        for number, (one, values) in enumerate(zip(scans, logs.values, strict=True))
    )
    layers, model = tuple(collected.layers(matching.layers)), collected.model()
    correlated = _correlate(layers, model, checkpoints, logs, settings, threads, progress)
    return Comparison(
        schema=SCHEMA,
        wcx=__version__,
        settings=settings.to_dict(logs.settings, correlated.block_length),
        checkpoints=checkpoints,
        layers=layers,
        model=model,
        correlations=correlated.correlations,
        differences=correlated.differences,
        groups=correlated.groups,
        conclusions=correlated.conclusions,
        joined=logs.joined,
        unmatched=tuple(matching.unmatched),
        notes=tuple(_notes((series, matching, collected, logs, correlated), scans, checkpoints, settings)),
        warnings=tuple(_warnings((series, logs), collected, checkpoints, bool(matching.core))),
    )


def _walked(
    scans: Sequence[HeaderScan],
    matching: Matching,
    settings: ComparisonSettings,
    store: Store,
    threads: int,
    progress: Progress,
    reference: Checkpoint | None,
) -> Collected:
    """Walk every run; returns what was found, by checkpoint."""
    core = set(matching.core)
    names: list[dict[str, str]] = [{} for _ in scans]
    bits: dict[str, int] = {}
    for layer in matching.layers:
        for number, own in enumerate(layer.members):
            if own is not None:
                names[number][own] = layer.name
    for number, one in enumerate(scans):
        for (own, *_), width in zip(one.layers, one.bits, strict=True):
            if own in names[number]:
                bits[names[number][own]] = max(width, bits.get(names[number][own], 0))
    around = Around(settings, bits, threads, progress, _is_large(scans, settings), reference)
    collected = Collected(len(scans), null=settings.analysis.null != "none")
    tells = "" if reference is None else key_of(reference)
    for numbers in _runs(scans):
        members = []
        for number in numbers:
            own_core = frozenset(own for own, name in names[number].items() if name in core)
            members.append(Member(scans[number], names[number], own_core, len(own_core) == len(core)))
        walk = Walk(members, around, store, tells)
        with closing(walk.outcomes()) as outcomes:
            for number, outcome in zip(numbers, outcomes, strict=True):
                collected.add(number, outcome)
    return collected


def _is_large(scans: Sequence[HeaderScan], settings: ComparisonSettings) -> bool:
    """Return True if compiled code is worth its start, for the planes of all checkpoints and twice their changes."""
    planes = 3 * len(quantizer_of(settings.analysis).planes(DTYPES["U8"]))
    weights = sum(prod(shape) for one in scans for _, shape, _ in one.layers)
    return worth_compiling(weights, sum(len(one.layers) for one in scans), planes)


def _runs(scans: Sequence[HeaderScan]) -> list[list[int]]:
    """Return the checkpoints of each run, by number, in order."""
    runs: dict[str | None, list[int]] = {}
    for number, one in enumerate(scans):
        runs.setdefault(one.located.group, []).append(number)
    return list(runs.values())


def _checkpoint(
    one: HeaderScan, error: CheckpointError | None, duplicate_of: str | None, log: Mapping[str, float | None]
) -> ComparedCheckpoint:
    located = one.located
    return ComparedCheckpoint(
        label=located.label,
        step=located.step,
        unit=located.unit,
        epoch=located.epoch,
        path=located.path,
        format=one.format,
        group=located.group,
        duplicate_of=duplicate_of,
        error=None if error is None else _reason(error),
        log=log,
    )


def _reason(error: CheckpointError) -> str:
    return error.reason if error.offset is None else f"{error.reason} (byte {error.offset})"


def _correlate(
    layers: Sequence[LayerSeries],
    model: ModelSeries,
    checkpoints: Sequence[ComparedCheckpoint],
    logs: Logs,
    settings: ComparisonSettings,
    threads: int,
    progress: Progress,
) -> Correlated:
    """Return the correlations of series and log columns; nothing without a log."""
    if logs.settings is None:
        return Correlated((), (), (), (), None, ())
    kept = [at for at, one in enumerate(checkpoints) if one.duplicate_of is None and one.error is None]
    points = [checkpoints[at] for at in kept]
    measured = [replace(one, values=tuple(one.values[at] for at in kept)) for one in _measured(layers, model, settings)]
    metrics = {name: tuple(point.log.get(name) for point in points) for name in logs.metrics}
    steps = [None if point.step is None else float(point.step) for point in points]
    groups = [point.group for point in points]
    return correlate(
        measured,
        metrics,
        steps,
        groups,
        seed=settings.analysis.seed,
        resamples=settings.resamples,
        smooth=settings.smooth,
        threads=threads,
        on_start=progress.on_correlations,
        on_step=progress.on_correlation,
    )


def _measured(layers: Sequence[LayerSeries], model: ModelSeries, settings: ComparisonSettings) -> Iterator[Measured]:
    """Yield the series that are set against the log: measures, ratios to the null, compressed sizes, statistics."""
    for plane in model.planes:
        yield from (Measured("pooled", None, plane.plane, *one) for one in _wanted(plane.pooled, settings))
        yield from (Measured("sum", None, plane.plane, *one) for one in _wanted(plane.sum, settings))
    yield from (Measured("model", None, None, *one) for one in _wanted(model.measures, settings))
    for layer in layers:
        yield from (Measured("layer", layer.name, layer.plane, *one) for one in _wanted(layer.series, settings))


def _wanted(series: SeriesMap, settings: ComparisonSettings) -> Iterator[tuple[str, Series]]:
    wanted = {measure.name for measure in plane_measures() if not measure.coverage} & {*settings.analysis.measures}
    for name, values in series.items():
        first, _, last = name.partition(".")
        stream = first in MEASURES and is_streamed(first) and last != "ratio"
        if name in wanted or name == DENSITY or stream or (first == "null" and last.endswith(".ratio")):
            yield name, values


# ---------------------------------------------------------------------------------------------------- notes, warnings


def _notes(
    sources: Sequence[Any],
    scans: Sequence[HeaderScan],
    checkpoints: Sequence[ComparedCheckpoint],
    settings: ComparisonSettings,
) -> Iterator[str]:
    """Yield the notes about the numbers as a whole."""
    for one in sources:
        yield from one.notes
    yield from preset_notes(settings.analysis)
    read = [one for one, checkpoint in zip(scans, checkpoints, strict=True) if checkpoint.error is None]
    if read and read[-1].skipped:
        skipped = read[-1].skipped
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in skipped.items())
        label = escape(read[-1].located.label)
        yield f"{sum(skipped.values()):,} tensors of {label} are not compared: {escape(reasons)}"
    if any(one.duplicate_of is not None for one in checkpoints) and settings.logs:
        yield "the statistics leave out checkpoints with the same tensors as an earlier one"
    analysis = settings.analysis
    if analysis.null == "shuffle" and analysis.boundary == "ignore":
        yield "--null shuffle applies to the checkpoints only: changes have a null in closed form or by draws"
    if analysis.null != "none" and analysis.boundary != "ignore":
        yield f"changes have no null with boundary {analysis.boundary}"
    for name in main_compressors() if settings.logs and not settings.packed else ():
        if name not in settings.analysis.measures:
            claimed = ", ".join(measure.name for measure in claimed_measures())
            yield f"{claimed} has no baseline {name}, which is not among the measures: add -m {name}"


def _warnings(
    sources: Sequence[Any], collected: Collected, checkpoints: Sequence[ComparedCheckpoint], has_core: bool
) -> Iterator[str]:
    """Yield the warnings: notes that ask for an action."""
    for checkpoint in checkpoints:
        if checkpoint.duplicate_of is not None:
            yield f"{escape(checkpoint.label)} has the same tensors as {escape(checkpoint.duplicate_of)}"
    for one in sources:
        yield from one.warnings
    if not collected.has_layers and len(collected.errors) < len(checkpoints):
        yield "no layer could be compared: see the notes for the reasons"
    elif collected.has_layers and not has_core:
        yield "no model rows: no layer is in most of the checkpoints (see unmatched)"
    for number, kind, error in collected.lost:
        since = "the first checkpoint" if kind == "first" else "the previous checkpoint"
        yield f"no changes for {escape(checkpoints[number].label)} since {since}: {escape(str(error))}"
    incomplete = [checkpoints[number].label for number in collected.incomplete]
    if incomplete:
        more = f" and {len(incomplete) - 1:,} more" if len(incomplete) > 1 else ""
        yield f"no model rows for {escape(incomplete[0])}{more}: some layers are missing (see unmatched)"
    for (name, text), numbers in collected.warnings.items():
        more = f" and {len(numbers) - 1:,} more" if len(numbers) > 1 else ""
        yield f"{escape(name)}: {text} ({escape(checkpoints[numbers[0]].label)}{more})"
