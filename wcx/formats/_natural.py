"""The order in which a person counts: epoch_2 before epoch_10."""

from __future__ import annotations

import re

__all__ = ["natural_key"]

_NUMBER = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """A sort key that compares runs of digits as numbers; names that differ in leading zeros compare as text.

    >>> sorted(["epoch_10", "epoch_2"], key=natural_key)
    ['epoch_2', 'epoch_10']
    """
    parts = _NUMBER.split(name)  # text and digits by turns, so that like compares with like
    return tuple(_number(part) if index % 2 else part for index, part in enumerate(parts)), name


def _number(digits: str) -> tuple[int, str]:
    """What compares as the number does, however many digits it has (Python refuses to read more than 4,300)."""
    significant = digits.lstrip("0")
    return len(significant), significant
