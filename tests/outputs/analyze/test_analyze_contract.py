"""What holds for every output."""

from __future__ import annotations

import io

import pytest
from depth import one_of
from reports import HOSTILE, REPORTS, hostile, layer, lenet, report, transformer, write

from wcx.core.errors import CheckpointError, UsageError
from wcx.outputs import OUTPUTS, View

KINDS = tuple(OUTPUTS)
VIEWS = (
    View(),
    View(several=True),
    View(terminal=True, width=80, color=True),
    View(terminal=True, width=0),
    View(terminal=True, width=1, quiet=True),
    View(top=3, sort="null.mean_ctm.z"),
)
STEERING = set("\x00\x07\x1b\x9b\r\u202e\u2066\u2028")


def text_of(kind: str, name: str, view: View) -> str:
    stream = io.StringIO()
    write(REPORTS[name](), OUTPUTS[kind].open_writer(stream, view))
    return stream.getvalue()


@one_of(7)
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("view", VIEWS)
def test_every_report_in_every_view_ends_with_one_newline_and_twice_the_same(kind: str, name: str, view: View) -> None:
    text = text_of(kind, name, view)
    assert text == text_of(kind, name, view)
    assert text.endswith("\n") or (view.quiet and name == "nothing")
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16", "koi8-r"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_encoding_and_no_name_makes_an_output_fail(kind: str, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    write(hostile(), OUTPUTS[kind].open_writer(stream, View()))
    write(lenet(), OUTPUTS[kind].open_writer(stream, View(terminal=True, width=80)))


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_terminal_no_name_steers_it(kind: str) -> None:
    text = text_of(kind, "hostile", View(terminal=True, width=100))
    assert not STEERING & set(text)
    assert not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


@pytest.mark.parametrize("kind", KINDS)
def test_no_name_breaks_a_line(kind: str) -> None:
    odd, tame = io.StringIO(), io.StringIO()
    view = View(several=True, terminal=True, width=300)
    write(hostile(), OUTPUTS[kind].open_writer(odd, view))
    write(hostile([f"layer{index}" for index in range(len(HOSTILE))], "note"), OUTPUTS[kind].open_writer(tame, view))
    assert len(odd.getvalue().splitlines()) == len(tame.getvalue().splitlines()) == odd.getvalue().count("\n")


@one_of(5)
@pytest.mark.parametrize("kind", KINDS)
def test_output_of_ten_thousand_layers_ends(kind: str) -> None:
    large = transformer(10_000)
    write(large, OUTPUTS[kind].open_writer(io.StringIO(), View()))


@one_of(5)
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_a_megabyte_passes(kind: str) -> None:
    for character in "a.\u0301漢\x1b":
        long = report((layer(character * 1_000_000), layer("fc.weight")))
        for view in (View(), View(terminal=True, width=80)):
            stream = io.StringIO()
            write(long, OUTPUTS[kind].open_writer(stream, view))
            assert len(stream.getvalue()) < 30_000_000


@pytest.mark.parametrize("kind", ["table", "csv", "markdown"])
def test_an_error_is_no_text_for_people(kind: str) -> None:
    with_error, without = io.StringIO(), io.StringIO()
    writer = OUTPUTS[kind].open_writer(with_error, View(several=True))
    writer.error(CheckpointError("a.pt", "truncated", 12))
    write(lenet(), writer)
    write(lenet(), OUTPUTS[kind].open_writer(without, View(several=True)))
    assert with_error.getvalue() == without.getvalue()


@pytest.mark.parametrize("kind", ["table", "markdown"])
@pytest.mark.parametrize("view", [View(sort="null.bdm.zz"), View(top=-1)])
def test_an_order_that_there_is_not_is_refused_before_anything_is_read(kind: str, view: View) -> None:
    with pytest.raises(UsageError, match=r"null\.bdm\.z\b|--top -1"):
        OUTPUTS[kind].open_writer(io.StringIO(), view)


def test_an_unknown_output_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="table, json, ndjson, csv, markdown"):
        OUTPUTS["xml"]
