"""One worker's counter of changed bits: two copies of packed bits to the blocks of their XOR.

The XOR of a plane with itself at another time is a plane, and its blocks are counted as a plane's are, by compiled code
or by NumPy, with the same counts. What fills no block and blocks that overlap are counted in bits that NumPy unpacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks import numpy_kernels
from wcx.blocks.histograms import Found, Histograms
from wcx.blocks.packed import PackedBits, as_planes, xor_bits

ONES = np.array([(0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)], np.uint64)
"""The rules, as compiled code has them, of bits that are bytes: no zeros, nothing that is not finite, ones."""

_NEVER = np.uint64(2**64 - 1)
_LEAST = 64  # codes that the compiled code looks at together


class XorCounter:
    """Counts the blocks of what changed in several planes, in histograms that belong to one worker.

    The arguments are those of a Counter, which packs the bits. `count` and `slide` add to the counts and to the numbers
    of changed bits; `take` and `add_to` empty both.
    """

    def __init__(self, planes: int, kernels: Any = None, *, strings: bool = False, least: int = 0) -> None:  # noqa: ANN401
        self._found = Histograms(planes, kernels, strings=strings, least=least)
        self._ones = np.zeros(planes, np.int64)
        self._planes = planes
        self._kernels = kernels
        self._strings = strings
        self._least = least
        if kernels is not None:
            self._changed = np.zeros(kernels.TILE // 64 + 4, np.uint64)
            self._words = np.zeros(kernels.TILE // 48 + 4, np.uint64)
            self._narrow = self._words.view(np.uint16)

    def count(self, packed: PackedBits, earlier: PackedBits, rows: int, columns: int, planes: int) -> None:
        """Count what differs between what Counter.count packed of `rows` x `columns` codes, now and earlier.

        Left-over edges are looked at where the counter has a least side. ValueError where either is of another size.
        """
        self._planes = planes
        now, old = as_planes(packed, rows, columns, planes), as_planes(earlier, rows, columns, planes)
        if self._kernels is None:
            self._count_by_numpy(now, old, rows, columns)
        else:
            some = self._changed, self._words, self._narrow, self._found.blocks, self._ones
            now, old = (np.require(bits, None, "W") for bits in (now, old))  # else numba compiles it once more
            self._kernels.count_xor(now, old, rows, columns, self._strings, *some)
        whole = columns % 12 == 0 if self._strings else rows % 4 == 0 and columns % 4 == 0
        if self._least and not whole:
            for plane, bits in enumerate(xor_bits(now, old, rows, columns)):
                histograms = self._found.remainders[plane : plane + 1]
                cells = bits.view(np.uint8)
                numpy_kernels.count_remainders(cells, _one_plane, self._least, histograms, strings=self._strings)

    def _count_by_numpy(self, now: PackedBits, old: PackedBits, rows: int, columns: int) -> None:
        codes_of = numpy_kernels.strings_of_bits if self._strings else numpy_kernels.codes_of_bits
        for plane, bits in enumerate(xor_bits(now, old, rows, columns)):
            counts = np.bincount(codes_of(bits), minlength=self._found.blocks.shape[1])
            self._found.blocks[plane] += counts.astype(np.uint32)
            self._ones[plane] += np.count_nonzero(bits)

    def slide(
        self,
        packed: PackedBits,
        earlier: PackedBits,
        rows: int,
        columns: int,
        planes: int,
        window: numpy_kernels.Window,
    ) -> None:
        """Count the overlapping blocks of what differs between two packed copies of a piece, now and earlier."""
        self._planes = planes
        now, old = as_planes(packed, rows, columns, planes), as_planes(earlier, rows, columns, planes)
        for plane, bits in enumerate(xor_bits(now, old, rows, columns)):
            histograms, totals = self._found.blocks[plane : plane + 1], np.zeros(3, np.int64)
            if self._kernels is None or bits.size < _LEAST:
                some = bits.view(np.uint8)
                numpy_kernels.count_sliding(some, window, _one_plane, ONES, histograms, totals, strings=self._strings)
            else:
                side = 12 if self._strings else 4
                scratch = self._changed, histograms, totals
                self._kernels.count_sliding(
                    1, bits.ctypes.data, rows, columns, side, *window, ONES, _NEVER, _NEVER, *scratch
                )
            self._ones[plane] += totals[2]

    def take(self) -> tuple[list[Found], list[int]]:
        """Return the blocks that occurred and how often, a pair of arrays a plane, and each plane's changed bits.

        All are empty then.
        """
        ones: list[int] = self._ones[: self._planes].tolist()
        self._ones[:] = 0
        return self._found.take(self._planes), ones

    def add_to(self, histograms: NDArray[np.int64], ones: NDArray[np.int64]) -> None:
        """Add the counts to wider ones (int64 [planes, all possible blocks]) and the ones to ones, and empty both."""
        self._found.add_to(histograms)
        ones += self._ones
        self._ones[:] = 0


def _one_plane(bits: NDArray[Any]) -> Iterator[NDArray[np.bool_]]:
    yield bits.view(np.bool_)
