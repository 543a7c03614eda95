"""Counts and numbers of earlier runs, kept on disk: entries of bytes by key, in the user's cache directory.

They save time and change no result: an entry that is missing, damaged, cut short or foreign is ignored, and less is
kept where the directory can't be written or is full. Nothing here raises OSError.

An entry is a file of its own, `compare/ab/cdef...`, named by the hash of its key: the data, and behind them a checksum
of the data under the key. It is written to a temporary file that is then renamed, so that readers see the whole of it
or nothing, however many processes write the same entry.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import IO

from wcx.core.errors import UsageError
from wcx.core.files import TEMPORARY, replaced

_CHECKSUM = 32
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_SHARD = re.compile("[0-9a-f]{2}")
_ENTRY = re.compile("[0-9a-f]{62}")
_MOST_ENTRY = 32 << 20  # reading counts takes three times as much
_MOST_MIB = 2048
_STALE = 24 * 3600 * 10**9  # ns: a temporary file this old belongs to a run that was killed


def open_store(*, enabled: bool = True) -> Store:
    """Return the user's store; one that keeps nothing if it is not enabled.

    The environment decides where it is (WCX_CACHE_DIR) and how large it may grow (WCX_CACHE_MIB, 2048; 0 is none).
    Raises UsageError if WCX_CACHE_MIB is not a whole number.
    """
    text = os.environ.get("WCX_CACHE_MIB") or str(_MOST_MIB)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"WCX_CACHE_MIB takes a whole number of MiB, 0 or more, not {text!r}")
    if not enabled or int(text) == 0:
        return Store(None)
    store = Store(cache_directory(), int(text) << 20)
    if store.directory is None:
        store.trouble = "counts are not cached: there is no home directory for the cache"
    return store


def cache_directory() -> Path | None:
    """Return the user's cache directory of wcx, which need not exist; None where the user has no home.

    WCX_CACHE_DIR, else where platformdirs has it for the system.
    """
    if own := os.environ.get("WCX_CACHE_DIR"):
        return Path(own).absolute()
    from platformdirs import user_cache_path

    with suppress(RuntimeError):
        usual = user_cache_path("wcx", appauthor=False, opinion=False)
        return usual if usual.is_absolute() else None
    return None


class Store:
    """Bytes by key, in `directory`/compare; with None, nothing is kept. Safe from several threads and processes.

    most_nbytes: what all entries may take together; those that were used longest ago make room for new ones, but never
    those that a run has used itself: a series that does not fit as a whole keeps what did fit.
    trouble: the message for a user whose cache keeps nothing, or not all; None while all is well.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, most_nbytes: int = _MOST_MIB << 20) -> None:
        self.directory = None if directory is None else Path(directory).absolute() / "compare"
        self.trouble: str | None = None
        self._most = most_nbytes
        self._began = time.time_ns()
        self._room = 0  # bytes that may be written before the directory is looked at again
        self._writable = True
        self._trusted: bool | None = None
        self._lock = Lock()

    def get(self, key: bytes | str) -> bytes | None:
        """Return the data that were put under the key, or None. A file that is not a whole entry of it is removed."""
        name = _name_of(key)
        path = self._path(name)
        if path is None or not self._is_ours(path.parent.parent):
            return None
        try:
            with open(path, "rb", opener=lambda path, flags: os.open(path, flags | _FLAGS)) as file:
                status = os.fstat(file.fileno())
                data = _read(file, status, name)
        except OSError:
            return None
        with suppress(OSError):
            if data is None:
                path.unlink()
            elif status.st_mtime_ns < self._began:
                _use(path)
        return data

    def put(self, key: bytes | str, data: bytes) -> None:
        """Keep data under the key, if there is room; `trouble` has the reason if that fails."""
        name = _name_of(key)
        path = self._path(name)
        if path is None or not self._writable or len(data) + _CHECKSUM > _MOST_ENTRY:
            return
        data += _checksum(name, data)
        try:
            if self._prepare(path.parent.parent) and self._take_room(path.parent.parent, len(data)):
                _write(path, data)
        except OSError as error:
            self._stop(f"can't be written: {error.strerror or error}")

    def _path(self, name: str) -> Path | None:
        return None if self.directory is None else self.directory / name[:2] / name[2:]

    def _stop(self, reason: str) -> None:
        """Stop writing; existing entries are still read."""
        self._writable = False
        self.trouble = f"not all counts are cached: the directory {self.directory} {reason}"

    # ------------------------------------------------------------------------------------------------- the directory

    def _prepare(self, root: Path) -> bool:
        """Make the directory, if there is none; whether it may be written to."""
        if not root.is_dir():
            root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.mkdir(mode=0o700, exist_ok=True)
        return self._is_ours(root)

    def _is_ours(self, root: Path) -> bool:
        """Return True if the directory is the user's own and nobody else can write to it; checked once it exists."""
        if self._trusted is None:
            try:
                status = root.lstat()
            except OSError:
                return False
            user = getattr(os, "geteuid", lambda: status.st_uid)()
            shared = status.st_mode & 0o022 and os.name == "posix"
            self._trusted = stat.S_ISDIR(status.st_mode) and status.st_uid == user and not shared
            if not self._trusted:
                self._stop("must belong to this user and be writable by nobody else")
        return self._trusted

    # ------------------------------------------------------------------------------------------------------ its size

    def _take_room(self, root: Path, nbytes: int) -> bool:
        """Return True if an entry of so many bytes may be written; older ones are removed for it."""
        with self._lock:
            if nbytes > self._room and nbytes <= self._most >> 1:
                self._room = self._sweep(root, nbytes)
            if nbytes > self._room:
                self._stop(f"is full: this run uses more than its {self._most >> 20} MiB (see WCX_CACHE_MIB)")
                return False
            self._room -= nbytes
            return True

    def _sweep(self, root: Path, nbytes: int) -> int:
        """Look at all entries, remove the oldest if it must be; returns how much may be written until the next look.

        That is an eighth of the limit, since other processes write too.
        """
        slack = max(nbytes, self._most >> 3)
        entries = sorted(_entries(root, self._began - _STALE))
        total = sum(size for _used, size, _path in entries)
        if total + nbytes > self._most:
            for used, size, path in entries:
                if total + slack <= self._most or used >= self._began:
                    break
                with suppress(OSError):
                    Path(path).unlink()
                total -= size
        return min(self._most - total, slack)


def _name_of(key: bytes | str) -> str:
    """Return the name of a key's entry: 64 hexadecimal digits."""
    data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    return blake2b(data, digest_size=32, person=b"wcx store").hexdigest()


def _checksum(name: str, data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECKSUM, key=bytes.fromhex(name)).digest()


def _read(file: IO[bytes], status: os.stat_result, name: str) -> bytes | None:
    """Return the data of an entry of that name; None if the file is something else or incomplete."""
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_ENTRY:
        return None
    data = file.read(status.st_size)
    data, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    return data if checksum == _checksum(name, data) else None


def _write(path: Path, data: bytes) -> None:
    """Write an entry; its folder is made when there is none yet, or no longer."""
    try:
        _replace(path, data)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _replace(path, data)
    except IsADirectoryError:
        path.rmdir()
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    with replaced(os.fspath(path), mode=0o600) as descriptor, open(descriptor, "wb", closefd=False) as file:
        file.write(data)


def _use(path: Path) -> None:
    """Note that an entry has been used now."""
    now = time.time_ns()
    os.utime(path, ns=(now, now), follow_symlinks=os.utime not in os.supports_follow_symlinks)


def _entries(root: Path, stale: int) -> Iterator[tuple[int, int, str]]:
    """When each entry was last used (ns), its size and its path. Forgotten temporary files are removed."""
    for shard in _listed(root):
        if not _SHARD.fullmatch(shard.name) or not shard.is_dir(follow_symlinks=False):
            continue
        for entry in _listed(Path(shard.path)):
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if _ENTRY.fullmatch(entry.name):
                    yield status.st_mtime_ns, status.st_size, entry.path
                elif entry.name.startswith(TEMPORARY) and status.st_mtime_ns < stale:
                    Path(entry.path).unlink()


def _listed(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return []
