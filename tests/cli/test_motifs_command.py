"""`wcx motifs` as a command: its JSON, its text, its files, its exit codes, its memory."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
from children import Argument, Done, run_wcx
from command_runs import run as run_measured
from commands import run_here
from depth import EXHAUSTIVE
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"
SCHEMA = json.loads((ROOT / "docs" / "schema" / "motifs-1.json").read_text("utf-8"))


def run(*arguments: Argument) -> Done:
    return run_here("motifs", *arguments)


def test_json_follows_its_schema_and_does_not_depend_on_threads() -> None:
    options = (SAMPLES / "tiny_lm_bf16", "--block", "2x2", "--capacity", "5%", "--zero-block", "--json")
    one, three = run_wcx("motifs", *options, "-j1"), run(*options, "-j3")
    assert one.returncode == 0, one.stderr
    assert one.stdout == three.stdout
    assert one.stderr == ""
    found = json.loads(one.stdout)
    jsonschema.validate(found, SCHEMA)
    assert found["projection"]["k"] == int(found["model"]["motifs"] * 0.05)
    assert len(found["projection"]["layers"]) == len(found["layers"]) == found["model"]["layers"]


def test_values_that_are_not_finite_are_null(tmp_path: Path) -> None:
    save_file({"w": np.full(8, np.nan, np.float32)}, tmp_path / "m.safetensors")
    found = json.loads(run(tmp_path / "m.safetensors", "--k", "3", "--json").stdout, parse_constant=lambda text: 1 / 0)
    jsonschema.validate(found, SCHEMA)
    assert found["layers"][0]["top"] == [{"values": [None, None], "codes": "7fc00000 7fc00000", "count": 4}]
    assert found["projection"]["kept"] == 4


def test_text_shows_every_layer_and_escapes_names(tmp_path: Path) -> None:
    save_file({"a\x1b[31m": np.zeros(8, np.float32), "b": np.arange(6.0)}, tmp_path / "m.safetensors")
    done = run(tmp_path / "m.safetensors", "--k", "2")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "a\\x1b[31m" in done.stdout
    assert "0 0\n" in done.stdout
    for word in ("model", "all 1 of F64", "motifs by number of uses", "note: F64, F32: each dtype has its own motifs"):
        assert word in done.stdout


def test_o_takes_a_report_or_a_checkpoint_by_its_suffix(tmp_path: Path) -> None:
    save_file({"w": np.arange(8, dtype=np.float32)}, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors"
    assert run(path, "--k", 1, "-o", tmp_path / "p.safetensors").returncode == 0
    assert len(set(load_file(tmp_path / "p.safetensors")["w"].tolist())) == 2
    done = run(path, "--k", 1, "-o", tmp_path / "r.json", "--write", tmp_path / "q.safetensors")
    assert (done.returncode, done.stdout) == (0, "")
    jsonschema.validate(json.loads((tmp_path / "r.json").read_text("utf-8")), SCHEMA)
    assert (tmp_path / "q.safetensors").read_bytes() == (tmp_path / "p.safetensors").read_bytes()


def test_exit_codes(tmp_path: Path) -> None:
    save_file({"w": np.arange(8, dtype=np.float32)}, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors"
    for arguments in (
        (path, "--block", "0"),
        (path, "--k", "2", "--capacity", "5%"),
        (path, "--write", tmp_path / "p.safetensors"),
        (path, "--k", "2", "--write", path),
        (path, "-o", tmp_path / "r.csv"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert len(done.stderr.splitlines()) == 1 or "Usage" in done.stderr
    assert run(tmp_path / "none.safetensors").returncode == 3
    (tmp_path / "bad.safetensors").write_bytes(b"\x08" + bytes(7) + b'{"a":1}')
    assert run(tmp_path / "bad.safetensors").returncode == 3
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.safetensors", "m.safetensors"]


@EXHAUSTIVE
def test_motifs_of_millions_of_blocks_takes_bounded_memory(tmp_path: Path) -> None:
    """6 million different blocks, and a projection that writes."""
    values = np.random.default_rng(0).standard_normal(12_000_000, dtype=np.float32)
    save_file({"w": values.reshape(-1, 1000)}, tmp_path / "m.safetensors")
    done = run_measured(["motifs", tmp_path / "m.safetensors", "--json", "-j4"])
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["model"]["motifs"] == 6_000_000
    assert done.peak_mib < 300
    write = ["--k", "1000", "--write", tmp_path / "p.safetensors"]
    done = run_measured(["motifs", tmp_path / "m.safetensors", "--block", "8", *write, "-j4"])
    assert done.code == 0, done.stderr
    assert done.peak_mib < 300
