"""`wcx inspect`: tensors, dtypes, shapes, bytes and metadata of checkpoints, from their headers alone."""

from __future__ import annotations

from typing import Any

import click

from wcx.cli.exit_codes import DONE, UNREADABLE
from wcx.cli.messages import print_error
from wcx.cli.options import choose_output
from wcx.core.errors import CheckpointError


@click.command(name="inspect")
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option("--include", multiple=True, metavar="GLOB", help="Only tensors whose name matches (repeatable).")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors whose name matches (repeatable).")
@click.option("--include-optimizer", is_flag=True, help="Optimizer state too.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE, as JSON if it is named .json or .ndjson.")
def command(checkpoints: tuple[str, ...], as_json: bool, output: str | None, **options: Any) -> int:  # noqa: ANN401
    """Show what is in a checkpoint and what `wcx analyze` would count, from its headers alone.

    A CHECKPOINT is a file, a directory, or a quoted pattern. --include and --exclude decide what counts as analysed;
    all tensors are listed.

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
