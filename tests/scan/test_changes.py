"""The bits that changed between checkpoints, counted while one of them is read, against the oracle's exclusive or."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import naive
import numpy as np
import pytest
from depth import one_of
from numpy.typing import NDArray
from strategies import BytesReader, cut_of, layer_of, planes_of, random_tensor

from wcx.blocks.counts import BlockCounts
from wcx.core.dtypes import DTYPES
from wcx.core.errors import UsageError
from wcx.core.scheme import Scheme
from wcx.scan import changes as changes_module
from wcx.scan import count, grid
from wcx.scan.changes import BitStore, Changed, Changes, PackedCheckpoint, PieceKey
from wcx.scan.count import CountBlocks, scan_counts
from wcx.scan.engine import Threads, Work
from wcx.scan.sources import FileSource

Bits = list[NDArray[np.uint8]]


class Step:
    """One checkpoint of two layers in memory: how it is counted, and what the oracle sees in it."""

    def __init__(self, dtype: str, shapes: Sequence[tuple[int, int]], quantizer: str, seed: int) -> None:
        tensors = [random_tensor(dtype, shape, 10 * seed + at, "normal") for at, shape in enumerate(shapes)]
        self.data = b"".join(tensor.raw for tensor in tensors)
        self.layers, offset = [], 0
        for at, tensor in enumerate(tensors):
            self.layers.append(layer_of(dtype, *tensor.shape, name=f"layer{at}", offset=offset))  # type: ignore[misc]
            offset += len(tensor.raw)
        values = [tensor.values.reshape(tensor.shape) for tensor in tensors]
        self.cuts = [cut_of(quantizer, dtype, some) for some in values]
        self.planes: list[Bits] = [planes_of(some, quantizer) for some in values]

    def count(
        self,
        previous: PackedCheckpoint | None,
        first: PackedCheckpoint | None,
        keep: PackedCheckpoint | None,
        *,
        scheme: Scheme | None = None,
        threads: int = 1,
        compiled: bool = False,
        bits: int = 64,
    ) -> list[Changed]:
        changes, scheme = Changes(previous, first, keep), scheme or Scheme()
        works = [
            Work(layer, (CountBlocks(rule, scheme, changes, layer.tensor.name),), bits)
            for layer, rule in zip(self.layers, self.cuts, strict=True)
        ]
        source = lambda: FileSource(BytesReader(self.data))  # noqa: E731
        found = scan_counts(works, source, Threads(threads), compiled=compiled)
        return [counted.changed or Changed() for (counted,) in found]


def assert_changed(found: tuple[BlockCounts, ...] | None, mine: Bits, theirs: Bits) -> None:
    """The counts are those of the oracle's exclusive or."""
    assert found is not None
    for counts, one, other in zip(found, mine, theirs, strict=True):
        changed = one ^ other
        assert dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True)) == naive.block_counts(changed)
        assert (counts.symbols, counts.ones) == (changed.size, changed.sum())


def assert_walk(steps: Sequence[Step], **options: Any) -> None:  # noqa: ANN401
    """Three checkpoints, each against the one before it and the first."""
    first, second = PackedCheckpoint(), PackedCheckpoint()
    nothing = steps[0].count(None, None, first, **options)
    assert nothing == [Changed()] * len(nothing)
    for at, changed in enumerate(steps[1].count(first, None, second, **options)):
        assert changed.first is None
        assert_changed(changed.previous, steps[1].planes[at], steps[0].planes[at])
    for at, changed in enumerate(steps[2].count(second, first, None, **options)):
        assert_changed(changed.previous, steps[2].planes[at], steps[1].planes[at])
        assert_changed(changed.first, steps[2].planes[at], steps[0].planes[at])
    first.bits.close()
    second.bits.close()


@one_of(7)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("quantizer", ["sign", "sign:zero=one", "polarity", "uniform:4"])
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F64"])
def test_changed_bits_are_those_of_the_oracle(dtype: str, quantizer: str, compiled: bool) -> None:
    assert_walk([Step(dtype, [(13, 22), (40, 65)], quantizer, seed) for seed in range(3)], compiled=compiled)


def test_checkpoints_of_different_dtypes_are_set_against_each_other() -> None:
    steps = [Step(dtype, [(600, 700), (8, 3)], "sign", at) for at, dtype in enumerate(["F32", "BF16", "F64"])]
    assert_walk(steps, bits=64)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_layer_of_many_pieces_and_stripes(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "_ITEM_BYTES", 1 << 16)
    monkeypatch.setattr(grid, "PIECE_BYTES", 1 << 13)
    steps = [Step("F32", [(203, 411), (4, 5000), (100, 6)], "sign", seed) for seed in range(3)]
    for threads in (1, 4):
        assert_walk(steps, compiled=compiled, threads=threads)


def test_counts_handed_over_on_the_way_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "_FLUSH_WEIGHTS", 1)
    monkeypatch.setattr(grid, "PIECE_BYTES", 1 << 12)
    assert_walk([Step("F32", [(60, 100)], "sign", seed) for seed in range(3)])


def test_bits_that_have_no_room_in_memory_go_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "PIECE_BYTES", 1 << 12)
    monkeypatch.setattr(BitStore.__init__, "__defaults__", (100,))
    assert_walk([Step("F32", [(60, 100), (30, 30)], "polarity", seed) for seed in range(3)], threads=3)


@one_of(4)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("scheme", "oracle"),
    [
        (Scheme(boundary="recursive"), lambda bits: naive.recursive_counts(bits)),
        (Scheme(boundary="correlated"), lambda bits: naive.sliding_counts(bits)),
        (Scheme(boundary="correlated:3"), lambda bits: naive.sliding_counts(bits, 3)),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_changed_bits_under_other_boundaries(
    scheme: Scheme,
    oracle: Callable[[NDArray[np.uint8]], dict[int, int]],
    compiled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grid, "PIECE_BYTES", 1 << 12)
    steps = [Step("F32", [(29, 43)], "sign", seed) for seed in range(2)]
    kept = PackedCheckpoint()
    steps[0].count(None, None, kept, scheme=scheme, compiled=compiled)
    found = steps[1].count(kept, None, None, scheme=scheme, compiled=compiled)[0].previous
    assert found is not None
    changed = steps[0].planes[0][0] ^ steps[1].planes[0][0]
    assert dict(zip(found[0].codes.tolist(), found[0].counts.tolist(), strict=True)) == oracle(changed)


@pytest.mark.parametrize("compiled", [False, True])
def test_changed_strings(compiled: bool) -> None:
    steps = [Step("F32", [(1, 5000)], "sign", seed) for seed in range(2)]
    kept, scheme = PackedCheckpoint(), Scheme("1x12", "ignore", "flat")
    steps[0].count(None, None, kept, scheme=scheme, compiled=compiled)
    found = steps[1].count(kept, None, None, scheme=scheme, compiled=compiled)[0].previous
    changed = steps[0].planes[0][0] ^ steps[1].planes[0][0]
    expected = naive.block_counts(changed, naive.STRING)
    assert found is not None
    assert dict(zip(found[0].codes.tolist(), found[0].counts.tolist(), strict=True)) == expected


def test_what_did_not_change_is_a_plane_of_zeros() -> None:
    step, kept = Step("F32", [(16, 16)], "sign", 0), PackedCheckpoint()
    step.count(None, None, kept)
    found = step.count(kept, kept, PackedCheckpoint())[0]
    for changed in (found.previous, found.first):
        assert changed is not None
        assert (changed[0].ones, changed[0].codes.tolist(), changed[0].counts.tolist()) == (0, [0], [16])


def test_a_layer_that_the_other_checkpoint_has_not_is_not_set_against_it() -> None:
    one, more = Step("F32", [(16, 16)], "sign", 0), Step("F32", [(16, 16), (8, 8)], "sign", 1)
    kept = PackedCheckpoint()
    one.count(None, None, kept)
    first, second = more.count(kept, None, None)
    assert first.previous is not None
    assert second.previous is None


def test_a_layer_of_another_number_of_planes_is_not_set_against_it() -> None:
    kept = PackedCheckpoint()
    Step("F32", [(16, 16)], "polarity", 0).count(None, None, kept)
    assert Step("F32", [(16, 16)], "sign", 1).count(kept, None, None) == [Changed()]


@pytest.mark.parametrize("memory", [0, 20, 1 << 20])
def test_a_store_gives_back_what_was_put_last(memory: int) -> None:
    store, keys = BitStore(memory), [PieceKey(f"layer{at}", 4 * at, 0) for at in range(5)]
    for size in (7, 7, 9):  # in the place of the former ones, then elsewhere
        wanted = {key: np.random.default_rng([size, key.start]).integers(0, 1 << 63, size, np.uint64) for key in keys}
        for key, bits in wanted.items():
            store.put(key, bits)
        for key, bits in wanted.items():
            assert np.array_equal(store.get(key), bits)
    store.close()
    with pytest.raises(KeyError):
        store.get(PieceKey("none", 0, 0))


def test_a_full_temporary_directory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(changes_module.os, "pwrite", fails)
    store = BitStore(0)
    with pytest.raises(
        UsageError, match=r"can't write the bits of a checkpoint to .*: No space left on device; set TMPDIR"
    ):
        store.put(PieceKey("layer", 0, 0), np.zeros(8, np.uint64))
    store.close()


def test_the_kept_bits_are_an_eighth_of_a_byte_a_weight() -> None:
    kept = PackedCheckpoint()
    Step("F32", [(64, 64)], "polarity", 0).count(None, None, kept)
    assert kept.bits.get(PieceKey("layer0", 0, 0)).nbytes == 2 * 64 * 64 // 8
    assert DTYPES["F32"].bits == 32
