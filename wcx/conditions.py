"""--fail-on: conditions on the numbers of a report, for scripts and continuous integration.

    EXPR is [any | all] PATH OP NUMBER
    PATH is layer.FIELD, layer[GLOB].FIELD, model.pooled.FIELD or model.sum.bdm
    OP   is < <= > >= == !=

FIELD is the dotted name of a number of a plane (bdm, null.mean_ctm.z) or of the layer itself (nonfinite, zeros,
measures.gzip.ratio where it was asked for). Every
plane of every layer counts. A null never meets a condition; `all` needs at least one value. Names match as with
--include: fnmatch, case-sensitive, the whole name.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import isfinite

from wcx.errors import UsageError
from wcx.escape import escape
from wcx.outputs.fields import LAYER_NUMBERS, PLANE_NUMBERS, getter, is_measure
from wcx.streams import STREAMS
from wcx.types import Report

__all__ = ["Condition", "parse"]

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
_FIELDS = {
    "layer": (*LAYER_NUMBERS, *PLANE_NUMBERS),
    "model.pooled": PLANE_NUMBERS,
    "model.sum": ("bdm",),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. scope: layer, model.pooled or model.sum. glob: which layers, None for all of them."""

    quantifier: str
    scope: str
    glob: str | None
    field: str
    sign: str
    number: float

    def __str__(self) -> str:
        glob = "" if self.glob is None else f"[{self.glob}]"
        return f"{self.quantifier} {self.scope}{glob}.{self.field} {self.sign} {self.number:.15g}"

    def holds(self, report: Report) -> bool:
        """Whether the condition is met by one value, or with `all` by every one and at least one."""
        met = [self._met(value) for _, value in self._values(report)]
        return any(met) if self.quantifier == "any" else bool(met) and all(met)

    def applies(self, report: Report) -> bool:
        """Whether there is any value at all: not where a name matches no layer, or a measure was not asked for."""
        return any(value is not None for _, value in self._values(report))

    def match(self, report: Report) -> str | None:
        """Say what meets the condition, the first value where there are several; None where it does not hold."""
        if not self.holds(report):
            return None
        met = [(where, value) for where, value in self._values(report) if self._met(value)]
        where, value = met[0]
        more = f" (and {len(met) - 1:,} more)" if len(met) > 1 else ""
        return escape(f"{self} holds: {where} has {value}{more}")

    def _met(self, value: float | None) -> bool:
        return value is not None and _OPERATORS[self.sign](value, self.number)

    def _values(self, report: Report) -> Iterator[tuple[str, float | None]]:
        """Where each value stands, in the words of a message, and the value."""
        if self.scope == "layer":
            yield from self._layer_values(report)
            return
        get = getter(self.scope.removeprefix("model.") + "." + self.field)
        for item in report.model.planes:
            yield f"{self.scope}, plane {item.plane}", get(item)

    def _layer_values(self, report: Report) -> Iterator[tuple[str, float | None]]:
        get = getter(self.field)
        for layer in report.layers:
            if self.glob is not None and not fnmatchcase(layer.name, self.glob):
                continue
            if self.field in LAYER_NUMBERS or is_measure(self.field):
                yield f"layer {layer.name}", get(layer)
            else:
                yield from ((f"layer {layer.name}, plane {plane.plane}", get(plane)) for plane in layer.planes)


def parse(text: str) -> Condition:
    """Read one expression; UsageError where it is malformed or names a field that there isn't.

    >>> parse("layer[fc*].null.bdm_rarefied.ratio < 0.9")
    Condition(quantifier='any', scope='layer', glob='fc*', field='null.bdm_rarefied.ratio', sign='<', number=0.9)
    """
    found = _EXPRESSION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--fail-on {text!r}: not of the form [any | all] PATH OP NUMBER, such as 'layer.null.mean_ctm.z < -6'; "
            f"PATH begins with layer., layer[GLOB]., model.pooled. or model.sum., OP is one of {' '.join(_OPERATORS)}"
        )
    scope, field = found["scope"] or found["model"], found["field"]
    if field not in _FIELDS[scope] and not (scope == "layer" and _is_stream_measure(field)):
        raise UsageError(f"--fail-on {text!r}: {_unknown(scope, field)}")
    return Condition(
        found["quantifier"] or "any", scope, found["glob"], field, found["sign"], _number(text, found["number"])
    )


def _is_stream_measure(field: str) -> bool:
    return is_measure(field) and field.split(".")[1] in STREAMS


def _number(text: str, written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise UsageError(f"--fail-on {text!r}: {written!r} is no number")
    return number


def _unknown(scope: str, field: str) -> str:
    known = _FIELDS[scope]
    close = get_close_matches(field, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{scope} has no number {field!r}{hint}; there are {', '.join(known)}"
