"""Which layers belong together: the same name behind wrappers, in any order, in the shape that most have."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import pytest
from checkpoint_files import write_tensors
from hypothesis import given
from hypothesis import strategies as st
from torch_files import Tensor, write_zip

from wcx.formats import open_checkpoint
from wcx.tasks.compare.series.layer_names import without_wrappers
from wcx.tasks.compare.series.matching import LayerEntry, Matching, match

SHAPE = (4, 4)


def layers(*names: str) -> list[LayerEntry]:
    return [(name, SHAPE, ()) for name in names]


def members(matching: Matching) -> dict[str, tuple[str | None, ...]]:
    return {layer.name: layer.members for layer in matching.layers}


def test_equal_names_in_any_order() -> None:
    matching = match("abc", [layers("x", "y", "z"), layers("z", "x", "y"), layers("y", "z", "x")])
    assert members(matching) == {name: (name,) * 3 for name in "xyz"}
    assert list(members(matching)) == ["x", "y", "z"]
    assert matching.core == ("x", "y", "z")
    assert (matching.unmatched, matching.notes) == ((), ())


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("fc.weight", "fc.weight"),
        ("module.fc.weight", "fc.weight"),
        ("_orig_mod.module.model.fc.weight", "fc.weight"),
        ("layers.0._orig_mod.fc.weight", "layers.0.fc.weight"),
        ("state_dict.model.fc.weight", "fc.weight"),
        ("_fsdp_wrapped_module.layers.0._fsdp_wrapped_module._checkpoint_wrapped_module.w", "layers.0.w"),
        ("layers.model.weight", "layers.model.weight"),
        ("models.0.weight", "models.0.weight"),
        ("model", "model"),
        ("module.model", "model"),
        ("_orig_mod", "_orig_mod"),
        ("", ""),
        ("..", ".."),
    ],
)
def test_names_without_wrappers(name: str, bare: str) -> None:
    assert without_wrappers(name) == bare


def test_wrappers_do_not_part_layers() -> None:
    matching = match("abcd", [layers("fc.w", "g.w"), layers("module.g.w", "module.fc.w"), None,
                              layers("model._orig_mod.fc.w", "model.g._orig_mod.w")])  # fmt: skip
    assert members(matching) == {
        "fc.w": ("fc.w", "module.fc.w", None, "model._orig_mod.fc.w"),
        "g.w": ("g.w", "module.g.w", None, "model.g._orig_mod.w"),
    }
    assert matching.unmatched == ()
    assert matching.core == ("fc.w", "g.w")
    assert matching.notes == (
        "2 layers have another name in some checkpoints, matched after removing wrapper names: module.fc.w is fc.w",
    )


def test_a_base_model_and_one_with_a_head() -> None:
    matching = match("ab", [layers("model.emb.w", "model.l.0.w", "head.w"), layers("emb.w", "l.0.w")])
    assert members(matching)["model.l.0.w"] == ("model.l.0.w", "l.0.w")
    assert matching.core == ("model.emb.w", "model.l.0.w")
    assert matching.unmatched == ({"name": "head.w", "in": ["b"], "reason": "missing"},)


def test_names_that_would_become_one_stay_whole() -> None:
    both = layers("model.x", "x", "y")
    assert members(match("ab", [both, both])) == {name: (name, name) for name in ("model.x", "x", "y")}
    matching = match("ab", [both, layers("module.model.x", "module.x", "module.y")])
    assert members(matching) == {name: (name, f"module.{name}") for name in ("model.x", "x", "y")}
    one = match("abc", [both, layers("model.x", "y"), layers("module.x", "module.y")])
    assert members(one) == {
        "model.x": ("model.x", "model.x", None),
        "x": ("x", None, "module.x"),
        "y": ("y", "y", "module.y"),
    }
    assert [(entry["name"], entry["in"]) for entry in one.unmatched] == [("model.x", ["c"]), ("x", ["b"])]


def test_a_file_under_another_key() -> None:
    plain = layers("fc.w", "g.w", "h.w")
    wrapped = layers("net.module.fc.w", "net.module.g.w", "net.module.h.w")
    for first, second in ((plain, wrapped), (wrapped, plain)):
        matching = match("ab", [first, second])
        assert [layer.members for layer in matching.layers] == [
            (one[0], other[0]) for one, other in zip(first, second, strict=True)
        ]
    other_shapes: list[LayerEntry] = [(name, (8, 8), ()) for name, *_ in wrapped]  # another network
    assert len(match("ab", [plain, other_shapes]).layers) == 6
    assert len(match("abc", [[], plain, wrapped]).layers) == 3


def test_shapes_that_differ() -> None:
    wide: list[LayerEntry] = [("fc", (4, 8), ()), ("g", SHAPE, ())]
    matching = match("abcd", [layers("fc", "g"), wide, None, wide])
    assert members(matching) == {"fc": (None, "fc", None, "fc"), "g": ("g", "g", None, "g")}
    assert matching.layers[0].shape == (4, 8)
    assert matching.unmatched == ({"name": "fc", "in": ["a"], "reason": "shape differs", "shape": [4, 4]},)
    assert matching.core == ("fc", "g")
    tie = match("ab", [layers("fc"), [("fc", (4, 8), ())]])
    assert tie.layers[0].shape == SHAPE
    assert tie.core == ()
    three = match("abc", [layers("x", "fc"), [("x", SHAPE, ()), ("fc", (8, 4), ())], layers("x")])
    assert [(entry["in"], entry["reason"]) for entry in three.unmatched] == [
        (["c"], "missing"),
        (["b"], "shape differs"),
    ]


def test_the_order_of_layers_that_only_later_ones_have() -> None:
    matching = match("abc", [layers("a", "b", "c"), layers("0", "a", "n", "b", "c", "z"), layers("a", "n", "m")])
    assert list(members(matching)) == ["0", "a", "n", "m", "b", "c", "z"]
    assert matching.core == ("a", "n", "b", "c")


def test_core_is_what_more_than_half_of_the_readable_have() -> None:
    matching = match("abcde", [layers("x", "y"), layers("x", "y"), None, layers("x", "z"), layers("x", "z")])
    assert matching.core == ("x",)
    matching = match("abcd", [layers("x", "y"), layers("x", "y"), None, layers("x", "z")])
    assert matching.core == ("x", "y")


def test_tied_layers_match_under_either_name() -> None:
    tied: list[LayerEntry] = [("emb", SHAPE, ("head",)), ("x", SHAPE, ())]
    matching = match("ab", [tied, layers("x", "head")])
    assert members(matching) == {"emb": ("emb", "head"), "x": ("x", "x")}
    assert matching.notes == ("1 layer has another name in some checkpoints, matched by tied weights: head is emb",)
    matching = match("ab", [layers("x", "model.head"), [("m.emb", SHAPE, ("module.head",)), ("x", SHAPE, ())]])
    assert members(matching) == {"x": ("x", "x"), "model.head": ("model.head", "m.emb")}
    apart = match("ab", [tied, layers("emb", "head", "x")])
    assert members(apart) == {"emb": ("emb", "emb"), "head": (None, "head"), "x": ("x", "x")}


def test_nothing_that_can_be_read() -> None:
    assert match("ab", [None, None]) == Matching((), (), (), ())
    assert match([], []) == Matching((), (), (), ())
    matching = match("abc", [[], None, layers("x")])
    assert members(matching) == {"x": (None, None, "x")}
    assert matching.unmatched == ({"name": "x", "in": ["a"], "reason": "missing"},)


def test_runs_of_another_network_are_said() -> None:
    held = [layers("x", "y"), layers("x", "y"), layers("x"), layers("x"), None]
    assert match("abcde", held, ["s0", "s0", "s1", "s1", "s2"]).notes == ("run s1 lacks 1 of 2 layers",)
    assert match("abcde", held, [None] * 5).notes == ()


def test_two_layers_are_never_shown_under_one_name() -> None:
    matching = match("abc", [[("a", SHAPE, ("b",))], layers("a", "b"), layers("model.b", "b", "a")])
    assert len({layer.name for layer in matching.layers}) == len(matching.layers)

    renamed: list[list[LayerEntry]] = [[("w", (8, 8), ())], [("v", SHAPE, ("w",))], layers("v", "w")]
    assert members(match("abc", renamed)) == {"v": (None, None, "v"), "v#2": (None, "v", "w")}
    doubled = [layers("module.module.x", "module.module.module.x"), layers("module.module.x", "x"), layers("y")]
    assert sum(layer.members[0] is not None for layer in match("abc", doubled).layers) == 2


def test_labels_stand_in_the_order_of_the_series() -> None:
    other, third = layers("fc", "g"), layers("g", "fc")
    wide: list[LayerEntry] = [("fc", (4, 8), ()), ("g", SHAPE, ())]
    matching = match("abcdefg", [wide, other, third, other, wide, wide, wide])
    assert matching.unmatched[0]["in"] == ["b", "c", "d"]


def test_notes_are_safe() -> None:
    matching = match("ab", [layers("module.\x1b[31m" + "x" * 500), layers("\x1b[31m" + "x" * 500)])
    assert matching.notes[0].isprintable()
    assert len(matching.notes[0]) < 300


def test_checkpoints_of_training_match_plain_ones(tmp_path: Path) -> None:
    """As torch.save writes them: {"model": ..., "optimizer": ...}, {"state_dict": ...}, a state_dict, and others."""
    names = ("fc1.weight", "fc2.weight")
    state = OrderedDict((name, Tensor(str(key), SHAPE)) for key, name in enumerate(names))
    compiled = OrderedDict((f"model._orig_mod.{name}", tensor) for name, tensor in state.items())
    optimizer = {"state": {0: {"exp_avg": Tensor("2", SHAPE)}}, "param_groups": [{"lr": 0.1}]}
    storages = {str(key): bytes(64) for key in range(3)}
    values = [
        state,
        {"model": state, "optimizer": optimizer, "epoch": 3},
        {"state_dict": compiled, "optimizer_states": [optimizer], "epoch": 3},
        {"epoch": 3, "model_state_dict": state, "optimizer_state_dict": optimizer},
        {"net": state, "acc": 91.5},
        [state, optimizer],
    ]
    files = [write_zip(tmp_path / f"{place}.pt", value, storages) for place, value in enumerate(values)]
    files.append(write_tensors(tmp_path / "model.safetensors", dict.fromkeys(reversed(names), ("F32", SHAPE))))
    for order in (files, files[::-1]):
        held: list[Sequence[LayerEntry]] = []
        for path in order:
            weights = [tensor for tensor in open_checkpoint(path).tensors if tensor.role == "weight"]
            held.append([(tensor.name, tensor.shape, tensor.aliases) for tensor in weights])
        matching = match([path.name for path in order], held)
        assert len(matching.layers) == 2
        assert all(None not in layer.members for layer in matching.layers)
        assert all(str(layer.members[order.index(files[2])]).endswith(layer.name) for layer in matching.layers)


NAMES = st.lists(st.sampled_from(["module", "model", "_orig_mod", "a", "b", "net"]), min_size=1, max_size=4).map(
    ".".join
)
LAYERS = st.lists(
    st.tuples(NAMES, st.sampled_from([(4, 4), (4, 8)]), st.just(())), max_size=6, unique_by=lambda layer: layer[0]
)


@given(st.lists(st.one_of(st.none(), LAYERS), max_size=5), st.randoms(use_true_random=False))
def test_every_layer_is_somewhere_exactly_once(held: list[list[LayerEntry] | None], chance: random.Random) -> None:
    labels = [str(place) for place in range(len(held))]
    matching = match(labels, held)
    assert len({layer.name for layer in matching.layers}) == len(matching.layers)
    for place, own in enumerate(held):
        shown = [layer.members[place] for layer in matching.layers if layer.members[place] is not None]
        assert len(shown) == len(set(shown))
        otherwise = [
            one for one in matching.unmatched if one["reason"] == "shape differs" and labels[place] in one["in"]
        ]
        missing = [one for one in matching.unmatched if one["reason"] == "missing" and labels[place] in one["in"]]
        assert len(shown) + len(otherwise) == len(own or [])
        assert len(shown) + len(otherwise) + len(missing) == (0 if own is None else len(matching.layers))
        for layer in matching.layers:
            if layer.members[place] is not None:
                assert (layer.members[place], layer.shape, ()) in (own or [])
    shuffled = [None if own is None else chance.sample(own, len(own)) for own in held]
    assert {layer.members for layer in match(labels, shuffled).layers} == {layer.members for layer in matching.layers}


@given(LAYERS, st.integers(1, 4))
def test_equal_files_match_as_they_are(own: list[LayerEntry], number: int) -> None:
    matching = match([str(place) for place in range(number)], [own] * number)
    assert members(matching) == {layer[0]: (layer[0],) * number for layer in own}


def test_match_of_names_without_end_ends() -> None:
    hostile = ["module." * 100_000 + "x", "model." * 100_000 + "x", "a." * 500_000 + "w", "module.x", "x"]
    match("abcd", [layers(*hostile), layers("b." * 500_000 + "w"), layers("a." * 500_000 + "v"),
                   layers("model." * 300_000 + "x", "y")])  # fmt: skip


def test_match_of_long_series_and_large_networks_ends() -> None:
    names = [f"model.layers.{layer}.fc{part}.weight" for layer in range(100) for part in range(3)]
    held = [
        layers(*(("module." if place % 2 else "") + name for name in names[place % 300 :] + names[: place % 300]))
        for place in range(2000)
    ]
    assert len(match([str(place) for place in range(2000)], held).core) == 300
    many = [f"model.layers.{layer}.w" for layer in range(20_000)]
    three = [
        layers(*many),
        layers(*(f"module.{name}" for name in many)),
        layers(*(f"net.{name}" for name in many[::-1])),
    ]
    assert len(match("abc", three).core) == 20_000
