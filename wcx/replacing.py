"""Files that appear under their names only when all of them is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["TEMPORARY", "replaced"]

TEMPORARY = ".wcx-"
"""What the names of temporary files begin with."""


@contextmanager
def replaced(target: str, mode: int | None = None) -> Iterator[int]:
    """Yield the descriptor of a temporary file beside `target` that takes its place at the end.

    mode: of the new file; None leaves it as it was, or as a new file gets it. When anything is raised it is removed
    instead, and `target` stays what it was. Raises OSError.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=os.path.dirname(target) or ".")
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        os.chmod(temporary, _mode_of(target) if mode is None else mode)
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
