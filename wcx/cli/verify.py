"""`wcx verify`: recompute a sample with pybdm, and say whether every digit agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from wcx.cli.options import QUANTIZE

if TYPE_CHECKING:
    from wcx.verification import Verification

__all__ = ["command"]

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
    from wcx.cli.destination import opened
    from wcx.formats import open_checkpoint
    from wcx.settings import make_settings
    from wcx.verification import verify
    from wcx.workers import cores

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


def _write_text(stream: TextIO, found: Verification) -> None:
    from wcx.escape import escape

    for plane in found.planes:
        rows = "all rows" if plane.rows == (0, plane.matrix[0]) else f"rows {plane.rows[0]} to {plane.rows[1]}"
        title = f"{escape(plane.name)}  {plane.plane}  {plane.matrix[0]}x{plane.matrix[1]}, {rows}"
        stream.write(f"{title}{'' if plane.agrees else '  DIFFERS'}\n")
        for value in plane.values:
            mark = "ok" if value.agrees else "DIFFERS"
            difference = "" if value.difference is None else f"{value.difference:.1e}"
            stream.write(
                f"  {value.measure:24}  wcx {value.wcx!s:>20}  pybdm {value.pybdm!s:>20}  {difference:>7}  {mark}\n"
            )
    values = sum(len(plane.values) for plane in found.planes)
    agreeing = sum(value.agrees for plane in found.planes for value in plane.values)
    of_all = f"{found.layers_checked} of {found.layers_total} layers"
    stream.write(
        f"{agreeing} of {values} values agree with pybdm {found.pybdm} to {found.tolerance:.0e}: {of_all} compared\n"
    )
