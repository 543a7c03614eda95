"""Files of this machine: regular ones opened and read safely; new ones that appear only when they are complete."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wcx.core.checkpoint import Signature
from wcx.core.errors import ChangedFileError, CheckpointError, UsageError
from wcx.core.guard import claim, note_read

TEMPORARY = ".wcx-"
"""The prefix of the names of temporary files."""


@contextmanager
def written(path: str, option: str) -> Iterator[int]:
    """Yield a descriptor that writes the file at `path`, which appears there only when all of it is written.

    Pipes and devices are written straight. option: which names the file, such as `-o`. Raises UsageError where it can't
    be written, or where this run reads it (see `guard`), BrokenPipeError where nobody reads a pipe any more.
    """
    label = f"{option} {path}"
    with _write_failures(label):
        claim(path, label)
        if os.path.exists(path) and not os.path.isfile(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        else:
            target = os.path.realpath(path)
            with replaced(target) as descriptor:
                yield descriptor
                claim(target, label)


@contextmanager
def _write_failures(label: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{label}: can't be written: {error.strerror or error}") from error


def claim_output(path: str, option: str) -> None:
    """Raise what `written` would raise at once for a file that this run reads or writes already."""
    label = f"{option} {path}"
    with _write_failures(label):
        claim(path, label)


@contextmanager
def replaced(target: str, mode: int | None = None) -> Iterator[int]:
    """Yield the descriptor of a temporary file next to `target` that replaces it at the end.

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
    """Return the mode that the file has, or that a new one gets (mkstemp gives none to others)."""
    with suppress(FileNotFoundError):
        return os.stat(target).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def open_regular(path: str, wanted: str = "a checkpoint file") -> Iterator[tuple[int, os.stat_result]]:
    """Yield a descriptor of the regular file at `path` and its status; CheckpointError where there is none."""
    descriptor = open_descriptor(path, wanted)
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def open_descriptor(path: str, wanted: str = "a checkpoint file") -> int:
    """Open the regular file at `path` for reading; CheckpointError where there is none.

    `wanted` is what a message says should be named instead. Checks the kind of the file before opening it, since
    opening a pipe waits and opening a device can have effects, and again afterwards, since it may have changed in
    between.
    """
    try:
        _check_regular(path, os.stat(path), wanted)
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise CheckpointError(path, describe_os_error(path, error)) from error
    try:
        status = os.fstat(descriptor)
        _check_regular(path, status, wanted)
        note_read(path, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: str, status: os.stat_result, wanted: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "a special file")
    raise CheckpointError(path, f"{kind}, not a file: name {wanted}")


def describe_os_error(path: str, error: OSError | ValueError) -> str:
    """Return one line that says why the file at `path` could not be opened."""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return f"a symbolic link to {os.readlink(path)}, which does not exist"
    if isinstance(error, FileNotFoundError):
        return "no such file or directory"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, ValueError):
        return "not a valid file name (it has a NUL or a character that can't be encoded)"
    if error.strerror == "Too many levels of symbolic links":
        return "a loop of symbolic links"
    return f"can't be read: {error.strerror or error}"


def signature_of(status: os.stat_result) -> Signature:
    """Return the part of a file's status that changes when the file does."""
    return Signature(nbytes=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)


def read_extent(descriptor: int, path: str, start: int, nbytes: int) -> bytes:
    """Return `nbytes` bytes from byte `start` on; the caller has checked both against the size of the file."""
    parts = []
    while nbytes:
        try:
            part = os.pread(descriptor, nbytes, start)
        except OSError as error:
            raise _failed_read(path, error, start) from error
        if not part:
            raise _shorter(path, start)
        parts.append(part)
        start += len(part)
        nbytes -= len(part)
    return b"".join(parts)


def read_extent_into(descriptor: int, path: str, start: int, out: memoryview) -> None:
    """Fill `out` from byte `start` on, however many reads it takes."""
    done = 0
    while done < len(out):
        try:
            count = os.preadv(descriptor, [out[done:]], start + done)
        except OSError as error:
            raise _failed_read(path, error, start + done) from error
        if not count:
            raise _shorter(path, start + done)
        done += count


def _failed_read(path: str, error: OSError, offset: int) -> CheckpointError:
    return CheckpointError(path, f"can't be read: {error.strerror or error}", offset)


def _shorter(path: str, offset: int) -> ChangedFileError:
    return ChangedFileError(path, "the file shrank while it was read: run again once it is complete", offset)
