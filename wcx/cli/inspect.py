"""`wcx inspect`: tensors, dtypes, shapes, bytes and metadata of checkpoints, from their headers alone."""

from __future__ import annotations

from typing import Any

import click

from wcx.cli.exit_codes import DONE, UNREADABLE
from wcx.cli.messages import print_error
from wcx.cli.option_groups import GroupedCommand
from wcx.cli.options import (
    choose_output,
    exclude_option,
    include_optimizer_option,
    include_option,
    json_option,
    output_option,
)
from wcx.core.errors import CheckpointError


@click.command(name="inspect", cls=GroupedCommand)
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@include_option
@exclude_option
@include_optimizer_option
@json_option
@output_option
def command(checkpoints: tuple[str, ...], as_json: bool, output: str | None, **options: Any) -> int:  # noqa: ANN401
    """List the tensors of a checkpoint and mark those that `wcx analyze` counts, from the headers alone.

    A CHECKPOINT is a file, a directory, or a quoted pattern. --include and --exclude change the marks; all tensors are
    listed.

    \b
    Example:
      wcx inspect model.safetensors
    """
    from wcx.cli.output_file import open_output
    from wcx.formats.find import can_give_several, find_checkpoints
    from wcx.outputs.inspect.table import InspectionTables
    from wcx.outputs.shared.json import JsonWriter
    from wcx.tasks.inspect import inspect

    kind = choose_output("json" if as_json else None, output, "inspect", ("table", "json", "ndjson"))
    code = DONE
    with open_output(output) as stream:
        several = can_give_several(checkpoints) or kind == "ndjson"
        writer = InspectionTables(stream) if kind == "table" else JsonWriter(stream, several=several)
        for path in find_checkpoints(checkpoints):
            try:
                writer.report(inspect(path, **options))
            except CheckpointError as error:
                print_error(str(error))
                writer.error(error)
                code = UNREADABLE
    return code
