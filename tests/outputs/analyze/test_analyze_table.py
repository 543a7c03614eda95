"""The table: fits its width, shows what deviates, hides nothing without saying so, survives any terminal."""

from __future__ import annotations

import io
import re

import pytest
from children import run_python
from depth import one_of
from reports import (
    REPORTS,
    TWO_VALUES,
    constant_plane,
    hostile,
    layer,
    lenet,
    plane,
    polarity,
    report,
    transformer,
    with_values,
    write,
)
from rich.cells import cell_len

from wcx.core.report import LayerReport, Report
from wcx.outputs import OUTPUTS, View
from wcx.outputs.analyze.ranking import deviation, select
from wcx.outputs.shared.names import cut, shorten

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
WIDE = View(terminal=True, width=200)


def table(report: Report, view: View) -> str:
    stream = io.StringIO()
    write(report, OUTPUTS["table"].open_writer(stream, view))
    return stream.getvalue()


def names_of(layers: tuple[LayerReport, ...]) -> list[str]:
    return [layer.name for layer in layers]


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


# ------------------------------------------------------------------------------------------------------------- widths


@one_of(5)
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(name: str, color: bool) -> None:
    for width in range(40, 201):
        text = ESCAPES.sub("", table(REPORTS[name](), View(terminal=True, width=width, color=color)))
        assert max(map(cell_len, text.splitlines())) <= width


def test_eighty_columns_have_all_that_a_first_look_needs() -> None:
    heads = table(transformer(3), View(terminal=True, width=80)).splitlines()[3:6]
    for word in ("layer", "matrix", "vs own", "shuffle", " z ", "bdm per", "weight", "block", "entr.", "dens.", "load"):
        assert any(word in line for line in heads)


def test_a_wider_terminal_gets_more_columns_once_names_are_whole() -> None:
    narrow, wide = (table(lenet(), View(terminal=True, width=width)) for width in (80, 200))
    for word in ("mean ctm", "distinct", "dtype", "weights"):
        assert word not in "\n".join(narrow.splitlines()[2:6])
        assert word in "\n".join(wide.splitlines()[2:6])


def test_names_are_whole_where_there_is_room() -> None:
    name = transformer(1).layers[0].name
    assert name in table(transformer(30), View(terminal=True, width=120))
    assert name not in table(transformer(30), View(terminal=True, width=80))


def test_elsewhere_than_on_a_terminal_no_name_is_shortened_and_no_layer_left_out() -> None:
    long = "x" * 300 + ".weight"
    text = table(report((*transformer(70).layers, layer(long))), View(width=20))
    assert all(name in text for name in names_of(transformer(70).layers))
    assert [line for line in text.splitlines() if line.startswith("x")] == [long]
    assert text.splitlines()[4].endswith(" load")
    assert text.index("layers.0.") < text.index("layers.1.") < text.index("layers.13.")


# ------------------------------------------------------------------------------------------------- what a row says


def test_what_deviates_is_marked_without_colour() -> None:
    text = table(lenet(), View(terminal=True, width=80))
    assert re.search(r"120x400 +-12\.4% +-213 +▼█+ ", text)
    assert re.search(r"12x84 +\+8\.3% +\+5\.9 +▲█", text)
    assert re.search(r"512x784 +-0\.18% +-1\.4 +· ", text)


def test_what_deviates_is_coloured_and_chance_is_dim() -> None:
    text = table(lenet(), View(terminal=True, width=80, color=True))
    assert "\x1b[36m   -12.4%" in text
    assert "\x1b[35m    +8.3%" in text
    assert "\x1b[2m   -0.18%" in text


def test_a_saturated_and_a_crowded_layer_are_marked_and_explained() -> None:
    text = table(lenet(), View(terminal=True, width=80))
    assert "0.0934!" in line_of(text, "fc3.weight")
    assert "1.5299~" in line_of(text, "fc2.weight")
    assert "\n! saturated" in text
    assert "\n~ crowded" in text
    plain = table(report(lenet().layers[:1]), View(terminal=True, width=80))
    assert "saturated" not in plain
    assert "crowded" not in plain


def test_a_constant_plane_has_no_z() -> None:
    assert re.search(r"64x64 +0\.00% +- +·", table(lenet(), View(terminal=True, width=80)))


def test_without_a_null_model_its_columns_are_not_there() -> None:
    text = table(REPORTS["without_null"](), View(terminal=True, width=80))
    assert "shuffle" not in text
    assert "null none" in text


def test_a_layer_is_named_once_for_its_planes() -> None:
    text = table(polarity(), WIDE)
    assert text.count("encoder.layer.0.") == 1
    assert len([line for line in text.splitlines() if " minus " in line]) == 6


def test_the_plane_sign_is_named_where_there_are_others() -> None:
    lines = table(report((layer(planes=(plane("bit0"), plane("sign"))),)), WIDE).splitlines()
    for row in ("fc1.weight", "pooled", "sum"):
        first = next(number for number, line in enumerate(lines) if line.startswith(row))
        assert "bit0" in lines[first].split()
        assert lines[first + 1].split()[0] == "sign"
    assert "plane" not in table(report((layer(),)), WIDE).split()


def test_measures_asked_for_have_columns() -> None:
    heads = table(polarity(), WIDE).splitlines()[3:5]
    assert "sparsity" in heads[1]
    assert "gzip" in heads[0]


def test_masks_and_constants_stand_apart_before_the_models_rows() -> None:
    layers = (layer("mask", (64, 64), (constant_plane(),), None, (TWO_VALUES,)), layer("fc.weight"))
    for kind in ("table", "markdown"):
        stream = io.StringIO()
        write(report(layers), OUTPUTS[kind].open_writer(stream, View()))
        text = stream.getvalue()
        places = [text.index(word) for word in ("fc.weight", "at most two distinct values", "mask", "pooled", "sum")]
        assert places[0] < places[1] < places[3] < places[4]
        assert places[1] < text.rindex("mask") or kind == "table"
        assert "warning: mask" not in text


def test_skipped_tensors_are_grouped_by_reason_and_remarks_by_text() -> None:
    layers = tuple(layer(f"fc{index}.weight", warnings=(f"few blocks: {index}", "odd")) for index in range(5))
    text = table(report(layers, notes=("a note",), warnings=("a warning",)), WIDE)
    assert "\nskipped 7: 1-D (4), under 4x4 (1), integer I64 (1), optimizer state (1)\n" in text
    assert "\nnote: a note\n" in text
    assert "\nwarning: a warning\n" in text
    assert "\nwarning: few blocks: fc0.weight (0), fc1.weight (1), fc2.weight (2) and 2 more\n" in text
    assert "\nwarning: odd: fc0.weight, fc1.weight, fc2.weight and 2 more\n" in text


def test_quiet_is_the_table_alone() -> None:
    lines = table(lenet(), View(terminal=True, width=80, quiet=True)).splitlines()
    assert lines[0].strip().startswith("vs own")
    assert lines[-1].startswith("sum")
    several = table(lenet(), View(terminal=True, width=80, quiet=True, several=True))
    assert several.splitlines() == ["lenet.safetensors", *lines]


def test_two_reports_have_an_empty_line_between_them() -> None:
    stream = io.StringIO()
    writer = OUTPUTS["table"].open_writer(stream, View(several=True))
    writer.report(lenet())
    writer.report(lenet())
    assert stream.getvalue().count("\n\nlenet.safetensors: ") == 1


# --------------------------------------------------------------------------------------------------- order and length


def test_of_many_layers_a_terminal_shows_forty_and_says_so() -> None:
    text = table(transformer(10_000), View(terminal=True, width=120))
    assert len(re.findall(r"^model\.layers", text, re.MULTILINE)) == 40
    assert "showing 40 of 10,000 layers, sorted by deviation; --top 0 shows all" in text


@pytest.mark.parametrize(("top", "shown"), [(None, 40), (0, 70), (5, 5), (70, 70), (1000, 70)])
def test_top_sets_how_many(top: int | None, shown: int) -> None:
    chosen = select(transformer(70).layers, View(terminal=True, top=top))
    assert (len(chosen.main), chosen.left_out) == (shown, 70 - shown)


def test_deviation_is_what_chance_does_not_explain() -> None:
    assert deviation(plane(ratio=0.9, z=-50.0)) == pytest.approx(0.1 - 2 * 0.1 / 50)
    assert deviation(plane(ratio=1.1, z=50.0)) == pytest.approx(0.1 - 2 * 0.1 / 50)
    assert deviation(plane(ratio=0.9, z=-1.5)) == 0
    assert deviation(plane(null=False)) is None
    assert deviation(constant_plane()) == 0


def test_orders() -> None:
    layers = (
        layer("b", (8, 8), (plane(ratio=0.95, z=-400.0),), zeros=2),
        layer("c", (8, 9), (plane(null=False),), zeros=1),
        layer("a", (8, 7), (plane(ratio=1.2, z=9.0), plane("minus", ratio=0.6, z=-20.0)), zeros=2),
        layer("d", (8, 4), (plane(ratio=0.9, z=-0.5),)),
    )
    expected = {
        None: "bcad",
        "file": "bcad",
        "name": "abcd",
        "deviation": "abdc",
        "null.bdm_rarefied.z": "badc",
        "null.bdm_rarefied.ratio": "abdc",
        "weights": "cbad",
        "zeros": "bacd",
    }
    for sort, order in expected.items():
        assert "".join(names_of(select(layers, View(sort=sort)).main)) == order


def test_with_no_null_model_the_first_layers_are_shown_in_order() -> None:
    layers = tuple(layer(f"fc{index}", planes=(plane(null=False),)) for index in range(50))
    chosen = select(layers, View(terminal=True))
    assert (chosen.order, names_of(chosen.main)) == ("file", [f"fc{index}" for index in range(40)])
    assert "showing 40 of 50 layers, in file order;" in table(report(layers), View(terminal=True, width=80))


def test_masks_are_never_among_the_most_interesting() -> None:
    wild = (plane(ratio=0.1, z=-999.0),)
    masks = tuple(layer(f"mask{index}", planes=wild, warnings=(TWO_VALUES,)) for index in range(10))
    chosen = select((*masks, *transformer(45).layers), View(terminal=True))
    assert (len(chosen.main), len(chosen.apart), chosen.left_out) == (40, 0, 15)
    chosen = select((*masks, *transformer(35).layers), View(terminal=True))
    assert (len(chosen.main), len(chosen.apart), chosen.left_out) == (35, 5, 5)


# ---------------------------------------------------------------------------------------------------------- terminals


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"COLUMNS": "0"}, {"FORCE_COLOR": "1"}, {}]
)
def test_colour_is_the_views_alone_whatever_the_environment(
    environment: dict[str, str], color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = table(lenet(), View(terminal=True, width=0, color=color))
    assert ("\x1b[36m" in text) is ("\x1b[" in text) is color
    assert ("▼" in text) is (environment.get("TERM") != "dumb")


def test_a_stream_that_takes_no_glyphs_gets_ascii() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    write(hostile(), OUTPUTS["table"].open_writer(stream, View(terminal=True, width=120)))
    assert re.search(r"-7\.0% +-37\.5 +-----", buffer.getvalue().decode("ascii"))
    assert b"\\u6f22\\u5b57" in buffer.getvalue()


def test_names_are_never_markup_and_colour_ends_where_it_began() -> None:
    text = table(hostile(), View(terminal=True, width=160, color=True))
    assert "fc[bold red]1[/].weight" in text
    assert "\\x1b[31m\\x1b]0;title\\x07.weight" in text
    for line in text.splitlines():
        codes = ESCAPES.findall(line)
        assert not codes or codes[-1] == "\x1b[0m"
        assert not set(ESCAPES.sub("", line)) & set("\x1b\x07\r\x9b\u202e")


def test_a_layer_without_a_name_is_no_continuation() -> None:
    assert '\n""  ' in table(hostile(), View(terminal=True, width=120))


def test_importing_the_other_outputs_imports_neither_rich_nor_numpy() -> None:
    code = (
        "import sys, wcx.tasks.conditions; from wcx.outputs.analyze import json, ndjson, csv, markdown, html;"
        "print(sorted({'rich', 'numpy'} & set(sys.modules)))"
    )
    assert run_python(code).stdout == "[]\n"


# -------------------------------------------------------------------------------------------------------------- names

LLAMA = [
    f"model.layers.{i}.{part}.weight" for i in range(32) for part in ("self_attn.q_proj", "self_attn.k_proj", "mlp.up")
]


@pytest.mark.parametrize("width", [20, 22, 25, 30, 38])
def test_shortened_names_fit_and_stay_apart(width: int) -> None:
    short = shorten(LLAMA, width, len, "…")
    assert max(map(len, short)) <= width
    assert len(set(short)) == len(LLAMA)


def test_what_all_names_share_goes_first() -> None:
    assert shorten(LLAMA, 20, len, "…")[0] == "…0.self_attn.q_proj…"
    assert shorten(LLAMA, 100, len, "…") == LLAMA


def test_numbers_are_never_left_out() -> None:
    one_layer = [f"h.10.a.{part}.weight" for part in ("query", "value")]
    assert shorten(one_layer, 12, len, "…") == ["…10.a.query…", "…10.a.value…"]


def test_a_name_that_shares_nothing_loses_its_middle() -> None:
    assert shorten(["abcdefghijklmnop"], 9, len, "…") == ["abcd…mnop"]
    assert cut("漢字漢字漢字漢字", 9, cell_len, "…") == "漢字…漢字"
    assert cell_len(cut("漢" * 10**6, 9, cell_len, "…")) <= 9


@pytest.mark.parametrize("width", range(1, 12))
def test_a_cut_name_fits_however_narrow(width: int) -> None:
    for name in ("abcdefghijklmnop", "漢字漢字漢字漢字", "a\u0301" * 20, ""):
        assert cell_len(cut(name, width, cell_len, "..")) <= width


def test_dimensions_that_are_huge_still_fit() -> None:
    wide = layer("embed.weight", (128256, 16384), (with_values(plane(blocks=131334144), distinct=65536),))
    text = table(report((wide, *transformer(5).layers)), View(terminal=True, width=80))
    assert max(map(cell_len, text.splitlines())) <= 80


def test_names_that_would_be_shortened_to_the_same_text_stay_apart() -> None:
    layers = [
        f"encoder.layer.{n}.{part}"
        for n in range(6)
        for part in ("attention.output.dense.weight", "output.dense.weight")
    ]
    short = shorten(layers, 24, len, "…")
    assert len(set(short)) == len(layers)
    assert all(len(name) <= 24 for name in short)
    assert "…0.attention…dense…" in short
