"""The names of a sharded model's files: prefix-00002-of-00007.safetensors, or .bin of PyTorch."""

from __future__ import annotations

import re

_SHARD = re.compile(r"(.*)-([0-9]{1,9})-of-([0-9]{1,9})\.(?:safetensors|bin)", re.DOTALL)


def series_of(name: str) -> tuple[str, int] | None:
    """Return the prefix and the number of shards that a shard's name gives; None for a file that is no shard.

    >>> series_of("model-00002-of-00007.safetensors")
    ('model', 7)
    """
    match = _SHARD.fullmatch(name)
    return (match[1], int(match[3])) if match else None
