"""The command group, and the one place where an error becomes a line on stderr and an exit code.

No command is imported before it is named, and no command imports numpy, numba, rich or safetensors before it runs.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from wcx.cli.exit_codes import BROKEN_PIPE, BUG, DONE, INTERRUPTED, TERMINATED, UNWRITABLE
from wcx.cli.messages import print_error
from wcx.core.errors import WcxError
from wcx.core.version import __version__

__all__ = ["cli", "main", "run"]

_COMMANDS = {
    "analyze": "wcx.cli.analyze",
    "compare": "wcx.cli.compare",
    "inspect": "wcx.cli.inspect",
    "motifs": "wcx.cli.motifs",
    "verify": "wcx.cli.verify",
    "kinds": "wcx.cli.kinds",
}
_WRITE_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_LATER_SECONDS = 0.05


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


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for library in (
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
    ):  # threads that wait longer than they work
        os.environ.setdefault(library, "1")
    signal.signal(signal.SIGTERM, lambda *_signal: _end_by_signal(TERMINATED))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell has it ignored
        signal.signal(signal.SIGINT, lambda *_signal: _end_by_signal(INTERRUPTED))
    sys.unraisablehook = _end_after_all
    code = run(sys.argv[1:])
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.flush()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the codes are those of docs/exit-codes.md."""
    if sys.stdout is None:  # closed before we began
        print_error("stdout is closed: redirect it, or use -o FILE")
        return UNWRITABLE
    try:
        result = cli.main(args=list(arguments), prog_name="wcx", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return _flushed(exit_.exit_code)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except WcxError as error:
        print_error(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except SystemExit as exit_:  # by a signal, or by click, which ends on its own when nobody reads stdout any more
        return int(exit_.code) if exit_.code in (TERMINATED, INTERRUPTED) else _give_up_stdout(BROKEN_PIPE)
    except BrokenPipeError:
        return _give_up_stdout(BROKEN_PIPE)
    except OSError as error:
        return _report_unwritable(error) if error.errno in _WRITE_FAILURES else _report_bug()
    except Exception:
        return _report_bug()
    return result if isinstance(result, int) else DONE


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _report_unwritable(error)
    return code


def _report_unwritable(error: OSError) -> int:
    print_error(f"stdout can't be written: {error.strerror}")
    return _give_up_stdout(UNWRITABLE)


def _give_up_stdout(code: int) -> int:
    """Point stdout at nothing, so that closing it raises nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _end_by_signal(code: int) -> None:
    """Raise SystemExit, so that every `finally` runs and nothing half-written stays behind.

    For Ctrl-C too: Python ends a process by the signal itself, whatever its exit code, if a KeyboardInterrupt has once
    gone through code that was made from a string, as importing a module with dataclasses does.
    """
    sys.exit(code)


def _end_after_all(lost: Any) -> None:  # noqa: ANN401
    """End a little later if a signal came while C code called Python (as the compiler does), which drops it."""
    if not isinstance(lost.exc_value, SystemExit) or not hasattr(signal, "setitimer"):
        sys.__unraisablehook__(lost)
        return
    code = lost.exc_value.code
    signal.signal(signal.SIGALRM, lambda *_signal: sys.exit(code))
    signal.setitimer(signal.ITIMER_REAL, _LATER_SECONDS)


def _report_bug() -> int:
    import traceback

    with suppress(OSError):
        traceback.print_exc()
        click.echo(f"\nwcx {__version__}: this is a bug in wcx. Please report it with the lines above.", err=True)
    return BUG
