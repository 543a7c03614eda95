"""The table of a comparison: fits its width, shows what moves, hides nothing without saying so."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from comparisons import (
    COMPARISONS,
    CONCLUSIONS,
    comparison,
    hostile,
    layer,
    runs,
    same,
    training,
    transformer,
    two,
    without_null,
)
from depth import one_of
from rich.cells import cell_len

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import COMPARISON_OUTPUTS
from wcx.outputs.compare.ranking import select
from wcx.outputs.compare.sparks import FANCY

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
NARROW = View(terminal=True, width=80)
WIDE = View(terminal=True, width=200)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def table(comparison: Comparison, view: View) -> str:
    stream = io.StringIO()
    COMPARISON_OUTPUTS["table"](comparison, stream, view)
    return stream.getvalue()


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def flat(text: str) -> str:
    """The text as if no sentence had been wrapped."""
    return text.replace("\n  ", " ")


# ------------------------------------------------------------------------------------------------------------- widths


@one_of(5)
@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(name: str, color: bool) -> None:
    if name == "hostile":  # its planes' names, which quantizers give, are wider than any terminal of 40
        return
    for width in range(30, 181, 10):
        text = ESCAPES.sub("", table(COMPARISONS[name](), View(terminal=True, width=width, color=color)))
        assert max(map(cell_len, text.splitlines())) <= width, width


def test_eighty_columns_have_all_that_a_first_look_needs() -> None:
    text = table(transformer(), NARROW)
    for word in ("layer", "first", "last", "change", "over time", "changed", "flips", "XOR vs"):
        assert word in text
    assert "shape" not in text
    assert "2048x2048" in table(transformer(), WIDE)


def test_elsewhere_than_on_a_terminal_no_name_is_shortened_and_no_layer_left_out() -> None:
    text = table(transformer(), View())
    assert all(f"model.layers.{at}.self_attn.q_proj.weight" in text for at in range(14))
    assert "--top" not in text


def test_another_encoding_gets_ascii() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    COMPARISON_OUTPUTS["table"](training(), stream, NARROW)
    text = buffer.getvalue().decode("ascii")
    assert "*=~-..____" in text


# -------------------------------------------------------------------------------------------------------------- order


def test_the_biggest_movers_come_first() -> None:
    assert select(training(), View()).names == ("fc1.weight", "fc2.weight", "head.weight")
    assert select(transformer(), View()).names[0] == "model.layers.12.self_attn.q_proj.weight"


def test_other_orders() -> None:
    assert select(training(), View(sort="file")).names == ("fc1.weight", "fc2.weight", "head.weight")
    names = select(transformer(), View(sort="name")).names
    assert list(names) == sorted(names)
    by_flips = select(replace(training(), layers=training().layers[::-1]), View(sort="flips")).names
    assert by_flips[-1] == "head.weight"  # which the last checkpoint has not
    assert select(training(), View(sort="block_entropy")).measure == "block_entropy"
    assert "block_entropy (bits per block), largest change first" in table(training(), View(sort="block_entropy"))


def test_a_measure_of_whole_layers_can_be_shown() -> None:
    text = table(training(), View(sort="sparsity"))
    assert re.search(r"^fc1\.weight.* 0 +0\.125", text, re.MULTILINE)


def test_forty_lines_on_a_terminal_and_how_many_are_left_out() -> None:
    assert "40 of 70 layers; --top 0 shows all" in table(transformer(), NARROW)
    assert "3 of 70 layers" in table(transformer(), View(top=3))
    assert "left out" not in table(transformer(), View(terminal=True, top=0))
    assert len(select(transformer(), View(terminal=True, top=0)).names) == 70


def test_layers_of_several_runs_and_planes_count_by_their_lines() -> None:
    many = replace(runs(), layers=tuple(layer(f"l{at}", (64, 64), count=33) for at in range(60)))
    assert len(select(many, View(terminal=True)).names) == 13


# ------------------------------------------------------------------------------------------------------------ numbers


def test_a_line_has_first_last_change_and_the_flips() -> None:
    words = line_of(table(two(), WIDE), "fc1.weight").split()
    assert words == ["fc1.weight", "256x784", "0.9989", "0.8597", "-13.9%", "0.8597", "0.9989", "25.0%", "0.97%", "-9.2%", "-9.2%"]  # fmt: skip  # noqa: E501


def test_a_file_compared_with_itself_has_no_change_no_flips_and_a_null_delta() -> None:
    for name in ("fc1.weight", "null.bdm_rarefied.ratio  "):
        words = line_of(table(same(), NARROW), name).split()
        assert words[-3:] == ["0.00%", "0%", "0%"]
    assert "XOR" not in table(same(), NARROW)


def test_two_checkpoints_have_no_sparkline() -> None:
    assert "over time" not in table(two(), WIDE)
    assert not set(FANCY.levels) & set(table(two(), WIDE))


def test_a_layer_that_the_last_checkpoint_has_not_is_marked() -> None:
    text = table(training(), NARROW)
    assert "1.0118*" in line_of(text, "head.weight")
    assert "* no value in the first or last checkpoint" in text
    assert "* missing" not in table(two(), NARROW)
    late = replace(training(), layers=(layer("late.weight", (64, 64), missing=(0, 7)),))
    assert re.search(r"late\.weight.* \d\.\d{4}\*", table(late, NARROW))


def test_an_unreadable_checkpoint_is_no_gap_in_a_line_but_is_said() -> None:
    text = table(training(), WIDE)
    assert "31 checkpoints, 1 unreadable, epoch 0 to 30" in text
    assert "unreadable: epoch_007: truncated: 512 of 4096 bytes" in text
    assert FANCY.missing not in line_of(text, "fc1.weight")
    assert FANCY.missing in line_of(text, "train_loss")  # a value that the log has not


def test_without_a_null_the_next_measure_is_shown() -> None:
    assert "block_entropy (bits per block), largest change first" in table(without_null(), NARROW)


def test_nothing_to_show_is_said_too() -> None:
    assert table(comparison(), NARROW).startswith("0 checkpoints, 0 layers\n")


# --------------------------------------------------------------------------------------------------------- sparklines


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 4, "▁▃▅▇"),
        ([7, None, 0], 10, "█·▁"),
        ([None, None], 10, "··"),
        ([], 10, ""),
        ([5.0] * 4, 4, "▅▅▅▅"),
        ([0.0] * 3, 3, "▅▅▅"),
        ([1.0, 1.0005], 2, "▄▅"),
        ([-1.0, 1.0], 2, "▁█"),
    ],
)
def test_sparklines(values: list[float | None], width: int, expected: str) -> None:
    assert FANCY.draw(values, width) == expected


def test_the_widest_terminal_draws_one_character_a_checkpoint() -> None:
    spark = [word for word in line_of(table(training(), WIDE), "fc1.weight").split() if set(word) <= set(FANCY.levels)]
    assert [len(word) for word in spark] == [30]


# ------------------------------------------------------------------------------------------------------- correlations


def test_levels_stand_beside_differences() -> None:
    text = table(training(), WIDE)
    heads = next(line for line in text.splitlines() if "n_eff" in line)
    assert heads.split() == ["plane", "levels", "n_eff", "log", "levels", "detrended", "differences"]
    assert "train_loss: Spearman correlation over 30 checkpoints [95 % interval]" in text
    bdm = next(line for line in text.splitlines() if line.startswith("bdm ") and "[" in line)
    assert "0.93 [0.73, 1.00]    5.1" in bdm
    assert "0.08 [-0.12, 0.28]" in bdm


def test_narrow_terminals_drop_zeros_before_columns() -> None:
    text = table(training(), NARROW)
    assert ".93 [.73, 1.00]" in text
    assert "0.93 [" not in text.partition("\nconclusions\n")[0]
    heads = next(line for line in text.splitlines() if "levels" in line and "differences" in line)
    assert "detrended" in heads


def test_the_difference_of_two_correlations_says_of_what_it_is() -> None:
    text = table(training(), WIDE)
    assert "a - b: difference in strength, |a| - |b|" in text
    assert re.search(r"^bdm - gzip\.nbytes +plus +-0\.01 \[-0\.03, 0\.01\]", text, re.MULTILINE)


def test_several_runs_have_means_over_runs() -> None:
    text = table(runs(), WIDE)
    assert "33 checkpoints in 3 runs (seed_0, seed_1, seed_2), epoch 0 to 10" in text
    assert "train_loss: Spearman correlation, mean of 3 runs [95 % interval over runs]" in text
    assert "n_eff" not in text
    assert "a - b: difference in strength, mean over runs of |z(a)| - |z(b)| (Fisher's z)" in text
    assert [line.split()[-9:][0] for line in text.splitlines() if "seed_1" in line]


def test_runs_without_means_have_a_table_each() -> None:
    apart = table(replace(runs(), groups=()), WIDE)
    assert "train_loss, seed_2: Spearman correlation over 30 checkpoints" in apart


def test_many_columns_of_a_log_are_cut_on_a_terminal_and_named() -> None:
    text = flat(table(hostile(), View(terminal=True, width=200)))
    assert 'not shown: pipe|tick`<b>html</b>&amp;.weight, =cmd|"/c calc"!A1,comma; choose with --metric NAME' in text
    assert "not shown" not in table(hostile(), View())


def test_layers_are_counted_after_correction() -> None:
    text = flat(table(training(), NARROW))
    expected = "bdm and train_loss by layer: q < 0.05 in 6 of 6 layer series (levels), 0 of 6 layer series"
    assert expected in text
    assert "3 of 3 layers (levels), 0 of 3 layers (differences)" in flat(
        table(replace(training(), correlations=tuple(c for c in training().correlations if c.plane == "plus")), NARROW)
    ).replace("6 of 6", "3 of 3")


def test_conclusions_are_whole_sentences_and_those_that_survive_stand_out() -> None:
    text = flat(table(training(), NARROW))
    assert all(f"- {one.text}" in text for one in CONCLUSIONS)
    coloured = table(training(), View(terminal=True, width=300, color=True))
    assert [f"\x1b[1m- {one.text}" in coloured for one in CONCLUSIONS] == [False, True, False]


# ------------------------------------------------------------------------------------------------------- what is said


def test_what_could_not_be_compared_is_said() -> None:
    text = table(training(), NARROW)
    assert "unmatched: head.weight: shape differs in epoch_030" in text
    assert "note: epoch_012 has the same tensors as epoch_011" in text
    assert "29 of 40 rows used, 2 replaced by later rows" in flat(text)


def test_ten_thousand_unmatched_layers_are_a_few_sentences() -> None:
    alike = tuple({"name": f"l{at}", "in": ["epoch_003"], "reason": "missing"} for at in range(10_000))
    text = table(replace(training(), unmatched=alike), View())
    assert "unmatched: l0, l1, l2, l3, l4 and 9,995 more: missing in epoch_003" in text
    differing = tuple({"name": f"l{at}", "in": [f"epoch_{at}"], "reason": "missing"} for at in range(10_000))
    text = table(replace(training(), unmatched=differing), View())
    assert "unmatched: 9,980 more; --json lists all" in text


def test_quiet_is_the_tables_alone() -> None:
    text = table(training(), View(terminal=True, width=80, quiet=True))
    for word in ("31 checkpoints", "change:", "note:", "concluded", "unmatched:"):
        assert word not in text
    assert "fc1.weight" in text
    assert "Spearman" in text


def test_sentences_are_wrapped_on_a_terminal_and_whole_elsewhere() -> None:
    whole = table(training(), View())
    assert all(f"- {one.text}\n" in whole for one in CONCLUSIONS)


def test_only_what_is_there_is_explained() -> None:
    assert "over time:" not in table(two(), NARROW)
    assert "XOR vs shuffle:" in table(two(), NARROW)
    assert "n_eff:" not in table(two(), NARROW)
