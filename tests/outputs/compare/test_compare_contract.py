"""What holds for every output of a comparison."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from comparisons import COMPARISONS, hostile, layer, training, transformer, two
from depth import one_of
from reports import HOSTILE

from wcx.core.comparison import Comparison
from wcx.core.errors import UsageError
from wcx.outputs import OUTPUTS, View
from wcx.outputs.compare import COMPARISON_OUTPUTS

KINDS = tuple(COMPARISON_OUTPUTS)
VIEWS = (
    View(),
    View(terminal=True, width=80, color=True),
    View(terminal=True, width=0),
    View(terminal=True, width=1, quiet=True),
    View(top=3, sort="flips"),
    View(top=0, sort="name", quiet=True),
)
STEERING = set("\x00\x07\x1b\x9b\r\u202e\u2066\u2028")


def text_of(kind: str, comparison: Comparison, view: View) -> str:
    stream = io.StringIO(newline="")
    COMPARISON_OUTPUTS[kind](comparison, stream, view)
    return stream.getvalue()


def test_a_comparison_has_the_outputs_that_a_report_has() -> None:
    assert tuple(OUTPUTS) == KINDS


@one_of(7)
@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("view", VIEWS)
def test_every_comparison_in_every_view_ends_with_one_newline_and_twice_the_same(
    kind: str, name: str, view: View
) -> None:
    text = text_of(kind, COMPARISONS[name](), view)
    assert text == text_of(kind, COMPARISONS[name](), view)
    assert text.endswith("\n") or (view.quiet and name == "nothing")
    assert not text.endswith("\n\n")


@one_of(4)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16", "koi8-r"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_encoding_and_no_name_makes_an_output_fail(kind: str, encoding: str) -> None:
    for comparison in (hostile(), training()):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        COMPARISON_OUTPUTS[kind](comparison, stream, View(terminal=True, width=80))


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_terminal_no_name_steers_it(kind: str) -> None:
    text = text_of(kind, hostile(), View(terminal=True, width=100))
    assert not STEERING & set(text)
    assert not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


@pytest.mark.parametrize("kind", KINDS)
def test_no_name_breaks_a_line(kind: str) -> None:
    text = text_of(kind, hostile(), View(terminal=True, width=300))
    assert len(text.splitlines()) == text.count("\n")


@one_of(5)
@pytest.mark.parametrize("kind", KINDS)
def test_output_of_two_thousand_layers_ends(kind: str) -> None:
    large = transformer(2000, checkpoints=5)
    COMPARISON_OUTPUTS[kind](large, io.StringIO(), View())


@one_of(5)
@pytest.mark.parametrize("kind", KINDS)
def test_output_of_a_thousand_checkpoints_ends(kind: str) -> None:
    long = transformer(10, checkpoints=2)
    checkpoints = tuple(replace(long.checkpoints[0], label=f"step{at}", step=at) for at in range(1000))
    long = replace(
        long, checkpoints=checkpoints, layers=tuple(layer(f"l{at}", (64, 64), count=1000) for at in range(5))
    )
    long = replace(long, model=replace(long.model, planes=(), total={}))
    COMPARISON_OUTPUTS[kind](long, io.StringIO(), View(terminal=True, width=80))


@one_of(5)
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_hundreds_of_kilobytes_passes(kind: str) -> None:
    for character in "a.\u0301漢\x1b":
        named = replace(two().layers[0], name=character * 300_000, delta={}, delta_from_first={})
        named = replace(named, series={"bdm": named.series["bdm"]})
        long = replace(two(), layers=(named, *two().layers))
        for view in (View(), View(terminal=True, width=80)):
            text_of(kind, long, view)


@pytest.mark.parametrize("kind", ["table", "markdown"])
@pytest.mark.parametrize("view", [View(sort="null.bdm.ratios"), View(sort="chance"), View(top=-1), View(sort="a b")])
def test_an_order_that_there_is_not_is_refused(kind: str, view: View) -> None:
    with pytest.raises(UsageError, match=r"null\.bdm\.ratio\b|change|--top -1"):
        text_of(kind, training(), view)


@pytest.mark.parametrize("kind", ["table", "markdown"])
def test_an_order_by_a_measure_that_was_not_taken_is_refused_with_those_there_are(kind: str) -> None:
    with pytest.raises(UsageError, match=r"--sort lzma.nbytes: no such series in this comparison: .*gzip\.nbytes"):
        text_of(kind, training(), View(sort="lzma.nbytes"))


def test_an_unknown_output_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="table, json, ndjson, csv, markdown"):
        COMPARISON_OUTPUTS["xml"]


def test_hostile_names_are_all_in_the_fixture() -> None:
    assert {one.name for one in hostile().layers} > set(HOSTILE)
