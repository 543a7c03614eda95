"""BlockCounts: how often each block occurs in a plane. Everything that wcx reports is a function of these integers.

Counts are exact, they add, and they are small whatever the size of the model. They are what workers exchange.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockCounts"]

_MAGIC = b"wcxcounts1"


@dataclass(frozen=True, eq=False)
class BlockCounts:
    """The block counts of one plane, or of several added up.

    scheme: id of the scheme they were counted under. codes: uint16, ascending, those blocks that occur. counts: int64,
    how often. symbols: cells of the plane, left-over ones included. ones: cells that are 1, likewise.

    Laws: empty() is neutral under merge; merge is commutative and associative; counting a plane equals merging the
    counts of any split of it on block rows; cells * blocks + left_over = symbols; equal content is equal arrays.
    """

    scheme: str
    codes: NDArray[np.uint16]
    counts: NDArray[np.int64]
    symbols: int
    ones: int
    cells: int = 16

    @classmethod
    def empty(cls, scheme: str) -> BlockCounts:
        """No blocks at all."""
        return cls(scheme, np.empty(0, np.uint16), np.empty(0, np.int64), 0, 0)

    @classmethod
    def from_histogram(
        cls, scheme: str, histogram: NDArray[np.integer], symbols: int, ones: int, cells: int = 16
    ) -> BlockCounts:
        """From one count per possible code; raises ValueError where there are more cells in blocks than symbols."""
        codes = np.flatnonzero(histogram)
        found = cls(scheme, codes.astype(np.uint16), histogram[codes].astype(np.int64), symbols, ones, cells)
        if found.left_over < 0:
            raise ValueError(f"{found.blocks} blocks of {found.cells} cells do not fit into {symbols} symbols")
        return found

    @cached_property
    def blocks(self) -> int:
        """Number of blocks, B."""
        return int(self.counts.sum())

    @property
    def left_over(self) -> int:
        """Cells at the edges that fill no block."""
        return self.symbols - self.cells * self.blocks

    def merge(self, other: BlockCounts) -> BlockCounts:
        """Add two counts; raises ValueError where they are of different schemes."""
        if (self.scheme, self.cells) != (other.scheme, other.cells):
            raise ValueError(f"counts of scheme {self.scheme} can't be merged with counts of {other.scheme}")
        codes, place = np.unique(np.concatenate([self.codes, other.codes]), return_inverse=True)
        counts = np.zeros(codes.size, np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return BlockCounts(self.scheme, codes, counts, self.symbols + other.symbols, self.ones + other.ones, self.cells)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockCounts):
            return NotImplemented
        mine = (self.scheme, self.cells, self.symbols, self.ones)
        theirs = (other.scheme, other.cells, other.symbols, other.ones)
        return mine == theirs and np.array_equal(self.codes, other.codes) and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Write the counts down; from_bytes reads back an equal value."""
        scheme = self.scheme.encode()
        head = struct.pack("<HHQQQ", len(scheme), self.cells, self.symbols, self.ones, self.codes.size)
        return b"".join((_MAGIC, head, scheme, self.codes.astype("<u2").tobytes(), self.counts.astype("<i8").tobytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockCounts:
        """Read what to_bytes wrote; raises ValueError where the data are damaged."""
        at = len(_MAGIC)
        size = struct.calcsize("<HHQQQ")
        if data[:at] != _MAGIC or len(data) < at + size:
            raise ValueError("not block counts")
        length, cells, symbols, ones, found = struct.unpack("<HHQQQ", data[at : at + size])
        at += size
        if len(data) != at + length + 10 * found:
            raise ValueError("block counts of a wrong length")
        scheme = data[at : at + length].decode()
        codes = np.frombuffer(data, "<u2", found, at + length).astype(np.uint32)
        counts = np.frombuffer(data, "<i8", found, at + length + 2 * found)
        if (np.diff(codes.astype(np.int64)) <= 0).any() or (counts <= 0).any():
            raise ValueError("block counts that are not in order")
        if not 1 <= cells <= 16 or (codes >> cells).any():
            raise ValueError("block counts of a wrong shape")
        if cells * sum(counts.tolist()) > symbols or ones > symbols:
            raise ValueError("block counts that do not add up")
        return cls(scheme, codes.astype(np.uint16), counts.astype(np.int64), symbols, ones, cells)
