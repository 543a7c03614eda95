"""The command group: no command is imported before it is named.

No command imports numpy, numba, rich or safetensors before it runs.
"""

from __future__ import annotations

from importlib import import_module

import click

from wcx.core.version import __version__

_COMMANDS = {
    "analyze": "wcx.cli.analyze",
    "compare": "wcx.cli.compare",
    "inspect": "wcx.cli.inspect",
    "motifs": "wcx.cli.motifs",
    "verify": "wcx.cli.verify",
    "kinds": "wcx.cli.kinds",
}


class _LazyGroup(click.Group):
    """A command group that imports a command's module when the command is named."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[name]).command
        return command


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from wcx.measures.tables import table_checksums

    click.echo(f"wcx {__version__}")
    for name, shape, checksum in table_checksums():
        click.echo(f"{name} {shape} sha256 {checksum}")
    context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and the checksums of the complexity tables, and exit.",
)
def cli() -> None:
    """Measure what training has written into a network's weights.

    wcx reads a checkpoint (no framework, no data, no training code), turns each layer into planes of bits, and reports
    their algorithmic complexity (BDM) and entropy next to their expectation under a random shuffle of the same bits.

    \b
    Example:
      wcx analyze model.safetensors
    """
