"""Counts of one checkpoint in the store, written as they are made and read back in the same order.

They are kept in parts of some layers each, so that neither writing nor reading holds more than a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from wcx.comparison.identity import cache_key
from wcx.comparison.store import Store

__all__ = ["CountsWriter", "LostError", "recall"]

Item = TypeVar("Item")

_PART_CODES = 1 << 19


class LostError(Exception):
    """A part that was there is damaged or gone: count anew."""


class CountsWriter(Generic[Item]):
    """Takes what belongs to one layer after the other; nothing counts as kept before `finish`."""

    def __init__(self, store: Store, key: str, encode: Callable[[list[Item]], bytes]) -> None:
        self._store = store
        self._key = key
        self._encode = encode
        self._items: list[Item] = []
        self._codes = 0
        self._parts = 0

    def add(self, item: Item, codes: int) -> None:
        """Take one layer's. codes: how many different blocks it has."""
        self._items.append(item)
        self._codes += codes
        if self._codes >= _PART_CODES:
            self._write()

    def finish(self) -> None:
        """That was all of them."""
        if self._items:
            self._write()
        self._store.put(cache_key(self._key, "parts"), str(self._parts).encode())

    def _write(self) -> None:
        self._store.put(cache_key(self._key, self._parts), self._encode(self._items))
        self._items, self._codes = [], 0
        self._parts += 1


def recall(store: Store, key: str, decode: Callable[[bytes], list[Item]]) -> Iterator[Item] | None:
    """What a writer of that key took, in order, or None; raises LostError on the way where a part is gone."""
    parts = store.get(cache_key(key, "parts"))
    if parts is None or not parts.isdigit() or len(parts) > 9:
        return None
    return _parts(store, key, int(parts), decode)


def _parts(store: Store, key: str, parts: int, decode: Callable[[bytes], list[Item]]) -> Iterator[Item]:
    for part in range(parts):
        data = store.get(cache_key(key, part))
        if data is None:
            raise LostError
        try:
            items = decode(data)
        except ValueError:
            raise LostError from None
        yield from items
