"""`wcx verify`: recompute a sample with pybdm, and say whether every digit agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from wcx.cli.options import QUANTIZE
from wcx.outputs.verify.table import _write_text

if TYPE_CHECKING:
    from wcx.core.verification import Verification

_DISAGREES = 1


@click.command(name="verify")
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("-q", "--quantize", default="sign", metavar="SPEC", help=QUANTIZE)
@click.option("-b", "--block", default="4x4", metavar="SPEC", help="4x4 | 1x12  [4x4]")
@click.option(
    "--boundary", default="ignore", metavar="SPEC", help="ignore | recursive[:MIN] | correlated[:SHIFT]  [ignore]"
)
@click.option("--include", multiple=True, metavar="GLOB", help="Only tensors of that name, whatever their type.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors of that name; repeatable as --include.")
@click.option("--seed", type=int, default=0, metavar="N", help="Draws the layers and rows that are compared.  [0]")
@click.option("--full", is_flag=True, help="Every layer, every weight: pybdm takes 0.4 seconds a million.")
@click.option("-j", "--threads", type=click.IntRange(min=1), metavar="N", help="Workers.  [all cores, at most 8]")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE.")
def command(
    checkpoint: str,
    quantize: str,
    block: str,
    boundary: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    seed: int,
    full: bool,
    threads: int | None,
    as_json: bool,
    output: str | None,
) -> int:
    """Recompute layers of a checkpoint with pybdm 0.1.0 and compare every value.

    Up to 20 layers are drawn by the seed, of each at most 2^20 weights in whole rows of blocks. Exit code 1 when a
    value differs by more than 1e-9.

    \b
    Example:
      wcx verify model.safetensors
    """
    from wcx.cli.output_file import opened
    from wcx.formats import open_checkpoint
    from wcx.scan.threads import cores
    from wcx.tasks.analyze.settings import make_settings
    from wcx.tasks.verify.verify import verify

    settings = make_settings(
        quantize=quantize, block=block, boundary=boundary, include=include, exclude=exclude, seed=seed
    )
    found = verify(open_checkpoint(checkpoint), settings, full=full, threads=threads or cores())
    with opened(output) as stream:
        if as_json or (output or "").endswith(".json"):
            _write_json(stream, found)
        else:
            _write_text(stream, found)
    return 0 if found.agrees else _DISAGREES


def _write_json(stream: TextIO, found: Verification) -> None:
    import json

    json.dump(found.to_dict(), stream, indent=2, allow_nan=False)
    stream.write("\n")
