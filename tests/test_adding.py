"""The example of docs/adding.md works as it stands."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import wcx
from wcx.blocks.counts import BlockCounts
from wcx.measures.evidence import Evidence
from wcx.measures.tables import load_table
from wcx.quantizers import QUANTIZERS

PAGE = Path(__file__).parents[1] / "docs" / "adding.md"


def example(file: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The block of the page that begins with that file's name, as a module."""
    (text,) = re.findall(rf"^```text\n(# {file},.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    module = types.ModuleType(file.removesuffix(".py").replace("/", "."))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(text, file, "exec"), module.__dict__)
    return module


def test_the_measure_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = example("wcx/measures/singles.py", monkeypatch).SINGLES
    histogram = np.zeros(65536, np.int64)
    histogram[:3] = 1, 2, 1
    counts = BlockCounts.from_histogram("4x4-ignore-rows", histogram, 64, 0)
    assert (measure.name, measure.evaluate(Evidence(counts, load_table("4x4")))) == ("singles", 0.5)


def test_the_quantizer_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    example("wcx/quantizers/zeros.py", monkeypatch)
    monkeypatch.setitem(QUANTIZERS._table, "zeros", "wcx.quantizers.zeros:KIND")
    values = np.array([0.0, -0.0, 1.0, -2.0] * 16, np.float32).reshape(8, 8)
    plane = wcx.measure(values, quantize="zeros").planes[0]
    assert (plane.plane, plane.ones) == ("zeros", 32)
    monkeypatch.delitem(QUANTIZERS._found, "zeros")
