"""Correlations over several runs: the mean of Fisher's z and its interval over the runs, each run one observation.

Fisher, Metron 1 (1921), 3: z = atanh(r). Points of different runs are never put together: they are not independent, and
runs differ in level. Of two correlations with one column, the difference is that of their z. Few runs that happen to
agree say less than their spread: a mean of correlations is never told more exactly than the runs' own points allow,
whose z have a variance of 1 / (n_effective - 3), times 1.06 for Spearman's coefficient, and 0.437 / (n_effective - 4)
for Kendall's (Fieller, Hartley and Pearson, Biometrika 44 (1957), 470).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from wcx.core.comparison import Correlation, CorrelationDifference, FisherMean
from wcx.tasks.compare.statistics.records import COEFFICIENTS

Key = tuple[str, str | None, str | None, str, str | None, str, str]
"""scope, layer, plane, measure, against, metric, transform."""

Sides = tuple[tuple[float | None, float | None], ...]
"""The two correlations of a difference, by coefficient."""

_LARGEST = 1 - 1e-6
_FEWEST_RUNS = 3
_NORMAL = 1.959963984540054  # the normal distribution's 97.5 % point
_VARIANCES = {"pearson": (1.0, 3), "spearman": (1.06, 3), "kendall": (0.437, 4)}


def fisher_z(r: float) -> float:
    """atanh(r); r beyond 0.999999 counts as 0.999999, so that a perfect correlation is finite.

    >>> round(fisher_z(0.5), 9), round(fisher_z(1.0), 9)
    (0.549306144, 7.254328619)
    """
    return math.atanh(max(-_LARGEST, min(_LARGEST, r)))


def variance_of_z(coefficient: str, effective: float | None) -> float:
    """The variance of one run's Fisher z by its effective points; that of one point above the least where unknown.

    >>> variance_of_z("pearson", 13.0), round(variance_of_z("kendall", 14.0), 6)
    (0.1, 0.0437)
    """
    factor, less = _VARIANCES[coefficient]
    return factor / max((effective or 0.0) - less, 1.0)


def mean_and_interval(
    values: Sequence[float], variances: Sequence[float] = ()
) -> tuple[float, tuple[float, float] | None]:
    """The mean and its 95 % interval, of three values or more.

    By Student's t with one degree fewer than there are values; no narrower than the values' own variances make it.

    >>> mean, (low, high) = mean_and_interval([1.0, 2.0, 3.0])
    >>> mean, round(low, 6), round(high, 6)
    (2.0, -0.484138, 4.484138)
    >>> mean_and_interval([1.0, 2.0])
    (1.5, None)
    """
    from scipy.special import stdtrit

    number = len(values)
    mean = math.fsum(values) / number
    if number < _FEWEST_RUNS:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in values)
    half = float(stdtrit(number - 1, 0.975)) * math.sqrt(squares / (number - 1) / number)
    half = max(half, _NORMAL * math.sqrt(math.fsum(variances)) / number)
    return mean, (mean - half, mean + half)


def fisher_means(
    correlations: Iterable[Correlation], differences: Iterable[tuple[CorrelationDifference, Sides]]
) -> list[FisherMean]:
    """One mean of each correlation, difference and difference of strength that at least two runs have."""
    z: dict[tuple[str, str, Key], list[float]] = {}
    variances: dict[tuple[str, str, Key], list[float]] = {}
    for one in correlations:
        key: Key = (one.scope, one.layer, one.plane, one.measure, None, one.metric, one.transform)
        for name in COEFFICIENTS:
            r = getattr(one, name).r
            if r is not None:
                z.setdefault(("correlation", name, key), []).append(fisher_z(r))
                variance = variance_of_z(name, one.n_effective)
                variances.setdefault(("correlation", name, key), []).append(variance)
    for of, sides in differences:
        key = of.scope, of.layer, of.plane, of.measure, of.against, of.metric, of.transform
        for name, (first, second) in zip(COEFFICIENTS, sides, strict=True):
            if first is not None and second is not None:
                one_z, other_z = fisher_z(first), fisher_z(second)
                z.setdefault(("difference", name, key), []).append(one_z - other_z)
                z.setdefault(("strength", name, key), []).append(abs(one_z) - abs(other_z))
    return [_mean(*place, values, variances.get(place, ())) for place, values in z.items() if len(values) > 1]


def _mean(quantity: str, coefficient: str, key: Key, values: Sequence[float], variances: Sequence[float]) -> FisherMean:
    scope, layer, plane, measure, against, metric, transform = key
    mean, ci95 = mean_and_interval(values, variances)
    if quantity == "correlation":
        mean = math.tanh(mean)
        ci95 = None if ci95 is None else (math.tanh(ci95[0]), math.tanh(ci95[1]))
    return FisherMean(
        label=_label(quantity, coefficient, key),
        n=len(values),
        fisher_mean=mean,
        ci95=ci95,
        quantity=quantity,
        scope=scope,
        layer=layer,
        plane=plane,
        measure=measure,
        against=against,
        metric=metric,
        transform=transform,
        coefficient=coefficient,
    )


def _label(quantity: str, coefficient: str, key: Key) -> str:
    """All of it in one text, such as `spearman diff: bdm - block_entropy ~ train_loss (pooled, sign)`."""
    scope, layer, plane, measure, against, metric, transform = key
    sides = {"difference": f"{measure} - {against}", "strength": f"|{measure}| - |{against}|"}
    where = ", ".join(part for part in (scope, layer, plane) if part is not None)
    return f"{coefficient} {transform}: {sides.get(quantity, measure)} ~ {metric} ({where})"
