"""Correlations of measures with a log: against scipy.stats, against resampling point by point, and where they break."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
from children import run_python
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import gaussian_filter1d

from wcx.core.comparison import Correlation, CorrelationDifference
from wcx.tasks.compare.statistics.bootstrap import Resamples, block_length, intervals
from wcx.tasks.compare.statistics.coefficients import linear_and_ranked
from wcx.tasks.compare.statistics.correlate import correlate
from wcx.tasks.compare.statistics.pairs import FEWEST_POINTS
from wcx.tasks.compare.statistics.records import COEFFICIENTS, Correlated, Measured
from wcx.tasks.compare.statistics.significance import Ties, false_discovery, kendall_spread

Floats = list[float | None]
Array = NDArray[np.float64]
Numbers = Array | Sequence[float | None]

TRANSFORMS = ("raw", "log", "detrended", "diff")


def pooled(values: Numbers, measure: str = "bdm", plane: str | None = "sign") -> Measured:
    return Measured("pooled", None, plane, measure, tuple(values))


def of_layer(name: str, values: Numbers, measure: str = "bdm") -> Measured:
    return Measured("layer", name, "sign", measure, tuple(values))


def run(
    measured: list[Measured], metrics: dict[str, Numbers], groups: list[str | None] | None = None, **options: object
) -> Correlated:
    count = len(measured[0].values)
    options = {"seed": 0, "resamples": 200, "steps": list(range(count)), **options}
    steps = options.pop("steps")
    return correlate(measured, metrics, steps, groups or [None] * count, **options)


def one(found: Correlated, transform: str = "raw", **fields: str | None) -> Correlation:
    """The correlation that is meant."""
    wanted = {"transform": transform, **fields}
    (only,) = [
        correlation
        for correlation in found.correlations
        if all(getattr(correlation, name) == value for name, value in wanted.items())
    ]
    return only


def difference(found: Correlated, against: str, transform: str = "raw") -> CorrelationDifference:
    (only,) = [one for one in found.differences if one.against == against and one.transform == transform]
    return only


def curves(seed: int = 0, points: int = 31) -> tuple[Floats, Floats]:
    """A measure and a loss that both fall."""
    random = np.random.default_rng(seed)
    time = np.arange(points)
    loss = 2 * np.exp(-time / 8) + 0.1 * random.random(points) + 0.1
    return (18000 - 40 * time + 60 * random.normal(size=points)).tolist(), loss.tolist()


def by_hand(values: Numbers, transform: str, times: Sequence[float]) -> Array:
    x = np.array(values, float)
    if transform == "log":
        return np.log10(x)
    if transform == "detrended":
        return x - np.polyval(np.polyfit(times, x, 1), times)
    return np.diff(x) if transform == "diff" else x


# ------------------------------------------------------------------------------------------------ coefficients and p


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_are_those_of_scipy(transform: str, ties: bool) -> None:
    measure, loss = curves()
    if ties:
        measure, loss = np.round(measure, -2).tolist(), np.round(loss, 1).tolist()
    steps = [100 * place + place % 3 for place in range(31)]
    found = one(run([pooled(measure)], {"loss": loss}, steps=steps), transform)
    x, y = by_hand(measure, transform, steps), by_hand(loss, transform, steps)
    assert found.n == len(x)
    assert found.pearson.r == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    if ties and transform == "detrended":  # residuals of ties are ties up to rounding
        return
    if transform == "diff":  # so are differences of ties, and count as ties
        x, y = x.round(9), y.round(9)
    assert found.spearman.r == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert found.kendall.r == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_p_is_that_of_scipy_where_all_points_are_independent(transform: str) -> None:
    """Neighbours that alternate in one series and not in the other: r1 r2 < 0, so all points count."""
    random = np.random.default_rng(5)
    measure = (10 + np.cumsum(np.cumsum(random.normal(size=40))) * 0.1).tolist()
    loss = (50 + 9 * (-1.0) ** np.arange(40) + random.integers(0, 6, size=40) / 2).tolist()
    measure = [abs(value) + 1 for value in measure]
    found = one(run([pooled(measure)], {"loss": loss}), transform)
    x, y = by_hand(measure, transform, range(40)), by_hand(loss, transform, range(40))
    assert found.n_effective == found.n
    assert found.pearson.p == pytest.approx(stats.pearsonr(x, y).pvalue, rel=1e-9)
    assert found.spearman.p == pytest.approx(stats.spearmanr(x, y).pvalue, rel=1e-9)
    assert found.kendall.p == pytest.approx(stats.kendalltau(x, y, method="asymptotic").pvalue, rel=1e-9)


def test_effective_points_follow_from_the_autocorrelations() -> None:
    measure, loss = curves()
    found = one(run([pooled(measure)], {"loss": loss}))
    lags = []
    for values in (measure, loss):
        deviations = np.array(values) - np.mean(values)
        lags.append((deviations[1:] * deviations[:-1]).sum() / (deviations**2).sum())
    product = lags[0] * lags[1]
    effective = 31 * (1 - product) / (1 + product)
    assert 2 < effective < 12
    assert found.n_effective == pytest.approx(effective, rel=1e-12)
    r = found.spearman.r
    assert r is not None
    t = r * math.sqrt((effective - 2) / (1 - r * r))
    assert found.spearman.p == pytest.approx(2 * stats.t.sf(abs(t), effective - 2), rel=1e-9)
    tau = found.kendall.r
    assert tau is not None
    z = tau / math.sqrt(2 * (2 * effective + 5) / (9 * effective * (effective - 1)))
    assert found.kendall.p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


def test_ties_of_both_series_change_the_p_of_tau_as_in_scipy() -> None:
    x, y = np.random.default_rng(0).integers(0, 3, size=(2, 14)).astype(float)
    spread = kendall_spread(14, Ties(x), Ties(y))
    expected = stats.kendalltau(x, y, method="asymptotic")
    assert math.erfc(abs(expected.statistic) / spread / math.sqrt(2)) == pytest.approx(expected.pvalue, rel=1e-12)


def test_a_perfect_correlation_has_p_0_and_no_infinity() -> None:
    values = np.random.default_rng(1).normal(size=20).tolist()
    found = one(run([pooled(values)], {"loss": values}))
    for name in COEFFICIENTS:
        coefficient = getattr(found, name)
        assert coefficient.r == pytest.approx(1, abs=1e-12)
        assert coefficient.r <= 1
        assert coefficient.p < 1e-6
        assert coefficient.ci95 == pytest.approx((1, 1))


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-4, 4) | st.floats(-1e6, 1e6), st.integers(-4, 4) | st.floats(1e-3, 1e3)),
        min_size=3,
        max_size=40,
    )
)
def test_any_numbers_give_what_scipy_gives(points: list[tuple[float, float]]) -> None:
    x, y = (np.array(values, float) for values in zip(*points, strict=True))
    found = one(run([pooled(x.tolist())], {"loss": y.tolist()}, resamples=10))
    if min(np.ptp(x) - 1e-9 * np.abs(x).max(), np.ptp(y) - 1e-9 * np.abs(y).max()) <= 0:
        return
    assert found.pearson.r == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert found.spearman.r == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert found.kendall.r == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


# ---------------------------------------------------------------------------------------------- what has no answer


@pytest.mark.parametrize(
    ("values", "transforms"),
    [
        ([5.0] * 12, TRANSFORMS),
        ([0.1 * place for place in range(12)], ("detrended", "diff")),
        ([7e300 + 1e287 * place for place in range(12)], ("raw", "log", "detrended", "diff")),
    ],
    ids=["constant", "a line", "constant up to rounding"],
)
def test_a_constant_series_has_no_coefficient(values: list[float], transforms: tuple[str, ...]) -> None:
    _, loss = curves(points=12)
    found = run([pooled(values)], {"loss": loss})
    back = run([pooled(loss)], {"loss": values})
    for transform in transforms:
        for correlation in (one(found, transform), one(back, transform)):
            assert correlation.n_effective is None
            for name in COEFFICIENTS:
                assert asdict(getattr(correlation, name)) == {"r": None, "p": None, "q": None, "ci95": None}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_few_points_have_no_interval_and_fewer_no_coefficient(count: int) -> None:
    measure, loss = curves(points=count)
    found = run([pooled(measure)], {"loss": loss})
    raw = one(found).spearman
    assert (raw.r is None) == (count < FEWEST_POINTS)
    assert (raw.ci95 is None) == (count < 8)
    assert one(found, "diff").n == count - 1
    assert one(found, "diff").spearman.ci95 is None
    assert found.block_length == (2 if count == 8 else None)


def test_an_interval_needs_half_of_the_resamples() -> None:
    """One value in 30 that differs is drawn in about two of three resamples; one of two blocks at the end, in fewer."""
    _, loss = curves(points=30)
    rare = [0.0] * 29 + [1.0]
    resamples = Resamples(30, 2000, 0)
    drawn = (resamples.counts(0, 2000)[29] > 0).mean()
    found = one(run([pooled(rare)], {"loss": loss}, resamples=2000))
    assert 0.1 < drawn < 0.5
    assert found.spearman.r is not None
    assert found.spearman.ci95 is None
    wide = [0.0] * 13 + [1.0] * 2 + [0.0] * 15
    assert one(run([pooled(wide)], {"loss": loss}, resamples=2000)).spearman.ci95 is not None


def test_missing_values_and_what_is_no_number_leave_the_pair_out() -> None:
    measure, loss = curves(points=20)
    gaps: Floats = [None if place == 3 else value for place, value in enumerate(measure)]
    broken: Floats = [math.nan if place == 5 else math.inf if place == 6 else v for place, v in enumerate(loss)]
    found = run([pooled(gaps)], {"loss": broken})
    rest = [place for place in range(20) if place not in (3, 5, 6)]
    x, y = [measure[place] for place in rest], [loss[place] for place in rest]
    for transform in TRANSFORMS:
        expected = stats.spearmanr(by_hand(x, transform, rest), by_hand(y, transform, rest)).statistic
        assert one(found, transform).spearman.r == pytest.approx(expected, abs=1e-12)
    assert one(found).n == 17
    assert one(found, "diff").n == 16


def test_log_drops_what_is_not_positive() -> None:
    measure, loss = curves(points=20)
    loss[2], loss[9] = 0.0, -1.0
    found = run([pooled(measure)], {"loss": loss})
    rest = [place for place in range(20) if place not in (2, 9)]
    expected = stats.pearsonr(np.log10([measure[p] for p in rest]), np.log10([loss[p] for p in rest])).statistic
    assert one(found, "log").n == 18
    assert one(found, "log").pearson.r == pytest.approx(expected, abs=1e-12)
    assert one(found).n == 20


def test_order_and_times_are_those_of_the_steps() -> None:
    measure, loss = curves(points=20)
    steps = [place * place for place in range(20)]
    order = np.random.default_rng(2).permutation(20).tolist()
    straight = run([pooled(measure)], {"loss": loss}, steps=steps)
    mixed = run(
        [pooled([measure[place] for place in order])],
        {"loss": [loss[place] for place in order]},
        steps=[steps[place] for place in order],
    )
    assert mixed == straight
    line = [3.0 * step for step in steps]
    assert one(run([pooled(line)], {"loss": loss}, steps=steps), "detrended").pearson.r is None
    for without in ([None, *steps[1:]], [0, 0, *steps[2:]]):
        by_place = run([pooled(line)], {"loss": loss}, steps=without)
        assert one(by_place, "detrended").pearson.r is not None
        assert any("steps are missing or repeated" in note for note in by_place.notes)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**900])
def test_size_does_not_matter(scale: float) -> None:
    measure, loss = curves(points=12)
    plain = run([pooled(measure)], {"loss": loss})
    large = run([pooled([value * scale for value in measure])], {"loss": loss})
    kept = [one for one in plain.correlations if one.transform != "log"]
    assert [one for one in large.correlations if one.transform != "log"] == kept


# -------------------------------------------------------------------------------------------------------- intervals


def drawn_by_hand(points: int, resamples: int, seed: int) -> list[NDArray[np.int64]]:
    """Indices of each resample: blocks laid end to end."""
    length = block_length(points)
    random = np.random.default_rng([seed, points])
    starts = random.integers(0, points - length + 1, (resamples, -(-points // length)))
    return [np.concatenate([np.arange(start, start + length) for start in row])[:points] for row in starts]


@pytest.mark.parametrize("points", [8, 31, 300])
def test_intervals_are_those_of_resampling_point_by_point(points: int) -> None:
    measure, loss = curves(points=points)
    rounded = np.round(loss, 2)
    found = run(
        [pooled(measure), pooled(loss[::-1], "block_entropy")], {"loss": rounded.tolist()}, seed=7, resamples=60
    )
    x, other = np.array(measure), np.array(loss[::-1])
    functions = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}
    for name, function in functions.items():
        r, against = [], []
        for index in drawn_by_hand(points, 60, 7):
            if len(set(rounded[index])) > 1:
                r.append(function(x[index], rounded[index]).statistic)
                against.append(function(other[index], rounded[index]).statistic)
        expected = np.percentile(r, [2.5, 97.5])
        assert getattr(one(found, measure="bdm"), name).ci95 == pytest.approx(expected, abs=1e-12)
        compared = getattr(difference(found, "block_entropy"), name)
        apart = np.array(r) - np.array(against)
        assert compared.ci95 == pytest.approx(np.percentile(apart, [2.5, 97.5]), abs=1e-12)
        stronger = np.abs(r) - np.abs(against)
        assert compared.strength_ci95 == pytest.approx(np.percentile(stronger, [2.5, 97.5]), abs=1e-12)


def test_blocks_are_whole_and_every_resample_is_full() -> None:
    resamples = Resamples(31, 500, 3)
    counts = resamples.counts(0, 500)
    assert counts.shape == (31, 500)
    assert (counts.sum(axis=0) == 31).all()
    assert (resamples.counts(100, 200) == counts[:, 100:200]).all()
    by_hand = [np.bincount(index, minlength=31) for index in drawn_by_hand(31, 500, 3)]
    assert (by_hand == counts.T).all()
    assert not (Resamples(31, 500, 4).counts(0, 500) == counts).all()


def test_intervals_leave_out_what_has_no_value() -> None:
    draws = np.random.default_rng(0).normal(size=(3, 101))
    draws[1, :50] = np.nan
    draws[2, :51] = np.nan
    whole, half, none = intervals(draws)
    assert whole == pytest.approx(np.percentile(draws[0], [2.5, 97.5]))
    assert half == pytest.approx(np.percentile(draws[1, 50:], [2.5, 97.5]))
    assert none is None


def test_a_resample_of_one_value_is_constant_whatever_rounding_says() -> None:
    random = np.random.default_rng(0)
    series = np.stack([np.array([0.1] * 4 + [0.7, 0.3]), random.normal(size=6)])
    counts = np.stack([random.multinomial(6, [0.25] * 4 + [0, 0]) for _ in range(20)], axis=1)
    for r in linear_and_ranked(series, [(0, 1)], counts):
        assert np.isnan(r).all()


def test_tau_of_layers_has_no_interval_above_200_points() -> None:
    measure, loss = curves(points=202)
    found = run([pooled(measure), of_layer("fc", measure)], {"loss": loss}, resamples=20)
    assert one(found, scope="layer").kendall.r == one(found, scope="pooled").kendall.r
    assert one(found, scope="layer").kendall.ci95 is None
    assert one(found, scope="layer").spearman.ci95 is not None
    assert one(found, scope="pooled").kendall.ci95 is not None
    assert any("Kendall's tau has no interval above 200 points" in note for note in found.notes)


# ------------------------------------------------------------------------------------------------------ differences


def test_bdm_is_set_against_block_entropy_and_the_packed_plane() -> None:
    measure, loss = curves()
    other = [value % 97 for value in measure]
    packed = [
        pooled(other, "gzip.nbytes"),
        Measured("model", None, "sign", "gzip.nbytes", tuple(other)),
        Measured("model", None, None, "gzip.planes.sign.nbytes", tuple(other)),
    ]
    for gzip in packed:
        raw = Measured("model", None, None, "gzip.nbytes", tuple(loss))
        found = run([pooled(measure), pooled(loss, "block_entropy"), raw, gzip], {"loss": loss})
        assert list(dict.fromkeys(one.against for one in found.differences)) == ["block_entropy", gzip.measure]
        compared = difference(found, gzip.measure).spearman
        alone = stats.spearmanr(measure, loss).statistic, stats.spearmanr(other, loss).statistic
        assert compared.difference == pytest.approx(alone[0] - alone[1], abs=1e-12)
        assert compared.strength == pytest.approx(abs(alone[0]) - abs(alone[1]), abs=1e-12)


def test_planes_and_layers_are_set_against_their_own() -> None:
    measure, loss = curves()
    measured = [
        pooled(measure, plane="plus"),
        pooled(loss, "block_entropy", "minus"),
        Measured("layer", "a", "sign", "bdm", tuple(measure)),
        Measured("layer", "b", "sign", "block_entropy", tuple(measure)),
        Measured("sum", None, "sign", "bdm", tuple(measure)),
    ]
    assert run(measured, {"loss": loss}).differences == ()


def test_a_difference_is_over_the_points_that_all_three_have() -> None:
    measure, loss = curves()
    gaps = [None if place < 5 else value for place, value in enumerate(loss[::-1])]
    found = run([pooled(measure), pooled(gaps, "block_entropy")], {"loss": loss})
    compared = difference(found, "block_entropy")
    expected = stats.spearmanr(measure[5:], loss[5:]).statistic - stats.spearmanr(loss[::-1][5:], loss[5:]).statistic
    assert (one(found, measure="bdm").n, compared.n) == (31, 26)
    assert compared.spearman.difference == pytest.approx(expected, abs=1e-12)


def test_a_measure_against_its_own_double_differs_by_nothing() -> None:
    measure, loss = curves()
    found = run([pooled(measure), pooled([2 * value for value in measure], "block_entropy")], {"loss": loss})
    for transform in TRANSFORMS:
        compared = difference(found, "block_entropy", transform)
        assert compared.spearman == compared.kendall
        assert asdict(compared.spearman) == {
            "difference": 0,
            "ci95": (0, 0),
            "strength": 0,
            "strength_ci95": (0, 0),
        }


# ------------------------------------------------------------------------------------------------------------ layers


def test_q_is_that_of_scipy_over_the_layers() -> None:
    _, loss = curves()
    random = np.random.default_rng(4)
    layers = [
        of_layer(f"fc{number}", (random.normal(size=31) - np.array(loss) * number).tolist()) for number in range(6)
    ]
    layers.append(of_layer("still", [1.0] * 31))
    found = run([*layers, pooled(curves()[0])], {"loss": loss, "other": loss[::-1]})
    for transform in TRANSFORMS:
        of_layers = [
            one for one in found.correlations if (one.scope, one.metric, one.transform) == ("layer", "loss", transform)
        ]
        for name in COEFFICIENTS:
            p = [getattr(one, name).p for one in of_layers]
            assert p[-1] is None
            assert any(value is not None for value in p)
            assert_q([getattr(one, name).q for one in of_layers], p)
        assert [one.q for one in of_layers] == [one.spearman.q for one in of_layers]
        assert of_layers[-1].q is None
    for correlation in found.correlations:
        if correlation.scope != "layer":
            assert (correlation.q, correlation.spearman.q) == (None, None)


def assert_q(q: list[float | None], p: list[float | None]) -> None:
    """q is scipy's of the p that are there."""
    assert [value is None for value in q] == [value is None for value in p]
    known = [value for value in p if value is not None]
    expected = stats.false_discovery_control(known).tolist() if known else []
    assert [value for value in q if value is not None] == expected


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_false_discovery_is_that_of_scipy(p: list[float | None]) -> None:
    assert_q(false_discovery(p), p)


# -------------------------------------------------------------------------------------------------------------- runs


def three_runs() -> tuple[list[Measured], dict[str, Numbers], list[str | None], list[int]]:
    """The curves of three seeds, one after the other."""
    several = [curves(seed) for seed in range(3)]
    measure = [value for one, _ in several for value in one]
    loss = [value for _, one in several for value in one]
    entropy = [value + place % 5 for place, value in enumerate(loss)]
    groups: list[str | None] = [f"seed_{seed}" for seed in range(3) for _ in range(31)]
    return [pooled(measure), pooled(entropy, "block_entropy")], {"loss": loss}, groups, list(range(31)) * 3


def test_runs_are_never_put_together() -> None:
    measured, metrics, groups, steps = three_runs()
    found = run(measured, metrics, groups, steps=steps)
    measure, loss = curves(1)
    alone = run([pooled(measure)], {"loss": loss})
    of_second = [one for one in found.correlations if one.group == "seed_1" and one.measure == "bdm"]
    assert [{**asdict(one), "group": None} for one in of_second] == [asdict(one) for one in alone.correlations]
    assert {one.n for one in found.correlations} == {31, 30}


def test_means_over_runs_are_of_fishers_z() -> None:
    measured, metrics, groups, steps = three_runs()
    found = run(measured, metrics, groups, steps=steps)
    r = [one(found, "diff", measure="bdm", group=f"seed_{seed}").spearman.r for seed in range(3)]
    other = [one(found, "diff", measure="block_entropy", group=f"seed_{seed}").spearman.r for seed in range(3)]
    z, other_z = np.arctanh(np.array(r, float)), np.arctanh(np.array(other, float))
    means = {
        one.quantity: one
        for one in found.groups
        if (one.measure, one.transform, one.coefficient) == ("bdm", "diff", "spearman")
    }
    assert set(means) == {"correlation", "difference", "strength"}
    low, high = stats.t.interval(0.95, 2, z.mean(), stats.sem(z))
    assert means["correlation"].n == 3
    assert means["correlation"].fisher_mean == pytest.approx(np.tanh(z.mean()), rel=1e-12)
    effective = [one(found, "diff", measure="bdm", group=f"seed_{seed}").n_effective or 0.0 for seed in range(3)]
    half = max((high - low) / 2, stats.norm.ppf(0.975) * np.sqrt(sum(1.06 / (n - 3) for n in effective)) / 3)
    assert means["correlation"].ci95 == pytest.approx((np.tanh(z.mean() - half), np.tanh(z.mean() + half)), rel=1e-9)
    for name, apart in (("difference", z - other_z), ("strength", np.abs(z) - np.abs(other_z))):
        assert means[name].against == "block_entropy"
        assert means[name].fisher_mean == pytest.approx(apart.mean(), rel=1e-12)
        expected = stats.t.interval(0.95, 2, apart.mean(), stats.sem(apart))
        assert means[name].ci95 == pytest.approx(expected, rel=1e-9)
    assert means["strength"].label == "spearman diff: |bdm| - |block_entropy| ~ loss (pooled, sign)"


def test_perfect_correlations_have_a_finite_mean() -> None:
    values = np.random.default_rng(0).normal(size=30).tolist()
    found = run([pooled(values)], {"loss": values}, ["a"] * 10 + ["b"] * 10 + ["c"] * 10)
    for mean in found.groups:
        assert mean.fisher_mean == pytest.approx(1 - 1e-6)
        assert mean.ci95 is not None
        assert 0.99 < mean.ci95[0] < mean.ci95[1] < 1


def test_runs_that_happen_to_agree_say_no_more_than_their_points() -> None:
    """Three runs of ten points with one r: the interval is that of thirty points in three runs, not of no width."""
    x, y = np.random.default_rng(4).normal(size=(2, 10))
    found = run([pooled([*x] * 3)], {"loss": [*y] * 3}, ["a"] * 10 + ["b"] * 10 + ["c"] * 10)
    for mean in found.groups:
        if (mean.transform, mean.coefficient) == ("raw", "pearson"):
            effective = one(found, group="a").n_effective
            assert effective is not None
            z, half = np.arctanh(stats.pearsonr(x, y).statistic), stats.norm.ppf(0.975) / np.sqrt(3 * (effective - 3))
            assert mean.ci95 == pytest.approx((np.tanh(z - half), np.tanh(z + half)), rel=1e-9)


def test_two_runs_have_a_mean_and_no_interval() -> None:
    x, y = np.random.default_rng(4).normal(size=(2, 20))
    found = run([pooled(x)], {"loss": y}, ["a"] * 10 + ["b"] * 10)
    assert found.groups
    assert {mean.ci95 for mean in found.groups} == {None}
    assert all("over 2 runs, too few for an interval" in one.text for one in found.conclusions if one.kind == "tracks")


def test_one_run_has_no_mean_and_a_run_without_values_no_part_in_it() -> None:
    measure, loss = curves()
    assert run([pooled(measure)], {"loss": loss}).groups == ()
    nothing: Floats = [None] * 31
    groups: list[str | None] = ["a"] * 31 + ["b"] * 31
    found = run([pooled(measure + nothing)], {"loss": loss + loss}, groups, steps=list(range(31)) * 2)
    assert found.groups == ()
    assert one(found, group="b").n == 0
    assert any("run b: loss has fewer than 3 checkpoints" in note for note in found.notes)


# --------------------------------------------------------------------------------------------------------- smoothing


def test_smoothing_is_that_of_the_paper() -> None:
    measure, loss = curves()

    def paper(values: Numbers) -> Array:
        filtered = gaussian_filter1d(np.log1p(np.array(values)), sigma=1)
        return (filtered - filtered.min()) / (filtered.max() - filtered.min())

    found = run([pooled(measure)], {"loss": loss}, smooth="sakabe")
    plain = one(run([pooled(measure)], {"loss": loss}))
    assert one(found).pearson.r == pytest.approx(stats.pearsonr(paper(measure), paper(loss)).statistic, abs=1e-12)
    expected = stats.spearmanr(np.diff(paper(measure)), np.diff(paper(loss))).statistic
    assert one(found, "diff").spearman.r == pytest.approx(expected, abs=1e-12)
    assert {correlation.transform for correlation in found.correlations} == {"raw", "detrended", "diff"}
    assert one(found).n_effective < plain.n_effective
    assert any("smoothed (sakabe)" in note for note in found.notes)


def test_smoothing_takes_the_points_that_are_there() -> None:
    measure, loss = curves()
    gaps = [None if place == 4 else value for place, value in enumerate(measure)]
    negative = [-2.0 if place == 9 else value for place, value in enumerate(loss)]
    found = run([pooled(gaps), pooled([3.0] * 31, "block_entropy")], {"loss": negative}, smooth="sakabe")
    x = gaussian_filter1d(np.log1p([value for place, value in enumerate(measure) if place != 4]), 1)
    y = gaussian_filter1d(np.log1p([value for place, value in enumerate(loss) if place != 9]), 1)
    expected = stats.pearsonr(np.delete(x, 8), np.delete(y, 4)).statistic
    assert one(found, measure="bdm").n == 29
    assert one(found, measure="bdm").pearson.r == pytest.approx(expected, abs=1e-12)
    assert one(found, measure="block_entropy").pearson.r is None


# ------------------------------------------------------------------------------------------------- whole and stable


def test_nothing_is_nothing() -> None:
    for found in (run([pooled([1.0, 2.0])], {}), correlate([], {"loss": [1.0]}, [1], [None], seed=0)):
        assert (found.correlations, found.differences, found.groups, found.conclusions) == ((), (), (), ())
        assert (found.notes, found.block_length) == ((), None)


def test_everything_is_strict_json() -> None:
    measured, metrics, groups, steps = three_runs()
    measured.append(pooled([None] * 93, "mean_ctm"))
    metrics["broken"] = [math.nan] * 50 + [math.inf] * 43
    metrics["still"] = [1.0] * 93
    found = run(measured, metrics, groups, steps=steps)
    text = json.dumps(asdict(found), allow_nan=False)
    assert json.loads(text)["correlations"][0]["pearson"]["ci95"][0] < 1


PROGRAM = """
import hashlib, numpy
from wcx.tasks.compare.statistics.correlate import correlate
from wcx.tasks.compare.statistics.records import Measured
random = numpy.random.default_rng(0)
rows = [tuple(numpy.cumsum(random.normal(size=120)).tolist()) for _ in range(6)]
measured = [Measured("pooled", None, "sign", name, row) for name, row in zip(("bdm", "block_entropy", "x"), rows)]
found = correlate(measured, dict(zip("abc", rows[3:])), range(120), [None] * 120, seed=1, resamples=300)
print(hashlib.sha256(repr(found).encode()).hexdigest())
"""


def test_the_same_bytes_whatever_the_threads_and_the_hashes() -> None:
    outputs = set()
    for threads, seed in (("1", "0"), ("2", "1"), ("7", "2")):
        environment = {"OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        outputs.add(run_python(PROGRAM, env=environment, check=True).stdout)
    assert len(outputs) == 1


def test_the_same_numbers_however_many_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, metrics, groups, steps = three_runs()
    metrics["back"] = metrics["loss"][::-1]
    whole = run(measured, metrics, groups, steps=steps)
    monkeypatch.setattr("wcx.tasks.compare.statistics.pairs._CELLS", 1000)
    monkeypatch.setattr("wcx.tasks.compare.statistics.pairs._DRAWS", 1)
    assert run(measured, metrics, groups, steps=steps) == whole


def test_differences_that_are_equal_but_for_rounding_are_ties_and_others_are_not() -> None:
    stairs = (0.1 * np.array([0, 1, 2, 3, 5, 7, 9, 10, 11, 12])).tolist()  # differences of 0.1 and 0.2, and 1e-17
    other = np.random.default_rng(1).normal(size=10).tolist()
    found = one(run([pooled(stairs)], {"loss": other}), "diff").spearman.r
    exact = stats.spearmanr([1, 1, 1, 2, 2, 2, 1, 1, 1], np.diff(other)).statistic
    assert found == pytest.approx(exact, abs=1e-12)
    assert found != pytest.approx(stats.spearmanr(np.diff(stairs), np.diff(other)).statistic, abs=1e-3)
    decades = [1e3 * 10 ** (-step / 2) for step in range(31)]
    convex = [float((40 - step) ** 3) for step in range(31)]
    assert one(run([pooled(convex)], {"loss": decades}), "diff").spearman.r == pytest.approx(1.0, abs=1e-12)
