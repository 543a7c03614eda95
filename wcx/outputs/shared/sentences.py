"""Parts of sentences that the outputs of several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "layer"), plural(2000, "layer")
    ('1 layer', '2,000 layers')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def some(names: Sequence[str], most: int) -> str:
    """Return the first names, and the number of further ones.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def settings_parts(settings: Mapping[str, Any]) -> list[str]:
    """Return the settings that all numbers depend on, as parts of a sentence."""
    get = settings.get
    zero = f" (zero={get('zero')})" if get("zero") == "one" else ""
    return [
        *([f"preset {get('preset')}"] if get("preset") else []),
        f"{get('quantize')}{zero}",
        f"{get('block')} blocks ({get('boundary')}, {get('layout')})",
        f"null {get('null')}",
        f"seed {get('seed')}",
    ]
