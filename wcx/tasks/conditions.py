"""--fail-on: conditions on the numbers of a report, for scripts and continuous integration.

    EXPR is [any | all] PATH OP NUMBER
    PATH is layer.FIELD, layer[GLOB].FIELD, model.pooled.FIELD or model.sum.bdm
    OP   is < <= > >= == !=

FIELD is the dotted name of a number of a plane (bdm, null.mean_ctm.z) or of the layer itself (nonfinite, zeros,
measures.gzip.ratio with -m gzip). Every plane of every layer counts. A null never meets a condition; `all` needs at
least one value. Names match as with --include: fnmatch, case-sensitive, the whole name.

Of a comparison, FIELD is the name of a series (bdm; gzip.ratio of a plane's bits, measures.gzip.ratio of the layer's
stored bytes), flips, flips_from_first, or delta. or delta_from_first. and a plane's number. Every checkpoint counts;
a null does not (a layer is missing there, or a first checkpoint has no earlier one), and `all` needs the others.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import isfinite

from wcx.core.comparison import Comparison, LayerSeries, ModelPlaneSeries, Series, SeriesMap
from wcx.core.errors import UsageError
from wcx.core.quantities import LAYER_NUMBERS, getter, is_measure, plane_numbers, summed_measures
from wcx.core.report import Report
from wcx.core.text import escape
from wcx.measures import streamed_names

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_EXPRESSION = re.compile(
    r"\s*(?:(?P<quantifier>any|all)\s+)?"
    r"(?:(?P<scope>layer)(?:\[(?P<glob>.*)\])?|(?P<model>model\.(?:pooled|sum)))\.(?P<field>[\w.]+)"
    r"\s*(?P<sign><=|>=|==|!=|<|>)\s*(?P<number>\S+)\s*",
    re.ASCII | re.DOTALL,
)
_FLIPS = ("flips", "flips_from_first")
_DELTAS = ("delta", "delta_from_first")
_SIZES = (".nbytes", ".ratio")  # of compressed bytes; without `measures.` of a plane's bits
_OF_WHOLE_LAYERS = "measures."


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, of a report or of a comparison, as the function says that made it.

    scope: layer, model.pooled or model.sum. glob: which layers, None for all of them.
    """

    quantifier: str
    scope: str
    glob: str | None
    field: str
    sign: str
    number: float

    def __str__(self) -> str:
        glob = "" if self.glob is None else f"[{self.glob}]"
        return f"{self.quantifier} {self.scope}{glob}.{self.field} {self.sign} {self.number:.15g}"

    def holds(self, report: Report | Comparison) -> bool:
        """Return True if one value meets the condition; with `all`, if every one does and there is at least one."""
        met = [self._met(value) for _, value in self._values(report)]
        return any(met) if self.quantifier == "any" else bool(met) and all(met)

    def applies(self, report: Report | Comparison) -> bool:
        """Return True if there is a value: False if a name matches no layer, or a measure was not computed."""
        return any(value is not None for _, value in self._values(report))

    def match(self, report: Report | Comparison) -> str | None:
        """Return the message of a condition that holds, with the first value that meets it; else None."""
        if not self.holds(report):
            return None
        met = [(where, value) for where, value in self._values(report) if self._met(value)]
        where, value = met[0]
        more = f" (and {len(met) - 1:,} more)" if len(met) > 1 else ""
        return escape(f"{self} holds: {where} has {value}{more}")

    def _met(self, value: float | None) -> bool:
        return value is not None and _OPERATORS[self.sign](value, self.number)

    def _values(self, report: Report | Comparison) -> Iterator[tuple[str, float | None]]:
        """Yield the place of each value, in the words of a message, and the value."""
        if isinstance(report, Comparison):
            yield from self._compared_values(report)
        elif self.scope == "layer":
            yield from self._layer_values(report)
        else:
            yield from self._model_values(report)

    def _model_values(self, report: Report) -> Iterator[tuple[str, float | None]]:
        get = getter(self.scope.removeprefix("model.") + "." + self.field)
        for item in report.model.planes:
            yield f"{self.scope}, plane {item.plane}", get(item)

    def _layer_values(self, report: Report) -> Iterator[tuple[str, float | None]]:
        get = getter(self.field)
        for layer in report.layers:
            if not self._is_meant(layer.name):
                continue
            if self.field in LAYER_NUMBERS or is_measure(self.field):
                yield f"layer {layer.name}", get(layer)
            else:
                yield from ((f"layer {layer.name}, plane {plane.plane}", get(plane)) for plane in layer.planes)

    def _is_meant(self, layer: str) -> bool:
        return self.glob is None or fnmatchcase(layer, self.glob)

    def _compared_values(self, comparison: Comparison) -> Iterator[tuple[str, float]]:
        """Yield the values that are there, checkpoint by checkpoint within each series."""
        for where, series in self._series(comparison):
            for checkpoint, value in zip(comparison.checkpoints, series, strict=bool(series)):
                if value is not None:
                    yield f"{where}, checkpoint {checkpoint.label}", value

    def _series(self, comparison: Comparison) -> Iterator[tuple[str, Series]]:
        if self.scope == "layer":
            for layer in comparison.layers:
                if self._is_meant(layer.name):
                    plane = "" if layer.plane is None else f", plane {layer.plane}"
                    yield f"layer {layer.name}{plane}", _series_of_layer(layer, self.field)
            return
        for item in comparison.model.planes:
            series = item.pooled if self.scope == "model.pooled" else item.sum
            yield f"{self.scope}, plane {item.plane}", _series_of(item, series, self.field)


def _series_of_layer(layer: LayerSeries, field: str) -> Series:
    """Return the values of a field: a compression without `measures.` is of a plane, and of the whole layer with it."""
    whole = layer.plane is None
    if (field.startswith(_OF_WHOLE_LAYERS) and not whole) or (field in _compressed() and whole):
        return ()
    return _series_of(layer, layer.series, field.removeprefix(_OF_WHOLE_LAYERS))


def _series_of(item: LayerSeries | ModelPlaneSeries, series: SeriesMap, field: str) -> Series:
    """Return the values of a field, none where there is no such series."""
    kind, _, name = field.partition(".")
    if kind in _FLIPS:
        return item.flips if kind == "flips" else item.flips_from_first
    if kind in _DELTAS:
        return (item.delta if kind == "delta" else item.delta_from_first).get(name, ())
    return series.get(field, ())


def parse(text: str) -> Condition:
    """Read one expression on a report; UsageError where it is malformed or names a field that there isn't.

    >>> parse("layer[fc*].null.bdm_rarefied.ratio < 0.9")
    Condition(quantifier='any', scope='layer', glob='fc*', field='null.bdm_rarefied.ratio', sign='<', number=0.9)
    """
    condition = _parsed(text)
    known = _fields_of_a_report(condition.scope)
    if condition.field not in known and not (condition.scope == "layer" and _is_stream_measure(condition.field)):
        raise _unknown(text, condition, known)
    return condition


def parse_comparison(text: str) -> Condition:
    """Read one expression on a comparison of checkpoints; UsageError as of `parse`.

    >>> str(parse_comparison("layer.delta.bdm>100"))
    'any layer.delta.bdm > 100'
    """
    condition = _parsed(text)
    shown, more = _shown_series(condition.scope), _more_series(condition.scope)
    if condition.field not in (*shown, *more):
        raise _unknown(text, condition, shown, more)
    return condition


def _parsed(text: str) -> Condition:
    """Return the condition of an expression; its field is not checked here."""
    found = _EXPRESSION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--fail-on {text!r}: expected [any | all] PATH OP NUMBER, e.g. 'layer.null.mean_ctm.z < -6'; "
            f"PATH begins with layer., layer[GLOB]., model.pooled. or model.sum.; OP is one of {' '.join(_OPERATORS)}"
        )
    return Condition(
        quantifier=found["quantifier"] or "any",
        scope=found["scope"] or found["model"],
        glob=found["glob"],
        field=found["field"],
        sign=found["sign"],
        number=_number(text, found["number"]),
    )


def _fields_of_a_report(scope: str) -> tuple[str, ...]:
    if scope == "model.sum":
        return summed_measures()
    return (*LAYER_NUMBERS, *plane_numbers()) if scope == "layer" else plane_numbers()


def _shown_series(scope: str) -> tuple[str, ...]:
    return summed_measures() if scope == "model.sum" else (*plane_numbers(), *_FLIPS)


def _more_series(scope: str) -> tuple[str, ...]:
    """Return the series that are too many to list in a message."""
    if scope == "model.sum":
        return ()
    of_planes = (*(f"{delta}.{name}" for delta in _DELTAS for name in plane_numbers()), *_compressed())
    if scope == "model.pooled":
        return of_planes
    of_layers = (*streamed_names(), *_compressed())
    return (*of_planes, *streamed_names(), *(_OF_WHOLE_LAYERS + name for name in of_layers))


def _compressed() -> tuple[str, ...]:
    """Return the sizes of a plane's compressed bits."""
    return tuple(name + size for name in streamed_names() for size in _SIZES)


def _is_stream_measure(field: str) -> bool:
    return is_measure(field) and field.split(".")[1] in streamed_names()


def _number(text: str, written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise UsageError(f"--fail-on {text!r}: {written!r} is not a number")
    return number


def _unknown(text: str, condition: Condition, shown: Sequence[str], more: Sequence[str] = ()) -> UsageError:
    """Return the error for a field that there isn't, which lists those that there are; `more` in words only."""
    close = get_close_matches(condition.field, (*shown, *more), 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    behind = "; delta.NAME or delta_from_first.NAME of a plane's; or what -m adds, e.g. gzip.nbytes" if more else ""
    return UsageError(
        f"--fail-on {text!r}: {condition.scope} has no numeric field {condition.field!r}{hint}: "
        f"choose one of {', '.join(shown)}{behind}"
    )
