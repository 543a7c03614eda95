"""The four transforms of two series before they are correlated: levels, logarithms, residuals of a line, differences.

Two series that both fall over training correlate whatever they are (Yule, J. R. Stat. Soc. 89, 1926; Granger & Newbold,
J. Econometrics 2, 1974); the residuals of a straight line and the first differences do not share that trend.
Rows are scaled by powers of two, which changes no coefficient and lets no square leave the range of doubles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
TRANSFORMS = ("raw", "log", "detrended", "diff")
_TIE = 1e-13  # of the larger of its two values: differences that close are equal
_ROUNDING = 1e-12  # of the largest magnitude: a series that varies by less is constant


def present(series: Values, transform: str) -> Flags:
    """Return the flags of the values of a series [..., n] that a transform can take: finite, and for log positive.

    >>> present(np.array([1.0, 0.0, np.nan]), "log").tolist()
    [True, False, False]
    """
    finite = np.isfinite(series)
    return finite & (np.where(finite, series, 0.0) > 0) if transform == "log" else finite


def transformed(series: Values, times: Values, transform: str) -> Values:
    """Transform complete series [rows, n] in the order of times [n] to [rows, n], of diff to [rows, n - 1].

    raw: as they are. log: log10. detrended: residuals of the least-squares line in `times`. diff: each value minus the
    one before it. Rows are scaled by a power of two; one that is constant up to rounding becomes 0.

    >>> transformed(np.array([[1.0, 2.0, 4.0]]), np.arange(3.0), "diff").tolist()
    [[0.25, 0.5]]
    """
    if not series.shape[1]:
        return series
    levels = np.log10(series) if transform == "log" else _scaled(series)
    if transform == "detrended":
        changed = _residuals(levels, times)
    elif transform == "diff":
        changed = _tied(np.diff(levels, axis=1), np.maximum(np.abs(levels[:, 1:]), np.abs(levels[:, :-1])))
    else:
        changed = levels
    return _scaled(_settled(changed, levels))


def _scaled(series: Values) -> Values:
    """Return the rows times a power of two, the largest magnitude below 1."""
    _, exponents = np.frexp(_largest(series))
    scaled: Values = np.ldexp(series, -exponents[:, None])
    return scaled


def _largest(series: Values) -> Values:
    largest: Values = np.abs(series).max(axis=1, initial=0.0)
    return largest


def _residuals(series: Values, times: Values) -> Values:
    """Subtract the line of least squares; where all times are equal, the mean."""
    centred: Values = series - series.mean(axis=1, keepdims=True)
    time = times - times.mean()
    power = float((time * time).sum())
    if power == 0:
        return centred
    slopes = (centred * time).sum(axis=1, keepdims=True) / power
    residuals: Values = centred - slopes * time
    return residuals


def _tied(changed: Values, magnitudes: Values) -> Values:
    """Make values equal that differ by no more than rounding does: ranks would take any difference for a real one.

    magnitudes: the larger of the two values that each is the difference of.
    """
    if not changed.shape[1]:
        return changed
    order = np.argsort(changed, axis=1, kind="stable")
    ascending = np.take_along_axis(changed, order, axis=1)
    limit = _TIE * np.take_along_axis(magnitudes, order, axis=1)
    limit[:, 1:] = np.maximum(limit[:, 1:], limit[:, :-1])
    is_new = np.diff(ascending, axis=1, prepend=-np.inf) > limit
    first = np.maximum.accumulate(np.where(is_new, np.arange(changed.shape[1]), 0), axis=1)
    tied = np.empty_like(changed)
    np.put_along_axis(tied, order, np.take_along_axis(ascending, first, axis=1), axis=1)
    return tied


def _settled(changed: Values, levels: Values) -> Values:
    """Return the rows, 0 for one whose values differ by no more than rounding does."""
    if not changed.shape[1]:
        return changed
    spread = changed.max(axis=1) - changed.min(axis=1)
    constant = spread <= _ROUNDING * _largest(levels)
    settled: Values = np.where(constant[:, None], 0.0, changed)
    return settled
