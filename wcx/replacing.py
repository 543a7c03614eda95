"""Files that appear under their names only when all of them is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["replaced"]


@contextmanager
def replaced(target: str) -> Iterator[int]:
    """Yield the descriptor of a temporary file beside `target` that takes its place at the end.

    When anything is raised it is removed instead, and `target` stays what it was. Raises OSError.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".wcx-", dir=os.path.dirname(target) or ".")
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
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
