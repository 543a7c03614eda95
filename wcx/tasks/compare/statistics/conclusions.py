"""From coefficients to sentences: does a measure follow a column of the log, and does it do so better than another?

Both are answered for levels and for first differences, by Spearman's coefficient of the pooled rows. Two curves that
both fall always correlate over levels; a correlation that differences don't confirm is that of the common trend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wcx.core.comparison import Conclusion, Correlation, CorrelationDifference, FisherMean
from wcx.core.quantities import DENSITY, change_fields, claimed_measures
from wcx.core.text import escape
from wcx.measures import compressor_names
from wcx.tasks.compare.statistics.bootstrap import FEWEST

_SIGNIFICANT = 0.05
_FEWEST_EFFECTIVE = 5  # of 4 points even the same order has an exact p of 2 / 4! = 0.083
_COEFFICIENT = "spearman"


class _Subject(NamedTuple):
    """The subject of a conclusion."""

    plane: str | None
    measure: str
    against: str | None
    metric: str
    group: str | None


@dataclass(frozen=True, slots=True)
class _Finding:
    """A coefficient or a difference of strength, of one run or the mean of several. p, effective: of a coefficient."""

    value: float | None
    ci95: tuple[float, float] | None
    points: int
    runs: int = 1
    p: float | None = None
    effective: float | None = None

    @property
    def sign(self) -> int | None:
        """The side of 0 on which the whole interval lies, 0 for both; None where there is no interval."""
        if self.value is None or self.ci95 is None:
            return None
        return (self.ci95[0] > 0) - (self.ci95[1] < 0)

    @property
    def correlated(self) -> int | None:
        """The sign of a significant coefficient: by its interval and, over one run, by its p too; else 0."""
        if self.sign is None or self.runs > 1:
            return self.sign
        enough = self.effective is not None and self.effective >= _FEWEST_EFFECTIVE
        return self.sign if enough and self.p is not None and self.p < _SIGNIFICANT else 0


Findings = dict[_Subject, dict[str, _Finding]]
"""By subject, then by transform."""


def conclude(
    correlations: Iterable[Correlation],
    differences: Iterable[CorrelationDifference],
    groups: Sequence[FisherMean],
    smooth: str | None,
) -> Iterator[Conclusion]:
    """Yield the conclusions on each plane's main measures; over runs where there are means, else of each run."""
    single = _of_correlations(correlations)
    tracks = _of_runs(single, groups, "correlation")
    links = single | tracks  # of a run too, where one of two measures has values in that run alone
    better = _of_runs(_of_differences(differences), groups, "strength")
    levels = "smoothed levels" if smooth else "levels"
    for subject, by_transform in tracks.items():
        yield _tracks(subject, by_transform["raw"], by_transform["diff"], levels)
    for subject, by_transform in better.items():
        own = links.get(subject._replace(against=None), {})
        other = links.get(subject._replace(measure=subject.against or "", against=None), {})
        signs = [_earned(by_transform[name], own.get(name), other.get(name)) for name in ("raw", "diff")]
        yield _better(subject, by_transform["raw"], by_transform["diff"], levels, *signs)


def _earned(difference: _Finding, own: _Finding | None, other: _Finding | None) -> int | None:
    """Return the sign of a difference of strength, 0 where the stronger correlation is not significant."""
    if not difference.sign:
        return difference.sign
    stronger = own if difference.sign > 0 else other
    return difference.sign if stronger is not None and stronger.correlated else 0


def _of_correlations(correlations: Iterable[Correlation]) -> Findings:
    findings: Findings = {}
    for row in correlations:
        if _is_main(row.scope, row.measure):
            r = row.spearman
            subject = _Subject(row.plane, row.measure, None, row.metric, row.group)
            finding = _Finding(r.r, r.ci95, row.n, p=r.p, effective=row.n_effective)
            findings.setdefault(subject, {})[row.transform] = finding
    return findings


def _of_differences(differences: Iterable[CorrelationDifference]) -> Findings:
    findings: Findings = {}
    for row in differences:
        if row.scope == "pooled" and _is_claimed(row.measure, row.against):
            subject = _Subject(row.plane, row.measure, row.against, row.metric, row.group)
            finding = _Finding(row.spearman.strength, row.spearman.strength_ci95, row.n)
            findings.setdefault(subject, {})[row.transform] = finding
    return findings


def _of_runs(single: Findings, groups: Sequence[FisherMean], quantity: str) -> Findings:
    """Return the findings, with means over runs in place of the runs' own where there are some."""
    means = {
        (mean.plane, mean.measure, mean.against, mean.metric, mean.transform): _Finding(
            mean.fisher_mean, mean.ci95, 0, runs=mean.n
        )
        for mean in groups
        if mean.scope in ("pooled", "model") and mean.coefficient == _COEFFICIENT and mean.quantity == quantity
    }
    findings: Findings = {}
    for subject, of_run in single.items():
        over = {name: means.get((*subject[:-1], name)) for name in ("raw", "diff")}
        if any(over.values()):
            nothing = _Finding(None, None, 0, runs=2)
            findings[subject._replace(group=None)] = {name: over[name] or nothing for name in over}
        else:
            findings[subject] = of_run
    return findings


def _is_main(scope: str, measure: str) -> bool:
    if measure.startswith(_compressed()) and measure.endswith(".nbytes"):
        return scope in ("pooled", "model")
    return scope == "pooled" and measure in change_fields() and measure != DENSITY


def _is_claimed(measure: str, against: str) -> bool:
    """Return True for a published claim, and for the baseline that it leaves out."""
    claimed = {claim.name: claim.baselines[:1] for claim in claimed_measures()}
    return measure in claimed and (against in claimed[measure] or against.startswith(_compressed()))


def _compressed() -> tuple[str, ...]:
    return tuple(f"{name}." for name in compressor_names())


# --------------------------------------------------------------------------------------------------------- sentences


def _tracks(subject: _Subject, raw: _Finding, diff: _Finding, levels: str) -> Conclusion:
    survives = bool(raw.correlated) and raw.correlated == diff.correlated
    text = (
        f"{_name(subject)} and {escape(subject.metric)}{_where(subject, raw)}: {_moves(levels, raw)}, "
        f"{_moves('first differences', diff)}: {_verdict(raw.correlated, diff.correlated)}"
    )
    return Conclusion("tracks", *subject, _flag(raw.correlated), _flag(diff.correlated), survives, text)


def _better(
    subject: _Subject, raw: _Finding, diff: _Finding, levels: str, raw_sign: int | None, diff_sign: int | None
) -> Conclusion:
    """Return the conclusion. raw_sign, diff_sign: the sides of the differences that count, 0 for none."""
    against = escape(subject.against or "")
    text = (
        f"{_name(subject)} versus {against} for {escape(subject.metric)}{_where(subject, raw)}: "
        f"{_stronger(levels, raw)}, {_stronger('first differences', diff)}: "
        f"{_better_verdict(against, raw_sign, diff_sign)}"
    )
    if (raw.sign, diff.sign) != (raw_sign, diff_sign):
        text += " (a stronger correlation counts only if it is significant itself)"
    levels_hold, differences_hold = (None if sign is None else sign > 0 for sign in (raw_sign, diff_sign))
    survives = raw_sign == 1 and diff_sign == 1
    return Conclusion("better", *subject, levels_hold, differences_hold, survives, text)


def _flag(sign: int | None) -> bool | None:
    return None if sign is None else bool(sign)


def _name(subject: _Subject) -> str:
    """Return the measure and its subject: compressors take the bits of a plane, or the stored bytes."""
    plane = " of the stored bytes" if subject.plane is None else f" of plane {escape(subject.plane)}"
    return f"{escape(subject.measure)}{plane}"


def _where(subject: _Subject, finding: _Finding) -> str:
    if finding.runs > 1:
        return f" over {finding.runs} runs"
    return f" in run {escape(subject.group)}" if subject.group is not None else ""


def _moves(series: str, finding: _Finding) -> str:
    if finding.value is None and finding.runs > 1:
        return f"correlation in {series} undetermined (fewer than two runs have a value)"
    if finding.value is None:
        return f"correlation in {series} undetermined (a series is constant, or there are fewer than three points)"
    spearman = f"{'mean ' if finding.runs > 1 else ''}Spearman {_number(finding.value)}"
    if finding.ci95 is None:
        return f"correlation in {series} undetermined ({spearman} over {_why_no_interval(finding)})"
    inside = f"{spearman}, 95 % interval {_range(finding.ci95)}"
    if finding.correlated:
        return f"{'positive' if finding.correlated > 0 else 'negative'} correlation in {series} ({inside})"
    if finding.sign and finding.effective is not None:
        if finding.effective < finding.points:
            inside += f", but only {finding.effective:.1f} effective points of {finding.points}"
        inside += "" if finding.p is None or finding.p < _SIGNIFICANT else f", p {finding.p:.2g}"
    return f"no significant correlation in {series} ({inside})"


def _why_no_interval(finding: _Finding) -> str:
    if finding.runs > 1:
        return f"{finding.runs} runs, too few for an interval"
    if finding.points < FEWEST:
        return f"{finding.points} points, too few for an interval"
    return f"{finding.points} points, no interval: a series is constant in most resamples"


def _verdict(raw: int | None, diff: int | None) -> str:
    if raw is None or diff is None:
        return "no verdict"
    if raw and raw == diff:
        return "also shown from one checkpoint to the next"
    if raw and diff:
        return "the signs are opposite, so the correlation in levels is that of the common trend"
    if raw:
        return "shown in levels only, where a common trend suffices"
    return "shown from one checkpoint to the next only" if diff else "no correlation shown"


def _stronger(series: str, finding: _Finding) -> str:
    if finding.value is None or finding.ci95 is None:
        return f"no comparison in {series} (no interval)"
    inside = f"{_number(finding.value, '+')}, 95 % interval {_range(finding.ci95)}"
    quantity = "difference of abs(Fisher z)" if finding.runs > 1 else "difference of abs(Spearman)"
    if not finding.sign:
        return f"no significant difference of correlations in {series} ({quantity} {inside})"
    return f"{'stronger' if finding.sign > 0 else 'weaker'} correlation in {series} ({quantity} {inside})"


def _better_verdict(against: str, raw: int | None, diff: int | None) -> str:
    if raw is None or diff is None:
        return "no verdict"
    if raw == diff:
        return {
            1: f"better than {against}, also from one checkpoint to the next",
            -1: f"{against} is better",
            0: f"not shown to be better than {against}",
        }[raw]
    if raw > 0:
        return f"better than {against} in levels only, where a common trend suffices"
    if diff > 0:
        return f"better than {against} from one checkpoint to the next only"
    return f"not shown to be better than {against}"


def _range(ci95: tuple[float, float]) -> str:
    return f"{_number(ci95[0])} to {_number(ci95[1])}"


def _number(value: float, sign: str = "") -> str:
    """Return the text of a value with two decimals, and no minus before 0."""
    return f"{round(value, 2) + 0.0:{sign}.2f}"
