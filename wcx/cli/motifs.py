"""`wcx motifs`: repeated blocks of weights, what they cost in bits, and the projection onto k of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from wcx.cli.options import choose_output
from wcx.core.errors import UsageError
from wcx.outputs.motifs.table import _write_text

if TYPE_CHECKING:
    from wcx.core.motifs import MotifReport


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
    from wcx.cli.output_file import opened
    from wcx.cli.progress import progress_bar
    from wcx.formats import open_checkpoint
    from wcx.scan.threads import cores
    from wcx.tasks.motifs.motifs import motifs_of
    from wcx.tasks.motifs.project import Progress
    from wcx.tasks.motifs.settings import make_motif_settings

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
    from wcx.outputs.shared.json import Encoder

    stream.writelines(Encoder.for_stream(stream, indented=True).pieces(report))
    stream.write("\n")
