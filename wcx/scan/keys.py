"""Keys of cached counts: a digest of all that the counts depend on."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from hashlib import blake2b

from wcx.core.version import __version__

_CODE = 2
"""Goes up when the same files and settings would be counted differently, or kept in another way."""


def cache_key(*parts: object) -> str:
    """Return a text for plain values (texts, bytes, numbers, None, dataclasses, in lists and dicts by text).

    Different for values that differ, and for other versions of wcx; the order of a dict does not matter, that of a list
    does; 1, 1.0 and True differ, lists and tuples do not. Raises TypeError for other values.
    """
    text = json.dumps([__version__, _CODE, parts], sort_keys=True, default=_plain)
    return blake2b(text.encode(), digest_size=32).hexdigest()


def _plain(value: object) -> object:
    """Return bytes and dataclasses as dicts under a name that no other dict begins with."""
    if isinstance(value, bytes):
        return {"\0bytes": value.hex()}
    if is_dataclass(value):
        return {f"\0{type(value).__name__}": {item.name: getattr(value, item.name) for item in fields(value)}}
    raise TypeError(f"a key can't be made of {type(value).__name__}")
