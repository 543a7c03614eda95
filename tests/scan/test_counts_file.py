"""Counts files: read back as they were written, small, read by NumPy too, and only ValueError from any others."""

from __future__ import annotations

import io
import json
import math
import tracemalloc
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from strategies import SCHEME, counts_of, cut_of, planes

from wcx.blocks.counts import BlockCounts
from wcx.core.scheme import Fit, Scheme
from wcx.formats import open_checkpoint, open_reader
from wcx.scan.archive import pack, read_archive, write_archive
from wcx.scan.count import count_layers
from wcx.scan.counts_file import LayerCounts, decode_counts, encode_counts
from wcx.scan.layers import layer_of
from wcx.scan.sources import FileSource

ROOT = Path(__file__).parents[2]
SETTINGS = {"quantizer": "sign", "preset": None, "scheme": SCHEME}
Layers = list[LayerCounts]

doubles = st.floats(allow_nan=False, allow_infinity=False)
fits = st.builds(Fit, *[st.none() | doubles] * 5, zero_point=st.none() | st.integers(-(2**63), 2**63 - 1))
whole = st.integers(0, 2**63 - 1)
kinds = st.sampled_from(
    [(16, (), False), (16, (), True), (16, (9, 4), False), (12, (), False), (12, (11, 10), False), (1, (), False)]
)


def plane_of(found: dict[int, int], symbols: int, ones: int, kind: tuple[int, tuple[int, ...], bool]) -> BlockCounts:
    codes = np.array(sorted(found), np.uint32 if kind[1] else np.uint16)
    counts = np.array([found[code] for code in sorted(found)], np.int64)
    return BlockCounts("any", codes, counts, symbols, ones, *kind)


@st.composite
def layers(draw: st.DrawFn) -> Layers:
    """Layers under any kind of scheme: no plane at all, planes without a block, and the last code of each."""
    kind = draw(kinds)
    most = sum(1 << cells for cells in (kind[0], *kind[1])) - 1
    codes = st.sampled_from([0, most, most // 2]) | st.integers(0, most)
    made = []
    for index in range(draw(st.integers(0, 4))):
        found = draw(st.none() | st.lists(st.dictionaries(codes, st.integers(1, 2**41), max_size=9), max_size=4))
        symbols = 16 * max((sum(some.values()) for some in found or ()), default=0) + draw(st.integers(0, 9))
        ones = st.integers(0, symbols)
        counted = None if found is None else tuple(plane_of(some, symbols, draw(ones), kind) for some in found)
        facts = draw(st.tuples(fits, whole, whole, st.booleans()))
        name = draw(st.text(max_size=5) | st.just(f"\ud800{index}"))
        made.append(LayerCounts(name, tuple(draw(st.lists(whole, max_size=4))), counted, *facts))
    return made


def dense(mean: float, seed: int = 0) -> BlockCounts:
    """The counts of a large plane: all codes, each about as often."""
    found = np.random.default_rng(seed).poisson(mean, 65536).astype(np.int64)
    return BlockCounts.from_histogram(SCHEME, found, 1 << 40, 8 * int(found.sum()))


def layer(*counts: BlockCounts, name: str = "fc") -> LayerCounts:
    return LayerCounts(name, (8, 8), counts)


def read(data: bytes) -> Layers:
    """All layers of a counts file."""
    return list(decode_counts(data)[1])


def assert_same(found: Layers, expected: Layers) -> None:
    """Equal to the last bit and type."""
    assert found == expected
    for one, other in zip(found, expected, strict=True):
        assert repr(one.fit) == repr(other.fit)  # -0.0, and 1 is not 1.0
        for plane, other_plane in zip(one.planes or (), other.planes or (), strict=True):
            assert plane.codes.dtype == other_plane.codes.dtype
            assert plane.counts.dtype == np.int64
            assert type(plane.symbols) is type(plane.ones) is int
            assert plane.left_over == other_plane.left_over


# -------------------------------------------------------------------------------------------------- there and back


@given(layers())
def test_layers_are_read_back_equal(counted: Layers) -> None:
    settings, found = decode_counts(encode_counts(counted, SETTINGS))
    assert settings == SETTINGS
    assert_same(list(found), counted)


@given(planes())
def test_counts_of_planes_are_read_back_equal(plane: NDArray[np.uint8]) -> None:
    counted = [layer(counts_of(plane), counts_of(plane))]
    assert_same(read(encode_counts(counted, {})), counted)


def test_a_layer_without_changes_is_not_one_without_planes() -> None:
    counted = [LayerCounts("fc", (2,), planes) for planes in (None, (), None)]
    assert [one.planes for one in read(encode_counts(counted, {}))] == [None, (), None]


def test_large_layers_take_several_parts_and_small_ones_share_one() -> None:
    small = [layer(counts_of(np.eye(8)), name=str(index)) for index in range(9000)]
    large = [layer(*[dense(9, index)] * 3, name=str(index)) for index in range(3)]
    for counted, parts in ((small, 1), (large, 3), ([*large, *small], 3), ([], 0)):
        data = encode_counts(counted, {})
        assert len(read_archive(data)) == 2 * parts + 1
        assert_same(read(data), counted)


def test_sixteen_planes_of_every_block_are_written() -> None:
    codes = np.arange(65536 + 512 + 16, dtype=np.uint32)
    plane = BlockCounts("4x4-recursive-rows", codes, np.full(codes.size, 2**41, np.int64), 2**62, 5, 16, (9, 4))
    assert_same(read(encode_counts([layer(*[plane] * 16)], {})), [layer(*[plane] * 16)])


@pytest.mark.parametrize("boundary", ["ignore", "recursive", "correlated"])
@pytest.mark.parametrize("quantizer", ["sign", "polarity", "uniform:4"])
def test_what_is_counted_in_a_model_is_read_back_equal(quantizer: str, boundary: str) -> None:
    checkpoint = open_checkpoint(ROOT / "sample_models" / "digits_cnn" / "model.safetensors")
    found = [layer_of(tensor) for tensor in checkpoint.tensors if len(tensor.shape) > 1 and min(tensor.shape[:2]) > 3]
    cuts = [cut_of(quantizer, one.dtype.name, np.array([-0.1, 0.1])) for one in found]
    with open_reader(checkpoint) as reader:
        planes = [
            counted.planes
            for counted in count_layers(found, cuts, Scheme(boundary=boundary), lambda: FileSource(reader))
        ]
    counted = [LayerCounts(one.tensor.name, one.tensor.shape, some) for one, some in zip(found, planes, strict=True)]
    assert len(counted) == 3
    assert_same(read(encode_counts(counted, SETTINGS)), counted)


def test_parts_are_unpacked_one_at_a_time() -> None:
    data = encode_counts([layer(*[dense(3)] * 4, name=str(index)) for index in range(12)], {})
    tracemalloc.start()
    assert sum(one.codes > 0 for one in decode_counts(data)[1]) == 12
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data) + (24 << 20)  # twelve parts of 7 MiB


@pytest.mark.parametrize(("mean", "most"), [(0.06, 0.9), (1, 0.5), (16, 0.6), (43, 0.7), (300, 0.9), (1500, 1.2)])
def test_a_large_plane_takes_about_a_byte_a_block(mean: float, most: float) -> None:
    plane = dense(mean)
    assert len(encode_counts([layer(plane)], SETTINGS)) < most * plane.codes.size + 1000


@given(layers())
def test_bytes_depend_on_the_content_only(counted: Layers) -> None:
    data = encode_counts(counted, SETTINGS)
    assert encode_counts(read(data), dict(SETTINGS)) == data


# ------------------------------------------------------------------------------------------------ to other programs


def test_zipfile_and_numpy_read_what_the_page_says() -> None:
    """The example of docs/counts-file.md, run as it is there."""
    page = (ROOT / "docs" / "counts-file.md").read_text()
    (example,) = [part.partition("```")[0] for part in page.split("```python")[1:]]
    counted = [layer(dense(3), dense(0.1)), LayerCounts("none", (3,), None), layer(counts_of(np.eye(8)), name="eye")]
    counted += [layer(*[dense(5)] * 4, name="second part")]
    names: dict[str, Any] = {}
    exec(example, names)
    blocks = names["read_blocks"](io.BytesIO(encode_counts(counted, SETTINGS)))
    planes = {(one.name, index): plane for one in counted for index, plane in enumerate(one.planes or ())}
    assert blocks.keys() == planes.keys()
    for key, plane in planes.items():
        codes, counts = blocks[key]
        assert codes.tolist() == plane.codes.tolist()
        assert counts.tolist() == plane.counts.tolist()


def test_it_is_a_zip_archive_without_a_trace_of_its_time_and_place() -> None:
    data = encode_counts([layer(counts_of(np.eye(8)))], SETTINGS)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.comment == blake2b(data[:-64], digest_size=32).hexdigest().encode()
        for member in archive.infolist():
            assert (member.date_time, member.extra, member.create_system) == ((1980, 1, 1, 0, 0, 0), b"", 0)
            assert (member.external_attr, member.flag_bits, member.compress_type) == (0, 0, zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("plane", [dense(0), dense(0.01), dense(3), dense(70_000)])
def test_an_array_begins_as_numpy_has_it(plane: BlockCounts) -> None:
    for member in read_archive(encode_counts([layer(plane)], {}))[:2]:
        array = np.load(io.BytesIO(member.unpack()), allow_pickle=False)
        file = io.BytesIO()
        np.save(file, array)
        assert (array.dtype, array.ndim, array.shape[1]) == (np.uint8, 2, plane.codes.size)
        assert file.getvalue() == member.unpack()


# ------------------------------------------------------------------------------------------------- what is not written


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_fit_that_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_counts([LayerCounts("fc", (), (), Fit(hi=number))], {})


PLANE = plane_of({7: 1}, 16, 0, (16, (), False))


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        ([layer(plane_of({7: 2**41 + 1}, 2**60, 0, (16, (), False)))], "impossible counts"),
        ([layer(PLANE, plane_of({7: 1}, 17, 0, (16, (), False)))], "different numbers of symbols"),
        ([layer(PLANE), layer(plane_of({7: 1}, 16, 0, (12, (), False)))], "several schemes"),
        ([LayerCounts("x" * (5 << 20), (), ())], "or too large"),
        ([LayerCounts("fc", (-1,), ())], "not wcx/counts/1"),
        ([LayerCounts("fc", (), (), zeros=2**63)], "not wcx/counts/1"),
        ([layer(*[PLANE] * 257)], "not wcx/counts/1"),
        ([layer(*[dense(9)] * 33)], "impossible counts"),
    ],
)
def test_counts_that_would_not_be_read_are_not_written(counted: Layers, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode_counts(counted, {})


# ------------------------------------------------------------------------------------------------------------ damage


SOME = [
    LayerCounts("conv.weight", (9, 9), (counts_of(np.eye(9)), counts_of(np.ones((9, 9)))), Fit(lo=-1.5), 5, 6, True),
    LayerCounts("none", (1,), None),
    layer(counts_of(np.ones((9, 70)))),
]
DATA = encode_counts(SOME, SETTINGS)


def test_any_byte_changed_is_refused() -> None:
    """Of headers, names, dates and sizes, arrays, JSON and the digest alike."""
    assert_same(read(DATA), SOME)
    for place in range(len(DATA)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            damaged = bytearray(DATA)
            damaged[place] ^= change
            with pytest.raises(ValueError, match="damaged"):
                decode_counts(bytes(damaged))


def test_a_file_cut_short_or_longer_is_refused() -> None:
    for data in (*(DATA[:nbytes] for nbytes in range(len(DATA))), DATA + b"\0", DATA + DATA, b"\0" + DATA):
        with pytest.raises(ValueError, match="damaged"):
            decode_counts(data)


def sealed(body: bytes) -> bytes:
    """A body with the digest that belongs to it."""
    return body + blake2b(body, digest_size=32).hexdigest().encode()


def is_refused_or_sound(data: bytes) -> bool:
    """Return True for bytes that are refused; what is read instead has to be counts that add up."""
    try:
        found = read(data)
    except ValueError:
        return True
    for plane in (plane for one in found for plane in one.planes or ()):
        codes, counts, sizes = plane.codes.tolist(), plane.counts.tolist(), (plane.cells, *plane.smaller)
        ends = list(accumulate(1 << cells for cells in sizes))
        cells = sum(number * sizes[bisect_right(ends, code)] for code, number in zip(codes, counts, strict=True))
        assert codes == sorted(set(codes))
        assert max(codes, default=0) < ends[-1]
        assert min(counts, default=1) >= 1
        assert (sum(counts) if plane.overlapping else cells) <= plane.symbols
        assert 0 <= plane.ones <= plane.symbols
    return False


def test_any_byte_changed_under_a_right_digest_is_refused() -> None:
    """But for the bits that zlib leaves unused behind its last."""
    unused = 0
    for place in range(len(DATA) - 64):
        for change in (1, 0x80, 0xFF):
            damaged = bytearray(DATA[:-64])
            damaged[place] ^= change
            if not is_refused_or_sound(sealed(bytes(damaged))):
                assert_same(read(sealed(bytes(damaged))), SOME)
                unused += 1
        assert is_refused_or_sound(sealed(DATA[:place]))
    assert unused <= 6


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert is_refused_or_sound(data)
    assert is_refused_or_sound(sealed(data))
    assert is_refused_or_sound(write_archive([pack("counts.json", data, 6)]))


def unpacked(data: bytes) -> dict[str, bytes]:
    return {member.name.decode(): member.unpack() for member in read_archive(data)}


def packed(members: dict[str, bytes]) -> bytes:
    """A whole archive with right checksums, whatever is in it."""
    return write_archive([pack(name, raw, 6) for name, raw in members.items()])


def test_random_damage_inside_of_members_raises_nothing_else() -> None:
    members, random, sound = unpacked(DATA), Random(5), 0
    assert_same(read(packed(members)), SOME)
    for _ in range(3000):
        name = random.choice(list(members))
        damaged = bytearray(members[name])
        for _ in range(random.choice([1, 2, 5])):
            place = random.randrange(len(damaged))
            inserted = random.choice([random.randbytes(random.choice([0, 1, 4])), b"0", b"-", b"[", b"null", b"1e999"])
            damaged[place : place + random.choice([0, 1, 1, 4])] = inserted
        sound += not is_refused_or_sound(packed({**members, name: bytes(damaged)}))
    assert 0 < sound < 1000


# ------------------------------------------------------------------------------------------------------------ members


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version, allow_pickle=True)
    return file.getvalue()


class Evil:
    """A pickle that does something when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return pytest.fail, ("a pickle was run",)


ROW = np.array([[7]], np.uint8)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("0/codes.npy", npy(np.array([[Evil()]], object)), "wrong size|another dtype or shape"),
        ("0/codes.npy", npy(ROW.astype("|i1")), "another dtype or shape"),
        ("0/codes.npy", npy(ROW.astype("|S1")), "another dtype or shape"),
        ("0/codes.npy", npy(ROW.astype("<u2")), "another dtype or shape"),
        ("0/codes.npy", npy(ROW, (2, 0)), "another dtype or shape"),
        ("0/codes.npy", npy(ROW[0]), "another dtype or shape"),
        ("0/codes.npy", npy(ROW).replace(b"False, ", b"True,  "), "another dtype or shape"),
        ("0/codes.npy", npy(ROW).replace(b"(1, 1)", b"(1, 9)"), "another dtype or shape"),
        ("0/codes.npy", npy(ROW).replace(b"(1, 1), }         ", b"(1, 1000000000), }"), "another dtype or shape"),
        ("0/codes.npy", npy(ROW)[:-1], "wrong size"),
        ("0/codes.npy", npy(ROW) + b"\0\0\0", "wrong size"),
        ("0/codes.npy", b"", "wrong size"),
        ("0/codes.npy", npy(np.full((3, 1), 255, np.uint8)), "out of order or out of range"),
        ("0/codes.npy", npy(np.array([[0], [0], [1]], np.uint8)), "out of order or out of range"),
        ("0/counts.npy", npy(ROW * 0), "impossible counts"),
        ("0/counts.npy", npy(ROW), "add up"),
        ("0/counts.npy", npy(np.array([[0]] * 5 + [[3]], np.uint8)), "impossible counts"),
        ("0/counts.npy", npy(np.ones((7, 1), np.uint8)), "wrong size"),
    ],
)
def test_an_array_that_says_what_can_not_be_is_refused(name: str, raw: bytes, reason: str) -> None:
    members = unpacked(encode_counts([layer(PLANE)], {}))
    assert name in members
    with pytest.raises(ValueError, match=reason):
        read(packed({**members, name: raw}))


def test_codes_out_of_order_are_refused() -> None:
    members = unpacked(encode_counts([layer(plane_of({7: 1, 9: 1}, 32, 0, (16, (), False)))], {}))
    with pytest.raises(ValueError, match="codes that are out of order"):
        read(packed({**members, "0/codes.npy": npy(np.array([[7, 0]], np.uint8))}))


@pytest.mark.parametrize(
    "names",
    [
        ["0/codes.npy", "0/counts.npy"],
        ["counts.json", "0/codes.npy", "0/counts.npy"],
        ["0/counts.npy", "0/codes.npy", "counts.json"],
        ["0/codes.npy", "0/codes.npy", "0/counts.npy", "counts.json"],
        ["0/codes.npy", "0/counts.npy", "counts.json", "counts.json"],
        ["0/codes.npy", "counts.json"],
        ["counts.json"],
        [],
    ],
)
def test_other_members_or_the_same_twice_are_refused(names: list[str]) -> None:
    members = unpacked(encode_counts([layer(PLANE)], {}))
    with pytest.raises(ValueError, match=r"unexpected member names|not JSON|not enough values"):
        read(write_archive([pack(name, members[name], 6) for name in names]))


# --------------------------------------------------------------------------------------------------------------- JSON


def edited(*path: Any, value: Any) -> bytes:  # noqa: ANN401
    """A file of one plane with one block, with another value somewhere in its JSON; at the end `del` removes it."""
    members = unpacked(encode_counts([layer(PLANE)], {}))
    header = json.loads(members["counts.json"])
    place = header
    for key in path[:-1]:
        place = place[key]
    if value is None and path[-1] not in ("scheme",):
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return packed({**members, "counts.json": json.dumps(header).encode()})


LAYER = ("parts", 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (edited("schema", value="wcx/counts/2"), "not wcx/counts/1"),
        (edited("schema", value=None), "not wcx/counts/1"),
        (edited("more", value=1), "not wcx/counts/1"),
        (edited("settings", value=[]), "not wcx/counts/1"),
        (edited("parts", value={}), "not wcx/counts/1"),
        (edited("parts", value=[]), "unexpected member names"),
        (edited("parts", value=[[], []]), "unexpected member names"),
        (edited("parts", value=[[]]), "wrong size"),
        (edited("parts", value=[7]), "not wcx/counts/1"),
        (edited("scheme", value=None), "without a scheme"),
        (edited("scheme", "id", value=7), "not wcx/counts/1"),
        (edited("scheme", "cells", value=17), "not wcx/counts/1"),
        (edited("scheme", "cells", value=0), "not wcx/counts/1"),
        (edited("scheme", "cells", value=True), "not wcx/counts/1"),
        (edited("scheme", "cells", value=2), "out of order or out of range"),
        (edited("scheme", "smaller", value=[0]), "not wcx/counts/1"),
        (edited("scheme", "smaller", value=[4] * 16), "not wcx/counts/1"),
        (edited("scheme", "overlapping", value=1), "not wcx/counts/1"),
        (edited(*LAYER, value={}), "not wcx/counts/1"),
        (edited(*LAYER, "name", value=7), "not wcx/counts/1"),
        (edited(*LAYER, "zeros", value=None), "not wcx/counts/1"),
        (edited(*LAYER, "zeros", value=-1), "not wcx/counts/1"),
        (edited(*LAYER, "zeros", value=1.0), "not wcx/counts/1"),
        (edited(*LAYER, "nonfinite", value=1 << 63), "not wcx/counts/1"),
        (edited(*LAYER, "at_most_two_values", value=1), "not wcx/counts/1"),
        (edited(*LAYER, "shape", value=[True]), "not wcx/counts/1"),
        (edited(*LAYER, "shape", value=[1] * 65), "not wcx/counts/1"),
        (edited(*LAYER, "fit", "lo", value="1"), "not wcx/counts/1"),
        (edited(*LAYER, "fit", "lo", value=math.inf), "not wcx/counts/1"),
        (edited(*LAYER, "fit", "lo", value=math.nan), "not wcx/counts/1"),
        (edited(*LAYER, "fit", "zero_point", value=1 << 63), "not wcx/counts/1"),
        (edited(*LAYER, "fit", "other", value=1.0), "not wcx/counts/1"),
        (edited(*LAYER, "symbols", value=15), "add up"),
        (edited(*LAYER, "planes", value=[[1, 17]]), "add up"),
        (edited(*LAYER, "planes", value=[[2, 0]]), "wrong size"),
        (edited(*LAYER, "planes", value=[[0, 0]]), "wrong size"),
        (edited(*LAYER, "planes", value=[[1]]), "unpack"),
        (edited(*LAYER, "planes", value=[[1, 0, 0]]), "not wcx/counts/1"),
        (edited(*LAYER, "planes", value=[[1 << 40, 0]]), "more codes than"),
        (edited(*LAYER, "planes", value=[[0, 0]] * 257), "not wcx/counts/1"),
        (edited(*LAYER, "planes", value={}), "not wcx/counts/1"),
    ],
)
def test_json_that_says_what_can_not_be_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(data)


@pytest.mark.parametrize("shape", [(16, (9,), False), (16, (), True)])
def test_blocks_that_do_not_fit_into_the_symbols_are_refused(shape: tuple[int, tuple[int, ...], bool]) -> None:
    whole = encode_counts([layer(plane_of({65535: 40}, 640, 0, shape))], {})
    members = unpacked(whole)
    fewer = members["counts.json"].replace(b'"symbols":640', b'"symbols":39')
    assert read(whole)
    with pytest.raises(ValueError, match="add up"):
        read(packed({**members, "counts.json": fewer}))


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"\xff", b"9" * 5000, b"[" * 100_000 + b"]" * 100_000])
def test_another_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not wcx/counts/1|nested|Expecting|decode|Exceeds"):
        read(packed({"counts.json": text}))


# ------------------------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize("name", ["0/codes.npy", "0/counts.npy", "counts.json"])
@pytest.mark.parametrize("claimed", [129, 1 << 20, (1 << 32) - 1])
def test_a_bomb_takes_no_memory(name: str, claimed: int) -> None:
    """A hundred MiB of zeros in a hundred kB, whatever size the archive claims."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    members = unpacked(encode_counts([layer(PLANE)], {}))
    made = [pack(other, raw, 6) for other, raw in members.items() if other != name]
    lying = type(made[0])(name.encode(), 0, claimed, bomb)
    made.insert(list(members).index(name), lying)
    data = write_archive(made)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"wrong|not JSON"):
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 << 20


def test_a_part_of_the_most_codes_takes_bounded_memory() -> None:
    members = unpacked(encode_counts([layer(PLANE)], {}))
    size = 1 << 21
    head = npy(ROW)[:128].replace(b"(1, 1), }      ", b"(1, %d), }" % size)
    members |= {"0/codes.npy": head + bytes(size), "0/counts.npy": head + b"\1" * size}
    members["counts.json"] = members["counts.json"].replace(b"[[1,0]]", b"[[%d,0]]" % size)
    data = packed(members)
    assert len(data) < 20_000
    tracemalloc.start()
    with pytest.raises(ValueError, match="codes that are out of order"):
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20
