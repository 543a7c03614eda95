"""One small registry, shared by formats, quantizers, measures and outputs.

A registry maps a name to a module that is imported only when it is asked for, so that listing what
there is costs nothing. Adding one of a kind is one file and one line in the table of its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from wcx.core.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind and where each is defined, as `module:attribute`, in the order they are listed."""

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)
        self._found: dict[str, T] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __getitem__(self, name: str) -> T:
        """Import and return what is registered under `name`; raise UsageError for an unknown name."""
        if name not in self._found:
            try:
                module, attribute = self._table[name].split(":")
            except KeyError:
                raise UsageError(f"unknown {self.kind} {name!r}: one of {', '.join(self._table)}") from None
            self._found[name] = getattr(import_module(module), attribute)
        return self._found[name]

    def add(self, name: str, home: str) -> None:
        """Register `name`, defined at home, a `module:attribute`."""
        self._table[name] = home

    def values(self) -> Iterator[T]:
        """Import and return all of the kind, in order."""
        return (self[name] for name in self._table)


NOTEBOOK_VIEWS: Registry[Callable[[Any], str]] = Registry("notebook view", {})
"""Functions from a report to HTML, by the report's schema; the package's `__init__` names them."""
