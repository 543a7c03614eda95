"""Compiled code and its NumPy twin against the oracle: every count equal, whatever the dtype, the shape, the bytes.

With NUMBA_DISABLE_JIT=1 the same tests run the kernels as plain Python, on less.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from children import run_python
from depth import examples, keeping, one_of
from hypothesis import given, settings
from numba import config
from numpy.typing import NDArray
from strategies import (
    DTYPE_NAMES,
    FLAVOURS,
    QUANTIZERS,
    BytesReader,
    Expected,
    bits_of,
    code_type,
    cut_of,
    decode,
    encode,
    expected,
    layer_of,
    pack,
    random_codes,
)

from wcx.blocks import numpy_kernels
from wcx.blocks.counter import Counter, compiled_kernels
from wcx.core.dtypes import DTYPES
from wcx.core.scheme import Scheme
from wcx.scan.count import CountedLayer, count_layers
from wcx.scan.engine import Threads
from wcx.scan.sources import ArraySource, FileSource, Source

COMPILED = not config.DISABLE_JIT
KERNELS = compiled_kernels()
PATHS = pytest.mark.parametrize("kernels", [KERNELS, None], ids=["compiled", "numpy"])

SHAPES = [(4, 4), (5, 13), (13, 5), (4, 16), (4, 17), (16, 4), (7, 9), (1, 64), (1, 100), (3, 40), (2, 3), (40, 3)]
SHAPES += [(rows, columns) for columns in (63, 64, 65) for rows in (4, 6)]
if COMPILED:
    SHAPES += [(rows, columns) for columns in (127, 128, 129, 191) for rows in (4, 6)]
    SHAPES += [(64, 64), (61, 67), (1000, 4), (1003, 5), (4, 1000), (33, 251)]


def counted(
    kernels: Any,  # noqa: ANN401
    dtype: str,
    quantizer: str,
    codes: NDArray[Any],
    shape: tuple[int, int],
    counter: Counter | None = None,
) -> Expected:
    """What a counter finds in the codes of one matrix."""
    cut = cut_of(quantizer, dtype, decode(codes, dtype, codes.shape) if quantizer.startswith("uniform") else None)
    counter = counter or Counter(len(cut), kernels)
    counter.begin(DTYPES[dtype], cut)
    counter.count(codes, *shape)
    return taken(counter)


def taken(counter: Counter) -> Expected:
    """What a counter holds; empties it."""
    totals = counter.take_totals()
    found = counter.take()
    for codes, counts in found:
        assert codes.dtype == np.uint16
        assert counts.dtype == np.int64
        assert (np.diff(codes.astype(int)) > 0).all()
    assert not counter.histograms.any()
    assert not counter.totals.any()
    counts = [dict(zip(codes.tolist(), counts.tolist(), strict=True)) for codes, counts in found]
    return Expected(counts, totals[2:], totals[0], totals[1])


def codes_of(dtype: str, shape: tuple[int, int], flavour: str = "bytes", seed: int = 0) -> NDArray[Any]:
    random = np.random.default_rng([seed, *shape, DTYPE_NAMES.index(dtype)])
    return random_codes(dtype, shape[0] * shape[1], random, flavour)


def counted_layer(
    make_source: Callable[[], Source], dtype: str, quantizer: str, shape: tuple[int, int], compiled: bool, threads: int
) -> Expected:
    """What count_layers finds in one layer."""
    layers = [layer_of(dtype, *shape)]
    (found,) = count_layers(
        layers, [cut_of(quantizer, dtype)], Scheme(), make_source, Threads(threads), compiled=compiled
    )
    return as_expected(found)


def as_expected(layer: CountedLayer) -> Expected:
    counts = [dict(zip(plane.codes.tolist(), plane.counts.tolist(), strict=True)) for plane in layer.planes]
    return Expected(counts, [plane.ones for plane in layer.planes], layer.zeros, layer.nonfinite)


# ----------------------------------------------------------------------------------------------------- every dtype


def test_there_is_compiled_code_to_test() -> None:
    assert KERNELS is not None
    assert KERNELS.__name__ == "wcx.blocks.kernels"


@one_of(7)
@PATHS
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_counts_of_every_dtype_are_the_oracles(dtype: str, quantizer: str, kernels: Any) -> None:  # noqa: ANN401
    for number, shape in enumerate(SHAPES):
        small = COMPILED and shape[0] * shape[1] < 1000
        for flavour in FLAVOURS if small else (FLAVOURS[number % len(FLAVOURS)],):
            codes = codes_of(dtype, shape, flavour)
            correct = expected(decode(codes, dtype, shape), quantizer)
            assert counted(kernels, dtype, quantizer, codes, shape) == correct, (shape, flavour)


@one_of(4)
@PATHS
@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPE_NAMES if bits_of(dtype) <= 16])
def test_every_code_is_taken_as_ml_dtypes_takes_it(dtype: str, kernels: Any) -> None:  # noqa: ANN401
    width = bits_of(dtype)
    side = 1 << ((width + 1) // 2)
    shape = (side, (1 << width) // side)
    codes = np.arange(1 << width, dtype=np.uint32).astype(code_type(dtype))
    values = decode(codes, dtype, codes.shape)
    for quantizer in QUANTIZERS:
        assert counted(kernels, dtype, quantizer, codes, shape) == expected(values.reshape(shape), quantizer)
    known = DTYPES[dtype]
    assert [code in known.positive for code in codes.tolist()] == (values > 0).tolist()
    assert [code in known.negative for code in codes.tolist()] == (values < 0).tolist()
    assert [code in known.nonnegative for code in codes.tolist()] == (values >= 0).tolist()
    assert [code in known.zero for code in codes.tolist()] == (values == 0).tolist()
    assert [code in known.nonfinite for code in codes.tolist()] == (~np.isfinite(values)).tolist()


@settings(max_examples=examples(150 if COMPILED else 30))
@given(
    dtype=st.sampled_from(DTYPE_NAMES),
    quantizer=st.sampled_from(QUANTIZERS),
    flavour=st.sampled_from(FLAVOURS),
    rows=st.integers(1, 40),
    columns=st.integers(1, 300 if COMPILED else 70),
    seed=st.integers(0, 2**32),
)
def test_counts_of_any_shape_are_the_oracles(
    dtype: str, quantizer: str, flavour: str, rows: int, columns: int, seed: int
) -> None:
    codes = codes_of(dtype, (rows, columns), flavour, seed)
    correct = expected(decode(codes, dtype, (rows, columns)), quantizer)
    for kernels in (KERNELS, None):
        assert counted(kernels, dtype, quantizer, codes, (rows, columns)) == correct


# ------------------------------------------------------------------------------------------------- special planes


@PATHS
@pytest.mark.parametrize("dtype", ["F32", "I8"] if COMPILED else ["I8"])
def test_every_block_once(dtype: str, kernels: Any) -> None:  # noqa: ANN401
    codes = np.random.default_rng(1).permutation(65536)
    bits = codes.reshape(256, 1, 256, 1) >> np.arange(16).reshape(4, 1, 4).transpose(1, 0, 2)[:, :, None, :] & 1
    plane = bits.reshape(256, 4, 256, 4).reshape(1024, 1024)
    one, other = encode([1.0, -1.0], dtype)
    stored = np.where(plane == 1, one, other).astype(code_type(dtype)).reshape(-1)
    found = counted(kernels, dtype, "polarity", stored, (1024, 1024))
    assert found == Expected([dict.fromkeys(range(65536), 1)] * 2, [1 << 19] * 2, 0, 0)


@PATHS
@pytest.mark.parametrize("shape", [(4, 4), (13, 67), (300, 700)])
def test_constant_planes(shape: tuple[int, int], kernels: Any) -> None:  # noqa: ANN401
    rows, columns = shape
    blocks = rows // 4 * (columns // 4)
    size = rows * columns
    for value, ones, zeros, nonfinite in ((0.0, 0, size, 0), (-0.0, 0, size, 0), (1.5, size, 0, 0), (-2.0, 0, 0, 0)):
        codes = np.full(size, encode([value], "BF16")[0], np.uint16)
        correct = Expected([{65535 if ones else 0: blocks}], [ones], zeros, nonfinite)
        assert counted(kernels, "BF16", "sign", codes, shape) == correct
    for value, ones in ((np.nan, 0), (np.inf, size), (-np.inf, 0)):
        codes = np.full(size, encode([value], "F16")[0], np.uint16)
        correct = Expected([{65535 if ones else 0: blocks}], [ones], 0, size)
        assert counted(kernels, "F16", "sign", codes, shape) == correct


@PATHS
@pytest.mark.parametrize("dtype", ["F64", "F32", "BF16", "F8_E4M3", "F8_E5M2FNUZ", "I8", "I32"])
def test_a_single_zero_or_nan_anywhere_is_found(dtype: str, kernels: Any) -> None:  # noqa: ANN401
    shape = (1500, 190) if COMPILED else (60, 19)  # the first is three tiles and a rest
    size = shape[0] * shape[1]
    codes = codes_of(dtype, shape, "ordinary")
    special = {"zeros": encode([0.0], dtype)[0], "nonfinite": encode([np.nan], dtype)[0]}
    if DTYPES[dtype].kind == "signed":
        del special["nonfinite"]
    for where in (0, size // 3, size - 70, size - 1):
        for field, code in special.items():
            kept, codes[where] = codes[where], code
            found = counted(kernels, dtype, "sign", codes, shape)
            codes[where] = kept
            assert found.zeros == (field == "zeros")
            assert found.nonfinite == (field == "nonfinite")


@pytest.mark.parametrize("offset", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "I8"])
def test_codes_at_any_address(dtype: str, offset: int) -> None:
    shape = (37, 75)
    codes = codes_of(dtype, shape)
    memory = bytes(offset) + codes.tobytes() + bytes(64)
    for start in range(8):  # whatever the alignment of the memory itself
        unaligned = np.frombuffer(bytes(start) + memory, code_type(dtype), codes.size, start + offset)
        assert not unaligned.flags.writeable
        for kernels in (KERNELS, None):
            correct = expected(decode(codes, dtype, shape), "polarity")
            assert counted(kernels, dtype, "polarity", unaligned, shape) == correct


@one_of(3)
@PATHS
@pytest.mark.parametrize("columns", [4, 5, 17, 63])
def test_a_tail_of_under_64_weights_goes_with_the_tile_before(columns: int, kernels: Any) -> None:  # noqa: ANN401
    tile_rows = max(4, (1 << 17) // columns & ~3)
    at_the_edge = 64 // columns
    for more in sorted({0, 1, at_the_edge, at_the_edge + 1, at_the_edge + 4}):
        shape = (tile_rows + more, columns)
        codes = codes_of("I8", shape, "special")
        assert counted(kernels, "I8", "sign", codes, shape) == expected(decode(codes, "I8", shape), "sign"), more


@PATHS
def test_what_lies_around_the_codes_is_not_counted(kernels: Any) -> None:  # noqa: ANN401
    for shape in ((5, 13), (4, 16), (9, 67), (6, 64)):
        size = shape[0] * shape[1]
        codes = codes_of("F32", shape, "ordinary")
        correct = expected(decode(codes, "F32", shape), "sign")
        for around in (0, encode([np.nan], "F32")[0], encode([1.0], "F32")[0]):
            memory = np.full(size + 200, around, np.uint32)
            memory[100 : 100 + size] = codes
            assert counted(kernels, "F32", "sign", memory[100 : 100 + size], shape) == correct


# ----------------------------------------------------------------------------------------------- counters over time


@PATHS
def test_counts_of_pieces_add_up_until_they_are_taken(kernels: Any) -> None:  # noqa: ANN401
    shape = (60, 52)
    codes = codes_of("F16", shape).reshape(shape)
    counter = Counter(2, kernels)
    for _ in range(2):
        counter.begin(DTYPES["F16"], cut_of("polarity", "F16"))
        for start, stop in ((0, 4), (4, 32), (32, 60)):
            counter.count(codes[start:stop].reshape(-1), stop - start, shape[1])
        assert taken(counter) == expected(decode(codes, "F16", shape), "polarity")
    assert taken(counter) == Expected([{}, {}], [0, 0], 0, 0)


@PATHS
def test_counts_are_added_to_wider_histograms(kernels: Any) -> None:  # noqa: ANN401
    shape = (20, 24)
    codes = codes_of("I8", shape, "ordinary")
    counter = Counter(2, kernels)
    counter.begin(DTYPES["I8"], cut_of("polarity", "I8"))
    counter.count(codes, *shape)
    wide = np.full((2, 65536), 1 << 40, np.int64)
    counter.add_to(wide)
    assert not counter.histograms.any()
    for histogram, counts in zip(wide, expected(decode(codes, "I8", shape), "polarity").counts, strict=True):
        assert {code: int(histogram[code]) - (1 << 40) for code in np.flatnonzero(histogram > 1 << 40)} == counts


@PATHS
def test_one_counter_serves_dtype_after_dtype(kernels: Any) -> None:  # noqa: ANN401
    counter = Counter(1, kernels)
    for dtype in (*DTYPE_NAMES, *reversed(DTYPE_NAMES)):
        shape = (8, 20)
        codes = codes_of(dtype, shape, "special")
        found = counted(kernels, dtype, "sign:zero=one", codes, shape, counter)
        assert found == expected(decode(codes, dtype, shape), "sign:zero=one"), dtype


@PATHS
def test_numbers_up_to_the_last_of_32_bits_are_scanned_and_cleared(kernels: Any) -> None:  # noqa: ANN401
    counter = Counter(1, kernels)
    counts = {0: 1, 15: 2**32 - 1, 16: 7, 40_000: 2**31, 65535: 3}
    for code, count in counts.items():
        counter.histograms[0, code] = count
    assert taken(counter) == Expected([counts], [0], 0, 0)


def test_codes_of_bits_are_those_of_the_blocks() -> None:
    bits = np.zeros((9, 13), bool)
    for row, column in ((0, 0), (0, 5), (3, 3), (7, 8), (8, 12)):  # blocks 0, 1, 0, 5, none
        bits[row, column] = True
    assert sorted(numpy_kernels.codes_of_bits(bits).tolist()) == sorted([1 | 1 << 15, 1 << 1, 0, 0, 0, 1 << 12])
    assert numpy_kernels.codes_of_bits(bits[:3]).size == 0
    assert numpy_kernels.codes_of_bits(bits[:, :3]).size == 0


# ---------------------------------------------------------------------------------- wide matrices, by column pieces


@pytest.mark.parametrize(
    ("dtype", "rows", "columns"),
    [
        ("F32", 8, 32_769),
        ("BF16", 7, 40_003),
        ("F64", 5, 65_539),
        ("I8", 9, 33_000),
        ("F8_E4M3", 4, 100_001),
        ("F6_E2M3", 8, 32_771),
        ("F4", 6, 40_001),
    ]
    if COMPILED
    else [("BF16", 6, 32_803), ("F6_E3M2", 4, 32_769)],
)
def test_wide_matrices_are_counted_whole(dtype: str, rows: int, columns: int) -> None:
    codes = codes_of(dtype, (rows, columns))
    values = decode(codes, dtype, (rows, columns))
    stored = pack(codes, dtype)
    for quantizer in ("sign", "polarity") if COMPILED else ("sign",):
        correct = expected(values, quantizer)
        matrix = codes.reshape(rows, columns)
        sources: Sequence[Callable[[], Source]] = (
            lambda matrix=matrix: ArraySource(matrix),
            lambda: FileSource(BytesReader(stored)),
        )
        for make_source in sources:
            for compiled in (True, False):
                assert counted_layer(make_source, dtype, quantizer, (rows, columns), compiled, 2) == correct


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_tall_matrices_are_counted_whole_from_memory_and_from_files(dtype: str) -> None:
    shape = (2004, 23) if COMPILED else (204, 23)
    codes = codes_of(dtype, shape)
    correct = expected(decode(codes, dtype, shape), "polarity")
    stored = pack(codes, dtype)
    for compiled in (True, False):
        assert correct == counted_layer(
            lambda: ArraySource(codes.reshape(shape)), dtype, "polarity", shape, compiled, 1
        )
        assert correct == counted_layer(lambda: FileSource(BytesReader(stored)), dtype, "polarity", shape, compiled, 1)


def test_a_matrix_in_any_memory_order_is_counted_as_it_reads() -> None:
    plane = codes_of("I8", (60, 80)).reshape(60, 80)
    for matrix in (np.asfortranarray(plane), plane.T, plane[::-1, ::-1], plane[::2, 1::3]):
        shape = (matrix.shape[0], matrix.shape[1])
        correct = expected(decode(np.ascontiguousarray(matrix), "I8", shape), "sign")
        assert counted_layer(lambda matrix=matrix: ArraySource(matrix), "I8", "sign", shape, True, 1) == correct


# -------------------------------------------------------------------------------------- where and how it is compiled


WITHOUT_COMPILER = """
import sys
import numpy as np
from numba import config
from strategies import decode, expected
from test_kernels import KERNELS, codes_of, counted
assert config.DISABLE_JIT
number = 0
for dtype in ("F64", "F32", "BF16", "F8_E4M3", "F8_E5M2FNUZ", "I8", "U8", "F8_E8M0", "F6_E2M3"):
    for shape in ((4, 16), (5, 13), (9, 67), (4, 128), (70, 4), (6, 129)):
        for quantizer in ("sign", "sign:zero=one", "polarity"):
            codes = codes_of(dtype, shape, "special")
            assert counted(KERNELS, dtype, quantizer, codes, shape) == expected(decode(codes, dtype, shape), quantizer)
            number += 1
print(number)
"""


@pytest.mark.skipif(not COMPILED, reason="this run is without the compiler")
def test_the_kernels_without_the_compiler_count_the_same() -> None:
    done = run_python(WITHOUT_COMPILER, env={"NUMBA_DISABLE_JIT": "1"})
    assert (done.returncode, done.stdout) == (0, "162\n"), done.stderr


BETWEEN_FORBIDDEN_PAGES = """
import ctypes
import mmap
import numpy as np
from strategies import decode, expected
from test_kernels import KERNELS, codes_of, counted
PAGES = 80
memory = mmap.mmap(-1, (PAGES + 2) * mmap.PAGESIZE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
for page in (0, PAGES + 1):
    assert protect(start + page * mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0
allowed = np.frombuffer(memory, np.uint8)[mmap.PAGESIZE : -mmap.PAGESIZE]
for dtype in ("F64", "F32", "F16", "I8"):
    for shape in ((4, 4), (4, 16), (5, 13), (9, 67), (7, 9), (1, 64), (32768 + 12, 4), (2080 + 1, 63)):
        codes = codes_of(dtype, shape, "special")
        if codes.nbytes > allowed.size:
            continue
        for place in (slice(0, codes.nbytes), slice(allowed.size - codes.nbytes, None)):
            allowed[place] = codes.view(np.uint8)
            found = counted(KERNELS, dtype, "polarity", allowed[place].view(codes.dtype), shape)
            assert found == expected(decode(codes, dtype, shape), "polarity")
print("counted")
"""


@pytest.mark.skipif(sys.platform != "linux" or not COMPILED, reason="compiled code, and a call of Linux")
def test_nothing_before_or_behind_the_codes_is_read() -> None:
    """It would end the process: the codes lie at the edge of memory that may not be read."""
    done = run_python(BETWEEN_FORBIDDEN_PAGES)
    assert (done.returncode, done.stdout) == (0, "counted\n"), done.stderr


COUNT_ONCE = """
from strategies import decode, expected
import numpy as np
from wcx.blocks.counter import Counter, compiled_kernels
from wcx.core.dtypes import DTYPES
kernels = compiled_kernels()
counter = Counter(1, kernels)
counter.begin(DTYPES["I8"], (DTYPES["I8"].positive,))
counter.count(np.arange(256, dtype=np.uint8), 16, 16)
(codes, counts), = counter.take()
print(kernels is not None, counts.sum(), counter.take_totals())
"""
COUNTED_ONCE = "True 16 [1, 0, 127]\n"


@pytest.mark.skipif(not COMPILED, reason="nothing is cached without the compiler")
@pytest.mark.parametrize("damage", keeping(["a file in its place"], ["noise in its files", "a file in its place"]))
def test_a_cache_that_cannot_be_used_is_not_used(damage: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    if damage == "a file in its place":
        cache.write_bytes(b"")
    else:
        assert run_python(COUNT_ONCE, env={"NUMBA_CACHE_DIR": str(cache)}).stdout == COUNTED_ONCE
        entries = [path for path in cache.rglob("*") if path.suffix in (".nbi", ".nbc")]
        assert entries
        for number, path in enumerate(entries):
            path.write_bytes(b"\x80\x04noise" * 100 * (number % 3))
    done = run_python(COUNT_ONCE, env={"NUMBA_CACHE_DIR": str(cache)})
    assert (done.returncode, done.stdout) == (0, COUNTED_ONCE), done.stderr


@pytest.mark.skipif(not COMPILED, reason="as large as a tile: slow as plain Python")
def test_no_tile_of_strings_writes_behind_its_scratch_memory() -> None:
    counter = Counter(1, KERNELS, strings=True)
    guarded = np.full(counter._narrow.size + 8192, 0xABCD, np.uint16)
    held = counter._narrow.size
    counter._narrow = guarded
    counter.begin(DTYPES["U8"], (DTYPES["U8"].positive,))
    counter.count(np.ones(400_000, np.uint8), 1, 400_000)
    assert (guarded[held:] == 0xABCD).all()
    assert counter.histograms[0, 4095] == 400_000 // 12
