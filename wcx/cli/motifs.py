"""`wcx motifs`: repeated blocks of weights, what they cost in bits, and the projection onto k of them."""

from __future__ import annotations

from typing import Any

import click

from wcx.cli.options import (
    choose_output,
    exclude_option,
    include_option,
    json_option,
    no_progress_option,
    threads_option,
)
from wcx.core.errors import UsageError


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
@include_option
@exclude_option
@click.option("--include-optimizer", is_flag=True, help="The optimizer's state too.")
@threads_option
@json_option
@click.option("-o", "--output", metavar="FILE", help="Write to FILE: .json is JSON, .safetensors is as --write.")
@no_progress_option
def command(
    checkpoint: str,
    as_json: bool,
    output: str | None,
    write: str | None,
    no_progress: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Count the motifs of a checkpoint (MoMos): different blocks of weights, how often each occurs, what they cost.

    Every tensor of weights is cut into blocks, biases too; the description length is that of the different blocks and
    of one number for each block. With --k or --capacity every block becomes the nearest of that many, drawn at random.

    \b
    Examples:
      wcx motifs model.safetensors
      wcx motifs model.safetensors --block 4 --capacity 5% --zero-block
      wcx motifs model.safetensors --block 4 --k 1000 --write projected.safetensors
    """
    from wcx.cli.output_file import open_output
    from wcx.cli.progress import progress_bar
    from wcx.outputs.motifs import table
    from wcx.outputs.shared.json import write_json
    from wcx.tasks.motifs.motifs import motifs
    from wcx.tasks.motifs.project import Progress

    if (output or "").lower().endswith(".safetensors"):
        if write is not None:
            raise UsageError("--write and -o both name a checkpoint to write: give one")
        write, output = output, None
    kind = choose_output("json" if as_json else None, output, "motifs", ("table", "json"))
    with open_output(output) as stream:
        with progress_bar(not no_progress) as bar:
            progress = Progress(bar.on_start, bar.on_bytes)
            report = motifs(checkpoint, write=write, progress=progress, **options)
        if kind == "json":
            write_json(report, stream)
        else:
            table.write(report, stream, write)
