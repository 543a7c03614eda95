"""Histograms of the blocks of several planes: counting adds to them, and takes out what occurred."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks import numpy_kernels

Found = tuple[NDArray[Any], NDArray[np.int64]]
"""The blocks of a plane that occurred, ascending, and how often each did."""


class Histograms:
    """One count for each possible block of several planes.

    blocks: uint32 [planes, possible blocks], 4x4 or strings of 12. remainders: int64 [planes, smaller blocks], those
    with sides down to `least`, the largest first; none where that is 0.
    """

    def __init__(self, planes: int, kernels: Any, *, strings: bool, least: int) -> None:  # noqa: ANN401
        possible = 4096 if strings else 65536
        sides = range(11 if strings else 3, least - 1, -1) if least else ()
        self.blocks = np.zeros((planes, possible), np.uint32)
        self.remainders = np.zeros((planes, sum(1 << (side if strings else side * side) for side in sides)), np.int64)
        self._kernels = kernels
        if kernels is not None:
            self._codes = np.zeros(possible, np.uint16)
            self._counts = np.zeros(possible, np.int64)

    def take(self, planes: int) -> list[Found]:
        """Return what the first planes hold, smaller blocks after the others, and empty them."""
        found = [self._scan(histogram) for histogram in self.blocks[:planes]]
        if self.remainders.shape[1]:
            possible = self.blocks.shape[1]
            for plane, (codes, counts) in enumerate(found):
                smaller = np.flatnonzero(self.remainders[plane])
                every = np.concatenate([codes.astype(np.uint32), (possible + smaller).astype(np.uint32)])
                found[plane] = every, np.concatenate([counts, self.remainders[plane, smaller]])
            self.remainders[:] = 0
        return found

    def _scan(self, histogram: NDArray[np.uint32]) -> Found:
        if self._kernels is None:
            return numpy_kernels.scan(histogram)
        number = self._kernels.scan(histogram, histogram.view(np.uint64), self._codes, self._counts)
        return self._codes[:number].copy(), self._counts[:number].copy()

    def add_to(self, histograms: NDArray[np.int64]) -> None:
        """Add them to wider ones (int64 [planes, all possible blocks]), and empty them."""
        possible = self.blocks.shape[1]
        histograms[:, :possible] += self.blocks
        histograms[:, possible:] += self.remainders
        self.blocks[:] = 0
        self.remainders[:] = 0
