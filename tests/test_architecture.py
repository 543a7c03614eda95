"""The shape of the code: which way imports go, who prints, what a command loads, and the contracts of each kind.

    types, errors, registry, dtypes, escape
        <- formats | quantizers | blocks | measures | streams | outputs
            <- pipeline, count, evaluate, ... (every other file at the top)
                <- cli

A layer imports what stands above it here. The six in the middle do not import each other, except that measures read
blocks.counts.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts import (
    check_comparison_output,
    check_dtype,
    check_format,
    check_measure,
    check_output,
    check_quantizer,
)
from strategies import DTYPE_NAMES

import wcx
from wcx.formats import FORMATS
from wcx.measures import MEASURES
from wcx.outputs import OUTPUTS
from wcx.outputs.comparison import COMPARISON_OUTPUTS
from wcx.quantizers import QUANTIZERS

PACKAGE = Path(wcx.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
SOURCES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path.read_text() for path in FILES}
MODULES = {name.removesuffix(".__init__"): ast.parse(text) for name, text in SOURCES.items()}

FOUNDATION = {"types", "comparison_types", "errors", "registry", "dtypes", "escape"}
MIDDLE = {"formats", "quantizers", "blocks", "measures", "streams", "outputs"}
SCRIPTS = {"wcx.measures.data.make_tables"}  # run by hand, not part of the program

HEAVY = {
    "matplotlib",
    "numpy",
    "numba",
    "onnx",
    "scipy",
    "rich",
    "ml_dtypes",
    "safetensors",
    "pybdm",
    "torch",
}


def part_of(module: str) -> str:
    """Of wcx.formats.safetensors: formats; of wcx itself: the empty text."""
    return [*module.split("."), ""][1]


def layer_of(module: str) -> int:
    """0 for the foundation, 1 for the middle, 2 for the stages above it, 3 for the command line."""
    part = part_of(module)
    if part in FOUNDATION:
        return 0
    if part in MIDDLE:
        return 1
    return 3 if part in ("cli", "__main__") else 2


def imports_of(module: str) -> Iterator[str]:
    """Every module that a module imports, wherever in its text, under TYPE_CHECKING too; absolute names."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in MODULES else node.module or ""


def texts_of(module: str) -> Iterator[str]:
    """Modules that are named in strings: those of registries and import_module."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            if name in MODULES and name != "wcx":
                yield name


def own_imports(module: str) -> set[str]:
    return {name for name in imports_of(module) if name == "wcx" or name.startswith("wcx.")}


MODULES_OF_WCX = sorted(MODULES.keys() - SCRIPTS)


# ---------------------------------------------------------------------------------------------------------- imports


def test_every_part_of_the_design_is_there() -> None:
    parts = {part_of(module) for module in MODULES}
    assert parts >= FOUNDATION | MIDDLE | {"cli", "pipeline", "count", "evaluate", "workers"}
    assert len(MODULES) > 50


@pytest.mark.parametrize("module", MODULES_OF_WCX)
def test_imports_go_one_way(module: str) -> None:
    if module in ("wcx", "wcx.__main__"):
        return
    for imported in own_imports(module):
        if imported == "wcx":  # the version
            assert layer_of(module) >= 2, f"{module} imports the package itself"
            continue
        assert layer_of(imported) <= layer_of(module), f"{module} imports {imported}"
        if layer_of(module) == layer_of(imported) == 1 and part_of(module) != part_of(imported):
            allowed = part_of(module) == "measures" and imported == "wcx.blocks.counts"
            assert allowed, f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES_OF_WCX)
def test_a_registry_names_modules_of_its_own_folder(module: str) -> None:
    """What is imported by its name goes the same way; only types name what shows a report in a notebook."""
    if module in ("wcx", "wcx.__main__"):
        return
    for named in texts_of(module):
        if module in ("wcx.types", "wcx.comparison_types"):
            assert named in ("wcx.outputs.html", "wcx.outputs.comparison.html")
        else:
            assert layer_of(named) <= layer_of(module), f"{module} names {named}"
            assert layer_of(module) != 1 or part_of(named) == part_of(module), f"{module} names {named}"


def test_there_are_no_circles() -> None:
    """No module imports itself by way of others when it is loaded; what is imported inside functions may."""
    edges = {module: set(_imports_when_loaded(module)) for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in done:
            return
        for imported in edges[module]:
            visit(imported, (*path, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


def _imports_when_loaded(module: str) -> Iterator[str]:
    for node in MODULES[module].body:
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and node.module != "wcx":
            yield from {
                inside if (inside := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("pybdm", {"wcx.verification"}),
        ("numba", {"wcx.blocks.kernels", "wcx.blocks.counter"}),
        ("llvmlite", {"wcx.blocks.kernels"}),
        ("ml_dtypes", {"wcx.recomputed"}),
        ("safetensors", {"wcx.formats.safetensors"}),
        ("backports", {"wcx.streams.zstd"}),
        ("compression", {"wcx.streams.zstd"}),
        (
            "scipy",
            {
                "wcx.motifs.nearest",
                "wcx.comparison.statistics.runs",
                "wcx.comparison.statistics.significance",
                "wcx.comparison.statistics.smoothing",
            },
        ),
        ("matplotlib", {"wcx.outputs.comparison.plot"}),
        ("torch", set()),
        ("onnx", set()),
        ("hypothesis", set()),
        ("pytest", set()),
    ],
)
def test_a_library_is_imported_in_its_place_only(library: str, allowed: set[str]) -> None:
    users = {module for module in MODULES_OF_WCX if library in {name.split(".")[0] for name in imports_of(module)}}
    assert users <= allowed


def test_click_and_rich_are_for_the_command_line_and_for_tables() -> None:
    for module in MODULES_OF_WCX:
        roots = {name.split(".")[0] for name in imports_of(module)}
        assert "click" not in roots or part_of(module) == "cli", module
        assert "rich" not in roots or part_of(module) in ("cli", "outputs"), module


def test_tests_are_no_part_of_the_program() -> None:
    for module in MODULES_OF_WCX:
        roots = {name.split(".")[0] for name in imports_of(module)}
        assert not roots & {"naive", "strategies", "contracts", "conftest", "tests"}, module


# ----------------------------------------------------------------------------------------------------- who may print


def names_used(module: str) -> Iterator[str]:
    """Calls and attributes, as dotted names."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("module", [module for module in MODULES_OF_WCX if part_of(module) != "cli"])
def test_nothing_but_the_command_line_prints_or_exits(module: str) -> None:
    used = set(names_used(module))
    assert not used & {"print", "input", "breakpoint", "exit", "quit"}
    assert not used & {"sys.stdout", "sys.stderr", "sys.stdin", "sys.exit", "os._exit", "logging.info", "warnings.warn"}


def test_errors_are_turned_into_exit_codes_in_one_place() -> None:
    for module in MODULES_OF_WCX:
        if module != "wcx.cli":
            assert not set(names_used(module)) & {"sys.exit", "os._exit"}, module


def test_no_assert_and_no_bare_except_in_the_program() -> None:
    for module in MODULES_OF_WCX:
        for node in ast.walk(MODULES[module]):
            assert not isinstance(node, ast.Assert), f"{module}:{node.lineno}"
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{module}:{node.lineno}"


# ------------------------------------------------------------------------------------------------------ how files are


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_file_begins_with_what_lives_in_it(module: str) -> None:
    text = ast.get_docstring(MODULES[module])
    assert text
    assert len(text.splitlines()[0]) > 20


@pytest.mark.parametrize("module", MODULES_OF_WCX)
def test_what_a_file_offers_is_there(module: str) -> None:
    loaded = importlib.import_module(module) if module != "wcx.__main__" else None
    for name in getattr(loaded, "__all__", ()):
        assert getattr(loaded, name) is not None


def test_the_public_names_are_listed_and_load() -> None:
    assert sorted(wcx.__all__) == dir(wcx)
    with pytest.raises(AttributeError, match="module 'wcx' has no attribute 'nothing'"):
        wcx.nothing  # noqa: B018


def test_the_version_stands_once() -> None:
    assert [name for name, text in SOURCES.items() if re.search(r"^_*version_* *=", text, re.MULTILINE)] == [
        "wcx.__init__"
    ]


# --------------------------------------------------------------------------------------- what a command does not load


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules that a process imports."""
    paths = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "wcx", "--help"],
        ["-m", "wcx", "--version"],
        ["-m", "wcx", "analyze", "--help"],
        ["-m", "wcx", "compare", "--help"],
        ["-m", "wcx", "inspect", "--help"],
        ["-m", "wcx", "motifs", "--help"],
        ["-m", "wcx", "verify", "--help"],
        ["-c", "import wcx; wcx.__version__; dir(wcx)"],
        ["-c", "from wcx import Comparison, Report, UsageError"],
    ],
    ids=" ".join,
)
def test_help_and_version_load_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_by(*arguments)
    assert "wcx" in loaded
    assert not loaded & HEAVY


def test_the_check_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("-c", "import wcx.count")


def test_a_small_array_is_measured_without_the_compiler() -> None:
    program = "import wcx, numpy; wcx.measure(numpy.eye(64))"
    assert not loaded_by("-c", program) & (HEAVY - {"numpy"})


# -------------------------------------------------------------------------------------------------------- contracts


@pytest.mark.parametrize("name", tuple(MEASURES))
def test_measures_keep_their_contract(name: str) -> None:
    check_measure(name, MEASURES[name])


@pytest.mark.parametrize("name", tuple(QUANTIZERS))
def test_quantizers_keep_their_contract(name: str) -> None:
    check_quantizer(name, QUANTIZERS[name])


@pytest.mark.parametrize("name", tuple(FORMATS))
def test_formats_keep_their_contract(name: str) -> None:
    check_format(name, FORMATS[name])


@pytest.mark.parametrize("name", tuple(OUTPUTS))
def test_outputs_keep_their_contract(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    check_output(name, OUTPUTS[name])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", tuple(COMPARISON_OUTPUTS))
def test_outputs_of_comparisons_keep_their_contract(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    check_comparison_output(name, COMPARISON_OUTPUTS[name])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", DTYPE_NAMES)
def test_dtypes_keep_their_contract(name: str) -> None:
    check_dtype(name)
