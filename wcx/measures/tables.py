"""The Coding Theorem Method tables: the complexity of every small block, and sums over them that the measures use.

Values are kept twice: as the doubles they are, and as whole multiples of 2^-52, which every double from 1 up to 2048
is. Sums over blocks are sums of integers, exact and independent of their order; only their result is rounded.
Source: pybdm 0.1.0, see data/PROVENANCE.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNIT = 1 << 52
"""Exact sums count multiples of 1/UNIT bits."""

_SPLIT = 29
_CHECKSUMS = {
    ("CTM-B2-D4x4", "4x4"): "b442aa20d6de22d0d7e4761e48d852ccee200c0545f1543906f6f822eabdccc6",
    ("CTM-B2-D4x4", "3x3"): "d2520dc963d872337a0218a418d8f40ef3537c0c85923df14fb53b820f15e2a4",
    ("CTM-B2-D4x4", "2x2"): "09150acf25d2c556774b92a2801ac50dbb757ac134248192016868dad3045bac",
    ("CTM-B2-D4x4", "1x1"): "4c1476b09c548c1ad29d8ffca72a98351a777ca08117052a89d8e35fc7f7d5d0",
    ("CTM-B2-D12", "1x12"): "4bec881d3d964d3d7511781c1ff16ef7dd776558d028c0f00f3b3a7e5f2d03a3",
    ("CTM-B2-D12", "1x11"): "eb5af6dc0a044ebca60254f6ee90697fbcb090ac829710311e18fcd39ec2b82c",
    ("CTM-B2-D12", "1x10"): "0c73a0b3da0339589796104aa4ac4e4ab85757a11420770bec38f78745826933",
    ("CTM-B2-D12", "1x9"): "c52a87d180fcdc6539d4d0a61970c752423905d5de1580b0d790cbf6f1e9e1f0",
    ("CTM-B2-D12", "1x8"): "4166ac321b30e89de1ee2d040d42ed30b2faeacb133e6848ace318a2749c719b",
    ("CTM-B2-D12", "1x7"): "fa994f33fb257a21ede5531e8ac36cc73d2bf5746d02743e779332c97d23ec68",
    ("CTM-B2-D12", "1x6"): "f8ea345cda97d7abc09839dc3cc63aa5545d0ee34875b31fbcf35ca07ed61303",
    ("CTM-B2-D12", "1x5"): "2c0f1b303f1918cfb67fd191e60727b91806b033d72e19f70708532fd1091127",
    ("CTM-B2-D12", "1x4"): "a7fc9f73f9519da96675f061edf726544911650a77a2bd385e92f6a4b6bb4598",
    ("CTM-B2-D12", "1x3"): "9d2667d11ccef278bab5a63e4c2e91e6ff2986865748706ad10c96c993a971c2",
    ("CTM-B2-D12", "1x2"): "5c859e3cac9633101fd85aca9ce0be011dafa2f73511fc4ea4e57d2685fdb3c0",
}


def table_checksums() -> list[tuple[str, str, str]]:
    """Return name, shape and SHA-256 of the values of each table; needs no NumPy."""
    return [(name, shape, checksum) for (name, shape), checksum in _CHECKSUMS.items()]


@dataclass(frozen=True, eq=False)
class CtmTable:
    """The complexity of every block of one shape, or of several shapes one after the other.

    values: float64 [S], bits, by block code. units: int64 [S], the same as multiples of 1/UNIT. cells: of a block, c
    (of several shapes, of the first). shape: several are joined by +.
    """

    name: str
    shape: str
    sha256: str
    values: NDArray[np.float64]
    units: NDArray[np.int64]
    cells: int

    @property
    def possible(self) -> int:
        """Number of possible blocks, S."""
        return int(self.values.size)

    @cached_property
    def halves(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """units as (high, low) with units = high * 2^29 + low: sums of 2^24 of each are whole numbers below 2^53."""
        return self.units >> _SPLIT, self.units & ((1 << _SPLIT) - 1)

    @cached_property
    def ones(self) -> NDArray[np.int64]:
        """int64 [S]: how many cells of each block are 1."""
        import numpy as np

        codes = np.arange(self.possible)
        return sum((codes >> bit & 1 for bit in range(self.cells)), start=np.zeros(self.possible, np.int64))

    @cached_property
    def _descending(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Running sums of the halves of all values, largest value first."""
        import numpy as np

        order = np.argsort(-self.units, kind="stable")
        high, low = self.halves
        return np.cumsum(high[order]), np.cumsum(low[order])

    def largest(self, number: int) -> int:
        """Exact sum of that many largest values, in units."""
        high, low = self._descending
        return join(int(high[number - 1]), int(low[number - 1])) if number else 0

    @property
    def main(self) -> CtmTable:
        """The table of the first shape alone."""
        return load_table(self.shape.partition("+")[0])

    @cached_property
    def smallest(self) -> int:
        """The smallest value, in units."""
        return int(self.units.min())

    @cached_property
    def classes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Number of blocks with k ones, sum of their values, sum of their squared values; float64 [c + 1] each."""
        import numpy as np

        sums = [np.bincount(self.ones, weights=weight) for weight in (*self.halves, self.values**2)]
        first: NDArray[np.float64] = (sums[0] * (1 << _SPLIT) + sums[1]) / UNIT
        return np.bincount(self.ones).astype(np.float64), first, sums[2].astype(np.float64)


def join(high: int, low: int) -> int:
    """Put together what CtmTable.halves took apart."""
    return (high << _SPLIT) + low


@cache
def load_table(shape: str) -> CtmTable:
    """Return the table of blocks of that shape: 4x4, 3x3, 2x2, 1x1, 1x12 (strings of 12 symbols), 1x11 .. 1x2.

    Several shapes joined by + have their blocks one after the other, as the recursive boundary counts them.

    >>> float(load_table("4x4").values.min()), float(load_table("4x4").values.max())
    (22.006706292292176, 36.02279026553976)
    """
    import numpy as np

    if "+" in shape:
        parts = [load_table(part) for part in shape.split("+")]
        values = np.concatenate([one.values for one in parts])
        units = np.concatenate([one.units for one in parts])
        return CtmTable(parts[0].name, shape, "+".join(one.sha256 for one in parts), values, units, parts[0].cells)
    name = next(name for name, known in _CHECKSUMS if known == shape)
    with (files("wcx.measures") / "data" / "ctm.npz").open("rb") as stream, np.load(stream) as arrays:
        values = arrays[f"s{shape[2:]}" if name == "CTM-B2-D12" else shape]
    units = (values * float(UNIT)).astype(np.int64)
    cells = int(values.size).bit_length() - 1
    return CtmTable(name, shape, _CHECKSUMS[name, shape], values, units, cells)
