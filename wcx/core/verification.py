"""The frozen values of a verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.plain import to_plain

TOLERANCE = 1e-9
"""Relative difference, absolute below 1, up to which two values agree."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number from both sides; difference is relative, absolute where pybdm's is below 1; None where both are."""

    measure: str
    wcx: float | None
    pybdm: float | None
    difference: float | None

    @property
    def agrees(self) -> bool:
        """Whether the two are the same number to the tolerance."""
        if self.wcx is None or self.pybdm is None:
            return self.wcx is None and self.pybdm is None
        return self.difference is not None and self.difference <= TOLERANCE


@dataclass(frozen=True, slots=True)
class VerifiedPlane:
    """One plane of one layer. rows: those that were compared, from and up to; symbols: how many bits that is."""

    name: str
    plane: str
    matrix: tuple[int, int]
    rows: tuple[int, int]
    symbols: int
    values: tuple[Comparison, ...]

    @property
    def agrees(self) -> bool:
        """Whether every value agrees."""
        return all(value.agrees for value in self.values)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, with what, and whether all of it agrees."""

    schema: str
    wcx: str
    pybdm: str
    checkpoint: CheckpointSummary
    quantize: str
    zero: str | None
    boundary: str
    seed: int
    full: bool
    tolerance: float
    layers_checked: int
    layers_total: int
    agrees: bool
    planes: tuple[VerifiedPlane, ...]

    def to_dict(self) -> dict[str, Any]:
        """The verification as plain dicts and lists, as in the JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain
