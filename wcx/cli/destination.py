"""Where data go: stdout, or a file that appears under its name only when all of it is written."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from wcx.errors import UsageError

__all__ = ["opened"]


@contextmanager
def opened(output: str | None) -> Iterator[TextIO]:
    """Yield stdout for None or `-`, else a file; UsageError where it can't be written.

    A regular file is written beside its place and renamed at the end: an interrupted run leaves nothing half-written.
    """
    if output is None or output == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names can hold what the locale has no bytes for
        yield sys.stdout
        return
    target = os.path.realpath(output)
    try:
        if os.path.exists(target) and not os.path.isfile(target):  # such as /dev/null
            with open(target, "w", encoding="utf-8", errors="backslashreplace") as stream:
                yield stream
        else:
            with _replaced(target) as stream:
                yield stream
    except OSError as error:
        raise UsageError(f"-o {output}: can't be written: {error.strerror or error}") from error


@contextmanager
def _replaced(target: str) -> Iterator[TextIO]:
    """Yield a temporary file beside `target` that takes its place at the end, and is removed if there is none."""
    descriptor, temporary = tempfile.mkstemp(prefix=".wcx-", dir=os.path.dirname(target))
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
        os.chmod(temporary, _mode_of(target))
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _mode_of(target: str) -> int:
    """The mode that the file has, or that a new one gets (mkstemp gives none to others)."""
    with suppress(FileNotFoundError):
        return os.stat(target).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
