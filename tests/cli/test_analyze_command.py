"""`wcx analyze` as a user runs it: kinds of output, files, exit codes, several inputs, interruptions."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import children
import jsonschema
import pytest
from children import PATIENCE_SECONDS, Process, child, interruptible
from children import run_wcx as wcx
from commands import run_here
from depth import keeping, one_of

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"
ONE = SAMPLES / "digits_bnn" / "seed_0" / "epoch_030.safetensors"
SHARDED = SAMPLES / "tiny_lm_bf16"


def schema(name: str) -> dict[str, object]:
    return json.loads((ROOT / "docs" / "schema" / name).read_text("utf-8"))


def test_json_of_one_checkpoint_is_one_indented_object_of_the_schema() -> None:
    done = wcx("analyze", ONE, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema("analysis-1.json"))
    assert done.stdout.startswith('{\n  "schema": "wcx/analysis/1"')
    assert [layer["name"] for layer in report["layers"]] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert len(report["layers"]) + len(report["skipped"]) == 18


@one_of(4)
@pytest.mark.parametrize("quantize", ["sign", "sign:zero=one", "polarity"])
@pytest.mark.parametrize("null", ["permutation", "shuffle:5", "none"])
def test_json_of_a_sharded_model_fits_the_schema(quantize: str, null: str) -> None:
    done = run_here("analyze", SHARDED, "--json", "-q", quantize, "--null", null)
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema("analysis-1.json"))
    assert report["checkpoint"]["format"] == "safetensors"
    assert len(report["checkpoint"]["files"]) >= 3
    plane = report["layers"][0]["planes"][0]
    assert (plane["null"] is None) == (null == "none")
    assert len(report["layers"]) == 30


def test_several_checkpoints_are_an_object_a_line_in_the_order_of_counting() -> None:
    done = run_here("analyze", f"{SAMPLES}/digits_bnn/seed_0/epoch_00[0-3]*", "--json", "--null", "none")
    paths = [json.loads(line)["checkpoint"]["path"] for line in done.stdout.splitlines()]
    assert [Path(path).stem for path in paths] == ["epoch_000", "epoch_001", "epoch_002", "epoch_003"]


def test_one_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(ONE.read_bytes()[:-100])
    done = run_here("analyze", damaged, ONE, "--json")
    assert done.returncode == 3
    error, report = (json.loads(line) for line in done.stdout.splitlines())
    jsonschema.validate(error, schema("error-1.json"))
    jsonschema.validate(report, schema("analysis-1.json"))
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"wcx: {damaged}: ")


def test_threads_do_not_change_a_byte() -> None:
    outputs = {run_here("analyze", SHARDED, "--json", "-q", "polarity", "-j", threads).stdout for threads in (1, 2, 7)}
    assert len(outputs) == 1


def test_ndjson_and_csv_have_the_same_rows() -> None:
    lines = [json.loads(line) for line in run_here("analyze", SHARDED, "--ndjson").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(run_here("analyze", SHARDED, "--csv").stdout)))
    assert [line["row"] for line in lines] == [row["row"] for row in rows]
    assert sum(line["row"] == "layer" for line in lines) == 30
    for line, row in zip(lines, rows, strict=True):
        assert list(line) == [column for column in row if column != "measures"]
        assert (line["bdm"] is None and row["bdm"] == "") or line["bdm"] == float(row["bdm"])


@pytest.mark.parametrize(
    ("suffix", "start"),
    [("json", "{"), ("ndjson", '{"row":'), ("csv", "row,"), ("md", "**"), ("txt", str(ONE))],
)
def test_the_suffix_of_the_file_decides_the_kind(tmp_path: Path, suffix: str, start: str) -> None:
    file = tmp_path / f"report.{suffix}"
    done = run_here("analyze", ONE, "-o", file)
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_text("utf-8").lstrip("# `").startswith(start.lstrip("*")) or start == "**"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    done = run_here("analyze", ONE, "-o", tmp_path / "no" / "such" / "folder.json")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    kept = tmp_path / "kept.json"
    kept.write_text("before")
    done = run_here("analyze", ONE, "-o", kept, "-q", "nonsense")
    assert done.returncode == 2
    assert kept.read_text() == "before"


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("layer.bdm > 1", 1),
        ("layer.bdm > 1e9", 0),
        ("all layer.density < 1", 1),
        ("layer[fc1*].null.bdm_rarefied.ratio > 0.9", 1),
        ("layer[nothing*].bdm > 0", 2),
        ("model.pooled.distinct >= 1", 1),
        ("model.sum.bdm < 0", 0),
        ("layer.reference > 1", 2),
        ("layer.bdm >", 2),
    ],
)
def test_fail_on(expression: str, code: int) -> None:
    done = run_here("analyze", ONE, "--json", "--fail-on", expression)
    assert done.returncode == code
    assert (done.stderr != "") == (code > 0)


def test_an_unreadable_input_wins_over_a_condition(tmp_path: Path) -> None:
    assert run_here("analyze", ONE, tmp_path / "none.safetensors", "--fail-on", "layer.bdm > 1").returncode == 3


@pytest.mark.parametrize(
    "option",
    [
        ("-q", "beauty:9"),
        ("-b", "5x5"),
        ("--boundary", "periodic"),
        ("--layout", "spiral"),
        ("-m", "beauty"),
        ("--null", "shuffle:1"),
        ("--null", "shuffle:x"),
        ("--rarefy", "0"),
        ("--seed", "-1"),
        ("--sort", "beauty"),
        ("--threads", "0"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(option: tuple[str, str]) -> None:
    done = run_here("analyze", ONE, *option)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert option[1].partition(":")[0] in done.stderr


def test_measures_that_were_not_asked_for_are_null() -> None:
    report = json.loads(run_here("analyze", ONE, "--json", "-m", "mean_ctm").stdout)
    plane = report["layers"][0]["planes"][0]
    assert plane["mean_ctm"] is not None
    assert plane["bdm"] is None
    assert plane["null"]["bdm"] is None
    assert plane["null"]["mean_ctm"]["mean"] > 0
    assert report["settings"]["measures"] == ["mean_ctm"]
    jsonschema.validate(report, schema("analysis-1.json"))


def test_output_to_a_reader_that_went_away_ends_quietly() -> None:
    command = f"{sys.executable} -m wcx analyze {SHARDED} --ndjson | head -1"
    done = children.run(["sh", "-c", command])
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_interrupting_leaves_nothing_half_written(tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    command = [sys.executable, "-m", "wcx", "analyze", str(SHARDED), "--null", "shuffle:100000", "-o", str(output)]
    with child(interruptible(command)) as process:
        wait_for_work(process, tmp_path)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, said
    assert said == ""
    assert list(tmp_path.iterdir()) == []


def wait_for_work(process: Process, directory: Path) -> None:
    """Return when a process has made its temporary file."""
    while not list(directory.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)


def test_a_bare_environment_is_enough(tmp_path: Path) -> None:
    """No HOME, no terminal, a locale without UTF-8, columns of nothing."""
    bare = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TERM": "dumb", "COLUMNS": "0", "PYTHONUTF8": "0"}
    bare["PYTHONPATH"] = str(ROOT)
    done = wcx("analyze", SHARDED, env=bare, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lm_head.weight" in done.stdout
    assert done.stdout.isascii()


def test_a_directory_without_layers_says_so(tmp_path: Path) -> None:
    done = run_here("analyze", ONE, "--include", "no.such.*", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["layers"] == []
    assert report["model"]["planes"][0]["pooled"] is None
    assert "no layer was analyzed" in report["warnings"][0]
    jsonschema.validate(report, schema("analysis-1.json"))
    table = run_here("analyze", ONE, "--include", "no.such.*")
    assert table.returncode == 0
    assert "no layer was analyzed" in table.stdout


@pytest.mark.parametrize("large", keeping([False], [True, False]))
def test_without_a_place_for_compiled_code(tmp_path: Path, large: bool) -> None:
    """A read-only install and home: numba finds nowhere to keep its cache, and the numbers are the same."""
    import numpy as np
    from safetensors.numpy import save_file

    model = tmp_path / "model.safetensors"
    shape = (24_000, 32_768) if large else (64, 64)  # by compiled code, by NumPy
    values = np.resize(np.random.default_rng(0).integers(-128, 128, 999_983, dtype=np.int8), shape)
    save_file({"w": values}, model)
    package = tmp_path / "site"
    shutil.copytree(ROOT / "wcx", package / "wcx", ignore=shutil.ignore_patterns("__pycache__"))
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    environment = {**os.environ, "PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(nowhere / "below")}
    done = wcx("analyze", model, "--json", "--null", "none", env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    usual = wcx("analyze", model, "--json", "--null", "none", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout == usual.stdout


@pytest.mark.parametrize(
    "arguments", [["analyze", ONE], ["analyze", ONE, "--json"], ["kinds"], ["--help"], ["--version"]]
)
def test_stdout_that_cannot_be_written_is_said_in_a_line(arguments: list[object]) -> None:
    command = [sys.executable, "-m", "wcx", *map(str, arguments)]
    with open("/dev/full", "w") as full:
        done = children.run(command, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("wcx: stdout can't be written: ")
    assert len(done.stderr.splitlines()) == 1
    closed = f"{shlex.join(command)} >&-"
    done = children.run(["sh", "-c", closed])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_stderr_that_cannot_be_written_does_not_change_the_code() -> None:
    command = [sys.executable, "-m", "wcx", "analyze", "/no/such/file"]
    with open("/dev/full", "w") as full:
        assert children.run(command, stderr=full).returncode == 3


def test_a_termination_leaves_nothing_half_written(tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    command = [sys.executable, "-m", "wcx", "analyze", str(SHARDED), "--null", "shuffle:100000", "-o", str(output)]
    with child(command) as process:
        wait_for_work(process, tmp_path)
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_a_constant_layer_of_any_size_is_its_own_shuffle(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    model = tmp_path / "ones.safetensors"
    save_file({"w": np.ones((4, 100_000), np.float32), "v": np.zeros((48, 52), np.float16)}, model)
    done = run_here("analyze", model, "--json", "-q", "polarity")
    assert (done.returncode, done.stderr) == (0, "")
    for layer in json.loads(done.stdout)["layers"]:
        for plane in layer["planes"]:
            assert plane["null"]["bdm"] == {"mean": plane["bdm"], "sd": 0.0, "z": None, "ratio": 1.0}
