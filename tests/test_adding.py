"""docs/adding.md is true: a package with the page's files is installed, and each kind runs through the commands."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from children import run_python
from jsonschema import Draft202012Validator
from strategies import Tensor, write_safetensors

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text("utf-8")
SCHEMAS = ROOT / "docs" / "schema"

# each command line in turn, in one process: [exit code, stdout, stderr]
DRIVER = """
import contextlib, io, json, sys
from wcx.cli import run
found = []
for words in json.load(open(sys.argv[1])):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    found.append([code, out.getvalue(), err.getvalue()])
json.dump(found, sys.__stdout__)
"""


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


def page_files() -> dict[str, str]:
    """The files of the page, by their names."""
    return dict(re.findall(r"^```text\n# (wcx_extras/\w+\.py)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def page_entry_points() -> dict[str, dict[str, str]]:
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, dict[str, str]] = tomllib.loads(text)["project"]["entry-points"]
    return found


def install(home: Path, package: str, files: dict[str, str], entry_points: dict[str, dict[str, str]]) -> None:
    """Put a package where Python finds it, with the metadata that pip would write."""
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    info = home / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {home}\n" for name, home in entries.items())
        for group, entries in entry_points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def run_all(home: Path, *commands: Sequence[str]) -> list[Done]:
    """Run command lines with what is installed at `home`."""
    (home / "commands.json").write_text(json.dumps(commands))
    paths = os.pathsep.join([str(home), str(ROOT), *sys.path])
    env = {"PYTHONPATH": paths, "COLUMNS": "200", "WCX_CACHE_DIR": str(home / "cache")}
    done = run_python(DRIVER, home / "commands.json", env=env, check=True, cwd=home)
    return [Done(*item) for item in json.loads(done.stdout)]


# ------------------------------------------------------------------------------------------------- the page's package


COMMANDS = {
    "table": "analyze model.safetensors",
    "json": "analyze model.safetensors --json",
    "csv": "analyze model.safetensors --csv",
    "ndjson": "analyze model.safetensors --ndjson",
    "markdown": "analyze model.safetensors --markdown",
    "sort": "analyze model.safetensors --csv --sort singles",
    "sorted": "analyze model.safetensors --sort singles --quiet",
    "fail": "analyze model.safetensors --fail-on layer.singles>0.99",
    "pass": "analyze model.safetensors --fail-on layer.singles>1",
    "named": "analyze model.safetensors -m singles --json",
    "all": "analyze model.safetensors -m all --json",
    "deflate": "analyze model.safetensors -m deflate",
    "deflate sort": "analyze model.safetensors -m deflate --sort measures.deflate.ratio",
    "deflate fail": "analyze model.safetensors -m deflate --fail-on layer.measures.deflate.nbytes>1",
    "zeros": "analyze model.safetensors -q zeros --json",
    "zeros csv": "analyze model.safetensors -q zeros --csv",
    "planes": "analyze model.safetensors -q zeros --planes --sort singles",
    "compare": "compare runs --json",
    "compare csv": "compare runs --csv",
    "compare table": "compare runs --sort singles",
    "compare fail": "compare runs --fail-on layer.singles>=0",
    "compare named": "compare runs -m singles -m deflate --json",
    "compare deflate fail": "compare runs -m deflate --fail-on layer.deflate.nbytes>1",
    "compare log": "compare runs -m bdm -m singles -m deflate --log log.csv --json",
    "compare zeros": "compare runs -q zeros --json",
    "kinds": "kinds",
    "kinds json": "kinds --json",
    "verify": "verify model.safetensors",
    "verify zeros": "verify model.safetensors -q zeros",
    "verify zeros json": "verify model.safetensors -q zeros --json",
    "tsv": "analyze model.safetensors -o report.tsv",
    "compare tsv": "compare runs -o report2.tsv",
    "grid": "analyze some.grid --json",
    "grid inspect": "inspect some.grid --json",
    "grid verify": "verify some.grid",
    "grid compare": "compare some.grid other.grid --json",
    "broken grid": "analyze broken.grid",
    "over a grid": "analyze model.safetensors -o some.grid",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, and models: weights of which a third is 0, ten checkpoints of them, a log, two grids."""
    home = tmp_path_factory.mktemp("adding")
    install(home, "wcx_extras", page_files(), page_entry_points())
    random = np.random.default_rng(5)

    def weights(rows: int, columns: int) -> np.ndarray[Any, Any]:
        values = random.standard_normal((rows, columns)).astype("<f4")
        values[random.random((rows, columns)) < 1 / 3] = 0
        return values

    def save(path: Path) -> None:
        layers = {"small": weights(32, 32), "large": weights(200, 160)}
        write_safetensors(path, {name: Tensor("F32", w.shape, w.tobytes()) for name, w in layers.items()})

    save(home / "model.safetensors")
    (home / "runs").mkdir()
    for step in range(10):
        save(home / "runs" / f"step_{step}.safetensors")
    rows = [f"{step},{10 - step + 0.1 * (step % 3)}" for step in range(10)]
    (home / "log.csv").write_text("\n".join(["step,loss", *rows]) + "\n")
    for name in ("some.grid", "other.grid"):
        (home / name).write_bytes(struct.pack("<4sII", b"GRID", 40, 64) + weights(40, 64).tobytes())
    (home / "broken.grid").write_bytes(b"GRID\1\0\0\0\1\0\0\0\0")
    return home


Of = Callable[[str], Done]


@pytest.fixture(scope="module")
def done(home: Path) -> Of:
    """What a command of the list above did."""
    found = dict(zip(COMMANDS, run_all(home, *(line.split() for line in COMMANDS.values())), strict=True))
    return found.__getitem__


def valid(report: Any, schema: str) -> Any:  # noqa: ANN401
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}-1.json").read_text("utf-8"))).validate(report)
    return report


def test_the_page_has_a_file_for_each_entry_point() -> None:
    homes = [home for entries in page_entry_points().values() for home in entries.values()]
    assert sorted(f"{home.partition(':')[0].replace('.', '/')}.py" for home in homes) == sorted(page_files())


def test_no_command_ends_with_a_bug(done: Of) -> None:
    assert [name for name in COMMANDS if done(name).code not in (0, 1, 2, 3) or "Traceback" in done(name).stderr] == []


def test_kinds_lists_everything(done: Of) -> None:
    found = valid(done("kinds json").json, "kinds")
    for kind, name in [
        ("measures", "singles"),
        ("measures", "deflate"),
        ("quantizers", "zeros"),
        ("formats", "grid"),
        ("outputs", "tsv"),
    ]:
        assert name in [entry["name"] for entry in found[kind]]
    assert (
        "Share of the blocks that occur exactly once, 0 to 1; a constant plane of 12x12 has 0.0."
        in done("kinds").stdout
    )


# ------------------------------------------------------------------------------------------------------------ measure


def test_the_measure_is_a_field_of_every_plane(done: Of) -> None:
    report = valid(done("json").json, "analysis")
    planes = [layer["planes"][0] for layer in report["layers"]] + [report["model"]["planes"][0]["pooled"]]
    assert all(0 < plane["singles"] <= 1 for plane in planes)
    assert report["settings"]["measures"][-1] == "singles"
    named = done("named").json["layers"][0]["planes"][0]
    assert named["singles"] == planes[0]["singles"]
    assert named["bdm"] is None


def test_the_measure_is_a_column(done: Of) -> None:
    wanted = [layer["planes"][0]["singles"] for layer in done("json").json["layers"]]
    rows = [row for row in csv.DictReader(io.StringIO(done("csv").stdout)) if row["row"] == "layer"]
    assert [float(row["singles"]) for row in rows] == wanted
    lines = [json.loads(line) for line in done("ndjson").stdout.splitlines()]
    assert [line["singles"] for line in lines if line["row"] == "layer"] == wanted
    heads = [line for line in done("table").stdout.splitlines() if line.startswith(("   ", "layer"))]
    column = heads[0].index("seen")
    assert heads[1][column : column + 4] == "once"
    large = next(line for line in done("table").stdout.splitlines() if line.startswith("large"))
    assert f"{100 * wanted[0]:.1f}%" in large or f"{100 * wanted[1]:.1f}%" in large
    assert "| seen once |" in done("markdown").stdout


def test_the_measure_sorts_and_fails(done: Of) -> None:
    values = {layer["name"]: layer["planes"][0]["singles"] for layer in done("json").json["layers"]}
    order = sorted(values, key=lambda name: -values[name])
    assert [
        line.split()[0] for line in done("sorted").stdout.splitlines() if line.startswith(("small", "large"))
    ] == order
    assert done("sort").code == 0
    assert (done("fail").code, done("pass").code) == (int(max(values.values()) > 0.99), 0)
    assert "deflate" not in done("fail").stderr


def test_the_measure_has_a_series(done: Of) -> None:
    found = valid(done("compare").json, "comparison")
    assert all(len(layer["series"]["singles"]) == 10 for layer in found["layers"])
    assert len(found["model"]["planes"][0]["pooled"]["singles"]) == 10
    assert ",singles," in done("compare csv").stdout
    assert "singles, largest change first" in done("compare table").stdout
    assert done("compare fail").code == 1
    correlated = valid(done("compare log").json, "comparison")["correlations"]
    assert {one["measure"] for one in correlated} >= {"bdm", "singles", "deflate.nbytes"}


# --------------------------------------------------------------------------------------------------------- compressor


def test_the_compressor_has_sizes(done: Of) -> None:
    report = valid(done("all").json, "analysis")
    for layer in report["layers"]:
        assert 0 < layer["measures"]["deflate"]["ratio"] < 1.1
        assert layer["measures"]["deflate"]["planes"]["sign"]["nbytes"] > 0
    assert "deflate" in done("deflate").stdout
    assert done("deflate sort").code == 0
    assert done("deflate fail").code == 1


def test_the_compressor_has_series_and_is_a_baseline(done: Of) -> None:
    series = done("compare named").json["layers"][0]["series"]
    assert {"singles", "deflate.nbytes", "deflate.ratio"} <= set(series)
    assert done("compare deflate fail").code == 1
    pairs = {(one["measure"], one["against"]) for one in done("compare log").json["differences"]}
    assert ("bdm", "deflate.nbytes") in pairs


# ---------------------------------------------------------------------------------------------------------- quantizer


def test_the_quantizer_has_its_plane(done: Of) -> None:
    report = valid(done("zeros").json, "analysis")
    for layer in report["layers"]:
        assert [(plane["plane"], plane["ones"]) for plane in layer["planes"]] == [("zeros", layer["zeros"])]
    assert ",zeros," in done("zeros csv").stdout
    assert "cells: singles" in done("planes").stdout
    assert {layer["plane"] for layer in valid(done("compare zeros").json, "comparison")["layers"]} == {"zeros"}


def test_the_quantizer_is_verified_on_planes_of_wcx_and_that_is_said(done: Of) -> None:
    assert done("verify zeros").code == 0
    (note,) = [line for line in done("verify zeros").stdout.splitlines() if line.startswith("note: ")]
    assert note == "note: the planes of zeros come from wcx itself: this quantizer can't be recomputed independently"
    found = valid(done("verify zeros json").json, "verification")
    assert (found["agrees"], found["notes"]) == (True, [note.removeprefix("note: ")])
    assert "note" not in done("verify").stdout


# --------------------------------------------------------------------------------------------------- output and format


def test_the_output_is_chosen_by_its_suffix(done: Of, home: Path) -> None:
    assert done("tsv").code == 0
    lines = [line.split("\t") for line in (home / "report.tsv").read_text().splitlines()]
    assert lines == [[layer["name"], "sign", repr(layer["planes"][0]["bdm"])] for layer in done("json").json["layers"]]
    assert done("compare tsv").code == 2
    assert not (home / "report2.tsv").exists()


def test_the_format_is_opened_everywhere(done: Of) -> None:
    report = valid(done("grid").json, "analysis")
    assert (report["checkpoint"]["format"], report["layers"][0]["shape"]) == ("grid", [40, 64])
    assert done("grid inspect").json["tensors"][0]["name"] == "grid"
    assert done("grid verify").code == 0
    assert len(done("grid compare").json["checkpoints"]) == 2
    assert (done("broken grid").code, "do not fill the file" in done("broken grid").stderr) == (3, True)
    assert done("over a grid").code == 2


# ------------------------------------------------------------------------------------------- what the page leaves out


AGAIN = """
from dataclasses import replace
from wcx.measures.mean_ctm import MEAN_CTM

null = replace(MEAN_CTM.null, shown=None, order=100, of_changes=True, columns=())
AGAIN = replace(MEAN_CTM, name="again", null=null, columns=(), shown=None, pybdm=None)
"""


def test_a_measure_with_a_null_has_it_everywhere(home: Path, tmp_path: Path) -> None:
    """It is mean_ctm under another name: every number is the same."""
    install(tmp_path, "wcx_again", {"again.py": AGAIN}, {"wcx.measures": {"again": "again:AGAIN"}})
    model, runs = str(home / "model.safetensors"), [str(home / "runs" / f"step_{step}.safetensors") for step in (0, 1)]
    closed, shuffled, compared, sorted_, fails, rows = run_all(
        tmp_path,
        ["analyze", model, "--json"],
        ["analyze", model, "--json", "--null", "shuffle:3", "-q", "polarity"],
        ["compare", *runs, "--json"],
        ["analyze", model, "--sort", "null.again.ratio"],
        ["compare", *runs, "--fail-on", "layer.delta.null.again.ratio > 0"],
        ["analyze", model, "--csv"],
    )
    for report in (closed, shuffled):
        for layer in valid(report.json, "analysis")["layers"]:
            for plane in layer["planes"]:
                assert plane["again"] == plane["mean_ctm"]
                assert plane["null"]["again"] == plane["null"]["mean_ctm"] is not None
    for layer in valid(compared.json, "comparison")["layers"]:
        for series in (layer["series"], layer["delta"]):
            assert series["again"] == series["mean_ctm"]
        assert layer["series"]["null.again.z"] == layer["series"]["null.mean_ctm.z"]
        assert layer["delta"]["null.again.ratio"][1] > 0
    assert (sorted_.code, fails.code) == (0, 1)
    assert rows.stdout.partition("\n")[0].count("null.again.") == 4


RECOMPUTING = """
    def recompute(self, values, finite):
        return {"zeros": values == 0}
"""


@pytest.mark.parametrize(("value", "code"), [("0", 0), ("1", 1)])
def test_a_quantizer_that_recomputes_its_planes_is_verified_on_them(
    value: str, code: int, home: Path, tmp_path: Path
) -> None:
    text = page_files()["wcx_extras/zeros.py"].replace(
        "\n\nKIND", RECOMPUTING.replace("== 0", f"== {value}") + "\n\nKIND"
    )
    install(tmp_path, "wcx_zeros", {"zeros.py": text}, {"wcx.quantizers": {"zeros": "zeros:KIND"}})
    (done,) = run_all(tmp_path, ["verify", str(home / "model.safetensors"), "-q", "zeros"])
    assert (done.code, "note: " in done.stdout) == (code, False)


# ----------------------------------------------------------------------------------------------------- bad packages


BAD = {
    "broken": ({"bad.py": "import nothing_of_that_name"}, "wcx.measures", "odd", "bad:X", "No module named"),
    "of another kind": ({"bad.py": "X = 5"}, "wcx.measures", "odd", "bad:X", "is not valid: bad:X must be a measure"),
    "built-in name": ({"bad.py": "X = 5"}, "wcx.measures", "bdm", "bad:X", "has the name of a built-in one"),
    "odd name": ({"bad.py": "X = 5"}, "wcx.measures", "Odd-One", "bad:X", "must be named with lowercase letters"),
    "field of a report": (
        {"bad.py": page_files()["wcx_extras/singles.py"].replace('"singles"', '"ones"')},
        *("wcx.measures", "ones", "bad:SINGLES", "has the name of another field"),
    ),
    "quantizer": ({"bad.py": "X = 5"}, "wcx.quantizers", "odd", "bad:X", "must be a quantizer of that name"),
    "format": ({"bad.py": "raise SystemExit"}, "wcx.formats", "odd", "bad:X", "can't be loaded: SystemExit"),
    "output": ({"bad.py": "X = print"}, "wcx.outputs", "odd", "bad:X", "must be an output of that name"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_entry_point_is_one_line_that_names_the_package(name: str, tmp_path: Path) -> None:
    files, group, entry, home, reason = BAD[name]
    install(tmp_path, "wcx_bad", files, {group: {entry: home}})
    using = ["analyze", "nothing.npz", "-o", "report.txt"] if name == "field of a report" else ["kinds"]
    used, version, usage = run_all(tmp_path, using, ["--version"], ["analyze", "--help"])
    assert (used.code, used.stdout, len(used.stderr.splitlines())) == (2, "", 1)
    assert "of the package wcx_bad" in used.stderr
    assert reason in used.stderr
    assert (version.code, usage.code) == (0, 0)


def test_two_packages_with_one_name_are_told_apart(tmp_path: Path) -> None:
    for package in ("wcx_one", "wcx_two"):
        install(tmp_path, package, {f"{package}.py": "X = 5"}, {"wcx.outputs": {"odd": f"{package}:X"}})
    (kinds,) = run_all(tmp_path, ["kinds"])
    assert kinds.code == 2
    assert "'odd' of the package wcx_two is also in the package wcx_one" in kinds.stderr


def test_cached_numbers_of_another_version_of_a_package_are_not_used(home: Path, tmp_path: Path) -> None:
    """compare keeps numbers; a package that was upgraded may have others."""
    install(tmp_path, "wcx_extras", page_files(), page_entry_points())
    command = ["compare", *(str(home / "runs" / f"step_{step}.safetensors") for step in (0, 1)), "-m", "singles"]
    (first,) = run_all(tmp_path, [*command, "--json"])
    source = tmp_path / "wcx_extras" / "singles.py"
    source.write_text(source.read_text().replace("/ evidence.blocks", "/ evidence.blocks / 2"))
    (same,) = run_all(tmp_path, [*command, "--json"])
    info = (tmp_path / "wcx_extras-1.0.dist-info").rename(tmp_path / "wcx_extras-2.0.dist-info")
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("Version: 1.0", "Version: 2.0"))
    (other,) = run_all(tmp_path, [*command, "--json"])
    before, kept, after = (
        [layer["series"]["singles"] for layer in done.json["layers"]] for done in (first, same, other)
    )
    assert kept == before
    assert after == [[value / 2 for value in series] for series in before]
