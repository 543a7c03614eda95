"""`wcx verify`: recompute a sample with pybdm, read one with the library of the format, and compare every value."""

from __future__ import annotations

from typing import Any

import click

from wcx.cli.exit_codes import DISAGREES, DONE
from wcx.cli.option_groups import GroupedCommand, option
from wcx.cli.options import (
    RUN,
    block_option,
    boundary_option,
    choose_output,
    exclude_option,
    include_option,
    json_option,
    output_option,
    quantize_option,
    threads_option,
)


@click.command(name="verify", cls=GroupedCommand)
@click.argument("checkpoint", metavar="CHECKPOINT")
@quantize_option
@block_option
@boundary_option
@include_option
@exclude_option
@option(RUN, "--seed", type=int, default=0, metavar="N", text="Seed of the choice of layers and rows.")
@option(RUN, "--full", is_flag=True, text="Verify every layer and weight (pybdm takes 0.4 s per million).")
@threads_option
@json_option
@output_option
def command(checkpoint: str, as_json: bool, output: str | None, **options: Any) -> int:  # noqa: ANN401
    """Recompute layers of a checkpoint with pybdm 0.1.0 and compare every value.

    By default, up to 20 random layers and at most 2^20 weights of each, in whole rows of blocks. Also read up to 20
    random tensors with safetensors, onnx or (where installed) torch, and compare dtype, shape and at most 2^18 elements
    of each bit by bit. Exit code 1 if a value differs by more than 1e-9, or a tensor in a bit.

    \b
    Example:
      wcx verify model.safetensors
    """
    from wcx.cli.output_file import open_output
    from wcx.outputs.shared.json import write_json
    from wcx.outputs.verify.table import write
    from wcx.tasks.verify.verify import verify

    kind = choose_output("json" if as_json else None, output, "verify", ("table", "json"))
    with open_output(output) as stream:
        verification = verify(checkpoint, **options)
        (write_json if kind == "json" else write)(verification, stream)
    return DONE if verification.agrees else DISAGREES
