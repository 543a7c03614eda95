"""Arguments to calls: the command group, and the one place where an error becomes a line and an exit code.

No command is imported before it is asked for, and no command imports numpy, numba, rich or safetensors before it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from wcx import __version__
from wcx.errors import WcxError
from wcx.escape import escape

__all__ = ["cli", "main", "run"]

_COMMANDS = {
    "analyze": "wcx.cli.analyze",
    "inspect": "wcx.cli.inspect",
    "verify": "wcx.cli.verify",
    "kinds": "wcx.cli.kinds",
}
_INTERRUPTED = 130
_BROKEN_PIPE = 141
_BUG = 70


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
    their algorithmic complexity (BDM) and entropy beside what a random shuffle of the same bits would give.

    \b
    Example:
      wcx analyze model.safetensors
    """


def main() -> None:
    """Run the command line and end the process with its exit code."""
    code = run(sys.argv[1:])
    sys.stderr.flush()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the codes are those of docs/exit-codes.md."""
    try:
        result = cli.main(args=list(arguments), prog_name="wcx", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except WcxError as error:
        click.echo(f"wcx: {escape(str(error))}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click exits on its own when nobody reads stdout any more
        return _end_quietly()
    except Exception:
        return _report_bug()
    return result if isinstance(result, int) else 0


def _end_quietly() -> int:
    """Whoever read our output has gone: point stdout at nothing, so that closing it does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE


def _report_bug() -> int:
    import traceback

    traceback.print_exc()
    click.echo(f"\nwcx {__version__}: this is a bug in wcx. Please report it with the lines above.", err=True)
    return _BUG
