"""`wcx verify`: recompute a sample with pybdm, and compare every value."""

from __future__ import annotations

from typing import Any

import click

from wcx.cli.exit_codes import DISAGREES, DONE
from wcx.cli.options import (
    BLOCK,
    BOUNDARY,
    QUANTIZE,
    choose_output,
    exclude_option,
    include_option,
    json_option,
    threads_option,
)


@click.command(name="verify")
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("-q", "--quantize", default="sign", metavar="SPEC", help=QUANTIZE)
@click.option("-b", "--block", default="4x4", metavar="SPEC", help=BLOCK)
@click.option("--boundary", default="ignore", metavar="SPEC", help=BOUNDARY)
@include_option
@exclude_option
@click.option("--seed", type=int, default=0, metavar="N", help="Draws the layers and rows that are compared.  [0]")
@click.option("--full", is_flag=True, help="Every layer, every weight: pybdm takes 0.4 seconds a million.")
@threads_option
@json_option
@click.option("-o", "--output", metavar="FILE", help="Write to FILE.")
def command(checkpoint: str, as_json: bool, output: str | None, **options: Any) -> int:  # noqa: ANN401
    """Recompute layers of a checkpoint with pybdm 0.1.0 and compare every value.

    Up to 20 layers are drawn by the seed, of each at most 2^20 weights in whole rows of blocks. Exit code 1 when a
    value differs by more than 1e-9.

    \b
    Example:
      wcx verify model.safetensors
    """
    from wcx.cli.output_file import open_output
    from wcx.outputs.shared.json import write_json
    from wcx.outputs.verify.table import write
    from wcx.tasks.verify.verify import verify

    kind = choose_output("json" if as_json else None, output, "verify", ("table", "json"))
    verification = verify(checkpoint, **options)
    with open_output(output) as stream:
        (write_json if kind == "json" else write)(verification, stream)
    return DONE if verification.agrees else DISAGREES
