"""Keys of cached counts: equal for equal values, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wcx.core.scheme import Fit, Scheme
from wcx.core.settings import Settings
from wcx.scan import keys
from wcx.scan.keys import cache_key

DIFFERENT = [
    (),
    (None,),
    (0,),
    (0.0,),
    (-0.0,),
    (False,),
    (True,),
    (1,),
    (1.0,),
    ("1",),
    (b"1",),
    ("",),
    ([],),
    ({},),
    ("ab", "c"),
    ("a", "bc"),
    (["a", "b"],),
    (["a"], "b"),
    ("a", ["b"]),
    (["b", "a"],),
    ({"a": 1},),
    ({"a": 1, "b": None},),
    ({"b": 1},),
    ([("a", 1)],),
    (Scheme(),),
    (Scheme("1x12"),),
    (Settings(),),
    (Settings(measures=("bdm",)),),
    (Fit(lo=1.0),),
    (Fit(hi=1.0),),
    ("\ud800",),
    ("\u00e9",),
    ("e\u0301",),
    (2**70,),
    (-1,),
    ("31",),
    (float("inf"),),
    ("Infinity",),
    ("null",),
]


def test_keys_of_different_values_differ() -> None:
    keys = [cache_key(*parts) for parts in DIFFERENT]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 for key in keys)


def test_keys_of_equal_values_are_equal() -> None:
    assert cache_key({"a": 1, "b": [2, (3,)]}) == cache_key({"b": (2, [3]), "a": 1})
    assert cache_key(Settings()) == cache_key(Settings())


def test_a_key_is_the_same_in_every_process() -> None:
    """A change here forgets what all users have kept: then raise the number in keys.py, and this text with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "__version__", "0.1.0")
        found = cache_key("counts", Fit(lo=-0.5), {"b": 2, "a": None}, [True, b"\0"])
    assert found == "168861b6d82e9229284606a7fa7a50e461bbffdcc816376925031f905e21db15"


def test_keys_of_another_version_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_key("a")
    monkeypatch.setattr(keys, "__version__", "9.9.9")
    other = cache_key("a")
    monkeypatch.undo()
    monkeypatch.setattr(keys, "_CODE", -1)
    assert len({before, other, cache_key("a")}) == 3


@pytest.mark.parametrize("value", [object(), {1, 2}, np.float32(1), np.zeros(2), Path("a"), 1j])
def test_a_key_of_anything_else_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="a key can't be made of"):
        cache_key("a", [value])
