"""Write a motif report as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from wcx.core.motifs import (
    DtypeMotifs,
    LayerMotifs,
    LayerProjection,
    ModelMotifs,
    MotifReport,
    Projection,
    TopMotif,
    UsageClass,
)
from wcx.core.text import escape
from wcx.outputs.shared.text_table import write_table

_VALUES_SHOWN = 8
_NAME_SHOWN = 100
_COLUMNS = ("layer", "dtype", ">weights", ">blocks", ">distinct", ">used once", ">ratio", ">entropy-coded")
_PROJECTED = ("projected", ">changed", ">mean squared error", ">relative", ">kept")


def write(report: MotifReport, stream: TextIO, written: str | None = None) -> None:
    """Write the layers' motifs, their usage, and the projection; written: the file of the projected checkpoint."""
    checkpoint, model = report.checkpoint, report.model
    block = f"blocks of {report.settings.block}"
    stream.write(escape(f"{checkpoint.path}: {checkpoint.format}, {model.weights:,} weights, {block}") + "\n")
    for note in report.notes:
        stream.write(f"note: {escape(note)}\n")
    write_table(stream, _COLUMNS, list(_rows(report)))
    if report.skipped:
        stream.write(f"\n{len(report.skipped):,} skipped: {_reasons(report)}\n")
    for dtype in model.dtypes:
        stream.write(f"\n{dtype.dtype}: {dtype.length:,} bits, {dtype.length_entropy:,.0f} entropy-coded\n")
        stream.writelines(f"  {line}\n" for line in (*_usage(dtype.usage), *_tops(dtype.top)))
    if report.projection is not None:
        _write_projection(stream, report, report.projection)
    if written is not None:
        stream.write(f"\nwritten to {escape(written)}\n")


def _rows(report: MotifReport) -> Iterator[tuple[str, ...]]:
    for layer in report.layers:
        name = _beginning(" = ".join((layer.name, *layer.aliases)))
        yield _row(name, layer.dtype, layer, layer.usage)
    model = report.model
    if len(model.dtypes) > 1:
        for dtype in model.dtypes:
            yield _row(f"all {dtype.layers} of {dtype.dtype}", dtype.dtype, dtype, dtype.usage)
    yield _row("model", "", model, [item for dtype in model.dtypes for item in dtype.usage])


def _row(
    name: str, dtype: str, costs: LayerMotifs | DtypeMotifs | ModelMotifs, usage: Sequence[UsageClass]
) -> tuple[str, ...]:
    once = sum(item.motifs for item in usage if item.at_most == 1)
    share = f"{100 * once / costs.distinct:.1f} %" if costs.distinct else "-"
    ratios = ["-" if ratio is None else f"{ratio:.4f}" for ratio in (costs.ratio, costs.ratio_entropy)]
    return name, dtype, f"{costs.weights:,}", f"{costs.motifs:,}", f"{costs.distinct:,}", share, *ratios


def _reasons(report: MotifReport) -> str:
    counts = Counter(tensor.reason for tensor in report.skipped)
    return escape(", ".join(f"{count:,} {reason}" for reason, count in counts.items()))


def _usage(usage: Sequence[UsageClass]) -> Iterator[str]:
    """Yield one line with the number of motifs of each class of usage."""
    yield f"motifs by number of uses: {'  '.join(map(_usage_class, usage))}"


def _usage_class(usage: UsageClass) -> str:
    times = f"{usage.at_least:,}" if usage.at_least == usage.at_most else f"{usage.at_least:,}-{usage.at_most:,}"
    return f"{times}x: {usage.motifs:,}"


def _tops(top: Sequence[TopMotif]) -> Iterator[str]:
    for motif in top:
        values = " ".join("not finite" if value is None else f"{value:.6g}" for value in motif.values[:_VALUES_SHOWN])
        more = " ..." if len(motif.values) > _VALUES_SHOWN else ""
        yield f"{motif.count:>12,} x  {values}{more}"


def _write_projection(stream: TextIO, report: MotifReport, projection: Projection) -> None:
    stream.write("\n")
    rows = [_projected_row(_beginning(layer.name), layer) for layer in projection.layers]
    write_table(stream, _PROJECTED, [*rows, _projected_row("model", projection)])
    for dtype in projection.dtypes:
        zero = ", the first of them all zeros" if report.settings.zero_block else ""
        stream.write(
            f"\n{dtype.dtype}: {dtype.k:,} motifs (seed {report.settings.seed}{zero}), {dtype.length:,} bits, "
            f"ratio {dtype.ratio:.4f}, entropy-coded {dtype.ratio_entropy:.4f}\n"
        )
        stream.writelines(f"  {line}\n" for line in _usage(dtype.usage))


def _projected_row(name: str, projection: LayerProjection | Projection) -> tuple[str, ...]:
    mean, relative = projection.distortion_mean, projection.distortion_relative
    return name, f"{projection.changed:,}", _number(mean), _percent(relative), f"{projection.kept:,}"


def _beginning(name: str) -> str:
    name = escape(name)
    return name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}..."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.4g} %"
