"""The smoothing that published curves have had before they were correlated.

Sakabe et al. (arXiv 2505.20646) show loss and complexity after log1p, a Gaussian filter over the checkpoints and
scaling to [0, 1]. It removes what two series do not share and makes neighbours alike: correlations rise, and the
number of independent points falls.
"""

from __future__ import annotations

import numpy as np

from wcx.tasks.compare.statistics.transforms import Values

_SIGMA = 1.0  # in checkpoints


def smoothed(series: Values) -> Values:
    """Return one series [n] as Sakabe et al. smooth it, NaN where it has no value.

    log1p of the values above -1, a Gaussian filter (sigma 1 checkpoint, cut at 4, ends reflected: the defaults of
    scipy.ndimage) over those that are there, scaled to [0, 1]; a constant series becomes 0.
    """
    from scipy.ndimage import gaussian_filter1d

    known = np.isfinite(series) & (series > -1)
    out = np.full(series.shape, np.nan)
    if known.any():
        out[known] = _to_unit(gaussian_filter1d(np.log1p(series[known]), sigma=_SIGMA))
    return out


def _to_unit(values: Values) -> Values:
    lowest, highest = values.min(), values.max()
    constant = highest - lowest <= 1e-12 * max(abs(lowest), abs(highest))
    return np.zeros_like(values) if constant else (values - lowest) / (highest - lowest)
