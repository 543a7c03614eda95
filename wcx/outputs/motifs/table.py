"""Write a motif report as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from wcx.core.text import escape
from wcx.outputs.shared.text_table import write_table

if TYPE_CHECKING:
    from wcx.core.motifs import DtypeMotifs, LayerMotifs, ModelMotifs, MotifReport, Projection, TopMotif, UsageClass

_VALUES_SHOWN = 8
_NAME_SHOWN = 100
_COLUMNS = ("layer", "dtype", ">weights", ">blocks", ">distinct", ">used once", ">ratio", ">entropy-coded")
_PROJECTED = ("projected", ">changed", ">mean squared error", ">relative", ">kept")


def _write_text(stream: TextIO, report: MotifReport, write: str | None) -> None:
    checkpoint, model = report.checkpoint, report.model
    block = f"blocks of {report.settings.block}"
    stream.write(escape(f"{checkpoint.path}: {checkpoint.format}, {model.weights:,} weights, {block}") + "\n")
    for note in report.notes:
        stream.write(f"note: {escape(note)}\n")
    write_table(stream, _COLUMNS, list(_rows(report)))
    if report.skipped:
        stream.write(f"\n{len(report.skipped):,} not cut: {_reasons(report)}\n")
    for dtype in model.dtypes:
        stream.write(f"\n{dtype.dtype}: {dtype.length:,} bits, {dtype.length_entropy:,.0f} entropy-coded\n")
        stream.writelines(f"  {line}\n" for line in (*_usage(dtype.usage), *_tops(dtype.top)))
    if report.projection is not None:
        _write_projection(stream, report, report.projection)
    if write is not None:
        stream.write(f"\nwritten to {escape(write)}\n")


def _rows(report: MotifReport) -> Iterator[tuple[str, ...]]:
    for layer in report.layers:
        name = escape(" = ".join((layer.name, *layer.aliases)))
        yield _row(name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}...", layer.dtype, layer, layer.usage)
    model = report.model
    if len(model.dtypes) > 1:
        for dtype in model.dtypes:
            yield _row(f"all {dtype.layers} of {dtype.dtype}", dtype.dtype, dtype, dtype.usage)
    yield _row("model", "", model, [one for dtype in model.dtypes for one in dtype.usage])


def _row(
    name: str, dtype: str, costs: LayerMotifs | DtypeMotifs | ModelMotifs, usage: Sequence[UsageClass]
) -> tuple[str, ...]:
    once = sum(one.motifs for one in usage if one.at_most == 1)
    share = f"{100 * once / costs.distinct:.1f} %" if costs.distinct else "-"
    ratios = ["-" if ratio is None else f"{ratio:.4f}" for ratio in (costs.ratio, costs.ratio_entropy)]
    return name, dtype, f"{costs.weights:,}", f"{costs.motifs:,}", f"{costs.distinct:,}", share, *ratios


def _reasons(report: MotifReport) -> str:
    counts: dict[str, int] = {}
    for tensor in report.skipped:
        counts[tensor.reason] = counts.get(tensor.reason, 0) + 1
    return escape(", ".join(f"{number:,} {reason}" for reason, number in counts.items()))


def _usage(usage: Sequence[UsageClass]) -> Iterator[str]:
    """How many motifs are used how often, on one line."""
    parts = []
    for one in usage:
        times = f"{one.at_least:,}" if one.at_least == one.at_most else f"{one.at_least:,}-{one.at_most:,}"
        parts.append(f"{times}x: {one.motifs:,}")
    yield f"motifs by use: {'  '.join(parts)}"


def _tops(top: Sequence[TopMotif]) -> Iterator[str]:
    for motif in top:
        values = " ".join("not finite" if value is None else f"{value:.6g}" for value in motif.values[:_VALUES_SHOWN])
        more = " ..." if len(motif.values) > _VALUES_SHOWN else ""
        yield f"{motif.count:>12,} x  {values}{more}"


def _write_projection(stream: TextIO, report: MotifReport, projection: Projection) -> None:
    stream.write("\n")
    rows = [
        (
            escape(layer.name) if len(layer.name) <= _NAME_SHOWN else f"{escape(layer.name[:_NAME_SHOWN])}...",
            f"{layer.changed:,}",
            _number(layer.distortion_mean),
            _percent(layer.distortion_relative),
            f"{layer.kept:,}",
        )
        for layer in projection.layers
    ]
    model = ("model", f"{projection.changed:,}", _number(projection.distortion_mean))
    rows.append((*model, _percent(projection.distortion_relative), f"{projection.kept:,}"))
    write_table(stream, _PROJECTED, rows)
    for dtype in projection.dtypes:
        zero = ", the first all zeros" if report.settings.zero_block else ""
        stream.write(
            f"\n{dtype.dtype}: {dtype.k:,} motifs (seed {report.settings.seed}{zero}), {dtype.length:,} bits, "
            f"ratio {dtype.ratio:.4f}, entropy-coded {dtype.ratio_entropy:.4f}\n"
        )
        stream.writelines(f"  {line}\n" for line in _usage(dtype.usage))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.4g} %"
