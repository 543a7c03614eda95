"""The dotted names of a report's numbers (null.bdm.z), derived from the fields of the dataclasses themselves.

Shared by the flat rows, --sort and --fail-on, so that one name means one number everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from wcx.core.report import LayerReport, PlaneReport

_NOT_FLAT = ("name", "dtype", "shape", "planes")


def _kinds(hint: Any) -> set[Any]:  # noqa: ANN401
    """The types that a field can have, None left out."""
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return set(kinds) - {NoneType}


def _leaves(kind: Any, prefix: str = "") -> Iterator[tuple[str, bool]]:  # noqa: ANN401
    """Each field that is no dataclass itself: its dotted name, and whether it holds a number or null."""
    hints = get_type_hints(kind)
    for item in fields(kind):
        kinds = _kinds(hints[item.name])
        nested = next((one for one in kinds if is_dataclass(one)), None)
        if nested is not None:
            yield from _leaves(nested, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, kinds <= {int, float}


PLANE_FIELDS = tuple(name for name, _ in _leaves(PlaneReport))
"""Every field of a plane, in the order of the JSON."""

PLANE_NUMBERS = tuple(name for name, is_number in _leaves(PlaneReport) if is_number)
"""Those that hold a number (or null)."""

LAYER_FIELDS = tuple(name for name, _ in _leaves(LayerReport) if name not in _NOT_FLAT)
"""The fields that a layer has beside its planes and what identifies it."""

LAYER_NUMBERS = tuple(name for name, is_number in _leaves(LayerReport) if is_number)
"""Those that hold a number (or null)."""

_MEASURE = re.compile(r"measures\.\w+|measures\.\w+(\.planes\.\w+)?\.(nbytes|ratio)", re.ASCII)


def is_measure(path: str) -> bool:
    """Whether a name is of the form of a number that a layer has when it was asked for, such as measures.gzip.ratio."""
    return _MEASURE.fullmatch(path) is not None


def getter(path: str) -> Callable[[object], Any]:
    """A function that follows a dotted name into a value; None where something on the way is None."""
    names = path.split(".")

    def get(value: object) -> Any:  # noqa: ANN401
        for name in names:
            if value is None:
                return None
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
        return value

    return get
