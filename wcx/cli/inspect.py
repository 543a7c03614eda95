"""`wcx inspect`: tensors, dtypes, shapes, bytes and metadata of checkpoints, from their headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from wcx.cli.messages import complain
from wcx.cli.options import choose_output
from wcx.core.errors import CheckpointError, UsageError
from wcx.outputs.inspect.table import _KINDS, _Show, _text_writer

if TYPE_CHECKING:
    from wcx.core.inspection import Inspection
    from wcx.core.settings import Settings

_UNREADABLE = 3


@click.command(name="inspect")
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option("--include", multiple=True, metavar="GLOB", help="Only tensors whose name matches (repeatable).")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors whose name matches (repeatable).")
@click.option("--include-optimizer", is_flag=True, help="Optimizer state too.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE, as JSON if it is named .json or .ndjson.")
def command(
    checkpoints: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    include_optimizer: bool,
    as_json: bool,
    output: str | None,
) -> int:
    """Show what is in a checkpoint and what `wcx analyze` would count, from its headers alone.

    A CHECKPOINT is a file, a directory, or a quoted pattern. --include and --exclude decide what counts as analysed;
    all tensors are listed.

    \b
    Example:
      wcx inspect model.safetensors
    """
    from wcx.cli.output_file import opened
    from wcx.core.settings import Settings
    from wcx.formats.find import can_give_several, find_checkpoints

    settings = Settings(include=include, exclude=exclude, include_optimizer=include_optimizer)
    kind = choose_output("json" if as_json else None, output)
    if kind not in _KINDS:
        raise UsageError(f"-o {output}: inspect writes {', '.join(_KINDS)}, not {kind}")
    with opened(output) as stream:
        several = can_give_several(checkpoints) or kind == "ndjson"
        show = _text_writer(stream) if kind == "table" else _json_writer(stream, several)
        readable = [_inspect_one(path, settings, show) for path in find_checkpoints(checkpoints)]
    return 0 if all(readable) else _UNREADABLE


def _inspect_one(path: str, settings: Settings, show: _Show) -> bool:
    """Show one checkpoint, or report on stderr why it can't be read; whether it could."""
    from wcx.tasks.inspect import inspect

    try:
        inspection = inspect(path, settings)
    except CheckpointError as error:
        complain(str(error))
        show(error)
        return False
    show(inspection)
    return True


# ---------------------------------------------------------------------------------------------------- how it looks


def _json_writer(stream: TextIO, several: bool) -> _Show:
    from wcx.outputs.shared.json import Encoder, error_fields

    encoder = Encoder.for_stream(stream, indented=not several)

    def show(result: Inspection | CheckpointError) -> None:
        stream.writelines(encoder.pieces(error_fields(result) if isinstance(result, CheckpointError) else result))
        stream.write("\n")
        stream.flush()

    return show
