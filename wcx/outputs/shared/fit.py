"""Choose the columns that fit into the width of a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

BASE_RANK = 10
"""Columns of a lower rank belong in 80 characters."""

_NAME_AT_LEAST = 16


class _Ranked(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def rank(self) -> int: ...


RankedT = TypeVar("RankedT", bound=_Ranked)


def choose(columns: Sequence[RankedT], costs: Mapping[str, int], width: int, longest_name: int) -> list[RankedT]:
    """Columns by rank while they fit, those of the base beside a shortened name, the others beside a whole one."""
    kept: set[str] = set()
    room = width
    for column in sorted(columns, key=lambda column: column.rank):
        least = min(longest_name, _NAME_AT_LEAST) if column.rank < BASE_RANK else longest_name
        if room - costs[column.key] < least:
            break
        kept.add(column.key)
        room -= costs[column.key]
    return [column for column in columns if column.key in kept]
