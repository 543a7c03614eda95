"""`wcx inspect` and inspect(): the JSON against its schema, the table, and where they are written."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from checkpoint_files import write_header, write_tensors
from jsonschema import Draft202012Validator

from wcx.cli import run
from wcx.core.errors import CheckpointError
from wcx.tasks.inspect import inspect

_ROOT = Path(__file__).parents[2]
_SCHEMA = json.loads((_ROOT / "docs" / "schema" / "inspection-1.json").read_text())
_SAMPLES = _ROOT / "sample_models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tensors = {
        "fc.weight": ("F32", [8, 4]),
        "fc.bias": ("F32", [8]),
        "bn.running_mean": ("F64", [8]),
        "[bold]\x1b[31m[/x]": ("F32", [4, 4]),
        "optimizer.exp_avg": ("F32", [8, 4]),
        "empty": ("I64", [0, 2]),
    }
    return write_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt", "long": "x" * 1000})


def _validate(report: object) -> None:
    Draft202012Validator.check_schema(_SCHEMA)
    Draft202012Validator(_SCHEMA).validate(report)


def test_the_json_is_as_its_schema_says(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(model), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    _validate(report)
    assert report == inspect(model).to_dict()
    assert report["checkpoint"]["metadata"]["format"] == "pt"
    assert report["tensors"][1] == {
        "name": "fc.bias",
        "dtype": "F32",
        "shape": [8],
        "nbytes": 32,
        "role": "weight",
        "source": None,
        "file": "model.safetensors",
        "offset": report["tensors"][0]["offset"] + 128,
        "aliases": [],
        "analysed": False,
        "reason": "1-D",
    }
    assert report["totals"] == {
        "all": {"tensors": 6, "elements": 32 + 8 + 8 + 16 + 32, "nbytes": 128 + 32 + 64 + 64 + 128},
        "analysed": {"tensors": 2, "elements": 48, "nbytes": 192},
        "dtype": {
            "F32": {"tensors": 4, "elements": 88, "nbytes": 352},
            "F64": {"tensors": 1, "elements": 8, "nbytes": 64},
            "I64": {"tensors": 1, "elements": 0, "nbytes": 0},
        },
        "role": {
            "weight": {"tensors": 4, "elements": 56, "nbytes": 224},
            "buffer": {"tensors": 1, "elements": 8, "nbytes": 64},
            "optimizer": {"tensors": 1, "elements": 32, "nbytes": 128},
        },
    }


def test_the_schema_refuses_what_is_not_so(model: Path) -> None:
    report = inspect(model).to_dict()
    report["tensors"][0]["reason"] = "1-D"  # of one that is analysed
    assert not Draft202012Validator(_SCHEMA).is_valid(report)


@pytest.mark.skipif(not _SAMPLES.is_dir(), reason="no sample models in this copy")
def test_the_sample_models_are_as_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", f"{_SAMPLES}/*/**/*.safetensors", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    for line in lines:
        _validate(json.loads(line))


def test_the_settings_decide_what_is_analysed(model: Path) -> None:
    def reasons(**settings: object) -> list[str | None]:
        return [tensor.reason for tensor in inspect(model, **settings).tensors[:2]]

    assert reasons(include="fc.b*") == ["not included", "1-D"]
    assert reasons(exclude=["*"]) == ["excluded", "excluded"]
    assert reasons(block="1x12") == [None, "1-D"]
    assert inspect(model, include_optimizer=True).totals.analysed.tensors == 3


def test_the_options_do_the_same(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(model), "--json", "--exclude", "fc.*", "--include-optimizer"]) == 0
    reasons = [tensor["reason"] for tensor in json.loads(capsys.readouterr().out)["tensors"]]
    assert reasons == ["excluded", "excluded", "1-D", None, None, "empty"]


def test_the_table_has_whole_names_and_no_markup(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{model}: safetensors, 6 tensors, {model.stat().st_size:,} bytes"
    assert lines[1:3] == ["2 metadata values", "  format: pt"]
    assert lines[3] == f"  long: {'x' * 100}... (1,000 characters)"
    table = [line.split() for line in lines]
    assert ["fc.weight", "F32", "8x4", "128", "weight", "yes"] in table
    assert ["[bold]\\x1b[31m[/x]", "F32", "4x4", "64", "weight", "yes"] in table
    assert ["optimizer.exp_avg", "F32", "8x4", "128", "optimizer", "no:", "optimizer", "state"] in table
    assert ["dtype", "F64", "1", "8", "64"] in table


def test_the_table_on_a_terminal(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["inspect", str(model)]) == 0
    text = capsys.readouterr().out
    assert "[bold]\\x1b[31m[/x]" in text
    assert "\x1b" not in text
    assert all(len(line) <= 90 for line in text.splitlines() if "tensor" in line and str(model) not in line)


def test_a_file_is_written_whole_and_its_suffix_decides_the_kind(model: Path, tmp_path: Path) -> None:
    for name in ("report.json", "report.ndjson", "report.txt"):
        assert run(["inspect", str(model), "-o", str(tmp_path / name)]) == 0
    text = (tmp_path / "report.json").read_text()
    assert text.startswith('{\n  "schema"')
    assert json.loads(text) == json.loads((tmp_path / "report.ndjson").read_text())
    assert (tmp_path / "report.ndjson").read_text().count("\n") == 1
    assert (tmp_path / "report.txt").read_text().startswith(str(model))
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.safetensors",
        "report.json",
        "report.ndjson",
        "report.txt",
    }


def test_a_written_file_keeps_its_mode(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.touch(mode=0o640)
    target.chmod(0o640)
    assert run(["inspect", str(model), "-o", str(target)]) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_file_that_is_not_finished_does_not_appear(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.json"
    target.write_text("as it was")

    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wcx.tasks.inspect.inspect", interrupt)
    assert run(["inspect", str(model), "-o", str(target)]) == 130
    assert target.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "report.json"]


@pytest.mark.parametrize("target", ["gone/report.json", ".", "report.csv"])
def test_a_file_that_cannot_be_written_is_a_usage_error(
    target: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(model), "-o", str(model.parent / target)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_several_inputs_give_a_line_each(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write_header(model.parent / "bad.safetensors", b"[]")
    assert run(["inspect", str(model), str(bad), "--json"]) == 3
    out, err = capsys.readouterr()
    report, error = map(json.loads, out.splitlines())
    assert (report["schema"], error["schema"], error["path"]) == ("wcx/inspection/1", "wcx/error/1", str(bad))
    Draft202012Validator(json.loads((_ROOT / "docs" / "schema" / "error-1.json").read_text())).validate(error)
    assert err == f"wcx: {bad}: {error['error']} (byte 8)\n"


def test_what_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        inspect(tmp_path / "gone.safetensors")
