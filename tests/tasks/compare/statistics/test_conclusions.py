"""The sentences: what is said of a real link, of a mere trend, of one measure against another, and of too little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from wcx.core.comparison import Conclusion
from wcx.tasks.compare.statistics.correlate import correlate
from wcx.tasks.compare.statistics.records import Correlated, Measured

Array = NDArray[np.float64]
Numbers = Array | Sequence[float | None]

POINTS = 60


def noise(seed: int, points: int = POINTS) -> Array:
    return np.random.default_rng(seed).normal(size=points)


def pooled(measure: str, values: Numbers) -> Measured:
    return Measured("pooled", None, "sign", measure, tuple(np.asarray(values).tolist()))


def run(measured: list[Measured], loss: Numbers, runs: int = 1, smooth: str | None = None) -> Correlated:
    count = len(measured[0].values)
    groups = [f"seed_{number}" if runs > 1 else None for number in range(runs) for _ in range(count // runs)]
    steps = list(range(count // runs)) * runs
    return correlate(measured, {"loss": np.asarray(loss).tolist()}, steps, groups, seed=0, resamples=500, smooth=smooth)


def said(found: Correlated, kind: str, measure: str = "bdm", against: str | None = None) -> Conclusion:
    (only,) = [one for one in found.conclusions if (one.kind, one.measure, one.against) == (kind, measure, against)]
    return only


def test_a_link_that_survives() -> None:
    link = 3 * noise(0)
    conclusion = said(run([pooled("bdm", 900 + link)], 5 + link + 0.5 * noise(1)), "tracks")
    assert (conclusion.levels, conclusion.differences, conclusion.survives) == (True, True, True)
    assert conclusion.text == (
        "bdm of plane sign and loss: positive correlation in levels (Spearman 0.98, 95 % interval 0.96 to 0.99), "
        "positive correlation in first differences (Spearman 0.97, 95 % interval 0.93 to 0.98): also shown from one "
        "checkpoint to the next"
    )


def test_a_trend_alone() -> None:
    time = np.arange(200)
    conclusion = said(run([pooled("bdm", -time + 40 * noise(0, 200))], -time + 40 * noise(1, 200)), "tracks")
    assert (conclusion.levels, conclusion.differences, conclusion.survives) == (True, False, False)
    assert "positive correlation in levels (Spearman 0." in conclusion.text
    assert "no significant correlation in first differences (Spearman " in conclusion.text
    assert conclusion.text.endswith(": shown in levels only, where a common trend suffices")


def test_a_trend_of_few_independent_points() -> None:
    """Smooth curves: the interval is off 0, but hardly any point is independent of its neighbours."""
    time = np.arange(31)
    conclusion = said(run([pooled("bdm", 9 * np.exp(-time / 9))], 50 - time), "tracks")
    assert (conclusion.levels, conclusion.survives) == (False, False)
    assert " effective points of 31" in conclusion.text


def test_an_interval_off_0_is_not_enough() -> None:
    random = np.random.default_rng(1)
    series = np.cumsum(random.normal(size=(2, 60)), axis=1)
    bdm, loss = (one + 2 * random.normal(size=60) for one in series)
    conclusion = said(run([pooled("bdm", bdm)], loss), "tracks")
    assert conclusion.levels is False
    assert "95 % interval 0.02 to 0.45, but only 57.6 effective points of 60, p 0.073" in conclusion.text


def test_a_link_the_other_way() -> None:
    link = 3 * noise(0)
    conclusion = said(run([pooled("bdm", -link)], link + 0.5 * noise(1)), "tracks")
    assert conclusion.survives
    assert "negative correlation in levels (Spearman -0.98" in conclusion.text


def test_levels_and_differences_of_opposite_signs_do_not_survive() -> None:
    time = np.arange(200)
    jitter = 3 * noise(0, 200)
    bdm = time / 3 + jitter
    conclusion = said(run([pooled("bdm", bdm)], time / 3 - jitter), "tracks")
    assert (conclusion.levels, conclusion.differences, conclusion.survives) == (True, True, False)
    assert conclusion.text.endswith("the signs are opposite, so the correlation in levels is that of the common trend")


@pytest.mark.parametrize(
    ("values", "loss", "why"),
    [
        (
            [1.0] * 20,
            noise(0, 20),
            "correlation in levels undetermined (a series is constant, or there are fewer than three points)",
        ),
        (noise(1, 6), noise(0, 6), " over 6 points, too few for an interval)"),
    ],
    ids=["constant", "few"],
)
def test_what_cannot_be_judged(values: Numbers, loss: Numbers, why: str) -> None:
    conclusion = said(run([pooled("bdm", values)], loss), "tracks")
    assert (conclusion.levels, conclusion.differences, conclusion.survives) == (None, None, False)
    assert why in conclusion.text
    assert conclusion.text.endswith(": no verdict")


def test_a_measure_that_is_better_and_one_that_is_not() -> None:
    link = 3 * noise(0)
    loss = link + 0.2 * noise(1)
    close, loose = pooled("bdm", link), pooled("block_entropy", link + 3 * noise(2))
    better = said(run([close, loose], loss), "better", against="block_entropy")
    assert (better.levels, better.differences, better.survives) == (True, True, True)
    assert better.text.startswith(
        "bdm of plane sign versus block_entropy for loss: stronger correlation in levels "
        "(difference of abs(Spearman) +0."
    )
    assert better.text.endswith(": better than block_entropy, also from one checkpoint to the next")
    swapped = [pooled("bdm", loose.values), pooled("block_entropy", close.values)]
    worse = said(run(swapped, loss), "better", against="block_entropy")
    assert (worse.levels, worse.differences, worse.survives) == (False, False, False)
    assert worse.text.endswith(": block_entropy is better")
    same = said(run([close, pooled("gzip.nbytes", link)], loss), "better", against="gzip.nbytes")
    assert (same.levels, same.differences, same.survives) == (False, False, False)
    assert same.text.endswith(": not shown to be better than gzip.nbytes")


def test_over_runs_the_means_speak() -> None:
    link = 3 * noise(0, 90)
    loss = link + 0.5 * noise(1, 90)
    entropy = link + 3 * noise(2, 90)
    found = run([pooled("bdm", link), pooled("block_entropy", entropy)], loss, runs=3)
    tracks = said(found, "tracks")
    assert (tracks.group, tracks.survives) == (None, True)
    assert "bdm of plane sign and loss over 3 runs: positive correlation in levels (mean Spearman 0.9" in tracks.text
    better = said(found, "better", against="block_entropy")
    assert "over 3 runs: stronger correlation in levels (difference of abs(Fisher z) +" in better.text
    mean = next(
        one for one in found.groups if (one.quantity, one.coefficient, one.transform) == ("strength", "spearman", "raw")
    )
    assert mean.ci95 is not None
    assert better.levels == (mean.ci95[0] > 0)
    assert {one.measure for one in found.conclusions if one.kind == "tracks"} == {"bdm", "block_entropy"}


def test_a_run_that_is_alone_in_having_values_speaks_for_itself() -> None:
    link = 3 * noise(0, 60)
    loss = (link + noise(1, 60)).tolist()
    values = [None if place >= 30 else value for place, value in enumerate(link.tolist())]
    measured = [Measured("pooled", None, "sign", "bdm", tuple(values))]
    groups = ["a"] * 30 + ["b"] * 30
    found = correlate(measured, {"loss": loss}, list(range(30)) * 2, groups, seed=0, resamples=200)
    assert [one.group for one in found.conclusions] == ["a", "b"]
    assert "and loss in run a: positive correlation in levels" in found.conclusions[0].text


def test_smoothing_is_said_in_the_sentence() -> None:
    link = 3 * noise(0)
    found = run([pooled("bdm", 900 + link)], 20 + link, smooth="sakabe")
    assert "smoothed levels" in said(found, "tracks").text


def test_hostile_names_are_escaped() -> None:
    link = noise(0, 20)
    measured = [Measured("pooled", None, "si\x1bgn", "bdm", tuple(link.tolist()))]
    found = correlate(measured, {"lo\nss": link.tolist()}, range(20), ["\x1b[31m"] * 20, seed=0, resamples=50)
    (conclusion,) = found.conclusions
    assert conclusion.text.isprintable()
    assert conclusion.metric == "lo\nss"


def test_a_measure_that_is_better_in_the_one_run_that_can_tell() -> None:
    """gzip of signs is constant in most runs; where it is not, what bdm shows in that run counts."""
    random = np.random.default_rng(0)
    loss, bdm, gzip, groups = [], [], [], []
    for group in ("a", "b", "c"):
        link = random.standard_normal(20)
        loss += link.tolist()
        bdm += (link + 0.1 * random.standard_normal(20)).tolist()
        gzip += random.integers(0, 5, 20).astype(float).tolist() if group == "a" else [7.0] * 20
        groups += [group] * 20
    measured = [
        Measured("pooled", None, "sign", "bdm", tuple(bdm)),
        Measured("pooled", None, "sign", "gzip.nbytes", tuple(gzip)),
    ]
    found = correlate(measured, {"loss": tuple(loss)}, [float(step) for step in range(20)] * 3, groups, seed=0)
    better = {one.group: one for one in found.conclusions if one.kind == "better" and one.against == "gzip.nbytes"}
    assert (better["a"].levels, better["a"].differences, better["a"].survives) == (True, True, True)
    assert better["b"].levels is None


def test_the_stronger_of_two_unrelated_series_is_no_better() -> None:
    random = np.random.default_rng(3)
    walk, loss = random.standard_normal(40).cumsum(), random.standard_normal(40).cumsum()
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal(40)
        measured = [
            Measured("pooled", None, "sign", "bdm", tuple(walk.tolist())),
            Measured("pooled", None, "sign", "block_entropy", tuple(noise.tolist())),
        ]
        steps = [float(step) for step in range(40)]
        found = correlate(measured, {"loss": tuple(loss.tolist())}, steps, [None] * 40, seed=0)
        tracks = {one.measure: one for one in found.conclusions if one.kind == "tracks"}
        better = next(one for one in found.conclusions if one.kind == "better")
        assert not better.levels or tracks["bdm"].levels
        assert not better.survives or tracks["bdm"].survives
