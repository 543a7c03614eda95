"""One small registry, shared by formats, quantizers, measures and outputs.

A registry maps a name to a module that is imported only when it is asked for, so that listing what there is costs
nothing. What wcx has itself is one file and one line in the table of its folder; a package adds its own by an entry
point of the registry's group. Entry points are read when a name is asked for that is not built in, or when a registry
is listed, and never replace what is built in.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wcx.core import registrations
from wcx.core.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
_MOST_BYTES = 1 << 20  # of a file of entry points
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


class Registry(Generic[T]):
    """Names of one kind and where each is defined, as `module:attribute`, in the order they are listed.

    group: of entry points, which come after those of the table, by name; None where there are none. accepts: returns
    True for an object that can be one of the kind.
    """

    def __init__(
        self,
        kind: str,
        table: Mapping[str, str],
        group: str | None = None,
        accepts: Callable[[Any], bool] = lambda _item: True,
    ) -> None:
        self.kind = kind
        self._table = dict(table)
        self._group = group
        self._accepts = accepts
        self._found: dict[str, T] = {}
        self._entries: dict[str, EntryPoint] | None = None

    def __iter__(self) -> Iterator[str]:
        yield from self._table
        yield from self._foreign()

    def names(self) -> tuple[str, ...]:
        """Return all names; those of the table alone where another package's entry points are broken."""
        try:
            return tuple(self)
        except UsageError:
            return tuple(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table or name in self._foreign()

    def __getitem__(self, name: str) -> T:
        """Import and return what is registered under `name`; raise UsageError for an unknown name."""
        if name not in self._found:
            self._found[name] = self._import(name)
        return self._found[name]

    def _import(self, name: str) -> T:
        if name in self._table:
            module, attribute = self._table[name].split(":")
            built_in: T = getattr(import_module(module), attribute)
            return built_in
        if name not in self._foreign():
            raise UsageError(f"unknown {self.kind} {name!r}: choose one of {', '.join(self)}")
        return self._load(self._foreign()[name])

    def values(self) -> Iterator[T]:
        """Import and return all of the kind, in order."""
        return (self[name] for name in self)

    # ------------------------------------------------------------------------------------------------ entry points

    def packages(self) -> list[str]:
        """Return the other packages that add to the registry, with their versions."""
        found = {entry.dist for entry in self._foreign().values() if entry.dist is not None}
        return sorted(f"{package.name} {package.version}" for package in found)

    def _foreign(self) -> dict[str, EntryPoint]:
        """Return the entry points of other packages by name, read once."""
        if self._entries is None:
            self._entries = {} if self._group is None else self._read(self._group)
        return self._entries

    def _read(self, group: str) -> dict[str, EntryPoint]:
        if not _is_mentioned(group):
            return {}
        from importlib.metadata import entry_points

        found: dict[str, EntryPoint] = {}
        for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, _package(entry))):
            if entry.name in self._table:
                raise self._refused(entry, "has the name of a built-in one")
            if entry.name in found:
                raise self._refused(entry, f"is also in the package {_package(found[entry.name])}")
            if not _NAME.fullmatch(entry.name):
                raise self._refused(entry, "must be named with lowercase letters, digits and _")
            found[entry.name] = entry
        return found

    def _load(self, entry: EntryPoint) -> T:
        try:
            item: T = entry.load()
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split())
            raise self._refused(entry, f"can't be loaded: {type(error).__name__}: {reason}") from error
        article = "an" if self.kind[0] in "aeiou" else "a"
        if not self._accepts(item) or getattr(item, "name", entry.name) != entry.name:
            raise self._refused(entry, f"is not valid: {entry.value} must be {article} {self.kind} of that name")
        return item

    def refused(self, name: str, reason: str) -> UsageError:
        """Return the error for a name that another package gives and that can't be had."""
        return self._refused(self._foreign()[name], reason)

    def _refused(self, entry: EntryPoint, reason: str) -> UsageError:
        return UsageError(f"the {self.kind} {entry.name!r} of the package {_package(entry)} {reason}")


@cache
def _mentioned() -> bytes:
    """Return the lines of packages that begin a group of ours, as importlib.metadata takes 40 ms to import."""
    found = []
    for folder in sys.path:
        try:
            names = [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))]
        except NotADirectoryError:
            return b"[wcx."  # a zip archive of packages: importlib.metadata will tell
        except OSError:
            continue
        for name in names:
            with suppress(OSError), open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                found += [line for line in file.read(_MOST_BYTES).splitlines() if line.startswith(b"[wcx.")]
    return b"\n".join(found)


def _is_mentioned(group: str) -> bool:
    """Return True if an installed package may have entry points of that group."""
    return _mentioned() == b"[wcx." or f"[{group}]".encode() in _mentioned()


def _package(entry: EntryPoint) -> str:
    return "?" if entry.dist is None else entry.dist.name


NOTEBOOK_VIEWS: Registry[Callable[[Any], str]] = Registry("notebook view", registrations.NOTEBOOK_VIEWS)
REGISTRIES: Registry[Registry[Any]] = Registry("registry", registrations.REGISTRIES)
