"""The frozen values that `wcx kinds` lists; the fields are those of its JSON (docs/schema/kinds-1.json)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wcx.core.plain import as_dict


@dataclass(frozen=True, slots=True)
class Kind:
    """The name of one kind and one line that describes it."""

    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class MeasureKind:
    """The name of a measure, one line that describes it, and its unit."""

    name: str
    summary: str
    unit: str


@dataclass(frozen=True, slots=True)
class Kinds:
    """All that this installation can read, count and print; `to_dict()` is the JSON."""

    schema: str
    wcx: str
    formats: tuple[Kind, ...]
    dtypes: tuple[Kind, ...]
    quantizers: tuple[Kind, ...]
    blocks: tuple[Kind, ...]
    boundaries: tuple[Kind, ...]
    layouts: tuple[Kind, ...]
    measures: tuple[MeasureKind, ...]
    nulls: tuple[Kind, ...]
    presets: tuple[Kind, ...]
    outputs: tuple[Kind, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the kinds as plain dicts and lists, exactly the fields of `wcx kinds --json`."""
        return as_dict(self)
