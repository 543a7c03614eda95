"""Files that are odd and legal open, and nothing in them reaches a terminal as anything but text."""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import legal_cases
import pytest
from checkpoint_files import BITS, entry, header_text, write_header, write_index, write_tensors
from children import PATIENCE_SECONDS, child
from command_runs import COMMANDS, run
from depth import EXHAUSTIVE, keeping, one_of

from wcx.formats import open_checkpoint, open_reader

_NAMES = ["", "a\0b", "\x1b[31mred", "[bold]markup[/x]", "a\nb", "\u202egnp.exe", "\U0001f600", "=1+1", "a" * 1_000_000]
_SQUARE = ("F32", [8, 8])


def _of_floats(values: list[float]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        return write_header(path, header_text({"w": _SQUARE}), struct.pack("<64f", *(values * 64)[:64]))

    return write


_LEGAL: dict[str, Callable[[Path], Path]] = {
    "no tensors": lambda path: write_header(path, b"{}"),
    "spaces behind the header": lambda path: write_header(path, b"{}" + b" " * 100),
    "metadata null": lambda path: write_header(path, b'{"__metadata__":null}'),
    "15 MB of metadata": lambda path: write_tensors(path, {"w": _SQUARE}, {"a": "x" * 15_000_000}),
    "odd names": lambda path: write_tensors(path, dict.fromkeys(_NAMES, _SQUARE)),
    "odd metadata": lambda path: write_tensors(path, {"w": _SQUARE}, {name[:99]: name[:99] for name in _NAMES}),
    "zero-size tensors at one offset": lambda path: write_header(
        path,
        {"a": entry(data_offsets=(0, 4)), "b": entry("F32", [0, 4], (4, 4)), "c": entry("I8", [4, 0], (4, 4))},
        b"1234",
    ),
    "scalars": lambda path: write_tensors(path, {"a": ("F32", []), "b": ("F64", [])}),
    "rank 64": lambda path: write_tensors(path, {"a": ("F32", [1] * 62 + [4, 4])}),
    "every dtype": lambda path: write_tensors(path, {dtype: (dtype, [8, 8]) for dtype in BITS}),
    "all NaN": _of_floats([math.nan]),
    "NaN and infinities": _of_floats([math.nan, math.inf, -math.inf, 1.0]),
    "-0.0": _of_floats([-0.0]),
    "denormals": _of_floats([1e-45, -1e-45]),
    "constant": _of_floats([1.0]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_legal_files_open(command: str, tmp_path: Path) -> None:
    paths = [build(tmp_path / f"{number}.safetensors") for number, build in enumerate(_LEGAL.values())]
    table, report = run([command, *paths]), run([command, *paths, "--json"])
    assert (table.code, report.code) == (0, 0), table.stderr + report.stderr
    assert all(line.isprintable() for line in table.stdout.split("\n"))
    assert max(table.peak_mib, report.peak_mib) < 300
    assert [json.loads(line)["checkpoint"]["path"] for line in report.stdout.splitlines()] == list(map(str, paths))


@pytest.mark.parametrize("name", legal_cases.CASES)
def test_the_numbers_of_a_legal_file(name: str, tmp_path: Path) -> None:
    build, expected = legal_cases.CASES[name]
    checkpoint = open_checkpoint(build(tmp_path))
    with open_reader(checkpoint) as reader:
        for tensor_name, (shape, values) in expected.items():
            tensor = checkpoint[tensor_name]
            assert tensor.shape == shape
            if values is not None:
                out = bytearray(tensor.nbytes)
                reader.read_into(tensor, 0, memoryview(out))
                assert struct.unpack(f"<{len(values)}f", out) == tuple(values)
    if not expected:
        assert not checkpoint.tensors


@pytest.mark.parametrize("command", ["inspect", "inspect --json", "analyze", "analyze --json"])
def test_legal_files_of_the_other_formats_open(command: str, tmp_path: Path) -> None:
    paths = []
    for number, (build, _expected) in enumerate(legal_cases.CASES.values()):
        directory = tmp_path / str(number)
        directory.mkdir()
        paths.append(build(directory))
    done = run([*command.split(), *paths])
    assert (done.code, done.stderr) == (0, "")
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert done.peak_mib < 300


@EXHAUSTIVE
@pytest.mark.parametrize(
    ("command", "number"), [("inspect", 100_000), ("inspect --json", 100_000), ("analyze", 20_000)]
)
def test_very_many_tensors_are_read_in_bounded_memory(command: str, number: int, tmp_path: Path) -> None:
    """What grows with the square of their number would use up the processor time that a command is given."""
    names = [f"model.layers.{layer}.mlp.experts.gate_proj.weight" for layer in range(number)]
    path = write_tensors(tmp_path / "model.safetensors", {name: ("I8", [4, 4]) for name in names})
    done = run([*command.split(), path])
    assert done.code == 0
    assert done.peak_mib < 300
    assert names[-1] in done.stdout


def test_names_read_back_from_json_as_they_are(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", dict.fromkeys(_NAMES, _SQUARE))
    report = json.loads(run(["inspect", path, "--json"]).stdout)
    assert [tensor["name"] for tensor in report["tensors"]] == _NAMES


def test_a_file_is_opened_by_its_content_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("model.pt", "model.onnx", "model.gguf", "model"):
        path = write_tensors(tmp_path / name, {"w": _SQUARE})
        assert run(["inspect", path]).code == 0


def test_the_good_are_done_beside_the_bad(tmp_path: Path) -> None:
    good = write_tensors(tmp_path / "good.safetensors", {"w": _SQUARE})
    bad = write_header(tmp_path / "bad.safetensors", {"w": entry()})
    done = run(["inspect", good, bad, good, "--json"])
    first, error, last = map(json.loads, done.stdout.splitlines())
    assert done.code == 3
    assert first == last
    assert first["schema"] == "wcx/inspection/1"
    assert error == {
        "schema": "wcx/error/1",
        "path": str(bad),
        "error": "truncated: 4 bytes are missing, download it again",
        "offset": bad.stat().st_size,
    }


def test_links_of_the_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "0123"
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    shard = "model-00001-of-00001.safetensors"
    write_tensors(repository / "blobs" / "aaaa", {"w": _SQUARE})
    write_index(repository / "blobs" / "bbbb", {"w": shard})
    (snapshot / shard).symlink_to("../../blobs/aaaa")
    (snapshot / "model.safetensors.index.json").symlink_to("../../blobs/bbbb")
    assert run(["inspect", snapshot]).code == 0


_SURROUNDINGS = {
    "no HOME": {"PATH": os.environ["PATH"]},
    "dumb terminal": {**os.environ, "TERM": "dumb", "COLUMNS": "0", "LINES": "0"},
    "ASCII locale": {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {**os.environ, "PYTHONIOENCODING": "latin-1"},
}


@one_of(3)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("surroundings", _SURROUNDINGS)
def test_odd_surroundings(surroundings: str, command: str, tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", {"schicht\xe4.\u91cd\u307f": _SQUARE}, {"k": "\u91cd"})
    done = run([command, path], _SURROUNDINGS[surroundings])
    assert (done.code, done.stderr) == (0, "")
    report = run([command, path, "--json"], _SURROUNDINGS[surroundings])
    assert "schicht\xe4.\u91cd\u307f" in json.dumps(json.loads(report.stdout), ensure_ascii=False)


@pytest.mark.parametrize("command", keeping(["inspect"], COMMANDS))
def test_a_reader_that_goes_away_is_no_error(command: str, tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", {f"w{number}": _SQUARE for number in range(2_000)})
    with child([sys.executable, "-m", "wcx", command, path]) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_SECONDS) == 141
