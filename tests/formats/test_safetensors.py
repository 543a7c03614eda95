"""Reading the headers of safetensors files; the damaged ones are in tests/hostile."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import BITS, entry, write_header, write_tensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.errors import CheckpointError
from wcx.formats import FORMATS, open_checkpoint, open_reader
from wcx.formats.format import FileHead, Match
from wcx.formats.safetensors import DTYPE_NAMES


def _bytes_of(checkpoint: Checkpoint, tensor: TensorInfo) -> bytes:
    out = bytearray(tensor.nbytes)
    with open_reader(checkpoint) as reader:
        reader.read_into(tensor, 0, memoryview(out))
    return bytes(out)


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6.0, dtype=np.float32).reshape(2, 3), "a": np.arange(4, dtype=np.int8)}
    path = tmp_path / "model.safetensors"
    save_file(arrays, path, {"epoch": "3"})
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "safetensors"
    assert checkpoint.metadata == {"epoch": "3"}
    assert (checkpoint.directory, checkpoint.files) == (str(tmp_path), ("model.safetensors",))
    assert checkpoint.nbytes == path.stat().st_size
    for name, array in arrays.items():
        tensor = checkpoint[name]
        assert (tensor.shape, tensor.nbytes) == (array.shape, array.nbytes)
        assert _bytes_of(checkpoint, tensor) == array.tobytes()


def test_tensors_are_in_the_order_of_their_data_and_then_of_the_header(tmp_path: Path) -> None:
    header = {
        "last": entry(data_offsets=(4, 8)),
        "empty": entry(shape=[0], data_offsets=(4, 4)),
        "first": entry(data_offsets=(0, 4)),
        "also empty": entry(shape=[0], data_offsets=(4, 4)),
    }
    checkpoint = open_checkpoint(write_header(tmp_path / "model.safetensors", header, bytes(8)))
    assert [tensor.name for tensor in checkpoint.tensors] == ["first", "last", "empty", "also empty"]


def test_offsets_are_those_of_the_file(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", {"a": ("U8", [3]), "b": ("U8", [5])})
    checkpoint = open_checkpoint(path)
    content = path.read_bytes()
    for tensor in checkpoint.tensors:
        assert _bytes_of(checkpoint, tensor) == content[tensor.offset :][: tensor.nbytes]
    assert checkpoint["b"].offset == len(content) - 5


@pytest.mark.parametrize("dtype", BITS)
def test_every_dtype_has_the_size_that_the_library_gives_it(dtype: str, tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", {"a": (dtype, [3, 8])})
    tensor = open_checkpoint(path)["a"]
    assert (tensor.dtype, tensor.nbytes) == (dtype, 3 * BITS[dtype])
    with safe_open(path, framework="np", backend="pread") as file:
        assert file.get_slice("a").get_dtype() == dtype


def test_the_dtypes_are_all_that_the_library_knows(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="unknown variant") as caught:
        safe_open(write_header(tmp_path / "a", {"a": entry("?")}, b"1234"), framework="np", backend="pread")
    names = str(caught.value).partition("expected one of")[2].split("`")[1::2]
    assert set(DTYPE_NAMES) == set(names)


def test_names_tell_roles(tmp_path: Path) -> None:
    names = ["bn.running_var", "optimizer.0.exp_avg", "exp_avg.weight", "running_mean.x", "momentum_buffer"]
    checkpoint = open_checkpoint(write_tensors(tmp_path / "a", {name: ("F32", [1]) for name in names}))
    roles = [tensor.role for tensor in checkpoint.tensors]
    assert roles == ["buffer", "optimizer", "weight", "weight", "optimizer"]


def test_a_single_shard_gets_a_note(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model-00002-of-00007.safetensors", {"a": ("F32", [1])})
    assert "one shard of 7" in open_checkpoint(path).notes[0]
    assert open_checkpoint(write_tensors(tmp_path / "b.safetensors", {})).notes == ()


def test_a_path_that_is_no_utf8_can_be_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.safetensors"))
    assert open_checkpoint(write_tensors(path, {"a": ("F32", [1])})).path == str(path)


def test_descriptions_are_comparable(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", {"a": ("F32", [1])})
    assert open_checkpoint(path) == open_checkpoint(str(path))


def test_a_header_length_that_looks_like_a_magic_number_misleads_nobody(tmp_path: Path) -> None:
    """0x280 is how a pickle begins, 0x088b1f how gzip does."""
    for length in (0x280, 0x088B1F):
        text = b"{}".ljust(length)
        assert open_checkpoint(write_header(tmp_path / "model", text)).format == "safetensors"


@given(head=st.binary(max_size=200), name=st.text(max_size=20), nbytes=st.integers(0, 1 << 64))
def test_sniffing_never_raises(head: bytes, name: str, nbytes: int) -> None:
    for format_ in FORMATS.values():
        assert format_.sniff(FileHead(name, nbytes, head, head)) in Match


_VALID = {"a.weight": ("BF16", [4, 4]), "b": ("F4", [8]), "c": ("I64", [])}
_PIECES = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"-1",
    b"1e9",
    b"NaN",
    b"null",
    b"\xff",
    b"\0",
    b"18446744073709551616",
]


def _mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[place] = chance.randrange(256)
        elif kind == 1:
            changed[place:place] = chance.choice(_PIECES)
        elif kind == 2:
            del changed[place : place + chance.randint(1, 20)]
        else:
            source = chance.randrange(len(changed))
            changed[place : place + 8] = changed[source : source + 8]
    if chance.random() < 0.7 and len(changed) > 8:  # as often as not with a header length that fits
        end = changed.rfind(b"}") + 1
        changed[:8] = max(end - 8, 0).to_bytes(8, "little")
    return bytes(changed)


def test_a_mutated_file_is_a_checkpoint_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    content = write_tensors(path, _VALID, {"format": "pt"}).read_bytes()
    chance = random.Random(20260101)
    opened = 0
    messages = []
    for _ in range(1500):
        path.write_bytes(_mutated(content, chance))
        try:
            checkpoint = open_checkpoint(path)
        except CheckpointError as error:
            messages.append(str(error))
        else:
            opened += 1
            assert all(tensor.offset + tensor.nbytes <= checkpoint.nbytes for tensor in checkpoint.tensors)
    assert 10 < opened < 1000
    assert not [message for message in messages if "\n" in message]
