"""n-D to 2-D."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from wcx.blocks.layout import arrange


@pytest.mark.parametrize("shape", [(4, 5), (64, 3, 7, 7), (2, 3, 4, 5, 6), (7, 1, 1), [12, 12], (1, 8)])
def test_the_matrix_has_the_first_axis_as_rows(shape: tuple[int, ...]) -> None:
    matrix = arrange(shape)
    assert (matrix.rows, matrix.columns) == naive.rows(np.zeros(shape, np.uint8)).shape


@pytest.mark.parametrize("shape", [(), (5,)])
def test_below_two_dimensions_there_is_no_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1-D"):
        arrange(shape)
