"""The shape of the code: which way imports go, who prints, what a command loads, and the contracts of each kind.

    core < formats, quantizers, blocks < measures, outputs < scan < tasks < cli

A folder imports those of lower floors only: none above it, and none beside it.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import children
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
from wcx.core.measure import NUMBER_FORMATS
from wcx.formats import FORMATS
from wcx.measures import MEASURES
from wcx.outputs import OUTPUTS
from wcx.outputs.analyze.columns import BAR
from wcx.outputs.compare import COMPARISON_OUTPUTS
from wcx.outputs.shared import figures
from wcx.quantizers import QUANTIZERS

PACKAGE = Path(wcx.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
SOURCES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path.read_text() for path in FILES}
MODULES = {name.removesuffix(".__init__"): ast.parse(text) for name, text in SOURCES.items()}

FLOORS = {
    "core": 0,
    **dict.fromkeys(("formats", "quantizers", "blocks"), 1),
    **dict.fromkeys(("measures", "outputs"), 2),
    "scan": 3,
    "tasks": 4,
    "cli": 5,
}
"""The height of each folder of the package."""
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


def folder_of(module: str) -> str:
    """The folder of the package that a module is in; the empty text of wcx itself."""
    return [*module.split("."), ""][1]


@cache
def imports_of(module: str) -> tuple[str, ...]:
    """Return what `imports_in` finds, which many tests ask for."""
    return tuple(imports_in(module))


def imports_in(module: str) -> Iterator[str]:
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


def test_package_has_folders_only() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert entries == {*FLOORS, "__init__.py", "__main__.py", "py.typed"}


def test_imports_go_down() -> None:
    """No module imports a folder above or beside its own, in functions and under TYPE_CHECKING neither."""
    wrong = []
    for module in MODULES_OF_WCX:
        folder = folder_of(module)
        if module in ("wcx", "wcx.__main__"):
            continue
        for imported in own_imports(module):
            target = folder_of(imported)
            if target not in FLOORS or (target != folder and FLOORS[target] >= FLOORS[folder]):
                wrong.append(f"{module} imports {imported}")
    assert not wrong


def test_tasks_do_not_know_those_that_use_them() -> None:
    """compare uses analyze, and never the other way round."""
    users = {m for m in MODULES for name in own_imports(m) if name.startswith("wcx.tasks.compare")}
    assert not {module for module in users if module.startswith("wcx.tasks.analyze")}


def test_names_in_strings_go_down_too() -> None:
    """What a registry imports by its name lies in its own folder or below."""
    wrong = []
    for module in MODULES_OF_WCX:
        folder = folder_of(module)
        for named in texts_of(module):
            target = folder_of(named)
            if folder and target != folder and FLOORS[target] >= FLOORS[folder]:
                wrong.append((module, named))
    assert not wrong


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
        ("pybdm", {"wcx.tasks.verify.verify"}),
        ("numba", {"wcx.blocks.kernels", "wcx.blocks.counter"}),
        ("llvmlite", {"wcx.blocks.kernels"}),
        ("ml_dtypes", {"wcx.tasks.verify.recompute", "wcx.tasks.verify.by_safetensors"}),
        ("safetensors", {"wcx.formats.safetensors", "wcx.tasks.verify.by_safetensors"}),
        ("backports", {"wcx.measures.zstd"}),
        ("compression", {"wcx.measures.zstd"}),
        (
            "scipy",
            {
                "wcx.tasks.motifs.nearest",
                "wcx.tasks.compare.statistics.across_runs",
                "wcx.tasks.compare.statistics.significance",
                "wcx.tasks.compare.statistics.smoothing",
            },
        ),
        ("matplotlib", {"wcx.outputs.compare.plot"}),
        ("torch", set()),
        ("onnx", {"wcx.tasks.verify.by_onnx"}),
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
        assert "click" not in roots or folder_of(module) == "cli", module
        assert "rich" not in roots or folder_of(module) in ("cli", "outputs"), module


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


TALKING = {
    *("print", "input", "breakpoint", "exit", "quit"),
    *("sys.stdout", "sys.stderr", "sys.stdin", "sys.exit", "os._exit", "logging.info", "warnings.warn"),
}


def test_nothing_but_the_command_line_prints_or_exits() -> None:
    used = {module: TALKING & set(names_used(module)) for module in MODULES_OF_WCX if folder_of(module) != "cli"}
    assert not {module: names for module, names in used.items() if names}


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


def test_a_file_begins_with_what_lives_in_it() -> None:
    first_lines = {module: (ast.get_docstring(tree) or "").partition("\n")[0] for module, tree in MODULES.items()}
    assert not {module: line for module, line in first_lines.items() if len(line) <= 20}


def test_what_a_file_offers_is_there() -> None:
    loaded = {name: importlib.import_module(name) for name in MODULES_OF_WCX if name != "wcx.__main__"}
    offered = {(module, name) for module, found in loaded.items() for name in getattr(found, "__all__", ())}
    assert not {(module, name) for module, name in offered if getattr(loaded[module], name, None) is None}


def test_the_public_names_are_listed_and_load() -> None:
    assert sorted(wcx.__all__) == dir(wcx)
    with pytest.raises(AttributeError, match="module 'wcx' has no attribute 'nothing'"):
        wcx.nothing  # noqa: B018


def test_the_version_stands_once() -> None:
    assert [name for name, text in SOURCES.items() if re.search(r"^_*version_* *=", text, re.MULTILINE)] == [
        "wcx.core.version"
    ]


# --------------------------------------------------------------------------------------- what a command does not load


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules that a process imports."""
    paths = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-X", "importtime", *arguments]
    done = children.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})
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
    assert "numpy" in loaded_by("-c", "import wcx.scan.count")


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


# ----------------------------------------------------------------------------------------------- names of measures


ORIGINALS = {"wcx.tasks.analyze.vector"}  # the metrics that a published method has


def lists_of_texts(module: str) -> Iterator[list[str]]:
    """Every tuple, list, set and the keys of every dict that are texts."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
            items = node.keys if isinstance(node, ast.Dict) else node.elts
            yield [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def test_no_list_of_measures_is_written_outside_their_folder() -> None:
    names = set(MEASURES)
    others = [module for module in MODULES_OF_WCX if folder_of(module) not in ("measures", "formats")]
    found = {
        module
        for module in others
        for texts in lists_of_texts(module)
        if sum(bool(names & set(text.split("."))) for text in texts) > 1
    }
    assert found == ORIGINALS


def test_every_number_format_has_its_function() -> None:
    assert [name for name in NUMBER_FORMATS if name != BAR and not callable(getattr(figures, name))] == []
