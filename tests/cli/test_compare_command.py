"""`wcx compare` as a command: its outputs, its exit codes, what it says where, its memory."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import children
import jsonschema
import numpy as np
import pytest
from checkpoint_files import write_tensors
from children import Argument, Done, run_python, run_wcx
from command_runs import run as run_measured
from commands import run_here
from depth import EXHAUSTIVE, keeping, one_of
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]
RUN = ROOT / "sample_models" / "digits_bnn" / "seed_0"
SCHEMA = json.loads((ROOT / "docs" / "schema" / "comparison-1.json").read_text("utf-8"))
FAST = ("-m", "bdm", "-m", "block_entropy", "--null", "none")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WCX_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Four of the sample's checkpoints and its log."""
    for step in (0, 1, 2, 10):
        shutil.copy(RUN / f"epoch_{step:03}.safetensors", tmp_path)
    shutil.copy(RUN / "log.csv", tmp_path)
    return tmp_path


def run(*arguments: Argument) -> Done:
    return run_here("compare", *arguments)


def test_json_follows_its_schema_and_does_not_depend_on_threads_or_cache() -> None:
    options = (RUN, "--log", RUN / "log.csv", "--metric", "train_loss", "--json", *FAST)
    first = run_wcx("compare", *options)
    again, single = run(*options), run(*options, "-j1", "--no-cache")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == again.stdout == single.stdout
    found = json.loads(first.stdout, parse_constant=lambda text: 1 / 0)
    jsonschema.validate(found, SCHEMA)
    assert len(found["checkpoints"]) == 31
    assert found["settings"]["log"]["rule"] == "nearest"
    assert found["correlations"]
    assert found["differences"]


def test_json_of_runs_that_are_apart(tmp_path: Path) -> None:
    for seed in ("seed_0", "seed_1"):
        (tmp_path / seed).mkdir()
        for step in (0, 1, 2):
            shutil.copy(RUN.parent / seed / f"epoch_{step:03}.safetensors", tmp_path / seed)
        shutil.copy(RUN.parent / seed / "log.csv", tmp_path / seed)
    done = run(tmp_path, "--group", "--log", "log.csv", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    assert [one["group"] for one in found["checkpoints"]] == ["seed_0"] * 3 + ["seed_1"] * 3
    assert found["layers"][0]["flips"][3] is None
    assert found["groups"]


def test_csv_is_tidy_and_reads_back_to_the_same_numbers(series: Path) -> None:
    options = (series, "--log", series / "log.csv", *FAST)
    rows = list(csv.DictReader(io.StringIO(run(*options, "--csv").stdout)))
    assert list(rows[0])[:6] == ["checkpoint", "step", "layer", "plane", "measure", "value"]
    found = json.loads(run(*options, "--json").stdout)
    labels = [one["label"] for one in found["checkpoints"]]
    for layer in found["layers"]:
        mine = {
            row["checkpoint"]: float(row["value"])
            for row in rows
            if (row["layer"], row["measure"], row["scope"]) == (layer["name"], "bdm", "layer")
        }
        assert [mine[label] for label in labels] == layer["series"]["bdm"]
    assert {row["measure"] for row in rows} >= {"train_loss", "flips", "flips_from_first", "delta.bdm"}


@one_of(3)
@pytest.mark.parametrize("kind", ["--markdown", "--ndjson", "--csv", "--json"])
def test_other_kinds_go_to_a_file_by_its_suffix(series: Path, kind: str, tmp_path: Path) -> None:
    suffix = {"--markdown": "md"}.get(kind, kind[2:])
    target = tmp_path / f"found.{suffix}"
    shown = run(series, kind, *FAST)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert run(series, "-o", target, *FAST).stdout == ""
    assert target.read_text("utf-8") == shown.stdout
    if suffix == "ndjson":
        assert all(json.loads(line) for line in shown.stdout.splitlines())


def test_the_table_shows_layers_model_and_what_is_wrong(series: Path) -> None:
    (series / "epoch_005.safetensors").write_bytes(b"nothing")
    done = run(series, "--log", series / "log.csv", "--metric", "train_loss")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "epoch_005.safetensors" in done.stderr
    for text in ("5 checkpoints", "fc1.weight", "pooled", "epoch_005", "train_loss", "note: 15 tensors of epoch_010"):
        assert text in done.stdout, text


def test_exit_codes(series: Path, tmp_path: Path) -> None:
    for code, arguments in (
        (0, (series, "--fail-on", "layer.flips > 0.9")),
        (1, (series, "--fail-on", "layer.flips > 0.001")),
        (1, (series, "--fail-on", "any layer[fc1*].delta.bdm > 1")),
        (2, (series, "--fail-on", "layer.nothing > 1")),
        (2, (series, "--metric", "loss")),
        (2, (series, "--planes")),
        (2, (series, "--plot", "picture.bmp")),
        (2, (series, "--sort", "nothing")),
        (2, (series, "-o", series / "epoch_001.safetensors")),
        (2, (series, "--log", series / "log.csv", "-o", series / "log.csv")),
        (2, (series, "-o", series / "a.svg", "--plot", series / "a.svg")),
        (2, (series, "--log", series / "log.csv", "--metric", "nothing")),
        (3, (series, "--log", series / "nothing.csv")),
        (3, (tmp_path / "nothing.safetensors",)),
        (3, (series, tmp_path / "nothing.safetensors", "--fail-on", "layer.flips > 0.001")),
    ):
        done = run(*arguments, *FAST)
        assert done.returncode == code, (arguments, done.stderr)
        assert done.stderr.count("\n") <= 3
        assert "Traceback" not in done.stderr


def test_nothing_is_written_over_what_was_read(series: Path) -> None:
    """The log is found beside the checkpoints, whatever directory the command is given in."""
    log = (series / "log.csv").read_bytes()
    done = run(series, "--log", "log.csv", "--metric", "train_loss", "--csv", "-o", series / "log.csv", *FAST)
    assert (done.returncode, (series / "log.csv").read_bytes()) == (2, log)
    assert "would be written over what is read" in done.stderr


def test_no_layer_and_no_picture(series: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run(series, "--include", "none*", "--plot", tmp_path / "p.png", *FAST)
    assert done.returncode == 0
    assert "no layer, nothing is drawn" in done.stderr
    assert "no layer could be compared" in done.stdout
    assert not (tmp_path / "p.png").exists()


def test_a_closed_stderr_is_no_obstacle(series: Path) -> None:
    command = [sys.executable, "-m", "wcx", "compare", str(series), *FAST]
    for closed, code in (("2>&-", 0), ("2>&- --fail-on 'layer.flips > 0'", 1)):
        done = children.run(["sh", "-c", f'"$@" {closed}', "sh", *command])
        assert done.returncode == code


def test_a_picture_is_drawn_beside_the_table(series: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run(series, "--log", series / "log.csv", "--plot", tmp_path / "p.svg", *FAST)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.svg").read_text("utf-8").startswith("<?xml")
    assert "fc1.weight" in done.stdout


@pytest.mark.parametrize("quantize", keeping(["sign"], ["sign", "uniform:8"]))
def test_compare_of_large_checkpoints_takes_bounded_memory(
    quantize: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Three checkpoints of 60 MB: tensors are never held; eight planes of bits go to a file in part.

    The compiler of so many kernels takes some 50 MiB more, once: its cache is one of this test's own, since of two
    processes that compile at the same time one may lose what it has written there.
    """
    values = np.random.default_rng(0).standard_normal((3000, 10000), dtype=np.float32).astype(np.float16)
    for step in range(3):
        save_file({"w": values[:2500], "v": values[2500:]}, tmp_path / f"step{step}.safetensors")
        values[:: step + 2] *= -1
    arguments = ["compare", tmp_path, "--json", "--no-cache", "-q", quantize, *FAST]
    if quantize == "sign":
        done = run_measured(arguments)
    else:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("compiled"))}
        run_measured(arguments, environment)
        done = run_measured(arguments, environment)
    assert done.code == 0, done.stderr
    assert done.peak_mib < 300
    found = next(layer for layer in json.loads(done.stdout)["layers"] if layer["name"] == "w")
    if quantize == "sign":
        nonzero = np.count_nonzero(values[:2500], axis=1) / values[:2500].size
        assert found["flips"][1:] == pytest.approx([nonzero[::2].sum(), nonzero[::3].sum()])
    assert 0 < found["flips_from_first"][2] < 0.8


_SWALLOWED = """
import ctypes, os, signal, sys, time
import wcx.cli
def run(arguments):
    callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(0.01))
    callback()
    time.sleep(600)
    return 0
wcx.cli.run = run
wcx.cli.main()
"""


def test_a_signal_that_c_code_drops_still_ends_the_process() -> None:
    """The compiler calls Python from C, where an exception is only printed."""
    done = run_python(_SWALLOWED)
    assert (done.returncode, done.stderr) == (143, "")


@EXHAUSTIVE
def test_a_json_log_in_utf_16_is_read_in_bounded_memory(tmp_path: Path) -> None:
    for step in range(3):
        write_tensors(tmp_path / f"step_{step}.safetensors", {"w": ("F32", [8, 8])})
    log = tmp_path / "log.json"
    rows = ",".join(f'{{"step":{step},"loss":{9 - step}}}' for step in range(3))
    filler = (',{"x":"' + "\u6f22" * 100_000 + '\U0001f600"}').encode("utf-16-le")
    with log.open("wb") as file:
        file.write(f"\ufeff [{rows}".encode("utf-16-le"))
        file.write(filler * ((63 << 20) // len(filler)) + "]".encode("utf-16-le"))
    done = run_measured(["compare", tmp_path, "--log", log, "--no-cache"])
    assert done.code == 0, done.stderr
    assert done.peak_mib < 200
