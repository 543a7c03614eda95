"""The frozen values of an inspection: tensors, totals, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.plain import as_dict


@dataclass(frozen=True, slots=True)
class InspectedTensor:
    """One tensor, the place of its bytes, and the reason why `wcx analyze` does not count it, if it does not."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    role: str
    source: str | None
    file: str
    offset: int
    aliases: tuple[str, ...]
    analysed: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Total:
    """Number of tensors, of their elements, and of their stored bytes."""

    tensors: int
    elements: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of all tensors, of those that are analysed, and by dtype and role in the order of first appearance."""

    all: Total
    analysed: Total
    dtype: Mapping[str, Total]
    role: Mapping[str, Total]


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that `wcx inspect` reports on one checkpoint; `to_dict()` is the JSON."""

    schema: str
    wcx: str
    checkpoint: CheckpointSummary
    tensors: tuple[InspectedTensor, ...]
    totals: Totals
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the inspection as plain dicts and lists, exactly the fields of `wcx inspect --json`."""
        return as_dict(self)
