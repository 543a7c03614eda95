"""The dotted names of a report's numbers (null.bdm.z), from the registry of measures and the fields of the dataclasses.

Shared by the flat rows, tables, --sort, --fail-on and compare, so that one name means one number everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from wcx.core.measure import Measure
from wcx.core.plain import SPREAD
from wcx.core.registry import REGISTRIES
from wcx.core.report import LayerReport, NullReport, NullStatistic, PlaneReport, Total

DENSITY = "density"
"""The one number of a plane that has a series without being a measure."""

_NOT_FLAT = ("name", "dtype", "shape", "planes")

# --------------------------------------------------------------------------------------------------------- measures


@cache
def plane_measures() -> tuple[Measure, ...]:
    """Return the measures of planes, in the order of the registry."""
    registry = REGISTRIES["measures"]
    found = tuple(measure for measure in registry.values() if isinstance(measure, Measure))
    taken = {item.name for kind in (PlaneReport, NullReport, LayerReport) for item in fields(kind)}
    for measure in found:
        if taken & set(_names_of(measure)):
            raise registry.refused(measure.name, "has the name of another field of the report")
        taken.update(_names_of(measure))
    return found


@cache
def null_measures() -> tuple[Measure, ...]:
    """Return the measures that have a null, in the order of the JSON."""
    found = [measure for measure in plane_measures() if measure.null is not None]
    return tuple(sorted(found, key=lambda measure: measure.null.order if measure.null else 0))


@cache
def value_places() -> Mapping[str, int]:
    """Return the place of each value of a plane: coverage first, and after a measure the parameter that it has."""
    ordered = sorted(plane_measures(), key=lambda measure: not measure.coverage)
    return _places(name for measure in ordered for name in _names_of(measure))


@cache
def null_places() -> Mapping[str, int]:
    """Return the place of each measure of a null."""
    return _places(measure.name for measure in null_measures())


@cache
def main_measures() -> tuple[str, ...]:
    """Return the measures of planes that compare shows of the model and measures of the changed bits."""
    return tuple(measure.name for measure in plane_measures() if measure.main)


@cache
def model_series() -> tuple[str, ...]:
    """Return the series that compare shows of the model: the main measures and compressors."""
    others = (item for item in REGISTRIES["measures"].values() if not isinstance(item, Measure))
    return (*main_measures(), *(f"{item.name}.nbytes" for item in others if getattr(item, "main", False)))


@cache
def change_fields() -> tuple[str, ...]:
    """Return the fields that compare has of the changed bits as a plane of their own."""
    return (*main_measures(), DENSITY, *(f"null.{name}.ratio" for name in change_nulls()))


@cache
def change_nulls() -> tuple[str, ...]:
    """Return the measures whose null the changed bits have."""
    return tuple(measure.name for measure in null_measures() if measure.null and measure.null.of_changes)


@cache
def claimed_measures() -> tuple[Measure, ...]:
    """Return the measures that are said to track training better than their baselines do."""
    return tuple(measure for measure in plane_measures() if measure.claimed)


@cache
def summed_measures() -> tuple[str, ...]:
    """Return the measures that a report adds over planes and layers."""
    added = {item.name for item in fields(Total)}
    return tuple(measure.name for measure in plane_measures() if measure.name in added)


@cache
def leading() -> tuple[str, ...]:
    """Return the measures whose ratio to the null outputs prefer, the first one first."""
    ranked = [(measure.null.shown, measure.name) for measure in null_measures() if measure.null]
    return tuple(name for shown, name in sorted((shown, name) for shown, name in ranked if shown is not None))


def leading_ratios() -> tuple[str, ...]:
    """Return the names of these ratios."""
    return tuple(f"null.{name}.ratio" for name in leading())


@cache
def preferred_series() -> tuple[str, ...]:
    """Return the series of a plane, the one that is shown before all others first."""
    ranked = sorted((measure.shown, measure.name) for measure in plane_measures() if measure.shown is not None)
    return (*leading_ratios(), *(name for _, name in ranked), DENSITY)


def meaning(series: str) -> str | None:
    """Return what a number of one of these series is, in a few words.

    >>> meaning("block_entropy"), meaning("null.bdm.ratio")
    ('bits per block', 'bdm over its expectation for shuffled bits')
    """
    if series in leading_ratios():
        return f"{series.split('.')[1]} over its expectation for shuffled bits"
    units = {measure.name: measure.unit for measure in plane_measures() if measure.shown is not None}
    return units[series].replace("/", " per ") if series in units else None


def _names_of(measure: Measure) -> tuple[str, ...]:
    """Return the measure's name, and that of its parameter."""
    return (measure.name,) if measure.parameter is None else (measure.name, measure.parameter[0])


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


# ----------------------------------------------------------------------------------------------------------- fields


def _kinds(hint: Any) -> set[Any]:  # noqa: ANN401
    """Return the types that a field can have, None left out."""
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return set(kinds) - {NoneType}


def _leaves(kind: Any, prefix: str = "") -> Iterator[tuple[str, bool]]:  # noqa: ANN401
    """Yield each field, nested ones in place of a dataclass: its dotted name, and True if it holds a number or null."""
    hints = get_type_hints(kind)
    for item in fields(kind):
        kinds = _kinds(hints[item.name])
        nested = next((one for one in kinds if is_dataclass(one)), None)
        if item.metadata == SPREAD:
            yield from _of_measures(kind, prefix)
        elif nested is not None:
            yield from _leaves(nested, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, kinds <= {int, float}


def _of_measures(kind: Any, prefix: str) -> Iterator[tuple[str, bool]]:  # noqa: ANN401
    """Yield the values of a plane, or the statistics of a null."""
    if kind is NullReport:
        for name in null_places():
            yield from _leaves(NullStatistic, f"{prefix}{name}.")
        return
    texts = {measure.name for measure in plane_measures() if not measure.is_number}
    yield from ((prefix + name, name not in texts) for name in value_places())


@cache
def plane_fields() -> tuple[str, ...]:
    """Return every field of a plane, in the order of the JSON."""
    return tuple(name for name, _ in _leaves(PlaneReport))


@cache
def plane_numbers() -> tuple[str, ...]:
    """Return those fields of a plane that hold a number (or null)."""
    return tuple(name for name, is_number in _leaves(PlaneReport) if is_number)


LAYER_FIELDS = tuple(name for name, _ in _leaves(LayerReport) if name not in _NOT_FLAT)
"""The fields that a layer has besides its planes and what identifies it."""

LAYER_NUMBERS = tuple(name for name, is_number in _leaves(LayerReport) if is_number)
"""Those that hold a number (or null)."""

_MEASURE = re.compile(r"measures\.\w+|measures\.\w+(\.planes\.\w+)?\.(nbytes|ratio)", re.ASCII)


def is_measure(path: str) -> bool:
    """Return True for a name of the form of a number that a layer has on request, such as measures.gzip.ratio."""
    return _MEASURE.fullmatch(path) is not None


@cache
def plane_getter(name: str) -> Callable[[PlaneReport], Any]:
    """Return a function that takes a field of a plane by its place: a model can have a million planes.

    >>> plane_getter("null.bdm.z").__name__
    'of_null'
    """
    head, _, rest = name.partition(".")
    measure, _, part = rest.partition(".")
    if name in value_places():
        place = value_places()[name]
        return lambda plane: plane.values.in_order[place]
    if head != "null" or measure not in null_places():
        return getter(name)
    place = null_places()[measure]

    def of_null(plane: PlaneReport) -> Any:  # noqa: ANN401
        statistic = None if plane.null is None else plane.null.values.in_order[place]
        return None if statistic is None else getattr(statistic, part)

    return of_null


def getter(path: str) -> Callable[[object], Any]:
    """Return a function that follows a dotted name into a value; None where something on the way is None."""
    names = path.split(".")

    def get(value: object) -> Any:  # noqa: ANN401
        for name in names:
            if value is None:
                return None
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
        return value

    return get
