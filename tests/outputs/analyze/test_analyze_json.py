"""JSON and JSON lines: strict, complete, the same double back, valid against the schemas in docs/."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import REPORTS, all_text, hostile, layer, lenet, polarity, report, write

from wcx.core.errors import CheckpointError
from wcx.outputs import OUTPUTS, View
from wcx.outputs.shared.json import Encoder

DOCS = Path(__file__).parents[3] / "docs"
SCHEMAS = {
    name: json.loads((DOCS / "schema" / f"{name}-1.json").read_text()) for name in ("analysis", "error", "comparison")
}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def loads(text: str) -> Any:  # noqa: ANN401
    return json.loads(text, parse_constant=refuse)


def written(name: str, view: View) -> str:
    stream = io.StringIO()
    write(REPORTS[name](), OUTPUTS["json"].open_writer(stream, view))
    return stream.getvalue()


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", REPORTS)
def test_reads_back_to_the_report(name: str, several: bool) -> None:
    assert loads(written(name, View(several=several))) == REPORTS[name]().to_dict()


@pytest.mark.parametrize("name", ["lenet", "polarity", "without_null", "nothing"])
def test_is_what_the_library_would_write(name: str) -> None:
    expected = json.dumps(REPORTS[name]().to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    assert written(name, View()) == expected + "\n"


@pytest.mark.parametrize("name", REPORTS)
def test_several_checkpoints_are_one_line_each(name: str) -> None:
    stream = io.StringIO()
    writer = OUTPUTS["json"].open_writer(stream, View(several=True))
    writer.report(REPORTS[name]())
    writer.error(CheckpointError("odd\x1b\n.pt", "truncated", 12))
    writer.report(REPORTS[name]())
    first, error, second = stream.getvalue().split("\n")[:3]
    assert first == second
    assert loads(error) == {"schema": "wcx/error/1", "path": "odd\x1b\n.pt", "error": "truncated", "offset": 12}


@pytest.mark.parametrize("name", REPORTS)
def test_the_schema_accepts_every_report(name: str) -> None:
    jsonschema.Draft202012Validator(SCHEMAS["analysis"]).validate(loads(written(name, View())))


@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize("offset", [None, 0, 12])
def test_the_schema_accepts_every_error(kind: str, offset: int | None) -> None:
    stream = io.StringIO()
    OUTPUTS[kind].open_writer(stream, View()).error(CheckpointError("a.pt", "truncated", offset))
    jsonschema.Draft202012Validator(SCHEMAS["error"]).validate(loads(stream.getvalue()))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.pop("notes"),
        lambda plain: plain.update(schema="wcx/analysis/2"),
        lambda plain: plain.update(date="2024-01-01"),
        lambda plain: plain["layers"][0].pop("fit"),
        lambda plain: plain["layers"][0]["planes"][0].update(regime="dense"),
        lambda plain: plain["layers"][0]["planes"][0]["null"]["bdm"].update(sd=-1.0),
        lambda plain: plain["layers"][0].update(matrix=[1, 2, 3]),
        lambda plain: plain["layers"][0].update(zeros=1.5),
        lambda plain: plain["model"]["planes"][0].pop("pooled"),
        lambda plain: plain["checkpoint"].update(nbytes=None),
    ],
)
def test_the_schema_refuses_what_breaks_the_contract(change: Callable[[dict[str, Any]], object]) -> None:
    plain = lenet().to_dict()
    change(plain)
    assert not jsonschema.Draft202012Validator(SCHEMAS["analysis"]).is_valid(plain)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_nan_and_infinity_are_refused(kind: str, value: float) -> None:
    odd = report((replace(layer(), fit=replace(layer().fit, lo=value)),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(odd, OUTPUTS[kind].open_writer(io.StringIO(), View()))


@given(PLAIN, st.booleans(), st.booleans())
def test_any_plain_value_reads_back(value: object, indented: bool, ascii_only: bool) -> None:
    text = Encoder(indented, ascii_only).text(value)
    assert loads(text) == value
    assert not ascii_only or text.isascii()
    assert indented or "\n" not in text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_reads_back_to_itself(value: float) -> None:
    back = loads(Encoder(indented=False).text(value))
    assert math.copysign(1, back) == math.copysign(1, value)
    assert back == value


def test_text_that_does_not_print_is_written_in_escapes_and_other_text_as_it_is() -> None:
    text = written("hostile", View())
    assert all(line.isprintable() for line in text.split("\n"))
    assert "漢字カタカナ.weight" in text
    text.encode("utf-8")


def test_a_stream_of_another_encoding_gets_ascii() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="cp1252", newline="")
    write(hostile(), OUTPUTS["json"].open_writer(stream, View()))
    assert buffer.getvalue().isascii()
    assert loads(buffer.getvalue().decode()) == hostile().to_dict()


class Counting(io.StringIO):
    """Remembers the longest text it was given at once."""

    longest = 0

    def write(self, text: str) -> int:
        self.longest = max(self.longest, len(text))
        return super().write(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)


def test_a_report_is_written_layer_by_layer() -> None:
    one, many = Counting(), Counting()
    write(report((layer(),)), OUTPUTS["json"].open_writer(one, View()))
    write(report((layer(),) * 500), OUTPUTS["json"].open_writer(many, View()))
    assert many.longest <= one.longest + 10


# ------------------------------------------------------------------------------------------------------- docs/json.md


SHARED = {
    "plane": "plane.",
    "statistic": "plane.null.*.",
    "coefficient": "comparison.correlations[].*.",
    "difference": "comparison.differences[].*.",
}


def documented() -> set[str]:
    lines = (DOCS / "json.md").read_text().splitlines()
    return {line.split("`")[1] for line in lines if line.startswith("| `")}


def declared(schema: dict[str, Any], root: dict[str, Any], prefix: str) -> set[str]:
    """The dotted names of a schema as docs/json.md writes them; what several fields share stands there once."""
    for choice in schema.get("oneOf", [schema]):
        schema = choice if choice.get("type") != "null" else schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        prefix = SHARED.get(name, prefix)
        return declared(root["$defs"][name], root, prefix)
    if schema.get("type") == "array":
        return declared(schema["items"], root, prefix[:-1] + "[].")
    names = set()
    for name, inner in schema.get("properties", {}).items():
        names |= {prefix + name} | declared(inner, root, f"{prefix}{name}.")
    return names


def test_docs_list_every_field_and_no_other() -> None:
    analysis, error, comparison = SCHEMAS["analysis"], SCHEMAS["error"], SCHEMAS["comparison"]
    of_analysis = declared(analysis, analysis, "")
    of_comparison = declared(comparison, comparison, "comparison.") - {
        f"comparison.{name}" for name in of_analysis if name.startswith("settings.")
    }
    verification = json.loads((DOCS / "schema" / "verification-1.json").read_text("utf-8"))
    of_readings = {name for name in declared(verification, verification, "") if name.startswith("readings[].")}
    assert of_readings
    assert documented() == of_analysis | of_comparison | of_readings | declared(error, error, "error.")


def test_metadata_and_measures_are_open_in_the_schema() -> None:
    plain = polarity().to_dict()
    plain["model"]["measures"] = {"anything": [1, None, {"deep": True}]}
    plain["checkpoint"]["metadata"] = dict.fromkeys(all_text(hostile().to_dict()), "")
    jsonschema.Draft202012Validator(SCHEMAS["analysis"]).validate(plain)
