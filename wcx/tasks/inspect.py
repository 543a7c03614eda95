"""Describe a checkpoint by its headers alone: no weight is read.

The fields are those of `wcx inspect --json` (docs/schema/inspection-1.json).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from math import prod
from operator import attrgetter
from typing import Any

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.groups import grouped
from wcx.core.inspection import InspectedTensor, Inspection, Total, Totals
from wcx.core.settings import Settings
from wcx.core.version import __version__
from wcx.formats import open_checkpoint
from wcx.tasks.analyze.selection import select_each
from wcx.tasks.analyze.settings import make_settings, scheme_of

SCHEMA = "wcx/inspection/1"


def inspect(path: str | os.PathLike[str], **settings: Any) -> Inspection:  # noqa: ANN401
    """Describe the checkpoint at `path` without reading its weights.

    settings: include, exclude, include_optimizer, block, boundary and layout, as for analyze; they decide which tensors
    count as analysed, all are described. Raises CheckpointError for a checkpoint that can't be read, UsageError for
    settings that make no sense.

        wcx.inspect("model.safetensors").totals.analysed.elements
    """
    made = make_settings(**settings, measures=("bdm",))  # nothing is measured: import no measure
    checkpoint = open_checkpoint(path)
    tensors = _inspected(checkpoint, made)
    return Inspection(
        schema=SCHEMA,
        wcx=__version__,
        checkpoint=checkpoint.summary(),
        tensors=tensors,
        totals=_totals(tensors),
        notes=checkpoint.notes,
    )


def _inspected(checkpoint: Checkpoint, settings: Settings) -> tuple[InspectedTensor, ...]:
    chosen = select_each(checkpoint.tensors, settings, scheme_of(settings))
    return tuple(_with_reason(tensor, checkpoint.files, reason) for tensor, reason in chosen)


def _with_reason(tensor: TensorInfo, files: tuple[str, ...], reason: str | None) -> InspectedTensor:
    return InspectedTensor(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        nbytes=tensor.nbytes,
        role=tensor.role,
        source=tensor.source,
        file=files[tensor.file],
        offset=tensor.offset,
        aliases=tensor.aliases,
        analysed=reason is None,
        reason=reason,
    )


def _totals(tensors: tuple[InspectedTensor, ...]) -> Totals:
    return Totals(
        all=_total(tensors),
        analysed=_total(tensor for tensor in tensors if tensor.analysed),
        dtype=_totals_by("dtype", tensors),
        role=_totals_by("role", tensors),
    )


def _totals_by(field: str, tensors: tuple[InspectedTensor, ...]) -> dict[str, Total]:
    return {key: _total(group) for key, group in grouped(tensors, attrgetter(field)).items()}


def _total(tensors: Iterable[InspectedTensor]) -> Total:
    count = elements = nbytes = 0
    for tensor in tensors:
        count += 1
        elements += prod(tensor.shape)
        nbytes += tensor.nbytes
    return Total(count, elements, nbytes)
