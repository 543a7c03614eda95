"""Whole texts of comparisons, kept in golden_comparison/: what a person or a program sees, to the byte.

A missing file fails. After a wanted change: WCX_UPDATE_GOLDEN=1 and this file alone, then read the difference.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from comparisons import COMPARISONS
from goldens import check_golden

from wcx.outputs import View
from wcx.outputs.compare import COMPARISON_OUTPUTS
from wcx.outputs.compare.html import render_html

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "training-plain.txt": ("training", "table", View()),
    "training-80.txt": ("training", "table", View(terminal=True, width=80)),
    "training-120-colour.txt": ("training", "table", View(terminal=True, width=120, color=True)),
    "training-80-quiet.txt": ("training", "table", View(terminal=True, width=80, quiet=True)),
    "transformer-80.txt": ("transformer", "table", View(terminal=True, width=80)),
    "runs-100.txt": ("runs", "table", View(terminal=True, width=100)),
    "two-80.txt": ("two", "table", View(terminal=True, width=80)),
    "same-80.txt": ("same", "table", View(terminal=True, width=80)),
    "without_null-80.txt": ("without_null", "table", View(terminal=True, width=80)),
    "hostile-100.txt": ("hostile", "table", View(terminal=True, width=100)),
    "training.md": ("training", "markdown", View()),
    "hostile.md": ("hostile", "markdown", View()),
    "two.csv": ("two", "csv", View()),
    "two.ndjson": ("two", "ndjson", View()),
    "two.json": ("two", "json", View()),
    "two.html": ("two", "html", View()),
}


def text_of(name: str, kind: str, view: View) -> str:
    if kind == "html":
        return render_html(COMPARISONS[name]()) + "\n"
    stream = io.StringIO(newline="")
    COMPARISON_OUTPUTS[kind](COMPARISONS[name](), stream, view)
    return stream.getvalue()


@pytest.mark.parametrize("file", CASES)
def test_golden(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    check_golden(GOLDEN / file, text_of(*CASES[file]))


def test_no_golden_file_is_left_without_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)
