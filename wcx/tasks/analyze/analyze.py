"""Analyze a checkpoint, or measure an array in memory: the public entry points."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from wcx.blocks.layout import arrange
from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import UsageError
from wcx.core.progress import Progress
from wcx.core.report import LayerReport, Report
from wcx.core.settings import Settings
from wcx.scan.engine import Engine, Threads
from wcx.scan.threads import cores
from wcx.tasks.analyze.plan import make_plan, quantizer_of, resolve
from wcx.tasks.analyze.report import make_report
from wcx.tasks.analyze.run import Reach, Run, is_large
from wcx.tasks.analyze.selection import select
from wcx.tasks.analyze.settings import check_whole, make_settings, scheme_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def analyze(path: str | os.PathLike[str], *, threads: int | None = None, **settings: Any) -> Report:  # noqa: ANN401
    """Analyse one checkpoint and return its report.

    path: a checkpoint file, an index of shards, or a directory with one. threads: workers, all cores by default; the
    report does not depend on it. settings: preset, quantize, block, boundary, layout, measures, null, rarefy, seed,
    include, exclude, include_optimizer, reference, as the options of `wcx analyze` (see make_settings).

    Raises CheckpointError for a checkpoint that can't be read, UsageError for settings that make no sense.

        report = wcx.analyze("model.safetensors", quantize="sign", exclude=["lm_head.*"])
        report.layers[0].planes[0].bdm
    """
    from wcx.formats import open_checkpoint

    made = make_settings(**settings)
    return analyze_checkpoint(open_checkpoint(path), made, Threads(_workers(threads)), reference=open_reference(made))


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
    engine: Engine,
    progress: Progress | None = None,
    reference: Checkpoint | None = None,
) -> Report:
    """Analyze an opened checkpoint. progress.on_layer gets every layer as soon as it and all before it are done.

    reference: what settings.reference names, opened.
    """
    from wcx.formats import open_reader
    from wcx.scan.sources import FileSource

    progress = progress or Progress()
    plan = make_plan(checkpoint, settings, reference)
    progress.on_start(plan.nbytes)
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(checkpoint))
        theirs = reader if reference is None else stack.enter_context(open_reader(reference))
        own, other = (
            Reach(partial(FileSource, some), engine, progress.on_bytes, is_large(plan)) for some in (reader, theirs)
        )
        run = Run(plan, own, progress, None if reference is None else other)
        report = make_report(checkpoint, plan, settings, run)
        reader.check_unchanged()
        theirs.check_unchanged()
    return report


def measure(array: ArrayLike, *, name: str = "array", threads: int | None = None, **settings: Any) -> LayerReport:  # noqa: ANN401
    """Measure one array in memory and return its report.

    array: two or more dimensions, of any real NumPy dtype, or of ml_dtypes' (bfloat16, float8_*); rows are its first
    axis. name: of the layer, which also seeds what is drawn. settings: as for analyze, less include and exclude.

    Raises UsageError for an array that has no 4x4 block or no order (complex).

        wcx.measure(numpy.zeros((12, 12), numpy.float32)).planes[0].bdm  ->  25.176631293734488
    """
    import numpy as np

    from wcx.scan.layers import layer_of
    from wcx.scan.sources import ArraySource

    if np.ma.is_masked(array):
        raise UsageError("an array with masked values can't be measured: fill it first")
    if {"include", "exclude"} & settings.keys():
        raise UsageError("include and exclude select tensors of a checkpoint: leave them out for an array")
    if settings.get("reference") is not None:
        raise UsageError("reference compares tensors by name: leave it out for an array")
    values = np.asarray(array)
    dtype = _ARRAY_DTYPES.get(values.dtype.name, values.dtype.name)
    reason = "wcx does not support this dtype" if dtype not in DTYPES else None
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
    plan = resolve(made, [layer])
    reach = Reach(partial(ArraySource, codes, little), Threads(_workers(threads)), compiled=is_large(plan))
    layers, _ = Run(plan, reach, Progress()).finish()
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
