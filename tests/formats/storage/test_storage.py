"""Views of storages against NumPy's: strides, encodings, byte orders, read in pieces of any cut; and CRCs."""

from __future__ import annotations

import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wcx.core.checkpoint import Checkpoint, Storage, TensorInfo
from wcx.core.errors import CheckpointError
from wcx.core.files import signature_of
from wcx.formats.reader import CheckpointReader
from wcx.formats.storage import deflate, strided
from wcx.formats.storage import varints as varints_
from wcx.formats.storage.crc import combined_crc32

DTYPES = {1: "U8", 2: "F16", 4: "F32", 8: "F64"}


def varints(values: NDArray[Any]) -> bytes:
    """Protobuf's encoding, number by number."""
    out = bytearray()
    for value in values.tolist():
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def encode(numbers: NDArray[Any], encoding: str, big_endian: bool) -> bytes:
    raw = numbers.astype(numbers.dtype.newbyteorder(">")).tobytes() if big_endian else numbers.tobytes()
    if encoding == "deflate":
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        return packer.compress(raw) + packer.flush()
    return varints(numbers) if encoding == "varint" else raw


def checkpoint_of(path: Path, *tensors: TensorInfo) -> Checkpoint:
    return Checkpoint(
        str(path), "pytorch", str(path.parent), (path.name,), (signature_of(path.stat()),), {}, tuple(tensors)
    )


def read_in_pieces(path: Path, tensor: TensorInfo, piece: int) -> bytes:
    out = np.zeros(tensor.nbytes, np.uint8)
    with CheckpointReader(checkpoint_of(path, tensor)) as reader:
        for start in range(0, tensor.nbytes, piece):
            reader.read_into(tensor, start, out.data[start : start + piece])
    return out.tobytes()


def write_view(
    path: Path,
    numbers: NDArray[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    first: int = 0,
    *,
    encoding: str = "raw",
    big_endian: bool = False,
    crc32: int | None = None,
) -> TensorInfo:
    """Write a file that holds the numbers somewhere, and return the view of them."""
    stored = encode(numbers, encoding, big_endian)
    path.write_bytes(b"\x55" * 100 + stored + b"\x55" * 100)
    itemsize = numbers.dtype.itemsize
    offset = 100 + first * itemsize * (encoding == "raw")
    storage = Storage(100, len(stored), numbers.size, first, strides, encoding, big_endian, crc32)
    nbytes = int(np.prod(shape, dtype=np.int64)) * itemsize
    return TensorInfo("w", DTYPES[itemsize], shape, nbytes, offset=offset, storage=storage)


@st.composite
def views(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """A shape, strides and a first element: permuted, sliced, expanded or plainly odd ones."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    strides = tuple(draw(st.sampled_from((0, 1, 2, 3, 6, 20, 36))) for _ in shape)
    return shape, strides, draw(st.integers(0, 5))


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that views of a few numbers take every path."""
    for name, value in {"_SLAB": 64, "_SLABS": 2, "_SPAN": 32, "_RUN": 16, "_GAP": 64}.items():
        monkeypatch.setattr(strided, name, value)
    for name, value in {"_CHUNK": 24, "_MARK_EVERY": 40, "_MARKS": 1000}.items():
        monkeypatch.setattr(deflate, name, value)
    monkeypatch.setattr(varints_, "_CHUNK", 24)


@given(
    view=views(),
    itemsize=st.sampled_from((1, 2, 4, 8)),
    encoding=st.sampled_from(("raw", "deflate", "varint")),
    big_endian=st.booleans(),
    pieces=st.integers(5, 60),
)
@example(view=((6, 6, 6), (1, 6, 36), 0), itemsize=4, encoding="deflate", big_endian=True, pieces=5)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small_limits")
def test_a_view_is_what_numpy_says(
    tmp_path: Path,
    view: tuple[tuple[int, ...], tuple[int, ...], int],
    itemsize: int,
    encoding: str,
    big_endian: bool,
    pieces: int,
) -> None:
    shape, strides, first = view
    big_endian &= encoding != "varint"
    elements = first + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 3
    numbers = np.random.default_rng(elements).integers(0, 256, elements * itemsize, np.uint8).view(f"<u{itemsize}")
    tensor = write_view(tmp_path / "x", numbers, shape, strides, first, encoding=encoding, big_endian=big_endian)
    steps = [stride * itemsize for stride in strides]
    expected = np.lib.stride_tricks.as_strided(numbers[first:], shape, steps).tobytes()
    assert read_in_pieces(tmp_path / "x", tensor, pieces * itemsize) == expected


@pytest.mark.parametrize("encoding", ["raw", "deflate", "varint"])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.usefixtures("small_limits")
def test_in_c_order_from_any_position(tmp_path: Path, encoding: str, big_endian: bool) -> None:
    numbers = np.random.default_rng(0).integers(0, 1 << 32, 500, np.uint32)
    big_endian &= encoding != "varint"
    tensor = write_view(tmp_path / "x", numbers, (20, 10), None, 30, encoding=encoding, big_endian=big_endian)
    with CheckpointReader(checkpoint_of(tmp_path / "x", tensor)) as reader:
        for start in (796, 0, 400, 396, 4, 700, 0):
            out = bytearray(4)
            reader.read_into(tensor, start, memoryview(out))
            assert bytes(out) == numbers[30 + start // 4].tobytes()


@pytest.mark.parametrize("strides", [(1, 3000), (3000, 1), (2, 6000)])
def test_a_large_transposed_view(tmp_path: Path, strides: tuple[int, int]) -> None:
    """With the real limits: several slabs, several spans."""
    numbers = np.random.default_rng(1).random(3000 * 2000, np.float32)
    shape = {(1, 3000): (3000, 2000), (3000, 1): (2000, 3000), (2, 6000): (1500, 1000)}[strides]
    tensor = write_view(tmp_path / "x", numbers, shape, strides)
    expected = np.lib.stride_tricks.as_strided(numbers, shape, [4 * stride for stride in strides])
    assert read_in_pieces(tmp_path / "x", tensor, 1 << 20) == expected.tobytes()


def test_threads_share_a_reader(tmp_path: Path) -> None:
    numbers = np.random.default_rng(2).integers(0, 4, 1 << 21, np.uint8)
    crc = zlib.crc32(numbers.tobytes())
    tensor = write_view(tmp_path / "x", numbers, (2048, 1024), None, encoding="deflate", crc32=crc)
    out = np.zeros(numbers.size, np.uint8)
    with CheckpointReader(checkpoint_of(tmp_path / "x", tensor)) as reader:

        def read(number: int) -> None:
            for start in range(number << 16, numbers.size, 1 << 18):
                reader.read_into(tensor, start, out.data[start : start + (1 << 16)])

        threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (out == numbers).all()


@pytest.mark.parametrize("encoding", ["raw", "deflate"])
@pytest.mark.parametrize("piece", [1000, 64, 4])
def test_a_wrong_crc_is_told_once_all_has_been_read(tmp_path: Path, encoding: str, piece: int) -> None:
    numbers = np.arange(250, dtype=np.uint32)
    right = write_view(tmp_path / "x", numbers, (25, 10), None, encoding=encoding, crc32=zlib.crc32(numbers.tobytes()))
    assert read_in_pieces(tmp_path / "x", right, piece) == numbers.tobytes()
    wrong = write_view(tmp_path / "x", numbers, (25, 10), None, encoding=encoding, crc32=1)
    with pytest.raises(CheckpointError, match=r"tensor 'w': its bytes do not match their CRC-32.*byte 100"):
        read_in_pieces(tmp_path / "x", wrong, piece)
    part = write_view(tmp_path / "x", numbers, (24, 10), None, encoding=encoding, crc32=1)
    assert read_in_pieces(tmp_path / "x", part, piece) == numbers[:240].tobytes()


def test_reading_twice_checks_twice(tmp_path: Path) -> None:
    numbers = np.arange(250, dtype=np.uint32)
    tensor = write_view(tmp_path / "x", numbers, (25, 10), None, crc32=zlib.crc32(numbers.tobytes()))
    with CheckpointReader(checkpoint_of(tmp_path / "x", tensor)) as reader:
        for piece in (1000, 100, 100, 500):
            for start in range(0, 1000, piece):
                reader.read_into(tensor, start, memoryview(bytearray(piece)))


@pytest.mark.parametrize(
    ("encoding", "stored", "reason"),
    [
        ("deflate", b"\xff\xff\xff", "its deflated bytes are damaged"),
        ("deflate", encode(np.arange(10, dtype=np.uint32), "deflate", False), "its deflated bytes end early"),
        ("deflate", encode(np.zeros(250, np.uint32), "deflate", False)[:-4], "its deflated bytes end early"),
        ("varint", b"\x01" * 249, "its numbers end early"),
        ("varint", b"\x81" * 2000, "its numbers end early"),
        ("varint", b"\x81" * 10 + b"\x01" * 2000, "a number is longer than 10 bytes"),
        ("varint", b"\x81" * 100_000, "a number is longer than 10 bytes"),
    ],
)
def test_damaged_storages(tmp_path: Path, encoding: str, stored: bytes, reason: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(stored)
    tensor = TensorInfo("w", "F32", (25, 10), 1000, storage=Storage(0, len(stored), 250, encoding=encoding))
    with pytest.raises(CheckpointError, match=f"tensor 'w': {reason}"):
        read_in_pieces(path, tensor, 100)


@given(first=st.binary(max_size=50), second=st.binary(max_size=50))
def test_crcs_of_two_texts_combine(first: bytes, second: bytes) -> None:
    assert combined_crc32(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


def test_crcs_of_long_texts_combine() -> None:
    second = bytes(range(256)) * 20_000
    assert combined_crc32(zlib.crc32(b"abc"), zlib.crc32(second), len(second)) == zlib.crc32(b"abc" + second)
