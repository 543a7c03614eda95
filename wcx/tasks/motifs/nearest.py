"""The nearest of k motifs to each of many blocks, exactly, in memory that does not depend on the number of blocks.

The distance is the sum of squared differences as float64 arithmetic gives it, added in the order of the values; of
equal distances the motif with the smallest number wins. How candidates are found (a tree in few dimensions, matrix
products in many) does not change the answer: what is nearly as near as the nearest is computed again by that rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_TREE_SIZE = 8  # values of a block up to which the tree is faster, measured
_PRODUCTS = 1 << 21  # distances at once: 16 MiB
_ROUNDING = 2.0**-50


def squared_distances(blocks: Values, motifs: Values) -> Values:
    """Return the squared distances of pairs (..., s), as the module defines them.

    >>> squared_distances(np.array([1.0, 2.0]), np.array([4.0, 6.0])).item()
    25.0
    """
    with np.errstate(over="ignore"):
        total = np.zeros(np.broadcast_shapes(blocks.shape, motifs.shape)[:-1])
        for position in range(blocks.shape[-1]):
            total += (blocks[..., position] - motifs[..., position]) ** 2
    return total


class Nearest:
    """Search for the nearest of `motifs` (k, s), which are finite and distinct; safe from several threads."""

    def __init__(self, motifs: Values) -> None:
        self._motifs = motifs
        self._largest = float(np.abs(motifs).max())
        self._tree: Any = None
        if motifs.shape[1] <= _TREE_SIZE and self._largest < 1e150:
            from scipy.spatial import cKDTree

            self._tree = cKDTree(motifs)
        else:
            self._norms = squared_distances(motifs, np.zeros(motifs.shape[1]))

    def query(self, blocks: Values) -> NDArray[np.intp]:
        """Return the number of the nearest motif of each finite block (n, s)."""
        if not len(blocks) or len(self._motifs) == 1:
            return np.zeros(len(blocks), np.intp)
        if max(float(np.abs(blocks).max()), self._largest) >= 1e150:  # squares that leave the range of float64
            return self._by_definition(blocks)
        return self._by_products(blocks) if self._tree is None else self._by_tree(blocks)

    def _by_tree(self, blocks: Values) -> NDArray[np.intp]:
        distances, numbers = self._tree.query(blocks, k=2)
        found: NDArray[np.intp] = numbers[:, 0].astype(np.intp)
        reach = distances[:, 0] * (1 + 1e-9) + 1e-150  # below that squares underflow
        unsure = np.flatnonzero(distances[:, 1] <= reach)
        if len(unsure):
            near = self._tree.query_ball_point(blocks[unsure], reach[unsure], return_sorted=True)
            for block, numbers_near in zip(unsure.tolist(), near, strict=True):
                found[block] = self._first_of(blocks[block], np.array(numbers_near, np.intp))
        return found

    def _first_of(self, block: Values, numbers: NDArray[np.intp]) -> int:
        """Return the nearest of the motifs with these ascending numbers."""
        return int(numbers[np.argmin(squared_distances(block, self._motifs[numbers]))])

    def _by_products(self, blocks: Values) -> NDArray[np.intp]:
        """Find candidates by |x|^2 - 2 x c + |c|^2; where its rounding leaves several, the definition decides."""
        found = np.empty(len(blocks), np.intp)
        rows = max(1, _PRODUCTS // len(self._motifs))
        for start in range(0, len(blocks), rows):
            part = blocks[start : start + rows]
            distances = part @ self._motifs.T
            distances *= -2
            distances += self._norms
            numbers = distances.argmin(axis=1)
            least = distances[np.arange(len(part)), numbers]
            size = np.sqrt((part * part).sum(axis=1)) + np.sqrt(self._norms.max())
            reach = least + (part.shape[1] + 8) * _ROUNDING * size**2 + 1e-300
            several = (distances <= reach[:, None]).sum(axis=1) > 1
            for row in np.flatnonzero(several).tolist():
                numbers[row] = self._first_of(part[row], np.flatnonzero(distances[row] <= reach[row]))
            found[start : start + rows] = numbers
        return found

    def _by_definition(self, blocks: Values) -> NDArray[np.intp]:
        found = np.empty(len(blocks), np.intp)
        for row, block in enumerate(blocks):
            found[row] = np.argmin(squared_distances(block, self._motifs))
        return found
