"""The projection of a checkpoint: motifs of each dtype drawn, blocks replaced, measured and written."""

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
from wcx.tasks.motifs.projection import Motifs, ProjectedPiece, draw_motifs, project
from wcx.tasks.motifs.settings import parse_capacity
from wcx.tasks.motifs.writing import writing

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Progress:
    """Callbacks: on_start with the bytes of layers that are about to be read (again), on_bytes as they are read."""

    on_start: Callable[[int], None] = lambda _nbytes: None
    on_bytes: Callable[[int], None] = lambda _nbytes: None


@dataclass(slots=True)
class _Done:
    """The result of the projection of a layer so far; sums by piece. used: how often each motif of its dtype is."""

    layer: Layer
    used: Counts
    changed: int = 0
    kept: int = 0
    squares: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)

    def add(self, piece: ProjectedPiece) -> None:
        """Add the next piece of the layer."""
        found = piece.used[piece.used >= 0]
        np.add.at(self.used, found, 1)
        self.changed += piece.changed
        self.kept += len(piece.used) - len(found)
        self.squares.append(piece.squares)
        self.energies.append(piece.energy)


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
    progress, block = progress or Progress(), parse_block(settings.block)
    drawn: dict[str, Motifs] = {}
    with writing(write, checkpoint) if write is not None else nullcontext() as writer:
        for dtype, group in groups.items():
            progress.on_start(nbytes_of(group))
            drawn[dtype] = draw_motifs(
                group,
                block,
                _k(group, block, settings),
                reader,
                zero_block=settings.zero_block,
                seed=settings.seed,
                threads=threads,
                on_piece=progress.on_bytes,
            )
        used = {dtype: np.zeros(len(motifs), np.int64) for dtype, motifs in drawn.items()}
        by_name = {layer.tensor.name: layer for group in groups.values() for layer in group}
        layers = [by_name[tensor.name] for tensor in checkpoint.tensors if tensor.name in by_name]
        done = [_Done(layer, used[layer.dtype.name]) for layer in layers]
        progress.on_start(nbytes_of(layers))
        motifs_of_layers = [drawn[layer.dtype.name] for layer in layers]
        for number, piece, projected in project(layers, motifs_of_layers, block, reader, threads=threads):
            if writer is not None:
                writer.write(layers[number], piece, projected.codes)
            done[number].add(projected)
            progress.on_bytes(nbytes_of_piece(layers[number], piece))
        if writer is not None:
            for tensor in checkpoint.tensors:
                if tensor.name not in by_name:
                    writer.copy(tensor, reader)
            reader.check_unchanged()  # before the file appears
    return _projection(done, groups, used, block, settings)


def _k(layers: Sequence[Layer], block: Block, settings: MotifSettings) -> int:
    blocks = sum(block.count(layer.rows, layer.columns) for layer in layers)
    if settings.capacity is not None:
        return k_of_capacity(parse_capacity(settings.capacity), blocks)
    return min(settings.k or 1, blocks)


def _projection(
    done: Sequence[_Done],
    groups: Mapping[str, list[Layer]],
    used: Mapping[str, Counts],
    block: Block,
    settings: MotifSettings,
) -> Projection:
    dtypes = tuple(_dtype(groups[name], counts, block, settings.q) for name, counts in used.items())
    return Projection(
        k=sum(item.k for item in dtypes),
        **_distortion(done),
        changed=sum(one.changed for one in done),
        kept=sum(one.kept for one in done),
        **total_costs(dtypes, sum(one.layer.weights * (settings.q or one.layer.dtype.bits) for one in done)),
        dtypes=dtypes,
        layers=tuple(
            LayerProjection(one.layer.tensor.name, **_distortion([one]), changed=one.changed, kept=one.kept)
            for one in done
        ),
    )


def _dtype(layers: Sequence[Layer], counts: Counts, block: Block, q: int | None) -> DtypeProjection:
    dtype, weights = layers[0].dtype, sum(layer.weights for layer in layers)
    often, number = np.unique(counts, return_counts=True)
    usage = dict(zip(often.tolist(), number.tolist(), strict=True))
    return DtypeProjection(dtype.name, len(counts), **costs(usage, block.size, q or dtype.bits, weights))


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
