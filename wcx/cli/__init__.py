"""The entry of the command line, and the one place where an error becomes a line on stderr and an exit code.

Imports little: signals are quiet from `main` on, which must come soon.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

from wcx.cli.exit_codes import BROKEN_PIPE, BUG, DONE, HUNG_UP, INTERRUPTED, TERMINATED, UNWRITABLE

TYPE_CHECKING = False  # without typing, which takes long to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["main", "run"]

_WRITE_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_SIGNALS = {"SIGINT": INTERRUPTED, "SIGTERM": TERMINATED, "SIGHUP": HUNG_UP}
_LATER_SECONDS = 0.05


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _end_by_signals()
    from contextlib import suppress

    for library in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # threads that wait longer than they work
        os.environ.setdefault(library, "1")
    sys.unraisablehook = _end_after_all
    code = run(sys.argv[1:])
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.flush()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the codes are those of docs/exit-codes.md."""
    from contextlib import suppress

    import click

    from wcx.cli.group import cli
    from wcx.cli.messages import print_error
    from wcx.core.errors import WcxError
    from wcx.core.guard import guarded

    if sys.stdout is None:  # closed before we began
        print_error("stdout is closed: redirect it, or use -o FILE")
        return UNWRITABLE
    try:
        with guarded():
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
        return next((code for code in _SIGNALS.values() if code == exit_.code), None) or _give_up_stdout(BROKEN_PIPE)
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
    from wcx.cli.messages import print_error

    print_error(f"stdout can't be written: {error.strerror}")
    return _give_up_stdout(UNWRITABLE)


def _give_up_stdout(code: int) -> int:
    """Point stdout at nothing, so that closing it raises nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _end_by_signals() -> None:
    """Let signals raise SystemExit, so that every `finally` runs and nothing half-written stays behind.

    Ctrl-C too: Python ends a process by the signal itself, whatever its exit code, if a KeyboardInterrupt has once gone
    through code that was made from a string, as importing a module with dataclasses does. A signal that the shell has
    ignored (in the background, or by nohup) stays ignored.
    """
    for name, code in _SIGNALS.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, lambda *_signal, code=code: sys.exit(code))


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
    from contextlib import suppress

    import click

    from wcx.core.version import __version__

    with suppress(OSError):
        traceback.print_exc()
        click.echo(f"\nwcx {__version__}: this is a bug in wcx. Please report it with the lines above.", err=True)
    return BUG
