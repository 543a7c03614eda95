"""The tables of docs/measures.md that the registry of measures writes."""

from __future__ import annotations

from collections.abc import Iterable

from wcx.core.measure import Measure
from wcx.core.quantities import plane_measures
from wcx.measures import MEASURES

_PLANE_HEAD = """\
| field | formula | unit and range | source |
|---|---|---|---|
| `ones`, `density` | K, K / N | 0 .. N, 0 .. 1 | |
| `blocks`, `possible`, `left_over` | B, S, N - cB | | |
"""
_PLANE_FOOT = "| `null` | mean, sd, z, ratio of {} of these under a shuffle | | below |\n"
_STREAM_HEAD = """\
| name | definition | unit and range | source |
|---|---|---|---|
"""
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def table_of_planes() -> str:
    """Every field of a plane, in the order of the JSON."""
    measures = sorted(plane_measures(), key=lambda measure: not measure.coverage)
    rows = (
        _row([measure.name, *(measure.parameter or ())[:1]], measure.formula, measure.range, measure.source)
        for measure in measures
    )
    nulls = sum(measure.null is not None for measure in measures)
    return _PLANE_HEAD + "".join(rows) + _PLANE_FOOT.format(_NUMBERS[nulls])


def table_of_streams() -> str:
    """Every compressor and statistic, in the order of the registry."""
    streams = [measure for measure in MEASURES.values() if not isinstance(measure, Measure)]
    return _STREAM_HEAD + "".join(_row([one.name], one.formula, one.range, one.source) for one in streams)


def tables() -> dict[str, str]:
    """Both tables by the name of their place in the page."""
    return {"planes": table_of_planes(), "streams": table_of_streams()}


def _row(names: Iterable[object], *cells: str) -> str:
    shown = ", ".join(f"`{name}`" for name in names)
    return "| " + " | ".join([shown, *cells]).replace("|  |", "| |").replace("|  |", "| |").rstrip() + " |\n"


if __name__ == "__main__":
    for table in tables().values():
        print(table)
