"""The frozen values of a verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.plain import OPTIONAL, as_dict

TOLERANCE = 1e-9
"""Relative difference, absolute below 1, up to which two values agree."""


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """One value of wcx and of pybdm; difference is relative, absolute where pybdm's is below 1; None where both are."""

    measure: str
    wcx: float | None
    pybdm: float | None
    difference: float | None

    @property
    def agrees(self) -> bool:
        """True if the two values agree to the tolerance."""
        if self.wcx is None or self.pybdm is None:
            return self.wcx is None and self.pybdm is None
        return self.difference is not None and self.difference <= TOLERANCE


@dataclass(frozen=True, slots=True)
class VerifiedPlane:
    """One plane of one layer. rows: first and end of the rows compared; symbols: number of bits compared."""

    name: str
    plane: str
    matrix: tuple[int, int]
    rows: tuple[int, int]
    symbols: int
    values: tuple[ComparedValue, ...]

    @property
    def agrees(self) -> bool:
        """True if every value agrees."""
        return all(value.agrees for value in self.values)


@dataclass(frozen=True, slots=True)
class Reading:
    """One tensor as wcx and as a reference library reads it, bit for bit: dtype, shape, and `elements` of its elements.

    library, version: None for a format without a reference library; version is None too where it is not installed.
    agrees: None where nothing was compared. reason: the first difference, or why nothing was compared.
    """

    tensor: str
    library: str | None
    version: str | None
    agrees: bool | None
    elements: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Verification:
    """All that `wcx verify` reports on one checkpoint; `to_dict()` is the JSON. notes: what limits the verdict."""

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
    readings: tuple[Reading, ...]
    notes: tuple[str, ...] = field(default=(), metadata=OPTIONAL)

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as plain dicts and lists, exactly the fields of `wcx verify --json`."""
        return as_dict(self)
