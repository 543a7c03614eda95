"""`wcx kinds`: list what this installation has."""

from __future__ import annotations

import click

from wcx.cli.option_groups import GroupedCommand
from wcx.cli.options import json_option


@click.command(name="kinds", cls=GroupedCommand)
@json_option
def command(as_json: bool) -> None:
    """List formats, dtypes, quantizers, blocks, boundaries, layouts, measures, nulls, presets and outputs.

    \b
    Example:
      wcx kinds --json
    """
    from wcx.cli.output_file import open_output
    from wcx.outputs.kinds.table import write
    from wcx.outputs.shared.json import write_json
    from wcx.tasks.kinds import kinds

    with open_output(None) as stream:
        (write_json if as_json else write)(kinds(), stream)
