"""Correlations over several runs: the mean of Fisher's z and its interval over the runs, each run one observation.

Fisher, Metron 1 (1921), 3: z = atanh(r). Points of different runs are never pooled: they are not independent, and runs
differ in level. The difference of two correlations with one column is that of their z. A few runs may agree by chance:
the interval of a mean of correlations is never narrower than the runs' own points allow, whose z have a variance of
1 / (n_effective - 3), times 1.06 for Spearman's coefficient, and 0.437 / (n_effective - 4) for Kendall's (Fieller,
Hartley and Pearson, Biometrika 44 (1957), 470).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from wcx.core.comparison import Correlation, CorrelationDifference, FisherMean
from wcx.tasks.compare.statistics.records import COEFFICIENTS, Sides

Key = tuple[str, str | None, str | None, str, str | None, str, str]
"""scope, layer, plane, measure, against, metric, transform."""

_LARGEST = 1 - 1e-6
_FEWEST_RUNS = 3
_NORMAL = 1.959963984540054  # the normal distribution's 97.5 % point
_VARIANCES = {"pearson": (1.0, 3), "spearman": (1.06, 3), "kendall": (0.437, 4)}


def fisher_z(r: float) -> float:
    """Return atanh(r); r beyond 0.999999 counts as 0.999999, so that a perfect correlation is finite.

    >>> round(fisher_z(0.5), 9), round(fisher_z(1.0), 9)
    (0.549306144, 7.254328619)
    """
    return math.atanh(max(-_LARGEST, min(_LARGEST, r)))


def variance_of_z(coefficient: str, effective: float | None) -> float:
    """Return the variance of one run's Fisher z by its effective points; that of one point above the least if unknown.

    >>> variance_of_z("pearson", 13.0), round(variance_of_z("kendall", 14.0), 6)
    (0.1, 0.0437)
    """
    factor, less = _VARIANCES[coefficient]
    return factor / max((effective or 0.0) - less, 1.0)


def mean_and_interval(
    values: Sequence[float], variances: Sequence[float] = ()
) -> tuple[float, tuple[float, float] | None]:
    """Return the mean and its 95 % interval, of three values or more.

    By Student's t with one degree fewer than there are values; no narrower than the values' own variances make it.

    >>> mean, (low, high) = mean_and_interval([1.0, 2.0, 3.0])
    >>> mean, round(low, 6), round(high, 6)
    (2.0, -0.484138, 4.484138)
    >>> mean_and_interval([1.0, 2.0])
    (1.5, None)
    """
    from scipy.special import stdtrit

    count = len(values)
    mean = math.fsum(values) / count
    if count < _FEWEST_RUNS:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in values)
    half = float(stdtrit(count - 1, 0.975)) * math.sqrt(squares / (count - 1) / count)
    half = max(half, _NORMAL * math.sqrt(math.fsum(variances)) / count)
    return mean, (mean - half, mean + half)


def fisher_means(
    correlations: Iterable[Correlation], differences: Iterable[tuple[CorrelationDifference, Sides]]
) -> list[FisherMean]:
    """Return one mean of each correlation, difference and difference of strength that at least two runs have."""
    z: dict[tuple[str, str, Key], list[float]] = {}
    variances: dict[tuple[str, str, Key], list[float]] = {}
    for row in correlations:
        key: Key = (row.scope, row.layer, row.plane, row.measure, None, row.metric, row.transform)
        for name in COEFFICIENTS:
            r = getattr(row, name).r
            if r is not None:
                z.setdefault(("correlation", name, key), []).append(fisher_z(r))
                variances.setdefault(("correlation", name, key), []).append(variance_of_z(name, row.n_effective))
    for pair, sides in differences:
        key = pair.scope, pair.layer, pair.plane, pair.measure, pair.against, pair.metric, pair.transform
        for name, (first, second) in zip(COEFFICIENTS, sides, strict=True):
            if first is not None and second is not None:
                z_first, z_second = fisher_z(first), fisher_z(second)
                z.setdefault(("difference", name, key), []).append(z_first - z_second)
                z.setdefault(("strength", name, key), []).append(abs(z_first) - abs(z_second))
    return [_mean(*of, values, variances.get(of, ())) for of, values in z.items() if len(values) > 1]


def _mean(quantity: str, coefficient: str, key: Key, values: Sequence[float], variances: Sequence[float]) -> FisherMean:
    mean, ci95 = mean_and_interval(values, variances)
    if quantity == "correlation":
        mean = math.tanh(mean)
        ci95 = None if ci95 is None else (math.tanh(ci95[0]), math.tanh(ci95[1]))
    return FisherMean(_label(quantity, coefficient, key), len(values), mean, ci95, quantity, *key, coefficient)


def _label(quantity: str, coefficient: str, key: Key) -> str:
    """Return one text for all, such as `spearman diff: bdm - block_entropy ~ train_loss (pooled, sign)`."""
    scope, layer, plane, measure, against, metric, transform = key
    sides = {"difference": f"{measure} - {against}", "strength": f"|{measure}| - |{against}|"}
    where = ", ".join(part for part in (scope, layer, plane) if part is not None)
    return f"{coefficient} {transform}: {sides.get(quantity, measure)} ~ {metric} ({where})"
