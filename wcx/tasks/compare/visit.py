"""One run's checkpoints in order, each read once at most: their numbers, and those of what changed between them.

What was counted before is taken from the store. A checkpoint is read where its own counts are missing, or those of its
change, and its predecessor and the first one again where their bits are needed for that: so one more checkpoint of a
long series takes reading three.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from wcx.blocks.counts import BlockCounts
from wcx.core.errors import CheckpointError
from wcx.core.plain import to_plain
from wcx.core.quantities import change_fields
from wcx.core.scheme import Fit
from wcx.formats import FORMATS
from wcx.measures import MEASURES
from wcx.quantizers import QUANTIZERS
from wcx.scan.cache import Store
from wcx.scan.changes import Changes, PackedCheckpoint
from wcx.scan.count import CountedLayer
from wcx.scan.counts_cache import CountsWriter, LostError, get_json, put_json, recall
from wcx.scan.counts_file import LayerCounts
from wcx.scan.keys import cache_key
from wcx.scan.layers import Layer
from wcx.tasks.analyze.plan import quantizer_text
from wcx.tasks.analyze.report import notes_of
from wcx.tasks.analyze.run import LayerResults, Run
from wcx.tasks.analyze.settings import scheme_of
from wcx.tasks.compare.counting import Around, Member, Opened, known_counts
from wcx.tasks.compare.rows import ChangeRows, Rows, layer_rows, model_rows, plane_fields

_PLANES, _PREVIOUS, _FIRST = "planes", "previous", "first"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one checkpoint; layers go by the name of their series.

    planes: its own numbers. previous, first: those of what changed since, None where there is no such checkpoint, or
    where it can't be read again; then `lost` says why, by kind.
    """

    planes: Rows | None = None
    previous: Rows | None = None
    first: Rows | None = None
    error: CheckpointError | None = None
    lost: Mapping[str, CheckpointError] = field(default_factory=dict)


class Walk:
    """One run on its way from the first checkpoint to the last. reference: identifies the reference file."""

    def __init__(self, members: Sequence[Member], around: Around, store: Store, reference: str) -> None:
        self._members = members
        self._around = around
        self._store = store
        self._reference = reference
        self._kept: dict[int, PackedCheckpoint] = {}
        self._first: int | None = None
        self._last: int | None = None
        self._lost: dict[str, CheckpointError] = {}

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Visit the checkpoints in order; one that can't be read does not count as the predecessor of the next."""
        try:
            for number, member in enumerate(self._members):
                yield self._outcome(number, member)
        finally:
            for number in list(self._kept):
                self._drop(number)

    def _outcome(self, number: int, member: Member) -> Outcome:
        if member.headers.error is not None:
            return Outcome(error=member.headers.error)
        try:
            outcome = self._visit(number, member)
        except CheckpointError as error:
            return Outcome(error=error)
        self._first = number if self._first is None else self._first
        self._last = number
        for other in [other for other in self._kept if other not in (self._first, number)]:
            self._drop(other)
        return outcome

    def _drop(self, number: int) -> None:
        self._kept.pop(number).bits.close()

    def _visit(self, number: int, member: Member) -> Outcome:
        self._lost = {}
        others = {} if self._last is None else {_PREVIOUS: self._last}
        if self._first is not None and self._first != self._last:
            others[_FIRST] = self._first
        kinds = [_PLANES, *others]
        keys = {kind: self._key(number, others.get(kind)) for kind in kinds}
        found = {kind: rows for kind in kinds if (rows := self._rows(self._row_key(keys[kind], number))) is not None}
        missing = [kind for kind in kinds if kind not in found]
        if missing:
            made = self._made(number, {kind: (keys[kind], others.get(kind)) for kind in missing})
            found |= made
            for kind in made:
                put_json(self._store, self._row_key(keys[kind], number), found[kind].to_plain())
        else:
            self._around.progress.on_bytes(member.headers.nbytes)
        named = {kind: _renamed(rows, member.names) for kind, rows in found.items()}
        first = named.get(_FIRST if _FIRST in others else _PREVIOUS)
        return Outcome(named[_PLANES], named.get(_PREVIOUS), first, lost=self._lost)

    # ------------------------------------------------------------------------------------------- what is remembered

    def _key(self, number: int, other: int | None) -> str:
        """Return the key of a checkpoint's counts, or of those of its change since another one."""
        mine, how = self._identity(number), self._counting
        if other is None:
            return cache_key("planes", how, mine)
        return cache_key("change", how, mine, self._identity(other))

    @property
    def _counting(self) -> dict[str, object]:
        """The settings and packages that counts and numbers depend on."""
        analysis = self._around.settings.analysis
        return {
            "quantizer": quantizer_text(analysis),
            "preset": analysis.preset,
            "scheme": scheme_of(analysis).id,
            "packages": [*MEASURES.packages(), *QUANTIZERS.packages(), *FORMATS.packages()],
        }

    def _identity(self, number: int) -> tuple[Any, ...]:
        """Return the file, its layers, and which of them come first: those that the model's rows are made of."""
        member = self._members[number]
        identity = member.headers.identity
        return "" if identity is None else identity.key, sorted(member.names.items()), sorted(member.core)

    def _row_key(self, key: str, number: int) -> str:
        """Return the key of a checkpoint's numbers: that of its counts, with all settings."""
        settings, member = self._around.settings, self._members[number]
        how = (
            to_plain(settings.analysis),
            settings.packed,
            self._reference,
            plane_fields(settings.analysis),
            change_fields(),
        )
        return cache_key("rows", key, how, sorted(member.core), member.complete)

    def _rows(self, key: str) -> Rows | None:
        try:
            return Rows.from_plain(get_json(self._store, key))
        except (KeyError, TypeError, ValueError):
            return None

    # ------------------------------------------------------------------------------------------------ what is made

    def _made(self, number: int, missing: Mapping[str, tuple[str, int | None]]) -> dict[str, Rows]:
        """Return the numbers of some kinds, from counts in the store if all are there, else by reading."""
        member = self._members[number]
        with ExitStack() as stack:
            opened = Opened(member, self._around, stack)
            with suppress(LostError):
                rows = self._recalled(opened, number, missing)
                opened.check_unchanged()
                return rows
            rows, keep = self._read(opened, number, missing)
        self._kept[number] = keep
        return rows

    def _recalled(self, opened: Opened, number: int, missing: Mapping[str, tuple[str, int | None]]) -> dict[str, Rows]:
        """Return the numbers, made of counts in the store; raises LostError where not all are there."""
        views = range(len(opened.quantizers))
        kept = {kind: [self._kept_layers(opened, key, view) for view in views] for kind, (key, _) in missing.items()}
        rows: dict[str, Rows] = {}
        for kind, (_, other) in missing.items():
            if other is None:
                known = known_counts([map(_counted, layers) for layers in kept[kind]])
                rows[kind] = self._evaluated(opened, number, partial(opened.recall, known=known))
                continue
            changes = ChangeRows(self._around.settings.analysis)
            for view in views:
                self._add_changes(changes, opened, number, view, kept[kind][view])
            rows[kind] = changes.finish(self._complete(number, other))
        return rows

    def _kept_layers(self, opened: Opened, key: str, view: int) -> Iterator[LayerCounts]:
        """Return the counts of all layers under one quantizer; raises LostError, at the latest on the way."""
        found = recall(self._store, cache_key(key, view), self._counting)
        if found is None:
            raise LostError
        return _in_order(found, opened.layers)

    def _add_changes(
        self, changes: ChangeRows, opened: Opened, number: int, view: int, kept: Iterator[LayerCounts]
    ) -> None:
        for layer, counts in zip(opened.layers, kept, strict=True):
            self._add_change(changes, opened, number, view, layer, counts.planes)

    def _add_change(
        self,
        changes: ChangeRows,
        opened: Opened,
        number: int,
        view: int,
        layer: Layer,
        planes: tuple[BlockCounts, ...] | None,
    ) -> None:
        name = layer.tensor.name
        core = name in self._members[number].core
        changes.add(layer, name, opened.quantizers[view].planes(layer.dtype), planes, core)

    def _read(
        self, opened: Opened, number: int, missing: Mapping[str, tuple[str, int | None]]
    ) -> tuple[dict[str, Rows], PackedCheckpoint]:
        """Return the numbers of some kinds, by reading the checkpoint; and its bits, for those that come after it."""
        against = {
            kind: bits
            for kind, (_, other) in missing.items()
            if other is not None and (bits := self._bits_or_none(kind, other)) is not None
        }
        keep, analysis = PackedCheckpoint(), self._around.settings.analysis
        changes = {kind: ChangeRows(analysis) for kind in against}
        keys = {kind: key for kind, (key, other) in missing.items() if other is None or kind in against}
        writers = _Writers(self._store, keys, self._counting, len(opened.quantizers))

        tracked = Changes(against.get(_PREVIOUS), against.get(_FIRST), keep)

        def scanned(at: int) -> Iterator[LayerResults]:
            for results in opened.scan(at, tracked, streams=_PLANES in missing):
                for view, (fit, counted) in enumerate(zip(results.fits, results.counted, strict=True)):
                    writers.add_planes(view, results.layer, fit, counted)
                    for kind, rows in changes.items():
                        planes = None if counted.changed is None else getattr(counted.changed, kind)
                        writers.add_change(kind, view, results.layer, planes)
                        self._add_change(rows, opened, number, view, results.layer, planes)
                yield results

        rows: dict[str, Rows] = {}
        try:
            if _PLANES in missing:
                rows[_PLANES] = self._evaluated(opened, number, scanned)
            else:
                _exhaust(scanned(at) for at in range(len(opened.plans)))
            opened.check_unchanged()
        except BaseException:
            keep.bits.close()
            raise
        writers.finish()
        for kind, made in changes.items():
            other = missing[kind][1]
            rows[kind] = made.finish(other is not None and self._complete(number, other))
        return rows, keep

    def _complete(self, number: int, other: int) -> bool:
        return self._members[number].complete and self._members[other].complete

    def _bits_or_none(self, kind: str, number: int) -> PackedCheckpoint | None:
        """Return the bits of an earlier checkpoint; None, and it is remembered why, where it can't be read any more."""
        try:
            return self._bits_of(number)
        except CheckpointError as error:
            self._lost[kind] = error
            return None

    def _bits_of(self, number: int) -> PackedCheckpoint:
        """Return the bits of an earlier checkpoint: kept since it was read, or read again."""
        if number not in self._kept:
            with ExitStack() as stack:
                member = self._members[number]
                opened = Opened(member, self._around, stack)
                keep = PackedCheckpoint()
                try:
                    tracked = Changes(None, None, keep)
                    _exhaust(opened.scan(at, tracked, streams=False) for at in range(len(opened.plans)))
                    opened.check_unchanged()
                except BaseException:
                    keep.bits.close()
                    raise
                self._kept[number] = keep
        return self._kept[number]

    def _evaluated(self, opened: Opened, number: int, results: Callable[[int], Iterator[LayerResults]]) -> Rows:
        """Return the numbers of a checkpoint, exactly as analyze has them; results: of the layers of each plan."""
        around, member = self._around, self._members[number]
        analysis = around.settings.analysis
        progress = replace(around.progress, on_layer=lambda _layer: None)
        rows = Rows()
        for at, plan in enumerate(opened.plans):
            run = Run(plan, opened.reach, progress, opened.reference_reach, results(at))
            layers, model = run.finish()
            for layer in layers:
                rows.layers[layer.name] = layer_rows(layer, analysis)
                rows.warnings += [(layer.name, text) for text in layer.warnings]
            if at == 0:
                rows.notes = notes_of(layers, analysis)
                rows.model = model_rows(model, analysis) if member.complete else {}
        return rows


class _Writers:
    """The writers of a checkpoint's counts, one for each kind and quantizer."""

    def __init__(self, store: Store, keys: Mapping[str, str], settings: Mapping[str, object], views: int) -> None:
        self._writers = {
            kind: [CountsWriter(store, cache_key(key, view), settings) for view in range(views)]
            for kind, key in keys.items()
        }

    def add_planes(self, view: int, layer: Layer, fit: Fit, counted: CountedLayer) -> None:
        """Return a layer's own counts."""
        if _PLANES in self._writers:
            found = counted.planes, fit, counted.zeros, counted.nonfinite, counted.at_most_two_values
            self._writers[_PLANES][view].add(LayerCounts(layer.tensor.name, layer.tensor.shape, *found))

    def add_change(self, kind: str, view: int, layer: Layer, planes: tuple[BlockCounts, ...] | None) -> None:
        """Those of its change."""
        self._writers[kind][view].add(LayerCounts(layer.tensor.name, layer.tensor.shape, planes))

    def finish(self) -> None:
        """Everything was counted."""
        for writers in self._writers.values():
            for one in writers:
                one.finish()


def _exhaust(scans: Iterable[Iterator[Any]]) -> None:
    """Read everything for what comes with the counts."""
    for some in scans:
        for _ in some:
            pass


def _in_order(found: Iterator[LayerCounts], layers: Sequence[Layer]) -> Iterator[LayerCounts]:
    """Yield the counts of the layers; raises LostError where they are not those."""
    for layer in layers:
        counts = next(found, None)
        if counts is None or counts.name != layer.tensor.name:
            raise LostError
        yield counts


def _counted(kept: LayerCounts) -> tuple[Fit, CountedLayer]:
    """Return the counts as they came from reading."""
    if kept.planes is None:
        raise LostError
    return kept.fit, CountedLayer(kept.planes, kept.zeros, kept.nonfinite, kept.at_most_two_values)


def _renamed(rows: Rows, names: Mapping[str, str]) -> Rows:
    """Return the rows with the names of their series."""
    layers = {names[name]: planes for name, planes in rows.layers.items() if name in names}
    warnings = [(names.get(name, name), text) for name, text in rows.warnings]
    return Rows(layers, rows.model, warnings, rows.notes)
