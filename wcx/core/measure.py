"""The contract of a measure of planes, and what it says of itself as plain data.

A measure is a function of the block counts of one plane, in a file of its own in wcx/measures/ (or in a package with
an entry point), with one `Measure` in it. Reports, rows, tables, --sort, --fail-on, compare, its statistics, `wcx
kinds` and docs/measures.md take everything that they know of a measure from that object; no other file names it.

* `evaluate` takes an `Evidence` (wcx/measures/evidence.py) and returns a plain float, int or str, or None where there
  is no value. It is pure: the same counts give the same digits. The first line of its docstring is the summary.
* `null` is there where the measure has an expectation under a random permutation of the plane's bits.
* `columns` say how a table shows it, by the names of number formats that wcx/outputs/shared/figures.py defines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NUMBER_FORMATS = (
    "any_number",
    "bar",
    "change",
    "count",
    "density",
    "load",
    "per_weight",
    "ratio",
    "score",
    "share",
    "two_places",
)
"""The formats of a table's numbers: `change` and `bar` take a null's ratio, `score` its z, all others the value."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people.

    heads: its heading in two lines. format: one of NUMBER_FORMATS. rank: columns of the highest rank are given up
    first, those below 10 belong in 80 characters. place: from left to right; the plane's name has 0, the dtype 140.
    tight: the second line of the heading where space is short. marked: the mark of a crowded or saturated plane follows
    the number. saturates: the number is dimmed where the plane is saturated.
    """

    heads: tuple[str, str]
    format: str
    rank: int
    place: int = 125
    tight: str = ""
    left: bool = False
    marked: bool = False
    saturates: bool = False


@dataclass(frozen=True, slots=True)
class Null:
    """The expectation of a measure under a random permutation of a plane's bits.

    expect: takes a `ClosedForm` (wcx/measures/null.py), returns an `Expectation`. terms: takes `Drawn` counts
    (wcx/measures/draws.py), returns one number for each of them; the sum over a draw is the measure's value.
    order: position among the nulls of a report. shown: the ratio with the lowest number leads tables and compare; None
    for one that no output prefers. of_changes: compare has the ratio of the changed bits too. baselines: series that
    compare sets the ratio against.
    """

    expect: Callable[[Any], Any]
    terms: Callable[[Any], Any]
    order: int = 100
    shown: int | None = None
    columns: tuple[Column, ...] = ()
    of_changes: bool = False
    baselines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """A function of the block counts of a plane; see the head of this file.

    unit: `1` for a plain number, empty for a text. formula, range, source: as docs/measures.md prints them. example:
    4x4 block codes with their counts, and the value that the measure then has. boundaries: those under which it is
    defined. parameter: a number that the report shows after the value, with its name. is_number: the value is a
    number, which has a series in compare. coverage: it says how far other measures can be trusted; always evaluated,
    shown before the others, never correlated. main: shown of the model and measured of the changed bits by compare.
    shown: the measure with the lowest number is compare's usual series; None for one that no output prefers.
    baselines: series that compare sets it against. claimed: publications say that it tracks training better than its
    first baseline does; compare says so or not, and sets it against the compressed bits of the plane too. pybdm:
    its counterpart in pybdm 0.1.0, which `wcx verify` compares it with.
    """

    name: str
    unit: str
    evaluate: Callable[[Any], float | int | str | None]
    formula: str
    example: tuple[Mapping[int, int], float | int | str | None]
    range: str = ""
    source: str = ""
    boundaries: tuple[str, ...] = ("ignore",)
    null: Null | None = None
    columns: tuple[Column, ...] = ()
    parameter: tuple[str, Callable[[Any], int]] | None = None
    is_number: bool = True
    coverage: bool = False
    main: bool = False
    shown: int | None = None
    baselines: tuple[str, ...] = ()
    claimed: bool = False
    pybdm: str | None = None

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return first_line(self.evaluate)

    def of(self, evidence: Any) -> Any:  # noqa: ANN401
        """Return the value, None where the measure is not defined under the boundary."""
        return self.evaluate(evidence) if evidence.boundary in self.boundaries else None


def first_line(function: Callable[..., Any]) -> str:
    """Return the first line of a function's docstring."""
    return (function.__doc__ or "").strip().partition("\n")[0]
