"""Markdown and HTML: a table with the columns of the terminal's, in which nothing from a file is markup."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from reports import HOSTILE, REPORTS, hostile, lenet, transformer, write

from wcx.outputs import OUTPUTS, View
from wcx.outputs.analyze.html import render_html

VOID = {"br"}
KNOWN = {"div", "p", "b", "br", "small", "table", "thead", "tbody", "tr", "th", "td", "span"}


def markdown(name: str) -> str:
    stream = io.StringIO()
    write(REPORTS[name](), OUTPUTS["markdown"].open_writer(stream, View()))
    return stream.getvalue()


@pytest.mark.parametrize("name", REPORTS)
def test_every_row_has_as_many_cells_as_the_heading(name: str) -> None:
    rows = [line for line in markdown(name).splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) <= 1
    assert name == "nothing" or len(rows) > 3


def test_odd_names_are_entities_and_plain_ones_code() -> None:
    text = markdown("hostile")
    assert "<code>pipe&#124;tick&#96;&#60;b&#62;html" in text
    assert "<code>fc&#91;bold red&#93;1&#91;&#47;&#93;&#46;weight</code>" in text
    for character in "`*{}[]<>":
        assert character not in re.sub(r"</?code>|\*\*(pooled|sum)\*\*", "", text)
    assert "| `conv1.weight` |" in markdown("lenet")
    assert "| **pooled** |" in markdown("lenet")


def test_markdown_has_the_columns_of_eighty_characters() -> None:
    assert "| layer | matrix | vs own shuffle | z |  | bdm per weight | block entropy | density | load |" in markdown(
        "lenet"
    )


class Balanced(HTMLParser):
    """Fails on a tag that is not ours, not closed, or has other attributes than a style and a span of columns."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN
        assert {name for name, _ in attrs} <= {"style", "colspan"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("name", REPORTS)
def test_html_is_well_formed_and_has_no_tags_from_names(name: str) -> None:
    parser = Balanced()
    parser.feed(render_html(REPORTS[name]()))
    parser.close()
    assert parser.open == []


def test_html_shows_odd_names_as_they_are_written() -> None:
    parser = Balanced()
    parser.feed(render_html(hostile()))
    assert HOSTILE[4] in parser.text
    assert "esc\\x1b[31m\\x1b]0;title\\x07.weight" in parser.text
    assert "script" not in render_html(hostile())


def test_html_takes_its_colours_from_the_page() -> None:
    text = render_html(lenet())
    assert "color:inherit" in text
    assert not re.search(r"(?<!-)(background|color):(#fff|#000|white|black)", text)


def test_html_of_many_layers_shows_forty() -> None:
    text = render_html(transformer(500))
    assert text.count("model.layers.") == 40
    assert "showing 40 of 500 layers, sorted by deviation; report.layers has all" in text


def test_a_report_shows_itself_in_a_notebook() -> None:
    assert lenet()._repr_html_() == render_html(lenet())
