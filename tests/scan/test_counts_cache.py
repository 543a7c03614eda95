"""Counts and rows in the cache: all layers of a writer, or nothing."""

from __future__ import annotations

import json
import math
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import counts_of

from wcx.scan import counts_cache
from wcx.scan.cache import Store
from wcx.scan.counts_cache import CountsWriter, LostError, get_json, put_json, recall
from wcx.scan.counts_file import LayerCounts

SETTINGS = {"quantizer": "sign"}
LAYERS = [LayerCounts(str(index), (8, 8), (counts_of(np.eye(8)),), zeros=index) for index in range(9)]


def write(store: Store, layers: Sequence[LayerCounts] = LAYERS, key: str = "key") -> None:
    writer = CountsWriter(store, key, SETTINGS)
    for layer in layers:
        writer.add(layer)
    writer.finish()


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize(("limit", "number"), [("_FILE_CODES", 5), ("_FILE_LAYERS", 5), (None, 1)])
def test_layers_are_recalled_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, number: int
) -> None:
    if limit is not None:
        monkeypatch.setattr(counts_cache, limit, 2 * (LAYERS[0].codes if limit == "_FILE_CODES" else 1))
    write(Store(tmp_path))
    found = recall(Store(tmp_path), "key", SETTINGS)
    assert found is not None
    assert list(found) == LAYERS
    assert len(files(tmp_path)) == number + 1


def test_no_layers_are_recalled_as_none_at_all(tmp_path: Path) -> None:
    write(Store(tmp_path), [])
    found = recall(Store(tmp_path), "key", SETTINGS)
    assert found is not None
    assert list(found) == []


def test_a_writer_that_did_not_finish_kept_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_cache, "_FILE_LAYERS", 1)
    CountsWriter(Store(tmp_path), "key", SETTINGS).add(LAYERS[0])
    assert len(files(tmp_path)) == 1
    assert recall(Store(tmp_path), "key", SETTINGS) is None


@pytest.mark.parametrize("text", [b"", b"-1", b"1.5", b"x", b"9" * 10])
def test_another_number_of_files_is_nothing_kept(tmp_path: Path, text: bytes) -> None:
    store = Store(tmp_path)
    store.put(counts_cache.cache_key("key", "files"), text)
    assert recall(store, "key", SETTINGS) is None


def test_counts_under_other_settings_are_lost(tmp_path: Path) -> None:
    write(Store(tmp_path))
    with pytest.raises(LostError):
        list(recall(Store(tmp_path), "key", {"quantizer": "polarity"}) or ())


@pytest.mark.parametrize("lost", range(3))
def test_a_file_that_is_gone_or_damaged_is_lost_when_it_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    monkeypatch.setattr(counts_cache, "_FILE_LAYERS", 3)
    store = Store(tmp_path)
    for data in (None, b"", b"PK", b"1"):
        write(store)
        monkeypatch.setattr(
            Store,
            "get",
            lambda store, key, get=Store.get, data=data: (
                data if key == counts_cache.cache_key("key", lost) else get(store, key)
            ),
        )
        found = []
        with pytest.raises(LostError):
            found += recall(store, "key", SETTINGS) or ()
        assert found == LAYERS[: 3 * lost]
        monkeypatch.undo()
        monkeypatch.setattr(counts_cache, "_FILE_LAYERS", 3)


def test_names_of_megabytes_are_not_kept(tmp_path: Path) -> None:
    write(Store(tmp_path), [LayerCounts("x" * (5 << 20), (1,), ()), *LAYERS])
    assert recall(Store(tmp_path), "key", SETTINGS) is None


# -------------------------------------------------------------------------------------------------------------- JSON

doubles = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | doubles | st.text(st.characters()),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(st.characters()), inside, max_size=4),
    max_leaves=20,
)


class Memory(Store):
    """A store that keeps everything in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.data: dict[bytes | str, bytes] = {}

    def get(self, key: bytes | str) -> bytes | None:
        return self.data.get(key)

    def put(self, key: bytes | str, data: bytes) -> None:
        self.data[key] = data


@given(plain)
@settings(max_examples=200)
def test_plain_values_are_kept_exactly(value: object) -> None:
    store = Memory()
    put_json(store, "key", value)
    assert repr(get_json(store, "key")) == repr(value)


def test_every_double_and_any_name_is_kept() -> None:
    rows = {"\ud800": 0.1 + 0.2, "tiny": 5e-324, "-0": -0.0, "large": 1.7976931348623157e308, "third": 1 / 3}
    store = Memory()
    put_json(store, "key", rows)
    assert repr(get_json(store, "key")) == repr(rows)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_not_kept(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        put_json(Memory(), "key", {"bdm": number})


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"{}",
        zlib.compress(b""),
        zlib.compress(b"{"),
        zlib.compress(b"\xff"),
        zlib.compress(json.dumps([1] * 99).encode())[:-5],
        zlib.compress(b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_other_bytes_are_nothing(data: bytes | None) -> None:
    store = Memory()
    if data is not None:
        store.put("key", data)
    assert get_json(store, "key") is None


def test_a_bomb_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_cache, "_MOST_JSON", 1 << 20)
    store = Memory()
    store.put("key", zlib.compress(b" " * (50 << 20)))
    tracemalloc.start()
    assert get_json(store, "key") is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
