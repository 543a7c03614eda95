"""Reports hold the values of measures by name: as attributes, in copies, through pickle, and flat in the JSON."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import fields
from pathlib import Path

import pytest
from reports import layer, lenet, plane

from wcx.core.plain import to_plain
from wcx.core.quantities import null_places, plane_fields, value_places
from wcx.core.report import NullReport, PlaneReport, Values

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "analysis-1.json"


def test_values_are_attributes() -> None:
    one = layer().planes[0]
    assert one.null is not None
    assert (one.bdm, one.rarefied_m) == (one.values["bdm"], one.values["rarefied_m"])
    assert one.null.bdm_rarefied.ratio == one.null.values["bdm_rarefied"].ratio  # type: ignore[union-attr]
    for report in (one, one.null):
        with pytest.raises(AttributeError, match=f"'{type(report).__name__}' object has no attribute 'nothing'"):
            report.nothing  # noqa: B018


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))])
def test_reports_are_copied_whole(copied: object) -> None:
    report = lenet()
    assert copied(report) == report  # type: ignore[operator]
    assert copied(plane()).bdm == plane().bdm  # type: ignore[operator]
    values = Values({"a": 0, "b": 1}, (1.5, None))
    assert copied(values) == {"a": 1.5, "b": None}  # type: ignore[operator]


def test_values_are_a_mapping_of_shared_names() -> None:
    values = Values({"a": 0, "b": 1}, (1.5, None))
    assert (list(values), len(values), dict(values)) == (["a", "b"], 2, {"a": 1.5, "b": None})
    assert repr(values) == "{'a': 1.5, 'b': None}"
    with pytest.raises(KeyError):
        values["c"]


def test_values_stand_among_the_fields_in_their_order() -> None:
    plain = to_plain(plane())
    fixed = [item.name for item in fields(PlaneReport)]
    place = fixed.index("values")
    assert list(plain) == [*fixed[:place], *value_places(), *fixed[place + 1 :]]
    assert list(plain["null"]) == ["kind", "draws", *null_places()]
    assert [name.partition(".")[0] for name in plane_fields() if not name.startswith(("null.", "reference."))] == [
        name for name in plain if name not in ("null", "reference")
    ]


def test_the_schema_has_every_measure() -> None:
    defined = json.loads(SCHEMA.read_text("utf-8"))["$defs"]
    assert defined["plane"]["required"] == list(to_plain(plane()))
    assert defined["null"]["required"] == list(to_plain(plane().null))
    assert [item.name for item in fields(NullReport)] == ["kind", "draws", "values"]
