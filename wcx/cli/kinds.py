"""`wcx kinds`: what this installation has."""

from __future__ import annotations

import click


@click.command(name="kinds")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def command(as_json: bool) -> int:
    """List formats, dtypes, quantizers, blocks, boundaries, layouts, measures, nulls, presets and outputs.

    \b
    Example:
      wcx kinds --json
    """
    import json

    from wcx.tasks.kinds import kinds

    found = kinds()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    for kind, entries in found.items():
        if isinstance(entries, str):
            continue
        click.echo(f"{kind}:")
        width = max(len(entry["name"]) for entry in entries)
        for entry in entries:
            click.echo(f"  {entry['name']:{width}}  {entry['summary']}".rstrip())
    return 0
