"""From coefficients to sentences: does a measure follow a column of the log, does it do so better than another one?

Each is asked twice, of levels and of first differences, by Spearman's coefficient of the pooled rows. Over levels two
curves that both fall always answer yes; what differences don't confirm is the common trend and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wcx.core.comparison import Conclusion, Correlation, CorrelationDifference, FisherMean
from wcx.core.quantities import DENSITY, change_fields, claimed_measures
from wcx.core.text import escape
from wcx.measures import compressor_names
from wcx.tasks.compare.statistics.bootstrap import FEWEST

_SIGNIFICANT = 0.05
_FEWEST_EFFECTIVE = 5  # of 4 points even the same order has an exact p of 2 / 4! = 0.083
_COEFFICIENT = "spearman"


@dataclass(frozen=True, slots=True)
class _Subject:
    """Of what something is said."""

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
        """On which side of 0 the whole interval lies, 0 for on both; None where there is no interval."""
        if self.value is None or self.ci95 is None:
            return None
        return (self.ci95[0] > 0) - (self.ci95[1] < 0)

    @property
    def correlated(self) -> int | None:
        """The sign of a coefficient that is no chance: by its interval and, over one run, by its p too; else 0."""
        if self.sign is None or self.runs > 1:
            return self.sign
        enough = self.effective is not None and self.effective >= _FEWEST_EFFECTIVE
        return self.sign if enough and self.p is not None and self.p < _SIGNIFICANT else 0


Findings = dict[_Subject, dict[str, _Finding]]
"""By subject, then by transform."""


def conclude(
    correlations: Iterable[Correlation],
    differences: Iterable[CorrelationDifference],
    groups: Iterable[FisherMean],
    smooth: str | None = None,
) -> Iterator[Conclusion]:
    """What is to be said of each plane's main measures; over runs where there are means, else of each run."""
    groups = list(groups)
    single = _of_correlations(correlations)
    tracks = _of_runs(single, groups, "correlation")
    links = single | tracks  # of a run too, where one of two measures has values in that run alone
    better = _of_runs(_of_differences(differences), groups, "strength")
    levels = "smoothed levels" if smooth else "levels"
    for subject, found in tracks.items():
        yield _tracks(subject, found["raw"], found["diff"], levels)
    for subject, found in better.items():
        own = links.get(replace(subject, against=None))
        other = links.get(replace(subject, measure=subject.against or "", against=None))
        signs = [
            _earned(found[name], own[name] if own else None, other[name] if other else None) for name in ("raw", "diff")
        ]
        yield _better(subject, found["raw"], found["diff"], levels, *signs)


def _earned(difference: _Finding, own: _Finding | None, other: _Finding | None) -> int | None:
    """The sign of a difference of strength, 0 where the stronger one shows no link itself: then chance is stronger."""
    if not difference.sign:
        return difference.sign
    stronger = own if difference.sign > 0 else other
    return difference.sign if stronger is not None and stronger.correlated else 0


def _of_correlations(correlations: Iterable[Correlation]) -> Findings:
    found: Findings = {}
    for one in correlations:
        if _is_main(one.scope, one.measure):
            r = one.spearman
            subject = _Subject(one.plane, one.measure, None, one.metric, one.group)
            finding = _Finding(r.r, r.ci95, one.n, p=r.p, effective=one.n_effective)
            found.setdefault(subject, {})[one.transform] = finding
    return found


def _of_differences(differences: Iterable[CorrelationDifference]) -> Findings:
    found: Findings = {}
    for one in differences:
        if one.scope == "pooled" and _is_better(one.measure, one.against):
            subject = _Subject(one.plane, one.measure, one.against, one.metric, one.group)
            finding = _Finding(one.spearman.strength, one.spearman.strength_ci95, one.n)
            found.setdefault(subject, {})[one.transform] = finding
    return found


def _of_runs(single: Findings, groups: list[FisherMean], quantity: str) -> Findings:
    """The findings, where there are means over runs these in place of the runs' own."""
    means = {
        (one.plane, one.measure, one.against, one.metric, one.transform): one
        for one in groups
        if one.scope in ("pooled", "model") and one.coefficient == _COEFFICIENT and one.quantity == quantity
    }
    found: Findings = {}
    for subject, of_run in single.items():
        key = subject.plane, subject.measure, subject.against, subject.metric
        over = {name: means.get((*key, name)) for name in ("raw", "diff")}
        if not any(over.values()):
            found[subject] = of_run
            continue
        together = _Subject(*key, group=None)
        found[together] = {name: _mean_of(mean) for name, mean in over.items()}
    return found


def _mean_of(mean: FisherMean | None) -> _Finding:
    if mean is None:
        return _Finding(None, None, 0, runs=2)
    return _Finding(mean.fisher_mean, mean.ci95, 0, runs=mean.n)


def _is_main(scope: str, measure: str) -> bool:
    packed = any(measure.startswith(f"{name}.") and measure.endswith(".nbytes") for name in compressor_names())
    return (scope == "pooled" and ((measure in change_fields() and measure != DENSITY) or packed)) or (
        scope == "model" and packed
    )


def _is_better(measure: str, against: str) -> bool:
    """The published claim, and the baseline that it leaves out."""
    firsts = {claimed.name: claimed.baselines[:1] for claimed in claimed_measures()}
    packed = tuple(f"{name}." for name in compressor_names())
    return measure in firsts and (against in firsts[measure] or against.startswith(packed))


# --------------------------------------------------------------------------------------------------------- sentences


def _tracks(subject: _Subject, raw: _Finding, diff: _Finding, levels: str) -> Conclusion:
    survives = bool(raw.correlated) and raw.correlated == diff.correlated
    text = (
        f"{_name(subject)} and {escape(subject.metric)}{_where(subject, raw)}: {_moves(levels, raw)}, "
        f"{_moves('first differences', diff)}: {_verdict(raw.correlated, diff.correlated)}"
    )
    return _conclusion("tracks", subject, raw.correlated, diff.correlated, survives, text)


def _better(
    subject: _Subject, raw: _Finding, diff: _Finding, levels: str, raw_sign: int | None, diff_sign: int | None
) -> Conclusion:
    """raw_sign, diff_sign: on which side the difference is, 0 where that is not told, or not earned."""
    survives = raw_sign == 1 and diff_sign == 1
    against = escape(subject.against or "")
    text = (
        f"{_name(subject)} against {against}, and {escape(subject.metric)}{_where(subject, raw)}: "
        f"{_stronger(levels, against, raw)}, {_stronger('first differences', against, diff)}: "
        f"{_better_verdict(against, raw_sign, diff_sign)}"
    )
    if (raw.sign, diff.sign) != (raw_sign, diff_sign):
        text += " (which of them is closer counts only where it shows a link itself)"
    levels_held, differences_held = (None if sign is None else max(sign, 0) for sign in (raw_sign, diff_sign))
    return _conclusion("better", subject, levels_held, differences_held, survives, text)


def _conclusion(
    kind: str, subject: _Subject, raw: int | None, diff: int | None, survives: bool, text: str
) -> Conclusion:
    return Conclusion(
        kind=kind,
        plane=subject.plane,
        measure=subject.measure,
        against=subject.against,
        metric=subject.metric,
        group=subject.group,
        levels=None if raw is None else bool(raw),
        differences=None if diff is None else bool(diff),
        survives=survives,
        text=text,
    )


def _name(subject: _Subject) -> str:
    """The measure and what it is of: compressors take the bits of a plane, or the stored bytes."""
    plane = " of the stored bytes" if subject.plane is None else f" of plane {escape(subject.plane)}"
    return f"{escape(subject.measure)}{plane}"


def _where(subject: _Subject, finding: _Finding) -> str:
    if finding.runs > 1:
        return f" over {finding.runs} runs"
    return f" in run {escape(subject.group)}" if subject.group is not None else ""


def _moves(what: str, finding: _Finding) -> str:
    if finding.value is None and finding.runs > 1:
        return f"{what} can't be judged (fewer than two runs have a value)"
    if finding.value is None:
        return f"{what} can't be judged (a series is constant, or there are under three points)"
    number = f"{'mean ' if finding.runs > 1 else ''}Spearman {_number(finding.value)}"
    if finding.ci95 is None:
        return f"{what} can't be judged ({number} {_why_no_interval(finding)})"
    inside = f"{number}, 95 % interval {_range(finding.ci95)}"
    if finding.correlated:
        return f"{what} move {'together' if finding.correlated > 0 else 'against each other'} ({inside})"
    if finding.sign and finding.effective is not None:
        if finding.effective < finding.points:
            inside += f", but of {finding.points} points only {finding.effective:.1f} count as independent"
        inside += "" if finding.p is None or finding.p < _SIGNIFICANT else f", p {finding.p:.2g}"
    return f"{what} show no link that chance would not give ({inside})"


def _why_no_interval(finding: _Finding) -> str:
    if finding.runs > 1:
        return f"over {finding.runs} runs, too few for an interval"
    if finding.points < FEWEST:
        return f"of {finding.points} points, too few for an interval"
    return f"of {finding.points} points, no interval: a series is constant in most resamples"


def _verdict(raw: int | None, diff: int | None) -> str:
    if raw is None or diff is None:
        return "what survives can't be said"
    if raw and raw == diff:
        return "the link is there from one checkpoint to the next too"
    if raw and diff:
        return "of opposite signs, so the link of levels is the common trend's"
    if raw:
        return "only the common trend survives"
    return "a link from one checkpoint to the next, none shown of levels" if diff else "no link shown"


def _stronger(what: str, against: str, finding: _Finding) -> str:
    if finding.value is None or finding.ci95 is None:
        return f"{what} can't be judged (no interval)"
    inside = f"{_number(finding.value, '+')}, 95 % interval {_range(finding.ci95)}"
    quantity = "difference of abs(Fisher z)" if finding.runs > 1 else "difference of abs(Spearman)"
    if not finding.sign:
        return f"{what} not told apart ({quantity} {inside})"
    return f"{what} {'more' if finding.sign > 0 else 'less'} closely ({quantity} {inside})"


def _better_verdict(against: str, raw: int | None, diff: int | None) -> str:
    if raw is None or diff is None:
        return "which of them is better can't be said"
    if raw == diff:
        return {
            1: "it is better, from one checkpoint to the next too",
            -1: f"{against} is better",
            0: f"not shown to be better than {against}",
        }[raw]
    if raw > 0:
        return "better at the common trend alone"
    if diff > 0:
        return f"better than {against} from one checkpoint to the next alone"
    return f"not shown to be better than {against}"


def _range(ci95: tuple[float, float]) -> str:
    return f"{_number(ci95[0])} to {_number(ci95[1])}"


def _number(value: float, sign: str = "") -> str:
    """Two decimals, and no minus before 0."""
    return f"{round(value, 2) + 0.0:{sign}.2f}"
