"""Files that commands write: never over what they read, whole or not at all, and straight into pipes and devices."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import children
import numpy as np
import pytest
from children import PATIENCE_SECONDS, child
from commands import run_here
from protobuf_asm import external, graph, model
from safetensors.numpy import save_file

import wcx
from wcx.core.errors import UsageError
from wcx.core.files import open_descriptor, written
from wcx.core.guard import claim, guarded

SHARD = "model-00001-of-00001.safetensors"
SAMPLE = Path(__file__).parents[2] / "sample_models" / "tiny_lm_bf16"
COMMANDS = ("analyze", "inspect", "verify", "motifs", "compare")
WHOLE = "would be written over what is read"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A checkpoint without a suffix that could protect it."""
    return checkpoint(tmp_path / "weights")


def checkpoint(path: Path, seed: int = 0) -> Path:
    save_file({"w": np.random.default_rng(seed).standard_normal((8, 8), dtype=np.float32)}, path)
    return path


def same(path: Path) -> Path:
    return path


def symbolic(path: Path) -> Path:
    path.with_name("report.json").symlink_to(path.name)
    return path.with_name("report.json")


def hard(path: Path) -> Path:
    path.with_name("report.json").hardlink_to(path)
    return path.with_name("report.json")


def refused(done: children.Done, kept: Path, content: bytes) -> None:
    """Check that a command ended with one line and left a file as it was, and nothing else."""
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert WHOLE in done.stderr
    assert kept.read_bytes() == content
    assert not list(kept.parent.glob(".wcx-*"))


@pytest.mark.parametrize("name", [same, symbolic, hard])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_output_overwrites_a_checkpoint(command: str, name: Callable[[Path], Path], weights: Path) -> None:
    content = weights.read_bytes()
    refused(run_here(command, weights, "-o", name(weights)), weights, content)


@pytest.mark.parametrize("option", ["-o", "--write"])
@pytest.mark.parametrize("name", [same, symbolic, hard])
def test_no_projection_overwrites_its_checkpoint(option: str, name: Callable[[Path], Path], tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "m.safetensors")
    content = source.read_bytes()
    link = name(source)
    output = link.rename(link.with_suffix(".safetensors"))
    refused(run_here("motifs", source, "--k", 2, option, output), source, content)


def test_a_projection_by_python_overwrites_nothing(weights: Path, tmp_path: Path) -> None:
    content = weights.read_bytes()
    with pytest.raises(UsageError, match=WHOLE):
        wcx.motifs(weights, k=2, write=str(weights))
    assert weights.read_bytes() == content
    other = checkpoint(tmp_path / "other", 1)
    wcx.motifs(other, k=2, write=str(weights))  # read by a run that is over
    assert weights.read_bytes() != content


@pytest.mark.parametrize("command", ["analyze", "compare"])
def test_no_report_overwrites_the_reference(command: str, weights: Path, tmp_path: Path) -> None:
    content = weights.read_bytes()
    other = checkpoint(tmp_path / "other", 1)
    refused(run_here(command, other, "--reference", weights, "-o", weights), weights, content)


@pytest.mark.parametrize("command", ["analyze", "inspect", "motifs"])
@pytest.mark.parametrize("member", ["model.safetensors.index.json", SHARD])
def test_no_report_overwrites_a_part_of_a_sharded_checkpoint(command: str, member: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    checkpoint(folder / SHARD)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": SHARD}}))
    output = tmp_path / "out.json"
    output.symlink_to(folder / member)
    content = (folder / member).read_bytes()
    refused(run_here(command, folder, "-o", output), folder / member, content)


@pytest.mark.parametrize("command", ["analyze", "inspect", "motifs"])
def test_no_report_overwrites_the_external_data_of_a_model(command: str, tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "out.json"
    data.write_bytes(bytes(range(64)))
    output.hardlink_to(data)
    (tmp_path / "m.onnx").write_bytes(model(graph(external({"location": "data"}))))
    refused(run_here(command, tmp_path / "m.onnx", "-o", output), data, bytes(range(64)))


@pytest.mark.parametrize("name", [same, symbolic, hard])
def test_no_comparison_overwrites_its_log(name: Callable[[Path], Path], tmp_path: Path) -> None:
    for step in range(3):
        checkpoint(tmp_path / f"step_{step}.safetensors", step)
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n0,3\n1,2\n2,1\n")
    content = log.read_bytes()
    refused(run_here("compare", tmp_path, "--log", log, "-o", name(log)), log, content)


def test_no_picture_overwrites_a_checkpoint_or_the_report(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    content = weights.read_bytes()
    picture = tmp_path / "p.svg"
    picture.symlink_to(weights)
    refused(run_here("compare", weights, "--plot", picture), weights, content)
    picture.unlink()
    done = run_here("compare", weights, "--plot", picture, "-o", picture)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the same file as --plot" in done.stderr
    assert not picture.exists()


def test_a_picture_that_does_not_fit_leaves_the_old_one(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "p.png"
    picture.write_bytes(b"OLD")
    limited = 'ulimit -f 16; trap "" XFSZ; exec "$@"'
    command = [sys.executable, "-m", "wcx", "compare", weights, "--plot", picture, "--no-cache"]
    done = children.run(["sh", "-c", limited, "sh", *command])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "can't be written" in done.stderr
    assert picture.read_bytes() == b"OLD"
    assert not list(tmp_path.glob(".wcx-*"))


@pytest.mark.parametrize("output", ["/dev/stdout", "/dev/fd/1", "/dev/fd/3", "/dev/stderr"])
def test_pipes_are_written_straight(output: str, weights: Path) -> None:
    command = shlex.join([sys.executable, "-m", "wcx", "inspect", str(weights), "--json", "-o", output])
    done = children.run(["sh", "-c", f"({command} 3>&1) 2>&1 | cat"])
    assert json.loads(done.stdout)["schema"].startswith("wcx/inspection/")


def test_a_named_pipe_is_written_and_stays(weights: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with child(["cat", pipe]) as reader:
        done = run_here("inspect", weights, "--json", "-o", pipe)
        read, _ = reader.communicate(timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert json.loads(read)["schema"].startswith("wcx/inspection/")
    assert pipe.is_fifo()


def test_the_null_device_stays() -> None:
    with written("/dev/null", "-o") as descriptor:
        os.write(descriptor, b"anything")
    assert Path("/dev/null").is_char_device()


GONE = [
    ("analyze", "-o", "x.json"),
    ("compare", "-o", "x.csv"),
    ("compare", "--plot", "x.svg"),
    ("motifs", "-o", "x.json"),
    ("motifs", "--k", "2", "--write", "x.safetensors"),
    ("verify", "-o", "x.json"),
]


@pytest.mark.parametrize("arguments", GONE)
def test_a_working_directory_that_is_gone(arguments: tuple[str, ...], weights: Path, tmp_path: Path) -> None:
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    gone = tmp_path / "gone"
    gone.mkdir()
    program = (
        "import os, sys\n"
        f"os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        "from wcx.cli import main\n"
        f"sys.argv = ['wcx', {arguments[0]!r}, {str(weights)!r}, *{arguments[1:]!r}]\n"
        "main()"
    )
    safe = {"PYTHONSAFEPATH": "1"}  # as an installed command is: 3.13.0 imports nothing in a missing directory
    done = children.run_python(program, env=safe)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "can't be written: No such file or directory" in done.stderr


def test_a_file_that_is_claimed_later_and_earlier(weights: Path, tmp_path: Path) -> None:
    """The order of reading and claiming does not matter; an output may be replaced between them."""
    with guarded():
        os.close(open_descriptor(str(weights)))
        with pytest.raises(UsageError, match=WHOLE):
            claim(str(weights), "-o x")
    output = tmp_path / "out"
    with guarded():
        claim(str(output), "-o out")
        claim(str(output), "-o out")
        with pytest.raises(UsageError, match="the same file as -o out"):
            claim(str(tmp_path / "." / "out"), "--plot out")
    with guarded(), pytest.raises(UsageError, match=WHOLE):
        _link_while_written(output, weights)
    assert output.samefile(weights)


def _link_while_written(output: Path, weights: Path) -> None:
    with written(str(output), "-o"):
        output.hardlink_to(weights)
        os.close(open_descriptor(str(weights)))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGHUP, 129), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_written(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    place, temporary = tmp_path / "place", tmp_path / "tmp"
    place.mkdir()
    temporary.mkdir()
    arguments = ["analyze", SAMPLE, "--null", "shuffle:100000", "-o", place / "o.json"]
    reset = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-I", "-S", "-c", reset, sys.executable, "-m", "wcx", *arguments]
    with child(command, env={**os.environ, "TMPDIR": str(temporary)}) as process:
        while not list(place.iterdir()):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(sent)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (code, "")
    assert not [*place.iterdir(), *temporary.iterdir()]


@pytest.mark.parametrize("command", ["analyze", "compare"])
@pytest.mark.parametrize(
    ("expressions", "code"),
    [
        (["layer[v*].bdm > 0"], 2),  # no layer of that name
        (["layer.null.mean_ctm.z < 0"], 2),  # not computed
        (["layer.bdm > 1e9"], 0),
        (["layer.bdm > 0"], 1),
        (["layer.bdm > 0", "layer[v*].bdm > 0"], 2),
    ],
)
def test_a_gate_that_matches_nothing_does_not_pass(
    command: str, expressions: list[str], code: int, weights: Path, tmp_path: Path
) -> None:
    gates = [word for expression in expressions for word in ("--fail-on", expression)]
    done = run_here(command, weights, "-m", "bdm", *gates)
    assert done.returncode == code, done.stderr
    assert ("no layer matches, or the value is missing" in done.stderr) == (code == 2)
    assert run_here(command, weights, tmp_path / "nothing", "-m", "bdm", *gates).returncode == 3


def test_a_gate_needs_a_match_in_one_checkpoint_only(weights: Path, tmp_path: Path) -> None:
    save_file({"v": np.ones((8, 8), np.float32)}, tmp_path / "other")
    done = run_here("analyze", weights, tmp_path / "other", "--fail-on", "layer[v].bdm < 0")
    assert (done.returncode, done.stderr.count("no layer matches")) == (0, 1)


_INTERRUPTED_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from wcx.cli import main
sys.argv = ["wcx", "kinds"]
main()
"""


def test_ctrl_c_is_quiet_while_the_command_line_is_imported() -> None:
    done = children.run_python(_INTERRUPTED_IMPORT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(("command", "name"), [("analyze", "r.json"), ("inspect", "r.json"), ("compare", "r.csv")])
def test_a_report_next_to_checkpoints_is_replaced_by_the_next(command: str, name: str, tmp_path: Path) -> None:
    checkpoint(tmp_path / "step_1.safetensors")
    checkpoint(tmp_path / "step_2.safetensors", 1)
    for _ in range(2):
        done = run_here(command, tmp_path, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / name).stat().st_size
