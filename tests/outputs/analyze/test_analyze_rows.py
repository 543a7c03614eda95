"""Flat rows: fixed columns, one row per layer and plane, CSV that csv reads back and spreadsheets don't execute."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import REPORTS, SKIPPED, hostile, layer, lenet, polarity, report, write

from wcx.core.report import Report
from wcx.outputs import OUTPUTS, View
from wcx.outputs.analyze.rows import columns, layer_rows, report_rows

DOCS = Path(__file__).parents[3] / "docs"


def csv_rows(report: Report, view: View | None = None) -> list[dict[str, str]]:
    stream = io.StringIO(newline="")
    write(report, OUTPUTS["csv"].open_writer(stream, view or View()))
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline=""), strict=True))


def json_rows(report: Report) -> list[dict[str, object]]:
    stream = io.StringIO()
    write(report, OUTPUTS["ndjson"].open_writer(stream, View()))
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def all_rows(report: Report) -> list[dict[str, object]]:
    path = report.checkpoint.path
    return [*(row for layer in report.layers for row in layer_rows(path, layer)), *report_rows(report)]


def test_docs_list_the_columns_in_order() -> None:
    lines = (DOCS / "csv.md").read_text().splitlines()
    listed = [line.split("`")[1] for line in lines if line.startswith("| ") and line.split()[1].isdigit()]
    assert tuple(listed) == columns()


def test_columns_begin_with_what_identifies_a_row() -> None:
    assert columns()[:6] == ("row", "path", "name", "dtype", "shape", "plane")
    assert "null.bdm_rarefied.ratio" in columns()
    assert columns()[-1] == "reason"
    assert len(set(columns())) == len(columns())


@pytest.mark.parametrize("name", REPORTS)
def test_both_outputs_write_every_row_with_every_column(name: str) -> None:
    expected = all_rows(REPORTS[name]())
    from_csv, from_json = csv_rows(REPORTS[name]()), json_rows(REPORTS[name]())
    assert [row["row"] for row in from_csv] == [row["row"] for row in from_json] == [row["row"] for row in expected]
    assert all(tuple(row) == columns() for row in from_csv)
    fixed = tuple(column for column in columns() if column != "measures")
    assert all(tuple(row)[: len(fixed)] == fixed for row in from_json)


@pytest.mark.parametrize("name", ["lenet", "polarity", "without_null"])
def test_csv_cells_read_back_to_the_same_values(name: str) -> None:
    for cells, row in zip(csv_rows(REPORTS[name]()), all_rows(REPORTS[name]()), strict=True):
        for column in columns():
            value, cell = row.get(column), cells[column]
            if value is None or value == {}:
                assert cell == ""
            elif column == "measures":
                assert json.loads(cell) == value
            else:
                assert (cell if isinstance(value, str) else json.loads(cell)) == value


def test_a_layer_has_a_row_per_plane_and_the_model_its_own() -> None:
    rows = csv_rows(polarity())
    assert [row["row"] for row in rows] == ["layer"] * 8 + ["pooled"] * 2 + ["sum"] * 2 + ["skipped"] * len(SKIPPED)
    assert [row["plane"] for row in rows[:12]] == ["plus", "minus"] * 6
    first = polarity().layers[0]
    assert rows[0]["shape"] == rows[0]["matrix"] == "768x768"
    assert float(rows[0]["null.bdm_rarefied.z"]) == first.planes[0].null.bdm_rarefied.z  # type: ignore[union-attr]
    assert float(rows[0]["fit.threshold"]) == 0.0125
    assert {row["total.bdm"] for row in rows[10:12]} == {repr(polarity().model.total.bdm)}
    assert [row["reason"] for row in rows[12:]] == [tensor.reason for tensor in SKIPPED]
    assert rows[12]["name"] == "conv1.bias"


def test_ndjson_flattens_measures_too() -> None:
    row = json_rows(polarity())[0]
    assert row["measures.sparsity"] == 0.125
    assert row["measures.gzip.ratio"] == 0.912
    assert not any(isinstance(value, (dict, list)) for row in json_rows(polarity()) for value in row.values())


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_layer_is_out_before_the_next_one_comes(kind: str) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="utf-8", write_through=False)
    writer = OUTPUTS[kind].open_writer(stream, View())
    before = len(buffer.getvalue())
    writer.layer("a.pt", layer())
    assert len(buffer.getvalue()) > before
    assert buffer.getvalue().endswith(b"\n")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("-", "'-"),
        ("@sum", "'@sum"),
        ("=", "'="),
        ("-inf", "'-inf"),
        ("-1.5", "-1.5"),
        ("+1e5", "+1e5"),
        ("-1+cmd", "'-1+cmd"),
        ("fc1.weight", "fc1.weight"),
        ("'quoted", "'quoted"),
        ('say "a",b', 'say "a",b'),
        ("line\nbreak", "line\nbreak"),
        ("carriage\rreturn", "carriage\rreturn"),
        ("nul\0", "nul\\x00"),
        ("lone\ud800", "lone\\ud800"),
        ("漢字", "漢字"),
        ("\x1b[31m", "\x1b[31m"),
    ],
)
def test_a_text_cell(name: str, cell: str) -> None:
    assert csv_rows(report((layer(name),)))[0]["name"] == cell


def test_on_a_terminal_control_characters_are_escapes() -> None:
    assert csv_rows(report((layer("\x1b[31m\n"),)), View(terminal=True))[0]["name"] == "\\x1b[31m\\n"


def test_several_texts_are_one_cell() -> None:
    tied = layer("wte.weight", aliases=("lm_head.weight", "decoder.weight"), warnings=("odd, very", "few blocks: 9"))
    row = csv_rows(report((tied,)))[0]
    assert row["aliases"] == "lm_head.weight; decoder.weight"
    assert row["warnings"] == "odd, very; few blocks: 9"


def test_numbers_have_no_leading_quote() -> None:
    cells = csv_rows(lenet())[1]
    assert cells["null.bdm_rarefied.z"].startswith("-")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_name_reads_back_but_for_the_quote(name: str) -> None:
    read = csv_rows(report((layer(name),)))[0]["name"]
    assert read in (name, "'" + name)


def test_csv_lines_end_in_a_newline_alone_and_the_header_stands_once() -> None:
    stream = io.StringIO(newline="")
    writer = OUTPUTS["csv"].open_writer(stream, View(several=True))
    writer.report(lenet())
    writer.report(lenet())
    assert "\r" not in stream.getvalue()
    assert stream.getvalue().count("row,path,name,dtype,shape,plane,") == 1


def test_hostile_names_keep_rows_apart() -> None:
    rows = csv_rows(hostile())
    assert all(row["row"] in ("layer", "pooled", "sum", "skipped") for row in rows)
    assert len(rows) == 2 * len(hostile().layers) + 2
