"""Thousands of damaged small files, the same in every run: none may raise anything but a CheckpointError.

The seeds are the legal files of every format and, for pickles, also what stands inside the zip, which would else
seldom be reached behind its checksums.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import legal_cases
import pytest
from checkpoint_files import BITS, write_tensors
from pickle_asm import archive, legacy, state, tensor

from wcx.core.errors import CheckpointError
from wcx.core.text import escape
from wcx.formats import open_checkpoint, open_reader
from wcx.tasks.inspect import inspect

_ROUNDS = 500
_INTERESTING = [b"\0", b"\xff", b"\x80", b"(", b".", b"t", b"Q", b"R", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"PK"]


def _damaged(random_: random.Random, seed: bytes) -> bytes:
    """A few changes: bytes that are replaced, cut out, repeated or put in."""
    data = bytearray(seed)
    for _ in range(random_.choice((1, 1, 1, 2, 4, 8))):
        start = random_.randrange(len(data) + 1)
        end = min(len(data), start + random_.choice((0, 1, 1, 2, 4, 8, 64)))
        copied = random_.randrange(len(data) + 1)
        data[start:end] = random_.choice(
            (
                b"",
                random_.choice(_INTERESTING),
                random_.randbytes(max(1, end - start)),
                bytes(data[copied : copied + 16]),
                bytes(value ^ 1 << random_.randrange(8) for value in data[start:end]),
            )
        )
    return bytes(data)


def _reason(path: Path) -> str:
    """Why a file is refused; the empty text where it is not."""
    try:
        _read_all(path)
    except CheckpointError as error:
        return error.reason
    return ""


def _read_all(path: Path) -> None:
    """What inspect and analyze do with a file, less the counting."""
    checkpoint = open_checkpoint(path)
    inspect(path)
    with open_reader(checkpoint) as reader:
        for tensor_ in checkpoint.tensors:
            if tensor_.unsupported is None and tensor_.nbytes < 1 << 20:
                reader.read_into(tensor_, 0, memoryview(bytearray(tensor_.nbytes)))


def _seeds(tmp_path: Path, prefix: str) -> list[bytes]:
    seeds = []
    for number, (name, (build, _expected)) in enumerate(legal_cases.CASES.items()):
        if name.startswith(prefix):
            directory = tmp_path / str(number)
            directory.mkdir()
            seeds.append(build(directory).read_bytes())
    return [seed for seed in seeds if len(seed) < 10_000]


def _safetensors(tmp_path: Path) -> list[bytes]:
    shapes = {name: (dtype, [4, 4]) for name, dtype in zip("abcdefghijklmnopqrstuvwxyz", BITS, strict=False)}
    return [write_tensors(tmp_path / "seed", shapes, {"format": "pt"}).read_bytes()]


def _plain(data: bytes) -> bytes:
    return data


_PICKLE = state(w=tensor(), x=tensor(strides=[1, 4]))
_KINDS: dict[str, tuple[str, Callable[[Path], list[bytes]], Callable[[bytes], bytes]]] = {
    "safetensors": ("model.safetensors", _safetensors, _plain),
    "zip": ("model.pt", lambda path: _seeds(path, "zip: "), _plain),
    "pickle in a zip": ("model.pt", lambda _path: [_PICKLE], archive),
    "legacy": ("model.pt", lambda path: _seeds(path, "legacy: "), _plain),
    "pickle in legacy": ("model.pt", lambda _path: [_PICKLE], legacy),
    "onnx": ("model.onnx", lambda path: _seeds(path, "onnx: "), _plain),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_damaged_files_are_refused_or_read(kind: str, tmp_path: Path) -> None:
    name, make_seeds, wrap = _KINDS[kind]
    seeds = make_seeds(tmp_path)
    random_ = random.Random(kind)
    path = tmp_path / name
    for number in range(_ROUNDS):
        path.write_bytes(wrap(_damaged(random_, random_.choice(seeds))))
        reason = _reason(path)
        assert "\n" not in escape(reason), number
        assert len(escape(reason)) < 700, number
