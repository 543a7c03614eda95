"""The stream that data are written to: stdout, or a file that appears under its name only when all of it is written."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from wcx.core.errors import UsageError
from wcx.core.files import replaced


@contextmanager
def open_output(output: str | None) -> Iterator[TextIO]:
    """Yield stdout for None or `-`, else a file; raise UsageError if it can't be written.

    A regular file is written under another name and renamed at the end: an interrupted run leaves nothing half-written.
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
            with replaced(target) as descriptor, _text(descriptor) as stream:
                yield stream
    except OSError as error:
        raise UsageError(f"-o {output}: can't be written: {error.strerror or error}") from error


def _text(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
