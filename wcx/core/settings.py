"""All that a report depends on besides the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CtmReference:
    """Which table of complexities was used, with the checksum of its values."""

    shape: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a report depends on besides the checkpoint."""

    quantize: str = "sign"
    zero: str | None = "zero"
    block: str = "4x4"
    boundary: str = "ignore"
    layout: str = "rows"
    measures: tuple[str, ...] = ()
    null: str = "permutation"
    null_draws: int | None = 1000
    preset: str | None = None
    rarefy: int = 1024
    seed: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_optimizer: bool = False
    reference: str | None = None
    ctm: tuple[CtmReference, ...] = ()
