"""One run of the projection over a checkpoint: motifs of each dtype drawn, blocks replaced, measured and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import fsum, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import Checkpoint, TensorReader
from wcx.core.motifs import DtypeProjection, LayerProjection, MotifSettings, Projection
from wcx.scan.layers import Layer
from wcx.tasks.motifs.cut import Block, nbytes_of_piece, parse_block
from wcx.tasks.motifs.lengths import costs, k_of_capacity, total_costs
from wcx.tasks.motifs.projection import Motifs, draw_motifs, project
from wcx.tasks.motifs.settings import parse_capacity
from wcx.tasks.motifs.writing import SafetensorsWriter, writing

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Progress:
    """Callbacks: on_start with the bytes of layers that are about to be read (again), on_bytes as they are read."""

    on_start: Callable[[int], None] = lambda _nbytes: None
    on_bytes: Callable[[int], None] = lambda _nbytes: None


@dataclass(slots=True)
class _Done:
    """The result of the projection of a layer so far; sums by piece."""

    layer: Layer
    changed: int = 0
    kept: int = 0
    squares: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)


def nbytes_of(layers: Sequence[Layer]) -> int:
    """Return the stored bytes of layers."""
    return sum(layer.tensor.nbytes for layer in layers)


def project_layers(
    checkpoint: Checkpoint,
    groups: Mapping[str, list[Layer]],
    reader: TensorReader,
    settings: MotifSettings,
    *,
    threads: int = 1,
    progress: Progress | None = None,
    write: str | None = None,
) -> Projection:
    """Project the layers of each dtype onto motifs of their own; `write` is a file for the projected checkpoint.

    Raises UsageError for a file that can't be written and for motifs that do not fit in memory, CheckpointError where
    the checkpoint can't be read.
    """
    run = _Run(parse_block(settings.block), reader, settings, threads, progress or Progress())
    with writing(write, checkpoint) if write is not None else nullcontext() as writer:
        drawn = {dtype: run.draw(layers) for dtype, layers in groups.items()}
        used = {dtype: np.zeros(len(motifs), np.int64) for dtype, motifs in drawn.items()}
        layers = _in_order(checkpoint, groups)
        done = run.project(layers, drawn, used, writer)
        if writer is not None:
            _copy_others(checkpoint, layers, reader, writer)
    return run.report(done, groups, used)


def _in_order(checkpoint: Checkpoint, groups: Mapping[str, list[Layer]]) -> list[Layer]:
    by_name = {layer.tensor.name: layer for layers in groups.values() for layer in layers}
    return [by_name[tensor.name] for tensor in checkpoint.tensors if tensor.name in by_name]


def _copy_others(
    checkpoint: Checkpoint, layers: Sequence[Layer], reader: TensorReader, writer: SafetensorsWriter
) -> None:
    """Write the tensors that are not projected, and make sure that nothing has changed before the file appears."""
    projected = {layer.tensor.name for layer in layers}
    for tensor in checkpoint.tensors:
        if tensor.name not in projected:
            writer.copy(tensor, reader)
    reader.check_unchanged()


@dataclass(frozen=True, slots=True)
class _Run:
    """The inputs of all steps of one projection."""

    block: Block
    reader: TensorReader
    settings: MotifSettings
    threads: int
    progress: Progress

    def draw(self, layers: Sequence[Layer]) -> Motifs:
        """Draw the motifs of the layers of one dtype."""
        self.progress.on_start(nbytes_of(layers))
        return draw_motifs(
            layers,
            self.block,
            self._k(layers),
            self.reader,
            zero_block=self.settings.zero_block,
            seed=self.settings.seed,
            threads=self.threads,
            on_piece=self.progress.on_bytes,
        )

    def _k(self, layers: Sequence[Layer]) -> int:
        blocks = sum(self.block.count(layer.rows, layer.columns) for layer in layers)
        if self.settings.capacity is not None:
            return k_of_capacity(parse_capacity(self.settings.capacity), blocks)
        return min(self.settings.k or 1, blocks)

    def project(
        self,
        layers: Sequence[Layer],
        drawn: Mapping[str, Motifs],
        used: Mapping[str, Counts],
        writer: SafetensorsWriter | None,
    ) -> list[_Done]:
        """Project the layers, write them, and add to `used` how often each motif is."""
        self.progress.on_start(nbytes_of(layers))
        done = [_Done(layer) for layer in layers]
        motifs = [drawn[layer.dtype.name] for layer in layers]
        for number, piece, projected in project(layers, motifs, self.block, self.reader, threads=self.threads):
            one = done[number]
            if writer is not None:
                writer.write(one.layer, piece, projected.codes)
            found = projected.used[projected.used >= 0]
            np.add.at(used[one.layer.dtype.name], found, 1)
            one.changed += projected.changed
            one.kept += len(projected.used) - len(found)
            one.squares.append(projected.squares)
            one.energies.append(projected.energy)
            self.progress.on_bytes(nbytes_of_piece(one.layer, piece))
        return done

    def report(
        self, done: Sequence[_Done], groups: Mapping[str, list[Layer]], used: Mapping[str, Counts]
    ) -> Projection:
        """Put the numbers together."""
        dtypes = tuple(self._dtype(groups[name], counts) for name, counts in used.items())
        stored = sum(one.layer.weights * (self.settings.q or one.layer.dtype.bits) for one in done)
        return Projection(
            k=sum(item.k for item in dtypes),
            **_distortion(done),
            changed=sum(one.changed for one in done),
            kept=sum(one.kept for one in done),
            **total_costs(dtypes, stored),
            dtypes=dtypes,
            layers=tuple(
                LayerProjection(one.layer.tensor.name, **_distortion([one]), changed=one.changed, kept=one.kept)
                for one in done
            ),
        )

    def _dtype(self, layers: Sequence[Layer], counts: Counts) -> DtypeProjection:
        dtype, weights = layers[0].dtype, sum(layer.weights for layer in layers)
        often, number = np.unique(counts, return_counts=True)
        usage = dict(zip(often.tolist(), number.tolist(), strict=True))
        bits = self.settings.q or dtype.bits
        return DtypeProjection(dtype.name, len(counts), **costs(usage, self.block.size, bits, weights))


def _distortion(done: Sequence[_Done]) -> dict[str, Any]:
    squares = _sum(square for one in done for square in one.squares)
    energy = _sum(energy for one in done for energy in one.energies)
    return {
        "distortion": squares,
        "distortion_mean": None if squares is None else squares / sum(one.layer.weights for one in done),
        "distortion_relative": squares / energy if squares is not None and energy else None,
    }


def _sum(values: Iterable[float]) -> float | None:
    """Return the sum, rounded once; None where float64 can't hold it."""
    try:
        total = fsum(values)
    except OverflowError:
        return None
    return total if isfinite(total) else None
