"""Whole texts, kept in golden/: what a person or a program sees, to the byte.

A missing file fails. After a wanted change: WCX_UPDATE_GOLDEN=1 python -m pytest tests/outputs/test_output_golden.py,
then read the difference.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from goldens import check_golden
from reports import REPORTS, write

from wcx.outputs import OUTPUTS, View
from wcx.outputs.analyze.html import render_html

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "lenet-plain.txt": ("lenet", "table", View()),
    "lenet-80.txt": ("lenet", "table", View(terminal=True, width=80)),
    "lenet-120-colour.txt": ("lenet", "table", View(terminal=True, width=120, color=True)),
    "lenet-80-quiet.txt": ("lenet", "table", View(terminal=True, width=80, quiet=True)),
    "transformer-80.txt": ("transformer", "table", View(terminal=True, width=80)),
    "polarity-190.txt": ("polarity", "table", View(terminal=True, width=190)),
    "hostile-100-colour.txt": ("hostile", "table", View(terminal=True, width=100, color=True)),
    "without_null-80.txt": ("without_null", "table", View(terminal=True, width=80)),
    "lenet.md": ("lenet", "markdown", View()),
    "hostile.md": ("hostile", "markdown", View()),
    "polarity.csv": ("polarity", "csv", View()),
    "polarity.ndjson": ("polarity", "ndjson", View()),
    "lenet.json": ("lenet", "json", View()),
    "lenet.html": ("lenet", "html", View()),
}


def text_of(name: str, kind: str, view: View) -> str:
    if kind == "html":
        return render_html(REPORTS[name]()) + "\n"
    stream = io.StringIO(newline="")
    write(REPORTS[name](), OUTPUTS[kind].open_writer(stream, view))
    return stream.getvalue()


@pytest.mark.parametrize("file", CASES)
def test_golden(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    check_golden(GOLDEN / file, text_of(*CASES[file]))


def test_no_golden_file_is_left_without_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)
