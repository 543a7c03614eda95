"""JSON, JSON lines and CSV of a comparison: strict, complete, the same double back, valid against the schema."""

from __future__ import annotations

import csv
import io
import json
import math
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from comparisons import COMPARISONS, checkpoint, hostile, layer, runs, training
from depth import one_of

from wcx.core.comparison import TIDY_COLUMNS, Comparison
from wcx.outputs import View
from wcx.outputs.compare import COMPARISON_OUTPUTS

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "schema" / "comparison-1.json").read_text())


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def loads(text: str) -> Any:  # noqa: ANN401
    return json.loads(text, parse_constant=refuse)


def written(kind: str, comparison: Comparison, view: View | None = None) -> str:
    stream = io.StringIO(newline="")
    COMPARISON_OUTPUTS[kind](comparison, stream, view or View())
    return stream.getvalue()


def lines_of(comparison: Comparison) -> list[dict[str, Any]]:
    return [loads(line) for line in written("ndjson", comparison).split("\n")[:-1]]


def csv_rows(comparison: Comparison) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written("csv", comparison), newline=""), strict=True))


# --------------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("name", COMPARISONS)
def test_json_reads_back_to_the_comparison(name: str) -> None:
    assert loads(written("json", COMPARISONS[name]())) == COMPARISONS[name]().to_dict()


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_schema_accepts_every_comparison(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(loads(written("json", COMPARISONS[name]())))


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.pop("unmatched"),
        lambda plain: plain.update(schema="wcx/comparison/2"),
        lambda plain: plain.update(date="2024-01-01"),
        lambda plain: plain["layers"][0].pop("flips"),
        lambda plain: plain["layers"][0]["series"].update(bdm=["1"]),
        lambda plain: plain["checkpoints"][0].update(step=1.5),
        lambda plain: plain["correlations"][0].update(transform="sqrt"),
        lambda plain: plain["correlations"][0]["spearman"].update(ci95=[1.0]),
        lambda plain: plain["correlations"][0]["spearman"].update(r=1.5),
        lambda plain: plain["settings"].pop("order"),
        lambda plain: plain["joined"].update(used=-1),
    ],
)
def test_the_schema_refuses_what_breaks_the_contract(change: Callable[[dict[str, Any]], object]) -> None:
    plain = training().to_dict()
    change(plain)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(plain)


def test_a_series_stands_on_one_line_and_everything_else_is_indented() -> None:
    text = written("json", training())
    assert text.startswith('{\n  "schema": "wcx/comparison/1",\n  "wcx"')
    line = next(line for line in text.splitlines() if line.strip().startswith('"flips": '))
    assert len(json.loads(line.partition(": ")[2].rstrip(","))) == 31
    assert line.startswith("      ")
    assert '\n      "shape": [256, 784],\n' in text
    assert '\n      "bdm",\n' in text  # texts have a line each


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_nan_and_infinity_are_refused(kind: str, value: float) -> None:
    one = layer("fc", (64, 64))
    odd = replace(training(), layers=(replace(one, series={"bdm": (value,) * 31}),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        written(kind, odd)


# --------------------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("name", COMPARISONS)
def test_csv_has_every_number_that_is_there(name: str) -> None:
    comparison = COMPARISONS[name]()
    header, *rows = csv_rows(comparison)
    expected = list(comparison.rows())
    assert tuple(header) == TIDY_COLUMNS
    assert [float(row[5]) for row in rows] == [row[5] for row in expected]
    assert [row[6] for row in rows] == [row[6] for row in expected]
    assert [row[1] for row in rows] == ["" if row[1] is None else str(row[1]) for row in expected]


def test_a_value_that_is_missing_has_no_row() -> None:
    rows = csv_rows(training())
    assert not any(row[0] == "epoch_007" and row[2] == "fc1.weight" and row[3] for row in rows)
    assert not any(row[0] == "epoch_003" and row[4] == "train_loss" for row in rows)
    assert not any(row[0] == "epoch_030" and row[2] == "head.weight" and row[3] == "plus" for row in rows)
    assert ["epoch_000", "0", "", "", "train_loss", "2.613", "log", ""] in rows


def test_no_spreadsheet_takes_a_name_for_a_formula() -> None:
    cells = {cell for row in csv_rows(hostile()) for cell in row}
    assert '\'=cmd|"/c calc"!A1,comma' in cells
    assert not any(cell.startswith("=") for cell in cells)


def test_the_docs_list_the_columns() -> None:
    text = (DOCS / "csv.md").read_text().partition("# Rows of `wcx compare`")[2]
    assert [name for name in TIDY_COLUMNS if f"\n| `{name}` |" not in text] == []
    kinds = {row["row"] for name in COMPARISONS for row in lines_of(COMPARISONS[name]())}
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []


@pytest.mark.parametrize("name", COMPARISONS)
def test_json_lines_have_all_of_a_comparison_in_flat_rows(name: str) -> None:
    comparison = COMPARISONS[name]()
    rows = lines_of(comparison)
    numbers = {kind: sum(row["row"] == kind for row in rows) for kind in ("checkpoint", "correlation", "difference")}
    assert numbers == {
        "checkpoint": len(comparison.checkpoints),
        "correlation": len(comparison.correlations),
        "difference": len(comparison.differences),
    }
    values = [row for row in rows if row["row"] == "value"]
    assert [tuple(row[column] for column in TIDY_COLUMNS) for row in values] == list(comparison.rows())
    assert not any(isinstance(value, dict) for row in rows for value in row.values())


def test_intervals_are_two_fields() -> None:
    row = next(row for row in lines_of(training()) if row["row"] == "correlation")
    first = training().correlations[0].spearman
    assert (row["spearman.r"], row["spearman.ci95.low"], row["spearman.ci95.high"]) == (first.r, *(first.ci95 or ()))
    nothing = next(row for row in lines_of(training()) if row["row"] == "correlation" and row["measure"] == "density")
    assert nothing["spearman.ci95.low"] is nothing["spearman.ci95.high"] is None
    row = next(row for row in lines_of(runs()) if row["row"] == "group")
    assert row["ci95.low"] < row["fisher_mean"] < row["ci95.high"]


def test_a_column_of_the_log_may_be_called_like_an_interval() -> None:
    odd = replace(training(), checkpoints=(checkpoint(0, log={"ci95": 0.5}),))
    assert lines_of(replace(odd, layers=(), model=replace(odd.model, planes=(), total={})))[1]["log.ci95"] == 0.5


class Nowhere(io.StringIO):
    """Forgets what it is given."""

    def write(self, text: str) -> int:
        return len(text)


@one_of(3)
@pytest.mark.parametrize("kind", ["json", "ndjson", "csv"])
def test_memory_does_not_grow_with_the_rows(kind: str) -> None:
    large = replace(training(), layers=tuple(layer(f"l{at}", (64, 64)) for at in range(60)))
    tracemalloc.start()
    try:
        COMPARISON_OUTPUTS[kind](large, Nowhere(), View())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # of 38,000 rows
