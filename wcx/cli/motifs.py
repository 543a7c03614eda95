"""`wcx motifs`: repeated blocks of weights, what they cost in bits, and the projection onto k of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from wcx.cli.options import choose_output
from wcx.cli.text_table import write_table
from wcx.errors import UsageError
from wcx.escape import escape

if TYPE_CHECKING:
    from wcx.motifs.fields import DtypeMotifs, LayerMotifs, ModelMotifs, MotifReport, Projection, TopMotif, UsageClass

__all__ = ["command"]

_VALUES_SHOWN = 8
_NAME_SHOWN = 100


@click.command(name="motifs")
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("-b", "--block", default="2", metavar="SPEC", help="Values of a block, or rows and columns: 2 | 4x4  [2]")
@click.option("--q", type=click.IntRange(min=1), metavar="BITS", help="Bits of a stored value.  [those of its dtype]")
@click.option("--k", type=click.IntRange(min=1), metavar="N", help="Project onto N motifs.")
@click.option("--capacity", metavar="SHARE", help="Project onto as many motifs as that share of the blocks: 5% | 0.05")
@click.option("--zero-block", is_flag=True, help="The first motif is all zeros.")
@click.option("--write", metavar="FILE", help="Write the projected checkpoint to FILE, as safetensors.")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Draws the motifs.  [0]")
@click.option("--top", type=click.IntRange(min=0), default=5, metavar="N", help="Motifs shown, the most used.  [5]")
@click.option("--include", multiple=True, metavar="GLOB", help="Only tensors of that name, whatever their type.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors of that name; repeatable as --include.")
@click.option("--include-optimizer", is_flag=True, help="The optimizer's state too.")
@click.option("-j", "--threads", type=click.IntRange(min=1), metavar="N", help="Workers.  [all cores, at most 8]")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE: .json is JSON, .safetensors is as --write.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
def command(
    checkpoint: str,
    as_json: bool,
    output: str | None,
    write: str | None,
    threads: int | None,
    no_progress: bool,
    **options: object,
) -> int:
    """Count the motifs of a checkpoint (MoMos): different blocks of weights, how often each occurs, what they cost.

    Every tensor of weights is cut into blocks, biases too; the description length is that of the different blocks and
    of one number for each block. With --k or --capacity every block becomes the nearest of that many, drawn at random.

    \b
    Examples:
      wcx motifs model.safetensors
      wcx motifs model.safetensors --block 4 --capacity 5% --zero-block
      wcx motifs model.safetensors --block 4 --k 1000 --write projected.safetensors
    """
    from wcx.cli.destination import opened
    from wcx.cli.progress import progress_bar
    from wcx.formats import open_checkpoint
    from wcx.motifs.report import motifs_of
    from wcx.motifs.run import Progress
    from wcx.motifs.settings import make_motif_settings
    from wcx.workers import cores

    if (output or "").lower().endswith(".safetensors"):
        if write is not None:
            raise UsageError("--write and -o both name a checkpoint to write: give one")
        write, output = output, None
    kind = choose_output("json" if as_json else None, output)
    if kind not in ("table", "json"):
        raise UsageError(f"-o {output}: motifs writes table and json, not {kind}")
    settings = make_motif_settings(**options)
    described = open_checkpoint(checkpoint)
    with opened(output) as stream:
        with progress_bar(not no_progress, described.nbytes, lambda _layer: None) as bar:
            progress = Progress(bar.on_start, bar.on_bytes)
            report = motifs_of(described, settings, threads or cores(), write=write, progress=progress)
        if kind == "json":
            _write_json(stream, report)
        else:
            _write_text(stream, report, write)
    return 0


def _write_json(stream: TextIO, report: MotifReport) -> None:
    from wcx.outputs.encoding import Encoder

    stream.writelines(Encoder.for_stream(stream, indented=True).pieces(report))
    stream.write("\n")


# ---------------------------------------------------------------------------------------------------- how it looks

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
