"""The view of layers by planes: what its cells are, on terminals of any width and elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from reports import layer, plane, report, with_values, write
from rich.cells import cell_len

from wcx.core.report import Report
from wcx.outputs import OUTPUTS, View


def planes(bits: int) -> Report:
    layers = tuple(
        layer(
            f"model.layers.{index}.attention.weight",
            (64, 64),
            tuple(plane(f"bit{bit}", 256, ratio=1 - 0.02 * bit * index) for bit in range(bits)),
        )
        for index in range(3)
    )
    return report(layers)


def text(shown: Report, view: View, kind: str = "table") -> str:
    stream = io.StringIO()
    write(shown, OUTPUTS[kind].open_writer(stream, view))
    return stream.getvalue()


def rows(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if line.startswith(("model", "pooled", "…"))]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_a_terminal_of_any_width_has_all_planes(bits: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    found = text(planes(bits), View(planes=True, width=width, terminal=True))
    assert max(map(cell_len, found.splitlines())) <= width
    assert len(rows(found)) == 4


def test_elsewhere_cells_are_plain_numbers() -> None:
    found = rows(text(planes(8), View(planes=True)))
    assert found[2].split()[1:] == ["1.000", "0.960", "0.920", "0.880", "0.840", "0.800", "0.760", "0.720"]


def test_cells_are_what_is_sorted_by() -> None:
    shown = text(planes(2), View(planes=True, sort="density"))
    assert "cells: density" in shown
    assert rows(shown)[0].split()[1:] == ["0.49", "0.49"]


def test_a_layer_without_a_plane_has_a_dash() -> None:
    shown = planes(2)
    short = replace(shown.layers[0], planes=shown.layers[0].planes[:1])
    assert rows(text(replace(shown, layers=(short, *shown.layers[1:])), View(planes=True)))[0].split()[1:] == [
        "1.000",
        "-",
    ]


def test_markdown_has_a_column_a_plane() -> None:
    assert "| layer | bit0 | bit1 |\n| :-- | --: | --: |\n" in text(planes(2), View(planes=True), "markdown")


def test_without_the_usual_number_cells_have_the_next() -> None:
    shown = planes(2)
    without = [
        replace(some, planes=tuple(with_values(each, null=None, bdm=None, block_entropy=None) for each in some.planes))
        for some in shown.layers
    ]
    assert "cells: density" in text(replace(shown, layers=tuple(without)), View(planes=True))
