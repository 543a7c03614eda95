"""Motifs: exact counts, lengths and projections, against plain loops over tuples of numbers."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import naive
import naive_motifs
import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from safetensors.numpy import load_file, save_file
from strategies import DTYPE_NAMES, FLAVOURS, Tensor, bits_of, code_type, pack, random_codes, write_safetensors

from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError, UsageError
from wcx.core.motifs import DtypeMotifs, LayerMotifs, TopMotif
from wcx.formats import open_checkpoint, open_reader
from wcx.scan.layers import Layer
from wcx.tasks.motifs import counts as block_counts
from wcx.tasks.motifs import cut, projection
from wcx.tasks.motifs.cut import Block, codes_of, layer_of, parse_block, words_of
from wcx.tasks.motifs.lengths import description_length, entropy_length, k_of_capacity, usage_classes
from wcx.tasks.motifs.motifs import motifs
from wcx.tasks.motifs.nearest import Nearest
from wcx.tasks.motifs.projection import Motifs, draw_motifs
from wcx.tasks.motifs.settings import make_motif_settings, parse_capacity

ROOT = Path(__file__).parents[3]
NUMBERS = [name for name in DTYPE_NAMES if name not in ("F8_E8M0", "BOOL")]
Model = dict[str, tuple[str, tuple[int, ...], np.ndarray[Any, Any]]]
BLOCKS = ["1", "2", "3", "9", "2x2", "2x3", "4x4", "1x5", "3x1"]


# ---------------------------------------------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize(("n", "ratio"), [(5_526_346, 3.0189), (269_722, 3.9506), (986_634, 3.5165)])
def test_ratios_are_the_published_ones(n: int, ratio: float) -> None:
    """Block size 2, capacity 5 %, 32 bits: arXiv 2602.14896."""
    blocks = -(-n // 2)
    k = k_of_capacity(parse_capacity("5%"), blocks)
    assert round(n * 32 / description_length(k, blocks, 2, 32), 4) == ratio


def test_the_published_number_of_motifs() -> None:
    assert k_of_capacity(parse_capacity("5%"), 2_763_173) == 138_158


@pytest.mark.parametrize(
    ("capacity", "blocks", "k"), [("0.29", 100, 29), ("1%", 5, 1), ("100%", 5, 5), ("1", 5, 5), ("0.5", 5, 2)]
)
def test_k_of_a_capacity_is_exact_and_within_its_bounds(capacity: str, blocks: int, k: int) -> None:
    assert k_of_capacity(parse_capacity(capacity), blocks) == k


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "1.1", "-1", "nan", "1e-2", "5 %", "1/2", "²", "1" * 30])
def test_no_capacity(text: str) -> None:
    with pytest.raises(UsageError, match="capacity"):
        parse_capacity(text)


@pytest.mark.parametrize(
    ("distinct", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 40, 40), ((1 << 40) + 1, 41)]
)
def test_a_number_of_a_motif_takes_the_next_whole_bits(distinct: int, bits: int) -> None:
    assert description_length(distinct, 7, 3, 8) - distinct * 24 == 7 * bits


def test_entropy_of_one_rare_motif_has_all_its_digits() -> None:
    m = 1_000_000_000
    exact = math.log2(m) + (m - 1) * (math.log1p(1 / (m - 1)) / math.log(2))
    assert entropy_length({1: 1, m - 1: 1}, 1, 8) - 16 == pytest.approx(exact, rel=1e-12)
    assert entropy_length({5: 1}, 2, 8) == 16.0
    assert entropy_length({0: 1, 5: 1}, 2, 8) == 32.0  # a motif that is not used costs its values


def test_usage_is_told_in_powers_of_two() -> None:
    assert usage_classes({0: 1, 1: 5, 2: 1, 3: 1, 4: 2}) == [(0, 0, 1, 0), (1, 1, 5, 5), (2, 3, 2, 5), (4, 7, 2, 8)]


# ------------------------------------------------------------------------------------------------------------ counting


def write(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], np.ndarray[Any, Any]]]) -> Path:
    made = {name: Tensor(dtype, shape, pack(codes, dtype)) for name, (dtype, shape, codes) in tensors.items()}
    return write_safetensors(path, made)


def oracle_blocks(dtype: str, shape: tuple[int, ...], codes: np.ndarray[Any, Any], block: Block) -> naive_motifs.Blocks:
    cells = naive_motifs.cells(codes, pack(codes, dtype), dtype, shape)
    return naive_motifs.cut(cells, shape, (block.rows, block.columns), block.flat)


@st.composite
def models(draw: st.DrawFn) -> dict[str, tuple[str, tuple[int, ...], np.ndarray[Any, Any]]]:
    """Up to five tensors of up to two dtypes, many of few different values."""
    dtypes = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=2))
    found = {}
    for number in range(draw(st.integers(1, 5))):
        shape = tuple(draw(st.lists(st.integers(1, 9), max_size=3)))
        dtype = draw(st.sampled_from(dtypes))
        if math.prod(shape) * bits_of(dtype) % 8:
            shape = (*shape, 4)
        random = np.random.default_rng(draw(st.integers(0, 1000)))
        flavour = draw(st.sampled_from(FLAVOURS))
        found[f"t{number}"] = (dtype, shape, random_codes(dtype, math.prod(shape), random, flavour))
    return found


@settings(max_examples=examples(60))
@given(model=models(), text=st.sampled_from(BLOCKS), budget=st.sampled_from([4000, 1 << 20]), piece=st.integers(0, 2))
def test_counts_and_lengths_are_those_of_plain_loops(
    tmp_path_factory: pytest.TempPathFactory, model: Model, text: str, budget: int, piece: int
) -> None:
    path = write(tmp_path_factory.mktemp("m") / "m.safetensors", model)
    block = parse_block(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_counts, "_BUDGET", budget)
        patch.setattr(
            block_counts.count_blocks, "__kwdefaults__", {**block_counts.count_blocks.__kwdefaults__, "budget": budget}
        )
        patch.setattr(cut, "_PIECE_CODES", (16, 40, 1 << 17)[piece])
        report = motifs(path, block=text, include=("*",), threads=1 + piece)
    together: dict[str, Counter[Any]] = {}
    assert [layer.name for layer in report.layers] == list(model)
    for layer in report.layers:
        dtype, shape, codes = model[layer.name]
        counts = Counter(oracle_blocks(dtype, shape, codes, block))
        together.setdefault(dtype, Counter()).update(counts)
        check(layer, counts, block, dtype, math.prod(shape))
    for dtype in report.model.dtypes:
        weights = sum(math.prod(shape) for kind, shape, _ in model.values() if kind == dtype.dtype)
        check(dtype, together[dtype.dtype], block, dtype.dtype, weights)
    assert report.model.length == sum(dtype.length for dtype in report.model.dtypes)
    assert report.model.distinct == sum(map(len, together.values()))


def check(found: LayerMotifs | DtypeMotifs, counts: Counter[Any], block: Block, dtype: str, weights: int) -> None:
    assert found.q == bits_of(dtype)
    assert found.weights == weights
    assert found.motifs == counts.total()
    assert found.distinct == len(counts)
    assert found.length == naive_motifs.length(counts, block.size, found.q)
    assert found.length_entropy == pytest.approx(naive_motifs.length_entropy(counts, block.size, found.q), rel=1e-12)
    assert found.ratio == weights * found.q / found.length
    assert found.ratio_entropy == weights * found.q / found.length_entropy
    for one in found.usage:
        within = [count for count in counts.values() if one.at_least <= count <= one.at_most]
        assert (one.motifs, one.blocks) == (len(within), sum(within))
    assert sum(one.motifs for one in found.usage) == len(counts)
    assert [one.count for one in found.top] == sorted((n for n in counts.values() if n > 1), reverse=True)[:5]
    keys = [one.codes for one in found.top]
    ties = list(zip((-one.count for one in found.top), keys, strict=True))
    assert ties == sorted(ties)
    for one in found.top:
        assert counts[key_of(one, dtype)] == one.count


def key_of(top: TopMotif, dtype: str) -> tuple[Any, ...]:
    codes = np.array([int(code, 16) for code in top.codes.split()], code_type(dtype))
    if bits_of(dtype) < 8:
        codes = np.concatenate([codes, np.zeros(-len(codes) % 4, np.uint8)])
    cells = naive_motifs.cells(codes, pack(codes, dtype), dtype, codes.shape)[: len(top.values)]
    for cell, value in zip(cells, top.values, strict=True):
        if value is not None and dtype[0] not in "IU":
            assert cell == value
    return tuple(cells)


def test_the_first_of_equally_frequent_motifs_are_shown(tmp_path: Path) -> None:
    values = np.repeat(np.arange(100, 0, -1).astype(np.float32), 2)  # each number twice
    save_file({"w": values}, tmp_path / "m.safetensors")
    (layer,) = motifs(tmp_path / "m.safetensors", block="1", top=3).layers
    assert [(one.values, one.count) for one in layer.top] == [((1.0,), 2), ((2.0,), 2), ((3.0,), 2)]


@pytest.mark.parametrize("few", [1, 2, 7])
def test_equal_hashes_do_not_make_blocks_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    values = np.random.default_rng(0).integers(0, 3, (40, 50)).astype(np.float64)
    save_file({"a": values, "b": values[:7] + 1}, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors"
    before = motifs(path, block="3").to_dict()
    monkeypatch.setattr(cut, "_PIECE_CODES", 30)
    monkeypatch.setattr(block_counts, "hash_words", lambda words, _key: words[:, 0] % np.uint64(few))
    assert motifs(path, block="3").to_dict() == before


@pytest.mark.parametrize("dtype", ["F64", "F32", "BF16", "F4", "F8_E4M3FNUZ"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17])
def test_words_hold_codes_in_their_order(dtype: str, size: int) -> None:
    codes = random_codes(dtype, 40 * size, np.random.default_rng(size)).reshape(40, size)
    zero = DTYPES[dtype].zero
    if zero.second_length:
        codes[codes == zero.second_first] = 0
    words = words_of(codes, DTYPES[dtype])
    np.testing.assert_array_equal(codes_of(words, size, DTYPES[dtype]), codes)
    assert sorted(map(tuple, codes.tolist())) == [tuple(codes[i].tolist()) for i in np.lexsort(words.T[::-1])]


def test_reports_do_not_depend_on_threads_or_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    save_file(
        {
            "a": np.round(random.standard_normal((64, 96)), 1).astype(np.float32),
            "b": random.standard_normal(4000).astype(np.float16),
        },
        tmp_path / "m.safetensors",
    )
    path = tmp_path / "m.safetensors"
    one = motifs(path, block="2x3", k=50, threads=1).to_dict()
    assert motifs(path, block="2x3", k=50, threads=4).to_dict() == one
    monkeypatch.setattr(cut, "_PIECE_CODES", 100)
    monkeypatch.setattr(block_counts, "_BUDGET", 2000)
    many = motifs(path, block="2x3", k=50, threads=3).to_dict()
    assert many["layers"] == one["layers"]
    assert many["model"] == one["model"]
    for found, expected in zip(many["projection"]["layers"], one["projection"]["layers"], strict=True):
        assert found["changed"] == expected["changed"]
        assert found["distortion"] == pytest.approx(expected["distortion"], rel=1e-12)


def test_several_passes_are_made_where_one_is_too_large(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(20_000)
    save_file({"w": values}, tmp_path / "m.safetensors")
    checkpoint, passes = open_checkpoint(tmp_path / "m.safetensors"), []
    block = parse_block("2")
    layers = [layer_of(tensor, block) for tensor in checkpoint.tensors]
    with open_reader(checkpoint) as reader:
        _, usage = block_counts.count_blocks(layers, block, reader, budget=200_000, on_start=lambda: passes.append(1))
    assert usage.often == {1: 10_000}
    assert 3 < len(passes) < 50


def test_few_motifs_need_one_pass_whatever_the_size(tmp_path: Path) -> None:
    save_file({"w": np.tile(np.arange(10.0), 30_000)}, tmp_path / "m.safetensors")
    checkpoint, passes = open_checkpoint(tmp_path / "m.safetensors"), []
    block = parse_block("1")
    layers = [layer_of(tensor, block) for tensor in checkpoint.tensors]
    with open_reader(checkpoint) as reader:
        _, usage = block_counts.count_blocks(layers, block, reader, budget=30_000, on_start=lambda: passes.append(1))
    assert usage.often == {30_000: 10}
    assert len(passes) == 1


# --------------------------------------------------------------------------------------------------- which tensors, q


def test_every_tensor_of_weights_is_cut_and_every_other_has_a_reason(tmp_path: Path) -> None:
    def zeros(dtype: str, *shape: int) -> Tensor:
        return Tensor(dtype, shape, bytes(math.prod(shape) * bits_of(dtype) // 8))

    path = write_safetensors(
        tmp_path / "m.safetensors",
        {
            "w": zeros("F32", 3, 3),
            "bias": zeros("F32", 3),
            "scalar": zeros("F16"),
            "codes": zeros("I8", 5),
            "ids": zeros("I64", 5),
            "mask": zeros("BOOL", 5),
            "empty": zeros("F32", 0, 3),
            "bn.running_mean": zeros("F32", 3),
            "state.exp_avg": zeros("F32", 3),
            "scale": zeros("F8_E8M0", 4),
            "q.qweight": zeros("I32", 4, 4),
            "q.scales": zeros("F16", 4),
        },
    )
    report = motifs(path)
    assert [layer.name for layer in report.layers] == ["w", "bias", "scalar", "codes", "q.scales"]
    assert {tensor.name: tensor.reason for tensor in report.skipped} == {
        "ids": "integer I64",
        "mask": "BOOL",
        "empty": "empty",
        "bn.running_mean": "buffer",
        "state.exp_avg": "optimizer state",
        "scale": "E8M0 (no sign)",
        "q.qweight": "packed 4-bit codes",
    }
    assert "F32, F16, I8" in report.notes[0]
    named = motifs(path, include=("bn.*", "ids", "scale", "empty"))
    assert [layer.name for layer in named.layers] == ["ids", "bn.running_mean"]
    assert {layer.name for layer in motifs(path, include_optimizer=True).layers} >= {"state.exp_avg"}


def test_q_is_of_the_dtype_or_what_was_asked_for(tmp_path: Path) -> None:
    save_file({"w": np.arange(8, dtype=np.float32)}, tmp_path / "m.safetensors")
    (layer,) = motifs(tmp_path / "m.safetensors", q=8).layers
    assert (layer.q, layer.length, layer.ratio) == (8, 4 * 2 * 8 + 4 * 2, 64 / 72)


def test_nothing_to_cut_is_a_report_without_ratios(tmp_path: Path) -> None:
    save_file({"i": np.arange(8)}, tmp_path / "m.safetensors")
    report = motifs(tmp_path / "m.safetensors")
    assert (report.layers, report.model.ratio, report.model.length) == ((), None, 0)
    with pytest.raises(UsageError, match="no tensor to project"):
        motifs(tmp_path / "m.safetensors", k=3)


@pytest.mark.parametrize(
    "options",
    [
        {"block": "0"}, {"block": "2x"}, {"block": "x2"}, {"block": "5000"}, {"block": "100x100"}, {"block": "2x2x2"},
        {"k": 0}, {"k": 1.5}, {"k": True}, {"k": 3, "capacity": "5%"}, {"q": 0}, {"seed": -1}, {"top": -1},
        {"zero_block": True}, {"capacity": "0"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_raise(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make_motif_settings(**options)


# ---------------------------------------------------------------------------------------------------------- projection


@settings(max_examples=examples(60))
@given(
    size=st.sampled_from([1, 2, 3, 8, 9, 12]),
    k=st.integers(1, 30),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["grid", "normal", "far", "tiny", "huge"]),
)
def test_the_nearest_is_the_first_of_the_nearest(size: int, k: int, seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    scale = {"grid": 1.0, "normal": 1.0, "far": 1.0, "tiny": 1e-170, "huge": 1e200}[kind]
    draws = random.integers(-2, 3, (200, size)) if kind in ("grid", "tiny") else random.standard_normal((200, size))
    values = draws.astype(float) * scale + (1e8 if kind == "far" else 0.0)
    motifs_ = np.unique(values, axis=0)
    motifs_ = random.permutation(motifs_)[:k]
    found = Nearest(motifs_).query(values).tolist()
    expected = [naive_motifs.nearest(value, motifs_.tolist()) for value in values.tolist()]
    assert found == expected


@settings(max_examples=examples(60))
@given(
    model=models(),
    text=st.sampled_from(BLOCKS),
    k=st.integers(1, 12),
    zero_block=st.booleans(),
    piece=st.integers(0, 1),
)
def test_a_projection_is_that_of_plain_loops(
    tmp_path_factory: pytest.TempPathFactory, model: Model, text: str, k: int, zero_block: bool, piece: int
) -> None:
    folder = tmp_path_factory.mktemp("m")
    path, block = write(folder / "m.safetensors", model), parse_block(text)
    drawn: dict[str, Any] = {}

    def remember(layers: Sequence[Layer], *arguments: object, **options: object) -> Motifs:
        drawn[layers[0].tensor.dtype] = draw_motifs(layers, *arguments, **options)  # type: ignore[arg-type]
        return drawn[layers[0].tensor.dtype]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wcx.tasks.motifs.project.draw_motifs", remember)
        patch.setattr(cut, "_PIECE_CODES", (40, 1 << 17)[piece])
        report = motifs(
            path, block=text, k=k, zero_block=zero_block, include=("*",), write=str(folder / "p.safetensors")
        )
    assert report.projection is not None
    used: Counter[Any] = Counter()
    projected = raw_tensors(folder / "p.safetensors")
    for layer in report.projection.layers:
        dtype, shape, codes = model[layer.name]
        chosen = drawn[dtype].codes
        padded = chosen.reshape(-1)
        padded = np.concatenate([padded, np.zeros(-len(padded) % 4, padded.dtype)])
        choice = naive.decode(pack(padded, dtype), dtype, padded.shape)[: chosen.size].reshape(chosen.shape).tolist()
        blocks = values_of(dtype, shape, codes, block)
        every = blocks_of_dtype(model, dtype, block)
        different = {one for one in every if np.isfinite(one).all()} | zero(zero_block, block)
        assert len(choice) == min(k, len(every), len(different) or 1)
        before = naive.decode(pack(codes, dtype), dtype, shape).reshape(-1)
        kept = [not np.isfinite(one).all() for one in blocks]
        numbers_ = [0 if skip else naive_motifs.nearest(one, choice) for one, skip in zip(blocks, kept, strict=True)]
        used.update((dtype, number) for number, skip in zip(numbers_, kept, strict=True) if not skip)
        after = [one if skip else choice[number] for one, number, skip in zip(blocks, numbers_, kept, strict=True)]
        flat = uncut(after, shape, block)
        differs = ~((before == flat) | (np.isnan(before) & np.isnan(flat)))
        assert layer.changed == np.count_nonzero(differs)
        assert layer.kept == sum(kept)
        squares = float(((before[differs] - flat[differs]) ** 2).sum())
        if layer.distortion is not None:
            assert layer.distortion == pytest.approx(squares, rel=1e-12)
        written = projected[layer.name]
        assert written[:2] == (dtype, shape)
        np.testing.assert_array_equal(naive.decode(written[2], dtype, shape).reshape(-1), flat)
        if not differs.any():
            assert written[2] == pack(codes, dtype)  # -0.0 and NaNs too
    for dtype in report.projection.dtypes:
        assert sum(one.motifs for one in dtype.usage) == dtype.k == len(drawn[dtype.dtype])
        counts = [count for (kind, _), count in used.items() if kind == dtype.dtype]
        assert sum(one.blocks for one in dtype.usage) == sum(counts)
        assert sum(one.motifs for one in dtype.usage if one.at_least) == len(counts)
        assert dtype.length == description_length(dtype.k, sum(counts), block.size, bits_of(dtype.dtype))


def blocks_of_dtype(model: Model, dtype: str, block: Block) -> list[tuple[float, ...]]:
    tensors = [(shape, codes) for kind, shape, codes in model.values() if kind == dtype]
    return [one for shape, codes in tensors for one in values_of(dtype, shape, codes, block)]


def zero(wanted: bool, block: Block) -> set[tuple[float, ...]]:
    return {(0.0,) * block.size} if wanted else set()


def values_of(dtype: str, shape: tuple[int, ...], codes: np.ndarray[Any, Any], block: Block) -> list[tuple[float, ...]]:
    values = naive.decode(pack(codes, dtype), dtype, shape).reshape(-1).tolist()
    return naive_motifs.cut(values, shape, (block.rows, block.columns), block.flat)


def uncut(blocks: naive_motifs.Blocks, shape: tuple[int, ...], block: Block) -> np.ndarray[Any, Any]:
    """Put blocks back into the flattened tensor."""
    rows, columns = naive_motifs.matrix_shape(shape, block.flat)
    across = -(-columns // block.columns)
    flat = np.zeros(rows * columns)
    for r in range(rows):
        for c in range(columns):
            one = blocks[r // block.rows * across + c // block.columns]
            flat[r * columns + c] = one[r % block.rows * block.columns + c % block.columns]
    return flat


def raw_tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {
        name: (item["dtype"], tuple(item["shape"]), body[item["data_offsets"][0] : item["data_offsets"][1]])
        for name, item in header.items()
    }


def test_as_many_motifs_as_there_are_change_nothing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-3, 4, (30, 31)).astype(np.float32)
    values[0, :4] = [-0.0, 0.0, -0.0, 1.0]
    save_file({"w": values, "ids": np.arange(7)}, tmp_path / "m.safetensors", {"step": "3", "name": "\x1b[31mü"})
    report = motifs(tmp_path / "m.safetensors", capacity="100%", write=str(tmp_path / "p.safetensors"))
    assert report.projection is not None
    assert (report.projection.changed, report.projection.distortion) == (0, 0.0)
    assert report.projection.k == report.model.distinct
    assert report.projection.length == report.model.length
    assert raw_tensors(tmp_path / "p.safetensors") == raw_tensors(tmp_path / "m.safetensors")
    assert dict(open_checkpoint(tmp_path / "p.safetensors").metadata) == {"step": "3", "name": "\x1b[31mü"}
    np.testing.assert_array_equal(load_file(tmp_path / "p.safetensors")["ids"], np.arange(7))


def test_a_projected_checkpoint_has_the_motifs_that_it_was_given(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    save_file({"w": values, "bias": values[0]}, tmp_path / "m.safetensors")
    first = motifs(tmp_path / "m.safetensors", block="4", k=20, write=str(tmp_path / "p.safetensors")).projection
    again = motifs(tmp_path / "p.safetensors", block="4")
    assert first is not None
    assert (again.model.distinct, again.model.length) == (20, first.length)
    assert again.model.length_entropy == first.length_entropy
    squares = ((load_file(tmp_path / "p.safetensors")["w"].astype(float) - values.astype(float)) ** 2).sum()
    (layer,) = (layer for layer in first.layers if layer.name == "w")
    assert layer.distortion == pytest.approx(squares, rel=1e-12)
    assert layer.distortion_relative == pytest.approx(squares / (values.astype(float) ** 2).sum(), rel=1e-12)


def test_every_distinct_block_has_the_same_chance(tmp_path: Path) -> None:
    """Whatever how often it occurs: 3 of 10 over 600 seeds, each within 5 standard deviations of 180."""
    values = np.repeat(np.arange(1.0, 11.0), [1, 2, 3, 4, 5, 60, 70, 8, 9, 100])
    save_file({"w": values}, tmp_path / "m.safetensors")
    save_file({"w": values[::-1].copy()}, tmp_path / "r.safetensors")
    block = parse_block("1")
    counts: Counter[float] = Counter()
    orders: Counter[tuple[float, ...]] = Counter()
    for name in ("m", "r"):
        checkpoint = open_checkpoint(tmp_path / f"{name}.safetensors")
        layers = [layer_of(tensor, block) for tensor in checkpoint.tensors]
        with open_reader(checkpoint) as reader:
            for seed in range(600):
                drawn = draw_motifs(layers, block, 3, reader, seed=seed).codes.view(np.float64).reshape(-1).tolist()
                assert len(set(drawn)) == 3
                orders[seed, *drawn] += 1
                counts.update(drawn)
    assert set(orders.values()) == {2}  # the order of the blocks does not matter
    assert max(abs(counts[value] / 2 - 180) for value in np.arange(1.0, 11.0)) < 5 * math.sqrt(600 * 0.3 * 0.7)


def test_equal_hashes_do_not_change_who_is_drawn_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 3, 3000).astype(np.float64)
    save_file({"w": values}, tmp_path / "m.safetensors")
    monkeypatch.setattr(projection, "hash_words", lambda words, _key: words[:, 0] % np.uint64(2))
    checkpoint, block = open_checkpoint(tmp_path / "m.safetensors"), parse_block("3")
    layers = [layer_of(tensor, block) for tensor in checkpoint.tensors]
    with open_reader(checkpoint) as reader:
        drawn = [draw_motifs(layers, block, 9, reader, threads=threads).codes.tolist() for threads in (1, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(map(tuple, drawn[0]))) == 9


def test_blocks_that_are_not_finite_stay_and_are_no_motifs(tmp_path: Path) -> None:
    values = np.array([1, 2, np.nan, 3, 4, np.inf, 5, 6], np.float32)
    save_file({"w": values}, tmp_path / "m.safetensors")
    report = motifs(tmp_path / "m.safetensors", k=1, write=str(tmp_path / "p.safetensors"))
    assert report.projection is not None
    assert (report.projection.kept, report.projection.changed) == (2, 2)
    assert any("NaN or infinity" in note for note in report.notes)
    after = load_file(tmp_path / "p.safetensors")["w"]
    np.testing.assert_array_equal(after[2:6], values[2:6])
    assert after[:2].tolist() == after[6:].tolist()


def test_more_motifs_than_fit_in_memory_are_refused(tmp_path: Path) -> None:
    save_file({"w": np.zeros(4_000_000, np.float16)}, tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match="do not fit in memory"):
        motifs(tmp_path / "m.safetensors", k=3_000_000, block="1")


# ------------------------------------------------------------------------------------------------------------- writing


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"w": np.arange(8, dtype=np.float32)}, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors"
    before = path.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(path)
    for target in (path, tmp_path / "link.safetensors", tmp_path, tmp_path / "no" / "p.safetensors"):
        with pytest.raises(UsageError, match="--write"):
            motifs(path, k=2, write=str(target))
    with pytest.raises(UsageError, match="give k or capacity"):
        motifs(path, write=str(tmp_path / "p.safetensors"))

    def fail(*_arguments: object) -> None:
        raise CheckpointError("m", "gone")

    monkeypatch.setattr("wcx.tasks.motifs.writing.SafetensorsWriter.write", fail)
    with pytest.raises(CheckpointError):
        motifs(path, k=2, write=str(tmp_path / "p.safetensors"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.safetensors", "m.safetensors"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2"])
def test_pieces_that_begin_within_a_byte_are_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    codes = random_codes(dtype, 60, np.random.default_rng(0))
    path = write(tmp_path / "m.safetensors", {"w": (dtype, (12, 5), codes)})
    monkeypatch.setattr(cut, "_PIECE_CODES", 5)
    motifs(path, block="1x5", capacity="100%", write=str(tmp_path / "p.safetensors"))
    assert raw_tensors(tmp_path / "p.safetensors") == raw_tensors(path)


def test_a_checkpoint_of_several_files_is_written_as_one(tmp_path: Path) -> None:
    source = ROOT / "sample_models" / "tiny_lm_bf16"
    report = motifs(source, block="4x4", k=100, zero_block=True, write=str(tmp_path / "p.safetensors"))
    assert report.projection is not None
    written, described = raw_tensors(tmp_path / "p.safetensors"), open_checkpoint(source)
    assert {name: item[:2] for name, item in written.items()} == {
        tensor.name: (tensor.dtype, tensor.shape) for tensor in described.tensors
    }
    again = motifs(tmp_path / "p.safetensors", block="4x4")
    assert again.model.weights == report.model.weights
    assert dict(open_checkpoint(tmp_path / "p.safetensors").metadata) == dict(described.metadata)


def test_capacity_is_a_share_of_the_blocks_of_each_dtype(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    save_file(
        {"a": random.standard_normal(2000).astype(np.float32), "b": random.standard_normal(999).astype(np.float64)},
        tmp_path / "m.safetensors",
    )
    report = motifs(tmp_path / "m.safetensors", capacity="1%")
    assert report.projection is not None
    assert {one.dtype: one.k for one in report.projection.dtypes} == {"F32": 10, "F64": 5}
    assert Fraction(1, 100) == parse_capacity("1%")
