"""--fail-on: what an expression means, and which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputs.reports import constant_plane, hostile, layer, lenet, plane, polarity, report, without_null

from wcx.conditions import Condition, parse
from wcx.errors import UsageError
from wcx.outputs.fields import LAYER_NUMBERS, PLANE_NUMBERS
from wcx.types import Report

TWO = report(
    (
        layer("fc1.weight", (8, 8), (plane(density=0.25),), nonfinite=3),
        layer("fc2.weight", (8, 8), (plane(density=0.5),)),
    )
)
EMPTY = report(())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("layer.density < 0.25", False),
        ("layer.density < 0.26", True),
        ("layer.density <= 0.25", True),
        ("layer.density <= 0.24", False),
        ("layer.density > 0.5", False),
        ("layer.density > 0.49", True),
        ("layer.density >= 0.5", True),
        ("layer.density >= 0.51", False),
        ("layer.density == 0.25", True),
        ("layer.density == 0.3", False),
        ("layer.density != 0.25", True),
        ("all layer.density != 0.25", False),
        ("all layer.density > 0.2", True),
        ("all layer.density > 0.25", False),
        ("any layer.density > 0.25", True),
        ("layer[fc1*].density > 0.3", False),
        ("layer[fc2.weight].density > 0.3", True),
        ("layer[FC2*].density > 0.3", False),
        ("layer[fc[13].*].density > 0.3", False),
        ("layer[fc[!1].weight].density > 0.3", True),
        ("all layer[fc2*].density == 0.5", True),
        ("layer.nonfinite > 0", True),
        ("layer[fc2*].nonfinite > 0", False),
        ("all layer.weights == 64", True),
        ("layer.null.mean_ctm.z<-6", True),
        ("  any   layer.null.bdm_rarefied.ratio   <   1e0  ", True),
        ("model.pooled.distinct >= 1", True),
        ("model.pooled.density == 2", False),
        ("model.sum.bdm > 0", True),
        ("model.sum.bdm < -1.5e-3", False),
    ],
)
def test_holds(expression: str, expected: bool) -> None:
    assert parse(expression).holds(TWO) is expected
    assert (parse(expression).match(TWO) is not None) is expected


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("quantifier", ["any", "all"])
def test_a_null_never_meets_a_condition(sign: str, quantifier: str) -> None:
    constant = report((layer("c", (64, 64), (constant_plane(),)),))
    assert not parse(f"{quantifier} layer.null.bdm.z {sign} 0").holds(constant)
    assert not parse(f"{quantifier} layer.null.bdm.z {sign} 0").holds(without_null())
    assert not parse(f"{quantifier} layer.fit.threshold {sign} 0").holds(TWO)


def test_all_does_not_hold_where_one_value_is_null() -> None:
    mixed = report((layer("c", (64, 64), (constant_plane(),)), layer("fc.weight")))
    assert parse("any layer.null.bdm.z != 0").holds(mixed)
    assert not parse("all layer.null.bdm.z != 0").holds(mixed)


@pytest.mark.parametrize("quantifier", ["any", "all"])
@pytest.mark.parametrize("path", ["layer.bdm", "layer[nothing*].bdm", "model.pooled.bdm", "model.sum.bdm"])
def test_nothing_holds_over_no_values(quantifier: str, path: str) -> None:
    assert not parse(f"{quantifier} {path} != -1").holds(EMPTY)
    if "nothing" in path:
        assert not parse(f"{quantifier} {path} != -1").holds(TWO)


def test_any_plane_counts() -> None:
    assert parse("layer.density == 0.41").holds(polarity())
    assert parse("layer.density == 0.42").holds(polarity())
    assert not parse("all layer.density == 0.42").holds(polarity())
    assert parse("model.pooled.density == 0.49").holds(polarity())


@pytest.mark.parametrize("field", [*PLANE_NUMBERS, *LAYER_NUMBERS])
def test_every_number_of_a_plane_and_of_a_layer_has_a_name(field: str) -> None:
    for one in (lenet(), without_null()):
        parse(f"layer.{field} > 0").holds(one)
        if field in PLANE_NUMBERS:
            parse(f"model.pooled.{field} > 0").holds(one)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "layer.bdm",
        "layer.bdm <",
        "layer.bdm < x",
        "layer.bdm < nan",
        "layer.bdm < inf",
        "layer.bdm < 1 2",
        "layer.bdm = 1",
        "layer.bdm =< 1",
        "layer.bdm <> 1",
        "bdm < 1",
        "layers.bdm < 1",
        "layer[fc*]bdm < 1",
        "layer[fc*.bdm < 1",
        "some layer.bdm < 1",
        "anylayer.bdm < 1",
        "model.bdm < 1",
        "model[fc].pooled.bdm < 1",
        "layer. bdm < 1",
        "layer.bdm < 1 and layer.bdm > 0",
    ],
)
def test_a_malformed_expression_is_a_usage_error(expression: str) -> None:
    with pytest.raises(UsageError, match="--fail-on") as error:
        parse(expression)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        ("layer.bmd < 1", r"did you mean bdm\?.*null\.mean_ctm\.z"),
        ("layer.null.bdm.zz < 1", r"did you mean null\.bdm\.z\?"),
        ("layer.regime < 1", "block_entropy"),
        ("layer.name < 1", "nonfinite"),
        ("layer.null < 1", r"null\.bdm\.mean"),
        ("model.pooled.nonfinite > 0", "block_entropy"),
        ("model.sum.block_entropy > 0", "there are bdm"),
        ("layer.__class__ > 0", "there are"),
    ],
)
def test_an_unknown_field_is_a_usage_error_that_names_the_known(expression: str, known: str) -> None:
    with pytest.raises(UsageError, match=known):
        parse(expression)


@given(st.text())
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    for expression in (text, f"layer[{text}].bdm < 1", f"layer.{text} < 1", f"layer.bdm < {text}"):
        try:
            assert isinstance(parse(expression), Condition)
        except UsageError:
            continue


@pytest.mark.parametrize("text", ["any layer.bdm < 1", "all layer[fc*].null.bdm.z >= -6.25", "any model.sum.bdm != 0"])
def test_a_condition_is_written_as_it_is_read(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("layer.nonfinite > 0", "any layer.nonfinite > 0 holds: layer fc1.weight has 3"),
        ("layer.density > 0", "any layer.density > 0 holds: layer fc1.weight, plane sign has 0.25 (and 1 more)"),
        ("model.pooled.density < 1", "any model.pooled.density < 1 holds: model.pooled, plane sign has 0.49"),
    ],
)
def test_the_message_names_the_first_value_that_meets_it(expression: str, message: str) -> None:
    assert parse(expression).match(TWO) == message


def test_the_message_steers_no_terminal() -> None:
    message = parse("layer[*\x1b*].bdm > 0").match(hostile())
    assert message is not None
    assert "\x1b" not in message


def reports() -> list[Report]:
    return [TWO, EMPTY, lenet(), polarity(), without_null()]


@pytest.mark.parametrize("path", ["layer.null.bdm.z", "layer.bdm", "model.sum.bdm", "model.pooled.null.bdm.ratio"])
def test_all_implies_any(path: str) -> None:
    for one in reports():
        for number in (-1, 0, 0.5, 1, 1e9):
            assert not parse(f"all {path} < {number}").holds(one) or parse(f"any {path} < {number}").holds(one)
