"""Keys of cached counts: a digest of all that the counts depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from struct import pack

from wcx.core.version import __version__

_CODE = 1
"""Goes up when the same files and settings would be counted differently, or kept in another way."""


def cache_key(*parts: object) -> str:
    """Return a text for plain values (texts, bytes, numbers, None, dataclasses, in lists and dicts of any depth).

    Different for values that differ, and for other versions of wcx; the order of a dict does not matter, that of a list
    does; 1, 1.0 and True differ, lists and tuples do not. Raises TypeError for other values.
    """
    found = blake2b(digest_size=32)
    _feed(found, (__version__, _CODE, parts))
    return found.hexdigest()


def _feed(found: blake2b, value: object) -> None:
    """Hash a value: a letter for its type, its length, and what it is made of."""
    if isinstance(value, (list, tuple)):
        found.update(b"l%d:" % len(value))
        for item in value:
            _feed(found, item)
    elif isinstance(value, Mapping):
        found.update(b"d%d:" % len(value))
        for key in sorted(value):
            _feed(found, (key, value[key]))
    elif is_dataclass(value):
        _feed(found, (type(value).__name__, {item.name: getattr(value, item.name) for item in fields(value)}))
    else:
        letter, data = _plain(value)
        found.update(b"%c%d:" % (letter, len(data)))
        found.update(data)


def _plain(value: object) -> tuple[bytes, bytes]:
    if value is None or isinstance(value, bool):
        return b"b", repr(value).encode()
    if isinstance(value, int):
        return b"i", b"%d" % value
    if isinstance(value, float):
        return b"f", pack("<d", value)
    if isinstance(value, str):
        return b"s", value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return b"y", value
    raise TypeError(f"a key can't be made of {type(value).__name__}")
