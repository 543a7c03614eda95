"""`wcx motifs`: repeated blocks of weights, what they cost in bits, and the projection onto k of them."""

from __future__ import annotations

from typing import Any

import click

from wcx.cli.option_groups import GroupedCommand, option
from wcx.cli.options import (
    OUTPUT,
    choose_output,
    exclude_option,
    include_optimizer_option,
    include_option,
    json_option,
    no_progress_option,
    threads_option,
)
from wcx.core.errors import UsageError

MOTIFS, PROJECTION = "Motifs", "Projection"


@click.command(name="motifs", cls=GroupedCommand)
@click.argument("checkpoint", metavar="CHECKPOINT")
@option(MOTIFS, "-b", "--block", default="2", metavar="SPEC", text="Values of a block, or rows x columns: 2 | 4x4.")
@option(
    MOTIFS,
    "--q",
    type=click.IntRange(min=1),
    metavar="BITS",
    usual="those of the dtype",
    text="Bits of a stored value.",
)
@option(PROJECTION, "--k", type=click.IntRange(min=1), metavar="N", text="Project onto N motifs.")
@option(
    PROJECTION,
    "--capacity",
    metavar="SHARE",
    text="Project onto this share of the number of blocks: 5% | 0.05.",
)
@option(PROJECTION, "--zero-block", is_flag=True, text="Make the all-zero block the first motif.")
@option(PROJECTION, "--write", metavar="FILE", text="Write the projected checkpoint to FILE, as safetensors.")
@option(
    PROJECTION,
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    text="Seed of the choice of motifs.",
)
@option(
    OUTPUT, "--top", type=click.IntRange(min=0), default=5, metavar="N", text="Number of most frequent motifs to show."
)
@include_option
@exclude_option
@include_optimizer_option
@json_option
@option(
    OUTPUT, "-o", "--output", metavar="FILE", text="Write to FILE; .json selects JSON, .safetensors works as --write."
)
@threads_option
@no_progress_option
def command(
    checkpoint: str,
    as_json: bool,
    output: str | None,
    write: str | None,
    no_progress: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Count the motifs of a checkpoint (MoMos): distinct blocks of weights, their frequencies and their cost in bits.

    Every tensor of weights is cut into blocks, biases included; the description length is that of the distinct blocks
    plus one index per block. With --k or --capacity, each block is replaced by the nearest of k motifs drawn at random.

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
            raise UsageError("--write and -o both name a checkpoint to write: give only one")
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
