"""The scheme by which a plane is cut into blocks, and the values that a quantizer is given and fits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scheme:
    """The cutting of a plane into blocks; equal ids, equal schemes."""

    block: str = "4x4"
    boundary: str = "ignore"
    layout: str = "rows"

    @property
    def id(self) -> str:
        """A short text that names the scheme, such as 4x4-ignore-rows."""
        return f"{self.block}-{self.boundary}-{self.layout}"

    @property
    def strings(self) -> bool:
        """True of blocks that are strings of symbols, False of squares."""
        return self.block == "1x12"

    @property
    def cells(self) -> int:
        """Symbols of a block."""
        return 12 if self.strings else 16

    @property
    def kind(self) -> str:
        """The boundary without its number: ignore, recursive or correlated."""
        return self.boundary.partition(":")[0]

    @property
    def least(self) -> int:
        """Side of the smallest blocks that recursive cuts left-overs into; 0 under another boundary."""
        return int(self.boundary.partition(":")[2] or 2) if self.kind == "recursive" else 0

    @property
    def shift(self) -> int:
        """Step by which correlated slides the block; 0 under another boundary."""
        return int(self.boundary.partition(":")[2] or 1) if self.kind == "correlated" else 0

    @property
    def smaller(self) -> tuple[int, ...]:
        """Sides of the smaller blocks of recursive, the largest first."""
        side = 12 if self.strings else 4
        return tuple(range(side - 1, self.least - 1, -1)) if self.least else ()

    @property
    def alphabet(self) -> str:
        """The shapes of all blocks, in the order of their codes.

        >>> Scheme(boundary="recursive").alphabet, Scheme("1x12", "recursive:11", "flat").alphabet
        ('4x4+3x3+2x2', '1x12+1x11')
        """
        return "+".join([self.block, *(f"1x{side}" if self.strings else f"{side}x{side}" for side in self.smaller)])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells of the blocks of each shape of the alphabet; of c cells there are 2^c blocks."""
        return self.cells, *(side if self.strings else side * side for side in self.smaller)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of the finite values of one tensor, as doubles, for quantizers.

    number: of finite values; the others are None where there is none, or where they were not asked for. mean, mean_abs:
    correctly rounded sums / number. quantiles: one value for each that was asked for, linearly interpolated.
    """

    number: int = 0
    lo: float | None = None
    hi: float | None = None
    mean: float | None = None
    mean_abs: float | None = None
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """The parameters that a quantizer fitted to one tensor, as plain numbers."""

    lo: float | None = None
    hi: float | None = None
    delta: float | None = None
    threshold: float | None = None
    scale: float | None = None
    zero_point: int | None = None
