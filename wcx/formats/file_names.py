"""Names of files: those of shards, prefix-00002-of-00007.safetensors, and relative ones that files may hold."""

from __future__ import annotations

import re

_SHARD = re.compile(r"(.*)-([0-9]{1,9})-of-([0-9]{1,9})\.(?:safetensors|bin)", re.DOTALL)


def series_of(name: str) -> tuple[str, int] | None:
    """Return the prefix and the number of shards in a shard's name; None for the name of any other file.

    >>> series_of("model-00002-of-00007.safetensors")
    ('model', 7)
    """
    match = _SHARD.fullmatch(name)
    return (match[1], int(match[3])) if match else None


def check_relative(name: str) -> None:
    """Raise ValueError, saying why, for any name but a plain path below a directory."""
    if not name:
        raise ValueError("an empty path")
    if "\0" in name or "\\" in name:
        raise ValueError("a path with a NUL or a backslash")
    if name.startswith("/") or name[1:2] == ":":
        raise ValueError("an absolute path")
    if not set(name.split("/")).isdisjoint({"..", ".", ""}):
        raise ValueError("a path with '..', '.' or an empty part")
