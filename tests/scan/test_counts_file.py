"""Counts and numbers as bytes: read back as they were, small, and nothing but ValueError from damaged ones."""

from __future__ import annotations

import math
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from strategies import SCHEME, block_counts, counts_of, cut_of, planes

from wcx.blocks.counts import BlockCounts
from wcx.core.scheme import Fit, Scheme
from wcx.formats import open_checkpoint, open_reader
from wcx.scan import counts_file as codec
from wcx.scan.count import CountedLayer, count_layers
from wcx.scan.counts_file import (
    decode_changes,
    decode_counted,
    decode_rows,
    encode_changes,
    encode_counted,
    encode_rows,
    iterate_counted,
)
from wcx.scan.layers import layer_of
from wcx.scan.sources import FileSource

SAMPLES = Path(__file__).parents[2] / "sample_models"
REFUSED = "fewer bytes|not what|damaged|wrong|more|too large|no (counted )?"
Counted = list[tuple[Fit, CountedLayer]]

doubles = st.floats(allow_nan=False, allow_infinity=False)
fits = st.builds(
    Fit,
    *[st.none() | doubles] * 5,
    zero_point=st.none() | st.integers(-(2**63), 2**63 - 1),
)
whole = st.integers(0, 2**63 - 1)


@st.composite
def any_counts(draw: st.DrawFn) -> BlockCounts:
    """Counts under any kind of scheme, none among them, and the last code of each."""
    if draw(st.booleans()):
        return draw(block_counts())
    cells, smaller, overlapping = draw(
        st.sampled_from([(16, (), True), (16, (9, 4), False), (12, (), False), (12, (11, 10), False), (1, (), False)])
    )
    most = sum(1 << some for some in (cells, *smaller)) - 1
    some = st.sampled_from([0, most, most // 2, most // 3]) | st.integers(0, most)
    found = draw(st.dictionaries(some, st.integers(1, 2**41), max_size=9))
    kind = np.uint32 if smaller else np.uint16
    codes = sorted(found)
    numbers = np.array([found[code] for code in codes], np.int64)
    symbols = 16 * sum(found.values()) + draw(st.integers(0, 9))
    scheme = draw(st.sampled_from(["4x4-recursive-rows", "1x12-ignore-flat", ""]))
    return BlockCounts(
        scheme, np.array(codes, kind), numbers, symbols, draw(st.integers(0, symbols)), cells, smaller, overlapping
    )


layers = st.lists(
    st.tuples(
        fits,
        st.builds(CountedLayer, st.lists(any_counts(), max_size=4).map(tuple), whole, whole, st.booleans()),
    ),
    max_size=6,
)
changes = st.lists(st.none() | st.lists(any_counts(), max_size=4).map(tuple), max_size=6)


def dense(mean: float, seed: int = 0) -> BlockCounts:
    """The counts of a large plane: all codes, each about as often."""
    found = np.random.default_rng(seed).poisson(mean, 65536).astype(np.int64)
    return BlockCounts.from_histogram(SCHEME, found, 16 * int(found.sum()), 8 * int(found.sum()))


def assert_same(found: Counted, expected: Counted) -> None:
    """Equal to the last bit and type."""
    assert found == expected
    for (fit, counted), (other_fit, other) in zip(found, expected, strict=True):
        assert repr(fit) == repr(other_fit)  # -0.0, and 1 is not 1.0
        assert type(counted.at_most_two_values) is bool
        for plane, other_plane in zip(counted.planes, other.planes, strict=True):
            assert plane.codes.dtype == other_plane.codes.dtype
            assert plane.counts.dtype == np.int64
            assert type(plane.symbols) is type(plane.ones) is int
            assert plane.left_over == other_plane.left_over


# -------------------------------------------------------------------------------------------------- there and back


@given(layers)
def test_counted_layers_are_read_back_equal(counted: Counted) -> None:
    assert_same(decode_counted(encode_counted(counted)), counted)


@given(changes)
def test_changes_are_read_back_equal(counted: list[tuple[BlockCounts, ...] | None]) -> None:
    assert decode_changes(encode_changes(counted)) == counted


def test_a_layer_without_changes_is_not_one_without_planes() -> None:
    assert decode_changes(encode_changes([None, (), None])) == [None, (), None]


@given(planes())
def test_counts_of_planes_are_read_back_equal(plane: NDArray[np.uint8]) -> None:
    counts = counts_of(plane)
    assert decode_changes(encode_changes([(counts, counts)])) == [(counts, counts)]


@given(layers, layers)
def test_frames_that_follow_each_other_are_one_text(one: Counted, other: Counted) -> None:
    assert_same(decode_counted(encode_counted(one) + encode_counted(other)), one + other)


def test_large_layers_take_several_frames_and_small_ones_share_one() -> None:
    small = [(Fit(lo=float(index)), CountedLayer((counts_of(np.eye(8)),), index, 0, True)) for index in range(9000)]
    large = [(Fit(), CountedLayer((dense(9, index),) * 3, 1, 2, False)) for index in range(3)]
    for counted, frames in ((small, 3), (large, 3), ([*large, *small], 5)):
        data = encode_counted(counted)
        assert data.count(codec._COUNTED) == frames
        assert_same(decode_counted(data), counted)


def test_sixteen_planes_of_every_block_fit_into_a_frame() -> None:
    codes = np.arange(65536 + 512 + 16, dtype=np.uint32)
    numbers = np.full(codes.size, 2**41, np.int64)
    plane = BlockCounts("4x4-recursive-rows", codes, numbers, 2**62, 5, 16, (9, 4))
    counted = [(Fit(), CountedLayer((plane,) * 16, 0, 0, False))]
    assert_same(decode_counted(encode_counted(counted)), counted)


@pytest.mark.parametrize("boundary", ["ignore", "recursive", "correlated"])
@pytest.mark.parametrize("quantizer", ["sign", "polarity", "uniform:4"])
def test_what_is_counted_in_a_model_is_read_back_equal(quantizer: str, boundary: str) -> None:
    checkpoint = open_checkpoint(SAMPLES / "digits_cnn" / "model.safetensors")
    found = [layer_of(tensor) for tensor in checkpoint.tensors if len(tensor.shape) > 1 and min(tensor.shape[:2]) > 3]
    fit = Fit(lo=-0.1, hi=0.1, delta=0.2 / 15)
    cuts = [cut_of(quantizer, layer.dtype.name, np.array([-0.1, 0.1])) for layer in found]
    with open_reader(checkpoint) as reader:
        counted = [
            (fit, one) for one in count_layers(found, cuts, Scheme(boundary=boundary), lambda: FileSource(reader))
        ]
    assert len(counted) == 3
    assert_same(decode_counted(encode_counted(counted)), counted)


def test_layers_are_given_before_later_ones_are_read() -> None:
    counted = [(Fit(), CountedLayer((dense(3, index),) * 4, 0, 0, False)) for index in range(3)]
    data = encode_counted(counted)
    found = iterate_counted(data[: 2 * len(data) // 3])
    assert next(found) == counted[0]
    with pytest.raises(ValueError, match=REFUSED):
        list(found)


@pytest.mark.parametrize(("mean", "most"), [(0.06, 0.9), (1, 0.5), (16, 0.6), (43, 0.7), (300, 0.9), (1500, 1.2)])
def test_a_large_plane_takes_about_a_byte_a_block(mean: float, most: float) -> None:
    plane = dense(mean)
    assert len(encode_changes([(plane,)])) < most * plane.codes.size


@given(any_counts())
def test_bytes_depend_on_the_counts_only(counts: BlockCounts) -> None:
    again = BlockCounts.from_bytes(counts.to_bytes())
    assert encode_changes([(counts,)]) == encode_changes([(again,)])


# ------------------------------------------------------------------------------------------------- what is not written


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_fit_that_is_no_number_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        encode_counted([(Fit(hi=number), CountedLayer((), 0, 0, False))])


def test_a_fit_of_another_type_is_not_written() -> None:
    with pytest.raises(TypeError, match="another type"):
        encode_counted([(Fit(threshold=1), CountedLayer((), 0, 0, False))])


def test_counts_that_could_not_be_added_up_are_not_written() -> None:
    plane = BlockCounts(SCHEME, np.array([7], np.uint16), np.array([2**41 + 1]), 2**60, 0)
    with pytest.raises(ValueError, match="counts that no tensor has"):
        encode_changes([(plane,)])


# ------------------------------------------------------------------------------------------------------------ damage


SOME: Counted = [
    (Fit(lo=-1.5, zero_point=3), CountedLayer((dense(0.001), counts_of(np.eye(9, dtype=np.uint8))), 5, 6, True)),
    (Fit(), CountedLayer((counts_of(np.ones((9, 70), np.uint8)),), 0, 0, False)),
]
ENCODED = {
    "counted": (encode_counted(SOME), decode_counted),
    "changes": (encode_changes([SOME[0][1].planes, None, SOME[1][1].planes]), decode_changes),
    "rows": (encode_rows({"layers": [{"bdm": 1.5, "name": "fc1", "z": None}]}), decode_rows),
}


def is_refused_or_sound(decode: Callable[[bytes], Any], data: bytes) -> bool:
    """Whether bytes are refused as they should be; otherwise what is read has to be counts that add up."""
    try:
        found = decode(data)
    except ValueError:
        return True
    if decode is decode_rows:
        return False
    for one in found:
        for plane in one[1].planes if isinstance(one, tuple) and isinstance(one[0], Fit) else one or ():
            assert BlockCounts.from_bytes(plane.to_bytes()) == plane
    return False


@pytest.mark.parametrize("kind", ENCODED)
def test_any_byte_changed_or_missing_is_refused(kind: str) -> None:
    """Or it is one of the bits that zlib leaves unused behind its last."""
    data, decode = ENCODED[kind]
    whole, unused = decode(data), 0
    for place in range(len(data)):
        for change in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= change
            if not is_refused_or_sound(decode, bytes(damaged)):
                assert decode(bytes(damaged)) == whole
                unused += 1
        assert place == 0 or is_refused_or_sound(decode, data[:place])
        assert is_refused_or_sound(decode, data + data[: place + 1]) or place == len(data) - 1
    assert unused <= 2


@pytest.mark.parametrize("kind", ENCODED)
def test_one_kind_is_not_read_as_another(kind: str) -> None:
    for other, (_data, decode) in ENCODED.items():
        if other != kind:
            with pytest.raises(ValueError, match=REFUSED):
                decode(ENCODED[kind][0])


def raw_of(data: bytes) -> bytes:
    return zlib.decompress(data[codec._HEAD.size :])


def packed(magic: bytes, raw: bytes) -> bytes:
    """A frame with a right checksum, whatever is in it."""
    inside = zlib.compress(raw, 1)
    return codec._HEAD.pack(magic, len(inside), len(raw)) + inside


@pytest.mark.parametrize("kind", ENCODED)
def test_packed_bytes_that_are_not_whole_or_go_on_are_refused(kind: str) -> None:
    data, decode = ENCODED[kind]
    magic, _packed, nbytes = codec._HEAD.unpack_from(data)
    inside = data[codec._HEAD.size :]
    for other in (*(inside[:-cut] for cut in range(1, 8)), inside + b"\0", inside + inside):
        with pytest.raises(ValueError, match="packed bytes of a wrong length"):
            decode(codec._HEAD.pack(magic, len(other), nbytes) + other)


@pytest.mark.parametrize("kind", ["counted", "changes"])
def test_any_byte_changed_inside_of_a_frame_is_refused_or_reads_as_counts_that_add_up(kind: str) -> None:
    data, decode = ENCODED[kind]
    raw, magic = raw_of(data), data[:8]
    assert decode(packed(magic, raw)) == decode(data)
    refused = 0
    for place in range(len(raw)):
        for change in (1, 0x80, 0xFF):
            damaged = bytearray(raw)
            damaged[place] ^= change
            refused += is_refused_or_sound(decode, packed(magic, bytes(damaged)))
        assert is_refused_or_sound(decode, packed(magic, raw[:place]))
        is_refused_or_sound(decode, packed(magic, raw[:place] + b"\0" + raw[place:]))
    assert refused > len(raw)


@pytest.mark.parametrize("kind", ["counted", "changes"])
def test_random_damage_inside_of_a_frame_raises_nothing_else(kind: str) -> None:
    data, decode = ENCODED[kind]
    raw, magic, random = raw_of(data), data[:8], Random(5)
    for _ in range(3000):
        damaged = bytearray(raw)
        for _ in range(random.choice([1, 2, 5, 20])):
            place = random.randrange(min(len(damaged), random.choice([20, 200, len(damaged)])))
            damaged[place : place + random.choice([0, 1, 1, 1, 4])] = random.randbytes(
                random.choice([0, 1, 1, 1, 4, 8])
            )
        is_refused_or_sound(decode, packed(magic, bytes(damaged)))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    for _data, decode in ENCODED.values():
        if data:
            assert is_refused_or_sound(decode, data)
    assert is_refused_or_sound(decode_rows, packed(b"wcxrows1", data + b"\xff"))


@pytest.mark.parametrize("nbytes", [1 << 20, 1 << 27, 1 << 40, (1 << 64) - 1])
def test_a_size_that_is_not_true_takes_no_memory(nbytes: int) -> None:
    bomb = zlib.compress(bytes(2 << 20), 9)
    for magic, decode in ((b"wcxcoun1", decode_counted), (b"wcxchan1", decode_changes), (b"wcxrows1", decode_rows)):
        for inside in (bomb, bomb[:100], b"x" * 100):
            tracemalloc.start()
            with pytest.raises(ValueError, match=REFUSED):
                decode(codec._HEAD.pack(magic, len(inside), nbytes) + inside)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 6 << 20


@pytest.mark.parametrize("place", range(4))
def test_numbers_inside_of_a_frame_that_are_not_true_take_no_memory(place: int) -> None:
    data, decode = ENCODED["counted"]
    raw = raw_of(data)
    sizes = list(codec._SIZES.unpack_from(raw))
    sizes[place] = (1 << 32) - 1
    tracemalloc.start()
    with pytest.raises(ValueError, match=REFUSED):
        decode(packed(data[:8], codec._SIZES.pack(*sizes) + raw[codec._SIZES.size :]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def frame(
    layer: tuple[Any, ...] = (1, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0),
    kind: bytes = b"\0\x10\0\0",
    head: tuple[int, int, int, int] = (0, 1, 16, 0),
    columns: bytes = b"\x07\0",
    codes: int = 1,
) -> bytes:
    """A layer of one plane with one block: its number, then how often it occurs less one."""
    table = np.array([layer], codec._LAYER).tobytes()
    heads = np.array([head], codec._PLANE).tobytes()
    return packed(b"wcxcoun1", codec._SIZES.pack(1, 1, 1, codes) + kind + table + heads + columns)


def wide(number: int) -> bytes:
    """A number in the columns of a frame, in the widest there is."""
    return b"\xff\xff\xff" + (number - 255 - 65535).to_bytes(8, "little")


def test_a_frame_made_by_hand_is_read() -> None:
    plane = BlockCounts("", np.array([7], np.uint16), np.array([1]), 16, 0)
    assert decode_counted(frame()) == [(Fit(), CountedLayer((plane,), 0, 0, False))]
    ((fit, counted),) = decode_counted(
        frame((1, 5, 6, 1, 33, -0.5, 0.0, 0.0, 0.0, 0.0, -3), head=(0, 1, 2**62, 3), columns=b"\x07" + wide(2**41 - 1))
    )
    assert (fit, counted.zeros, counted.nonfinite, counted.at_most_two_values) == (
        Fit(lo=-0.5, zero_point=-3),
        5,
        6,
        True,
    )
    assert counted.planes[0].counts.tolist() == [2**41]


NO_FIT = (0.0, 0.0, 0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(columns=b"\x07\0\0"), "more bytes"),
        (frame(columns=b"\x07"), "fewer bytes"),
        (frame((0xFFFF, 0, 0, 0, 0, *NO_FIT)), "wrong number of planes"),
        (frame((0, 0, 0, 0, 0, *NO_FIT)), "wrong number of planes"),
        (frame((2, 0, 0, 0, 0, *NO_FIT)), "wrong number of planes"),
        (frame((1, 0, 0, 2, 0, *NO_FIT)), "no counted layer"),
        (frame((1, 0, 0, 0, 64, *NO_FIT)), "no counted layer"),
        (frame((1, 0, 0, 0, 1, math.nan, *NO_FIT[1:])), "not finite"),
        (frame((1, 0, 0, 0, 2, 0.0, math.inf, *NO_FIT[2:])), "not finite"),
        (frame(kind=b"\0\x11\0\0"), "wrong shape"),
        (frame(kind=b"\0\x00\0\0"), "wrong shape"),
        (frame(kind=b"\0\x10\2\0"), "wrong shape"),
        (frame(kind=b"\0\x10\0\1\0"), "wrong shape"),
        (frame(kind=b"\1\x10\0\0\xff"), "utf-8"),
        (frame(head=(1, 1, 16, 0)), "of no kind"),
        (frame(head=(0, 2, 32, 0)), "wrong number of codes"),
        (frame(codes=2, columns=b"\x07\0\0\0"), "wrong number of codes"),
        (frame(head=(0, 1, 16, 17)), "add up"),
        (frame(head=(0, 1, 15, 0)), "add up"),
        (frame(head=(0, 1, 31, 0), columns=b"\x07\1"), "add up"),
        (frame(kind=b"\0\x10\0\1\x09", head=(0, 1, 15, 0)), "add up"),
        (frame(kind=b"\0\x04\0\0", columns=b"\x10\0"), "no block has"),
        (frame(columns=wide(65790) + b"\0"), "no block has"),
        (frame(columns=wide(1 << 17) + b"\0"), "too large"),
        (frame(head=(0, 1, 2**62, 0), columns=b"\x07" + wide(1 << 41)), "too large"),
        (frame(head=(0, 1, 2**62, 0), columns=b"\x07" + wide(1 << 63)), "too large"),
    ],
)
def test_a_frame_that_says_what_can_not_be_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_counted(data)


def test_a_counted_layer_has_planes() -> None:
    table = np.array([(0xFFFF, 0, 0, 0, 0, *NO_FIT)], codec._LAYER).tobytes()
    with pytest.raises(ValueError, match="no counted layer"):
        decode_counted(packed(b"wcxcoun1", codec._SIZES.pack(1, 0, 0, 0) + table))


def test_no_more_layers_are_read_than_a_frame_has() -> None:
    """Bytes of zlib can stand for many: a kilobyte for a million layers."""
    for layers in (codec._FRAME_LAYERS, codec._FRAME_LAYERS + 1):
        data = packed(b"wcxchan1", codec._SIZES.pack(layers, 0, 0, 0) + b"\xff\xff" * layers)
        if layers == codec._FRAME_LAYERS:
            assert decode_changes(data) == [None] * layers
        else:
            with pytest.raises(ValueError, match="more than a frame has"):
                decode_changes(data)


def test_no_more_kinds_of_planes_are_read_than_there_are_planes() -> None:
    with pytest.raises(ValueError, match="more bytes than there should be"):
        decode_changes(packed(b"wcxchan1", codec._SIZES.pack(0, 0, 3, 0) + b"\0\x10\0\0" * 3))


def test_a_text_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested"):
        decode_rows(packed(b"wcxrows1", b"[" * 100_000 + b"]" * 100_000))


# -------------------------------------------------------------------------------------------------------------- rows


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | doubles | st.text(st.characters()),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(st.characters()), inside, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_rows_are_read_back_equal(rows: object) -> None:
    assert repr(decode_rows(encode_rows(rows))) == repr(rows)


def test_rows_keep_every_double_and_any_name() -> None:
    rows = {"\ud800": 0.1 + 0.2, "tiny": 5e-324, "-0": -0.0, "large": 1.7976931348623157e308, "third": 1 / 3}
    assert repr(decode_rows(encode_rows(rows))) == repr(rows)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_rows_have_no_nan(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_rows({"bdm": number})
    for name in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(ValueError, match="is no number"):
            decode_rows(packed(b"wcxrows1", f'{{"bdm": {name}}}'.encode()))
