"""Markdown and HTML of a comparison: the tables of the terminal, in which nothing from a file is markup."""

from __future__ import annotations

import io
import re

import pytest
from comparisons import COMPARISONS, CONCLUSIONS, hostile, training, transformer
from reports import HOSTILE
from test_analyze_markup import Balanced

from wcx.core.comparison import Comparison
from wcx.outputs import View
from wcx.outputs.compare import COMPARISON_OUTPUTS
from wcx.outputs.compare.html import render_html


def markdown(comparison: Comparison) -> str:
    stream = io.StringIO()
    COMPARISON_OUTPUTS["markdown"](comparison, stream, View())
    return stream.getvalue()


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_row_of_a_table_has_as_many_cells_as_its_heading(name: str) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", markdown(COMPARISONS[name]()), re.MULTILINE)
    assert len(tables) >= (name != "nothing")
    for table in tables:
        assert len({row.count("|") for row in table.splitlines()}) == 1


def test_markdown_has_the_columns_of_eighty_characters_and_all_that_is_said() -> None:
    text = markdown(training())
    assert (
        "| layer | plane | first | last | change | over time | changed from 1st | mean flips | XOR vs shuffle |" in text
    )
    assert "| `bdm` | plus | 0.93 [0.73, 1.00] | 5.1 | 0.31 [0.11, 0.51] | 0.08 [-0.12, 0.28] |" in text
    assert all(f"- {one.text}" in text for one in CONCLUSIONS)
    assert "- unmatched: head.weight: shape differs in epoch_030" in text


def test_odd_names_are_entities_and_plain_ones_code() -> None:
    text = markdown(hostile())
    assert "<code>pipe&#124;tick&#96;&#60;b&#62;html" in text
    assert "| fc&#91;bold red&#93;1&#91;/&#93;.weight |" in text  # a plane
    assert "&#60;b&#62; conclusion" in text
    assert "| `fc1.weight` |" in markdown(training())


@pytest.mark.parametrize("name", COMPARISONS)
def test_html_is_balanced_and_has_no_tag_of_a_file(name: str) -> None:
    parser = Balanced()
    parser.feed(render_html(COMPARISONS[name]()))
    parser.close()
    assert parser.open == []


def test_html_shows_names_as_text() -> None:
    parser = Balanced()
    parser.feed(render_html(hostile()))
    text = "".join(parser.text)
    assert "pipe|tick`<b>html</b>&amp;.weight" in text
    assert not {"\x1b", "\u202e", "\n"} & set(text)
    assert HOSTILE[0] in text


def test_a_notebook_shows_the_forty_biggest_movers() -> None:
    shown = transformer()._repr_html_()
    assert shown == render_html(transformer())
    assert "40 of 70 layers; comparison.layers has all" in shown
    assert shown.count("self_attn") + shown.count("mlp") == 40


def test_html_of_a_training_has_its_conclusions() -> None:
    shown = render_html(training())
    assert f"<b>{CONCLUSIONS[1].text}</b>" in shown
    assert "train_loss: Spearman correlation over 30 checkpoints" in shown
