"""Every error that wcx raises on purpose, with the exit code it leads to.

    WcxError                        1
    ├── UsageError                  2   what was asked for makes no sense
    ├── CheckpointError             3   an input can't be read
    │   ├── UnknownFormatError      3   the file is nothing that wcx reads
    │   └── ChangedFileError        3   the file changed while it was read
    └── MissingDependencyError      4   an optional library is not installed

Library code raises these; only wcx/cli/__init__.py turns one into a line on stderr and an exit code.
A message says what is wrong, where, and what to do about it.
"""

from __future__ import annotations


class WcxError(Exception):
    """Base of the errors that wcx raises on purpose; `exit_code` is the exit code of the command."""

    exit_code = 1


class UsageError(WcxError):
    """An option or argument that makes no sense: an unknown quantizer, a malformed expression."""

    exit_code = 2


class CheckpointError(WcxError):
    """A checkpoint that can't be read.

    `path` is the file as the user wrote it or as an index names it, `reason` one line without the path,
    `offset` the byte at which the damage shows, or None.
    """

    exit_code = 3

    def __init__(self, path: str, reason: str, offset: int | None = None) -> None:
        self.path = path
        self.reason = reason
        self.offset = offset
        where = "" if offset is None else f" (byte {offset})"
        super().__init__(f"{path}: {reason}{where}")

    def __reduce__(self) -> tuple[type[CheckpointError], tuple[str, str, int | None]]:
        return type(self), (self.path, self.reason, self.offset)


class UnknownFormatError(CheckpointError):
    """A file in no format that wcx reads; the reason names its format where it is recognised."""


class ChangedFileError(CheckpointError):
    """A file that was truncated, replaced or written to while it was read."""


class MissingDependencyError(WcxError):
    """An optional library that is not installed; the message holds the exact pip command."""

    exit_code = 4
