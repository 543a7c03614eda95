"""The stream that data are written to: stdout, or a file that appears under its name only when all of it is written."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from wcx.core.files import written


@contextmanager
def open_output(output: str | None) -> Iterator[TextIO]:
    """Yield stdout for None or `-`, else a file; raise UsageError as `written` does."""
    if output is None or output == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names can hold what the locale has no bytes for
        yield sys.stdout
        return
    with written(output, "-o") as descriptor, _text(descriptor) as stream:
        yield stream


def _text(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
