"""--fail-on: what an expression means, and which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import constant_plane, hostile, layer, lenet, plane, polarity, report, without_null

from wcx.core.comparison import ComparedCheckpoint, Comparison, LayerSeries, ModelPlaneSeries, ModelSeries, Series
from wcx.core.errors import UsageError
from wcx.core.quantities import LAYER_NUMBERS, plane_numbers
from wcx.core.report import Report
from wcx.tasks.conditions import Condition, parse, parse_comparison

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


@pytest.mark.parametrize("field", [*plane_numbers(), *LAYER_NUMBERS])
def test_every_number_of_a_plane_and_of_a_layer_has_a_name(field: str) -> None:
    for one in (lenet(), without_null()):
        parse(f"layer.{field} > 0").holds(one)
        if field in plane_numbers():
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
        ("model.sum.block_entropy > 0", "choose one of bdm"),
        ("layer.__class__ > 0", "choose one of weights"),
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


# --------------------------------------------------------------------------------------------------------- comparisons


def series_of(name: str, plane: str | None, flips: Series, **series: Series) -> LayerSeries:
    delta = {} if plane is None else {"bdm": (None, 40.0, None), "null.bdm.ratio": (None, 0.5, None)}
    return LayerSeries(name, (64, 64), plane, series, flips, flips, delta, {"bdm": (None, 41.0, 42.0)} if delta else {})


def compared(layers: tuple[LayerSeries, ...]) -> Comparison:
    labels = ("epoch_000", "epoch_001", "epoch\x1b_002")
    model = ModelPlaneSeries(
        plane="sign",
        pooled={"bdm": (900.0, 800.0, 700.0), "gzip.nbytes": (90.0, 80.0, 70.0)},
        sum={"bdm": (1000.0, 900.0, 800.0)},
        flips=(None, 0.2, 0.1),
        flips_from_first=(0.0, 0.2, 0.3),
        delta={"density": (None, 0.2, 0.1)},
        delta_from_first={},
    )
    return Comparison(
        schema="wcx/comparison/1",
        wcx="0",
        settings={},
        checkpoints=tuple(
            ComparedCheckpoint(label, at, "epoch", None, label, "safetensors", None, None, None)
            for at, label in enumerate(labels)
        ),
        layers=layers,
        model=ModelSeries((model,), {}, {}),
        correlations=(),
        differences=(),
        groups=(),
        conclusions=(),
        joined=None,
        unmatched=(),
        notes=(),
        warnings=(),
    )


FC1 = series_of(
    "fc1.weight",
    "sign",
    (None, 0.25, 0.125),
    bdm=(500.0, 400.0, 300.0),
    **{"null.bdm.z": (-9.0, None, -7.0), "gzip.ratio": (1.25, 1.125, 1.5)},
)
FC1_WHOLE = series_of("fc1.weight", None, (), sparsity=(0.0, 0.5, 0.75), **{"gzip.ratio": (0.9, 0.9, 0.8)})
FC2 = series_of("fc2.weight", "sign", (None, None, 0.5), bdm=(None, 50.0, 60.0))
THREE = compared((FC1, FC1_WHOLE, FC2))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("layer.flips > 0.4", True),
        ("layer.flips > 0.5", False),
        ("layer[fc1*].flips > 0.4", False),
        ("all layer.flips > 0.1", True),
        ("all layer.flips > 0.125", False),
        ("layer.flips_from_first == 0.5", True),
        ("layer.bdm < 60", True),
        ("layer[fc1*].bdm < 60", False),
        ("all layer.bdm >= 50", True),
        ("all layer[fc1*].null.bdm.z < -6", True),
        ("layer.null.bdm.z < -8", True),
        ("layer.null.bdm.ratio < 9", False),
        ("layer.delta.bdm == 40", True),
        ("layer.delta.bdm > 40", False),
        ("layer.delta.null.bdm.ratio < 0.6", True),
        ("layer.delta_from_first.bdm > 41", True),
        ("all layer.delta_from_first.bdm > 40", True),
        ("layer.delta_from_first.density > 0", False),
        ("layer.sparsity > 0.5", True),
        ("layer.measures.sparsity > 0.5", True),
        ("layer.gzip.ratio < 1.2", True),  # of the plane
        ("layer.gzip.ratio < 1.1", False),
        ("layer.measures.gzip.ratio < 0.9", True),  # of the stored bytes
        ("layer.measures.gzip.ratio > 0.9", False),
        ("all layer.measures.gzip.ratio < 0.9", False),
        ("model.pooled.bdm < 701", True),
        ("model.pooled.flips >= 0.2", True),
        ("model.pooled.flips_from_first > 0.3", False),
        ("model.pooled.flips_from_first >= 0.3", True),
        ("all model.pooled.flips_from_first >= 0", True),
        ("model.pooled.delta.density < 0.2", True),
        ("model.pooled.gzip.nbytes <= 70", True),
        ("model.sum.bdm < 801", True),
        ("model.sum.bdm < 800", False),
    ],
)
def test_a_condition_on_a_comparison(expression: str, expected: bool) -> None:
    condition = parse_comparison(expression)
    assert condition.holds(THREE) is expected
    assert (condition.match(THREE) is not None) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("layer.flips > 9", True),
        ("layer[fc3*].flips > 9", False),
        ("layer.mean_ctm > 9", False),
        ("layer.nonfinite > 9", False),
        ("layer[fc2*].delta_from_first.bdm > 90", True),
        ("model.pooled.delta_from_first.bdm > 9", False),
        ("model.pooled.lzma.nbytes > 0", False),
    ],
)
def test_a_condition_applies_where_a_value_is_there(expression: str, expected: bool) -> None:
    assert parse_comparison(expression).applies(THREE) is expected


@pytest.mark.parametrize("quantifier", ["any", "all"])
def test_nothing_holds_over_no_layers_of_a_comparison(quantifier: str) -> None:
    assert not parse_comparison(f"{quantifier} layer.bdm != -1").holds(compared(()))
    assert not parse_comparison(f"{quantifier} layer.flips != -1").holds(compared((FC1_WHOLE,)))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "layer.flips > 0.4",
            "any layer.flips > 0.4 holds: layer fc2.weight, plane sign, checkpoint epoch\\x1b_002 has 0.5",
        ),
        (
            "layer.bdm>300",
            "any layer.bdm > 300 holds: layer fc1.weight, plane sign, checkpoint epoch_000 has 500.0 (and 1 more)",
        ),
        (
            "layer.sparsity > 0.5",
            "any layer.sparsity > 0.5 holds: layer fc1.weight, checkpoint epoch\\x1b_002 has 0.75",
        ),
        (
            "model.sum.bdm < 901",
            "any model.sum.bdm < 901 holds: model.sum, plane sign, checkpoint epoch_001 has 900.0 (and 1 more)",
        ),
    ],
)
def test_the_message_names_layer_plane_and_checkpoint(expression: str, message: str) -> None:
    assert parse_comparison(expression).match(THREE) == message


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        ("layer.flip > 0", r"did you mean flips\?"),
        ("layer.delta > 0", r"delta\.NAME or delta_from_first\.NAME of a plane's"),
        ("layer.delta.bmd > 0", r"did you mean delta\.bdm\?"),
        ("layer.delta.nonfinite > 0", "has no numeric field 'delta.nonfinite'"),
        ("layer.flips.bdm > 0", "has no numeric field 'flips.bdm'"),
        ("layer.gzip2 > 0", "has no numeric field"),
        ("model.pooled.nonfinite_ > 0", "has no numeric field"),
        ("model.pooled.weights > 0", "has no numeric field"),
        ("model.sum.flips > 0", "choose one of bdm$"),
        ("model.pooled.measures.gzip.ratio > 0", "has no numeric field"),
        ("model.pooled.sparsity > 0", "has no numeric field"),
        ("layer.zeros > 0", "has no numeric field"),
        ("layer.measures.bdm > 0", "has no numeric field"),
        ("layer.sparsity.ratio > 0 1", r"expected \[any \| all\] PATH OP NUMBER"),
        ("layer.regime == 0", "has no numeric field"),
        ("layer.__class__ > 0", "has no numeric field"),
        ("checkpoint.bdm > 0", r"expected \[any \| all\] PATH OP NUMBER"),
        ("layer.flips > x", "not a number"),
    ],
)
def test_an_unknown_series_is_a_usage_error(expression: str, known: str) -> None:
    with pytest.raises(UsageError, match=known) as error:
        parse_comparison(expression)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("expression", ["layer.flips > 0", "layer.delta.bdm > 0", "layer.gzip.nbytes > 0"])
def test_analyze_has_no_changes(expression: str) -> None:
    with pytest.raises(UsageError, match="has no numeric field"):
        parse(expression)


@pytest.mark.parametrize("field", plane_numbers())
def test_every_number_of_a_plane_has_a_series_and_a_delta(field: str) -> None:
    for path in ("layer", "model.pooled"):
        for kind in ("", "delta.", "delta_from_first."):
            assert not parse_comparison(f"{path}.{kind}{field} > 1e9").holds(THREE)
