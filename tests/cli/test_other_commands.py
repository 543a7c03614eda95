"""`wcx`, `wcx verify`, `wcx kinds`, and Python's side of things."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from children import run_python
from children import run_wcx as run
from commands import run_here
from depth import one_of
from safetensors.numpy import save_file

import wcx
from wcx.measures.tables import table_checksums
from wcx.quantizers import QUANTIZERS

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"
ONE = SAMPLES / "digits_bnn" / "seed_0" / "epoch_030.safetensors"


def schema(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((ROOT / "docs" / "schema" / name).read_text("utf-8"))
    return found


def test_version_states_the_tables_checksums() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith(f"wcx {wcx.__version__}\n")
    for name, shape, checksum in table_checksums():
        assert f"{name} {shape} sha256 {checksum}" in done.stdout


@pytest.mark.parametrize("command", [(), ("analyze",), ("inspect",), ("motifs",), ("verify",), ("kinds",)])
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    done = run_here(*command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout


def test_verify_agrees_with_pybdm_on_real_layers() -> None:
    done = run_here("verify", SAMPLES / "tiny_lm_bf16", "--json", "--seed", 3)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema("verification-1.json"))
    assert (found["layers_checked"], found["layers_total"], found["agrees"]) == (20, 30, True)
    values = [value for plane in found["planes"] for value in plane["values"]]
    assert len(values) == 80
    assert max(value["difference"] for value in values) <= 1e-9


VERIFIED = {
    "sign": 1,
    "sign:zero=one": 1,
    "polarity": 2,
    "threshold:mean": 1,
    "threshold:median": 1,
    "threshold:0.5": 1,
    "ternary": 2,
    "uniform:8": 8,
    "uniform:3:p99": 3,
    "uniform:16:absmax": 16,
    "integer": 8,
}


VERIFIABLE = [
    (dtype, quantize, block)
    for dtype in ("float32", "float16", "int8", "uint8", "float64")
    for quantize in VERIFIED
    for block in ("4x4", "1x12")
    if quantize != "integer" or "int" in dtype
]


@one_of(3)
@pytest.mark.parametrize(("dtype", "quantize", "block"), VERIFIABLE)
def test_verify_agrees_with_every_quantizer(tmp_path: Path, quantize: str, dtype: str, block: str) -> None:
    random = np.random.default_rng(0)
    values = np.round(random.standard_normal((50, 61)) * 2).astype(np.int8).astype(dtype)
    save_file({"w": values}, tmp_path / "m.safetensors")
    done = run_here("verify", tmp_path / "m.safetensors", "-q", quantize, "-b", block)
    assert done.returncode == 0, done.stdout + done.stderr
    planes = VERIFIED[quantize]
    assert f"{4 * planes} of {4 * planes} values agree" in done.stdout


def test_verify_takes_part_of_a_large_layer_and_all_of_it_with_full(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((1200, 1024), dtype=np.float32)
    save_file({"w": values}, tmp_path / "m.safetensors")
    parts = json.loads(run_here("verify", tmp_path / "m.safetensors", "--json").stdout)["planes"][0]
    assert parts["symbols"] == 1 << 20
    assert parts["rows"][0] % 4 == 0
    assert parts["rows"][1] - parts["rows"][0] == 1024
    full = json.loads(run_here("verify", tmp_path / "m.safetensors", "--json", "--full").stdout)["planes"][0]
    assert full["symbols"] == values.size
    assert full["rows"] == [0, 1200]


def test_verify_finds_a_wrong_digit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from wcx.cli import run as run_here
    from wcx.measures import bdm

    monkeypatch.setattr(bdm, "log2_units", lambda number: bdm.UNIT * number)
    assert run_here(["verify", str(ONE)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_verify_without_pkg_resources() -> None:
    program = (
        "import sys; sys.modules['pkg_resources'] = None\n"
        "from wcx.cli import run\n"
        f"sys.exit(run(['verify', {str(ONE)!r}]))"
    )
    done = run_python(program)
    assert done.returncode == 0, done.stderr


def test_verify_without_pybdm_names_the_command() -> None:
    program = (
        f"import sys; sys.modules['pybdm'] = None\nfrom wcx.cli import run\nsys.exit(run(['verify', {str(ONE)!r}]))"
    )
    done = run_python(program)
    assert done.returncode == 4
    assert 'pip install "pybdm==0.1.0"' in done.stderr


def test_kinds_lists_what_is_registered() -> None:
    found = json.loads(run_here("kinds", "--json").stdout)
    jsonschema.validate(found, schema("kinds-1.json"))
    names = {kind: [entry["name"] for entry in entries] for kind, entries in found.items() if isinstance(entries, list)}
    assert names["quantizers"] == list(QUANTIZERS)
    assert "bdm_rarefied" in names["measures"]
    assert names["outputs"] == ["table", "json", "ndjson", "csv", "markdown"]
    text = run_here("kinds").stdout
    assert all(name in text for some in names.values() for name in some)


@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        ("analyze", [ONE, "-q", "polarity"], {"quantize": "polarity"}),
        ("inspect", [ONE, "--exclude", "fc1*"], {"exclude": "fc1*"}),
        ("verify", [ONE, "-b", "1x12", "--include", "fc1*"], {"block": "1x12", "include": "fc1*"}),
        ("motifs", [ONE, "-b", "4", "--k", "9", "--top", "2"], {"block": "4", "k": 9, "top": 2}),
        ("kinds", [], {}),
    ],
)
def test_python_gives_what_the_command_gives(
    function: str, arguments: list[object], options: dict[str, object]
) -> None:
    found = getattr(wcx, function)(*arguments[:1], **options)
    shown = json.loads(run_here(function, *arguments, "--json").stdout)
    assert json.loads(json.dumps(found.to_dict())) == shown
    assert type(found).__name__ in wcx.__all__


@pytest.mark.parametrize("name", ["out.csv", "out.md", "out.pt"])
def test_verify_writes_no_kind_that_it_does_not_have(tmp_path: Path, name: str) -> None:
    done = run_here("verify", ONE, "-o", tmp_path / name)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_report_shows_itself_in_a_notebook() -> None:
    html = wcx.analyze(ONE)._repr_html_()
    assert "<table" in html
    assert "fc1.weight" in html


def test_golden_report(request: pytest.FixtureRequest) -> None:
    """The numbers of a real checkpoint as they were when they had been checked against pybdm and real shuffles."""
    golden = json.loads((ROOT / "tests" / "golden" / "digits_bnn_seed_0_epoch_030.json").read_text("utf-8"))
    assert_close(wcx.analyze(ONE).to_dict(), golden)


def assert_close(found: object, golden: object, where: str = "") -> None:
    if isinstance(golden, dict):
        assert isinstance(found, dict)
        assert list(found) == list(golden), where
        for key, value in golden.items():
            if key not in ("path", "wcx"):
                assert_close(found[key], value, f"{where}.{key}")
    elif isinstance(golden, list):
        assert isinstance(found, (list, tuple))
        assert len(found) == len(golden), where
        for number, value in enumerate(golden):
            assert_close(found[number], value, f"{where}[{number}]")
    elif isinstance(golden, float):
        assert found == pytest.approx(golden, rel=1e-9), where
    else:
        assert found == golden, where


@pytest.mark.parametrize(
    "options",
    [
        {"rarefy": 1.5},
        {"rarefy": True},
        {"rarefy": "x"},
        {"seed": -1},
        {"seed": 0.5},
        {"threads": 0},
        {"threads": 1.5},
        {"null": None},
        {"null": "shuffle:99999999999999999999"},
        {"quantize": 5},
        {"measures": [5]},
        {"include": ["*"]},
    ],
)
def test_settings_that_make_no_sense_raise(options: dict[str, object]) -> None:
    with pytest.raises(wcx.UsageError):
        wcx.measure(np.zeros((8, 8)), **options)  # type: ignore[arg-type]


def test_a_masked_array_is_refused() -> None:
    with pytest.raises(wcx.UsageError, match="masked"):
        wcx.measure(np.ma.masked_less(np.zeros((8, 8)), 0.5))


def test_verify_of_nothing_is_no_success() -> None:
    done = run_here("verify", ONE, "--include", "nothing*")
    assert done.returncode == 2
    assert "no layer to compare" in done.stderr
