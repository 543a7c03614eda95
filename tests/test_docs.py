"""What the documentation shows is what happens: its commands, their output, its Python, its tables and its links."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import children
import measure_tables
import pytest
from children import Done
from commands import run_here
from depth import EXHAUSTIVE, keeping

from wcx.blocks.layout import LAYOUTS
from wcx.core.quantities import plane_fields
from wcx.measures import MEASURES
from wcx.quantizers import QUANTIZERS
from wcx.tasks.analyze.settings import BLOCKS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "sample_models" / "README.md"]
WALK = ROOT / "docs" / "learning-as-compression.md"
SHOWN = r"^```python\n((?:(?!```).*\n)*)```\n+```text\n((?:(?!```).*\n)*)```"
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the user's cache, and none depends on what is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WCX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def fenced(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(command: str) -> Done:
    """Run a wcx command line of the docs from the root of the repository."""
    with contextlib.chdir(ROOT):
        return run_here(*shlex.split(command)[1:])


def printed_by(*arguments: str) -> str:
    """What a Python script of the docs prints."""
    return children.run([sys.executable, *arguments], cwd=ROOT, check=True).stdout


def test_the_readme_shows_the_real_output_of_its_main_job() -> None:
    first = fenced((ROOT / "README.md").read_text("utf-8"), "console")[0]
    command, _, shown = first.partition("\n")
    done = run(command.rpartition("&& ")[2])
    assert done.returncode == 0
    assert done.stdout == shown


def test_the_readme_has_two_commands_that_set_everything_up() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    commands = [line for line in text.splitlines() if line.startswith("$ python3 -m venv")]
    assert [("analyze sample_models/" in line, "pytest" in line) for line in commands] == [(True, False), (False, True)]


READABLE = {
    "model.safetensors": "sample_models/digits_bnn/seed_0/epoch_030.safetensors",
    "checkpoint.pt": "sample_models/digits_cnn/checkpoint.pt",
    "model.onnx": "sample_models/digits_cnn/model.onnx",
    "finetuned.safetensors": "sample_models/digits_bnn/seed_0/epoch_010.safetensors",
    "runs/ --group": "sample_models/digits_bnn --group",
    "runs/ --log": "sample_models/digits_bnn/seed_0 --log",
    "runs/log.csv": "sample_models/digits_bnn/seed_0/log.csv",
}


def other_commands() -> list[str]:
    """Every other wcx command of the docs that stands on a line of its own, on a file that exists."""
    found = []
    for page in PAGES:
        for line in page.read_text("utf-8").splitlines():
            line = line.strip().removeprefix("$ ").partition("  #")[0]
            if re.match(r"wcx (analyze|compare|inspect|motifs|verify|kinds|--)", line) and "..." not in line:
                line = line.partition(" | ")[0].partition(" -o ")[0].partition(" --plot ")[0]
                for name, there in READABLE.items():
                    line = line.replace(f" {name}", f" {there}")
                found.append(line.replace("runs/epoch_*", "sample_models/digits_bnn/seed_0/epoch_00*"))
    return sorted(set(found))


def is_long(command: str) -> bool:
    """Return True if a command correlates all measures with a log."""
    return "--log" in command and "-m bdm" not in command


@pytest.mark.parametrize("command", keeping([c for c in other_commands() if not is_long(c)], other_commands()))
def test_commands_in_the_docs_run(command: str) -> None:
    done = run(command)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if page != WALK], ids=lambda page: page.name)
def test_python_in_the_docs_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for block in fenced(page.read_text("utf-8"), "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_saturation_table_is_what_its_script_prints() -> None:
    table = printed_by("docs/saturation.py")
    for page in ("README.md", "docs/measures.md"):
        assert table in (ROOT / page).read_text("utf-8"), page


def test_the_saturation_picture_is_what_its_script_draws() -> None:
    assert printed_by("docs/saturation.py", "--svg") == (ROOT / "docs" / "saturation.svg").read_text("utf-8")


def remade(text: str) -> str:
    """The walk, with what its commands and its Python print now."""
    names: dict[str, object] = {}

    def answered(block: re.Match[str]) -> str:
        command = block[1].partition("\n")[0]
        done = run(command.removeprefix("$ "))
        assert done.returncode == 0, done.stderr
        return f"```console\n{command}\n{done.stdout}```"

    def printed(block: re.Match[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block[1], str(WALK), "exec"), names)
        return f"```python\n{block[1]}```\n\n```text\n{out.getvalue()}```"

    text = re.sub(r"^```console\n(.*?)^```", answered, text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(SHOWN, printed, text, flags=re.MULTILINE)


@EXHAUSTIVE
def test_the_walk_shows_what_its_commands_and_its_python_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wanted change: WCX_UPDATE_GOLDEN=1, and read the text again, which speaks of these numbers."""
    monkeypatch.chdir(ROOT)
    text = WALK.read_text("utf-8")
    assert len(re.findall(SHOWN, text, re.MULTILINE)) == len(fenced(text, "python"))
    now = remade(text)
    if os.environ.get("WCX_UPDATE_GOLDEN") == "1":
        WALK.write_text(now, "utf-8")
    assert now == text


@EXHAUSTIVE
def test_the_table_of_random_flips_is_what_its_script_prints() -> None:
    assert printed_by("docs/random_flips.py") in WALK.read_text("utf-8")


def test_docstrings_show_what_happens() -> None:
    """Every example in the package; a name of a docstring may be one that its module makes when it is asked for it."""
    files = [path for path in (ROOT / "wcx").rglob("*.py") if ">>>" in path.read_text("utf-8")]
    modules = [import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in files]
    results = {module.__name__: doctest.testmod(module) for module in modules}
    assert sum(result.attempted for result in results.values()) > 80
    assert not {name: result for name, result in results.items() if result.failed}


def test_every_number_that_is_printed_is_defined() -> None:
    text = (ROOT / "docs" / "measures.md").read_text("utf-8")
    names = {name.partition(".")[0] for name in plane_fields()} - {"plane", "reference"} | set(MEASURES)
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_tables_of_measures_are_those_of_the_registry() -> None:
    """After a wanted change: WCX_UPDATE_GOLDEN=1."""
    page = ROOT / "docs" / "measures.md"
    text = now = page.read_text("utf-8")
    for name, table in measure_tables.tables().items():
        before, _, rest = now.partition(f"<!-- table: {name} -->\n")
        now = f"{before}<!-- table: {name} -->\n{table}{rest[rest.index('<!-- /table') :]}"
    if os.environ.get("WCX_UPDATE_GOLDEN") == "1":
        page.write_text(now, "utf-8")
    assert now == text


def test_every_way_from_a_tensor_to_blocks_is_defined() -> None:
    text = (ROOT / "docs" / "measures.md").read_text("utf-8").partition("## Of every layer")[0]
    assert [name for name in [*LAYOUTS, *QUANTIZERS] if f"| `{name}" not in text] == []
    assert [block for block in BLOCKS if f"`--block {block}`" not in text] == []
