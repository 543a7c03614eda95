"""The motif report of a checkpoint: blocks counted, costs computed, projection done where it is asked for.

Layers of one dtype share their motifs: the codes of two dtypes are not compared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.decode import plain_values
from wcx.core.dtypes import DTYPES, DType
from wcx.core.errors import UsageError
from wcx.core.files import claim_output
from wcx.core.guard import guarded
from wcx.core.motifs import DtypeMotifs, LayerMotifs, ModelMotifs, MotifReport, MotifSettings, Projection, TopMotif
from wcx.core.report import SkippedTensor
from wcx.core.version import __version__
from wcx.formats import open_checkpoint, open_reader
from wcx.scan.layers import Layer
from wcx.scan.threads import cores
from wcx.tasks.analyze.selection import select_each
from wcx.tasks.analyze.settings import check_whole
from wcx.tasks.motifs.counts import Usage, count_blocks
from wcx.tasks.motifs.cut import Block, codes_of, layer_of, parse_block
from wcx.tasks.motifs.lengths import costs, total_costs
from wcx.tasks.motifs.project import Progress, nbytes_of, project_layers
from wcx.tasks.motifs.settings import make_motif_settings

SCHEMA = "wcx/motifs/1"


def motifs(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    write: str | None = None,
    progress: Progress | None = None,
    **settings: Any,  # noqa: ANN401
) -> MotifReport:
    """Count the motifs of one checkpoint, and project it onto k of them where that is asked for.

    threads: workers, all cores by default; the report does not depend on it. write: a file for the projected one.
    progress: callbacks. settings: those of MotifSettings by name. Raises CheckpointError for a checkpoint that can't be
    read, UsageError for settings that make no sense and for a file that can't be written.

        motifs("model.safetensors", block="2", capacity="5%").projection.distortion
    """
    made = make_motif_settings(**settings)
    if threads is not None:
        check_whole("threads", threads, 1)
    with guarded():
        if write is not None:
            claim_output(write, "--write")
        return motifs_of(open_checkpoint(path), made, threads or cores(), write=write, progress=progress)


def motifs_of(
    checkpoint: Checkpoint,
    settings: MotifSettings,
    threads: int = 1,
    *,
    write: str | None = None,
    progress: Progress | None = None,
) -> MotifReport:
    """Do what `motifs` does, for an opened checkpoint and checked settings."""
    if write is not None and not settings.projects:
        raise UsageError("write needs a projection: give k or capacity too")
    progress = progress or Progress()
    block = parse_block(settings.block)
    layers, skipped = _plan(checkpoint, settings, block)
    if settings.projects and not layers:
        raise UsageError(f"{checkpoint.path}: no tensor to project: wcx motifs --json lists the reasons")
    groups = _by_dtype(layers)
    with open_reader(checkpoint) as reader:
        counted = [
            count_blocks(
                group,
                block,
                reader,
                threads=threads,
                top=settings.top,
                on_start=partial(progress.on_start, nbytes_of(group)),
                on_piece=progress.on_bytes,
            )
            for group in groups.values()
        ]
        projection = None
        if settings.projects:
            projection = project_layers(
                checkpoint, groups, reader, settings, threads=threads, progress=progress, write=write
            )
        reader.check_unchanged()
    dtypes = [
        _dtype_motifs(group, usage, block, settings) for group, (_, usage) in zip(groups.values(), counted, strict=True)
    ]
    usages = {
        layer.tensor.name: usage
        for group, (each, _) in zip(groups.values(), counted, strict=True)
        for layer, usage in zip(group, each, strict=True)
    }
    return MotifReport(
        schema=SCHEMA,
        wcx=__version__,
        checkpoint=checkpoint.summary(),
        settings=settings,
        layers=tuple(_layer_motifs(layer, usages[layer.tensor.name], block, settings) for layer in layers),
        skipped=tuple(skipped),
        model=_model_motifs(dtypes),
        projection=projection,
        notes=(*checkpoint.notes, *_notes(layers, dtypes, projection, write)),
    )


def _plan(checkpoint: Checkpoint, settings: MotifSettings, block: Block) -> tuple[list[Layer], list[SkippedTensor]]:
    layers, skipped = [], []
    for tensor, unwanted in select_each(checkpoint.tensors, settings, None):
        reason = unwanted or _no_parameter(tensor, settings)
        if reason is None:
            layers.append(layer_of(tensor, block))
        else:
            skipped.append(SkippedTensor(tensor.name, tensor.dtype, tensor.shape, tensor.role, reason))
    return layers, skipped


def _no_parameter(tensor: TensorInfo, settings: MotifSettings) -> str | None:
    """Return the reason why a tensor that analyze would take at any shape is not cut: buffers are not parameters."""
    if DTYPES[tensor.dtype].kind == "scale":
        return "E8M0 (no zero)"
    return "buffer" if tensor.role == "buffer" and not settings.include else None


def _by_dtype(layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(layer.dtype.name, []).append(layer)
    return groups


def _counted(usage: Usage, block: Block, dtype: DType, settings: MotifSettings, weights: int) -> dict[str, Any]:
    """Return the fields that a layer and all layers of a dtype have in common."""
    bits = settings.q or dtype.bits
    return {
        "weights": weights,
        "q": bits,
        "motifs": usage.blocks,
        "distinct": usage.distinct,
        "top": _top(usage, block, dtype),
        **costs(usage.often, block.size, bits, weights),
    }


def _layer_motifs(layer: Layer, usage: Usage, block: Block, settings: MotifSettings) -> LayerMotifs:
    tensor = layer.tensor
    counted = _counted(usage, block, layer.dtype, settings, layer.weights)
    return LayerMotifs(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, aliases=tensor.aliases, **counted)


def _dtype_motifs(layers: Sequence[Layer], usage: Usage, block: Block, settings: MotifSettings) -> DtypeMotifs:
    dtype, weights = layers[0].dtype, sum(layer.weights for layer in layers)
    return DtypeMotifs(dtype=dtype.name, layers=len(layers), **_counted(usage, block, dtype, settings, weights))


def _top(usage: Usage, block: Block, dtype: DType) -> tuple[TopMotif, ...]:
    if not usage.top:
        return ()
    codes = codes_of(np.array([words for _, words in usage.top], np.uint64), block.size, dtype)
    return tuple(
        TopMotif(tuple(plain_values(row, dtype)), " ".join(f"{code:0{-(-dtype.bits // 4)}x}" for code in row), count)
        for row, (count, _) in zip(codes, usage.top, strict=True)
    )


def _model_motifs(dtypes: Sequence[DtypeMotifs]) -> ModelMotifs:
    return ModelMotifs(
        layers=sum(item.layers for item in dtypes),
        weights=sum(item.weights for item in dtypes),
        motifs=sum(item.motifs for item in dtypes),
        distinct=sum(item.distinct for item in dtypes),
        dtypes=tuple(dtypes),
        **total_costs(dtypes, sum(item.weights * item.q for item in dtypes)),
    )


def _notes(
    layers: Sequence[Layer], dtypes: Sequence[DtypeMotifs], projection: Projection | None, write: str | None
) -> list[str]:
    notes = []
    if len(dtypes) > 1:
        names = ", ".join(item.dtype for item in dtypes)
        notes.append(f"{names}: each dtype has its own motifs, and the model row adds the counts of all")
    if projection is not None and projection.kept:
        notes.append(
            f"{projection.kept:,} blocks with NaN or infinity were left unchanged; the length does not include them"
        )
    if write is not None and any(layer.tensor.quantization is not None for layer in layers):
        notes.append("the written file has integer codes without the zero points and scales that are not tensors")
    if write is not None and any(layer.tensor.aliases for layer in layers):
        notes.append("tensors with several names were written once per name")
    return notes
