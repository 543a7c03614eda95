"""Hostile and odd inputs of every kind: each case builds one in a directory of its own and says what is expected."""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

from checkpoint_files import write_tensors

__all__ = ["CASES", "Build"]

Build = Callable[[Path], Path]

CASES: dict[str, tuple[Build, str]] = {}
"""By name: what builds the input, and a regular expression that its line must match behind the path."""


def _file(name: str, content: bytes) -> Build:
    def build(directory: Path) -> Path:
        path = directory / name
        path.write_bytes(content)
        return path

    return build


def _random_bytes(count: int) -> bytes:
    return b"\xa5" + random.Random(7).randbytes(count - 1)


CASES["empty"] = (_file("model.safetensors", b""), "an empty file: download it again")
CASES["empty, unknown suffix"] = (_file("model.weights", b""), "an empty file")
for _count in range(1, 8):
    CASES[f"{_count} bytes"] = (_file("model.safetensors", b"\x02" * _count), f"{_count} bytes are too few")
CASES["nothing but zeros"] = (_file("model.safetensors", bytes(1000)), "only zero bytes")
for _suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".gguf", ".h5", ".npz", ".json", ""):
    CASES[f"random bytes {_suffix}"] = (
        _file("model" + _suffix, _random_bytes(5000)),
        "not a safetensors file: header length" if _suffix == ".safetensors" else r"an unknown format \(5000",
    )
CASES["random bytes .onnx"] = (_file("model.onnx", _random_bytes(5000)), "damaged model: ")
CASES["random bytes .index.json"] = (
    _file("model.safetensors.index.json", _random_bytes(5000)),
    "bad index: not valid JSON",
)

CASES["LFS pointer"] = (
    _file("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"),
    "a Git LFS pointer, not the file itself: run git lfs pull",
)
CASES["HTML page"] = (
    _file("model.safetensors", b"\n<!DOCTYPE html>\n<html><title>Sign in</title></html>"),
    "an HTML page, not the file itself: download the file",
)
CASES["GGUF"] = (_file("model.safetensors", b"GGUF\x03\0\0\0" + bytes(100)), "a GGUF file")
CASES["pickle"] = (
    _file("model.safetensors", b"\x80\x02}q\x00(X\x01\x00\x00\x00a" + bytes(100)),
    "the pickle has the unknown opcode 0x00",
)
CASES["HDF5"] = (_file("model.safetensors", b"\x89HDF\r\n\x1a\n" + bytes(100)), "an HDF5 file")
CASES["npy"] = (_file("model.safetensors", b"\x93NUMPY\x01\0v\0" + bytes(100)), r"a NumPy \.npy file")
CASES["gzip"] = (_file("model.safetensors", b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(100)), "compressed with gzip")
CASES["ONNX"] = (
    _file("model.bin", b"\x08\x08\x12\x07pytorch" + bytes(100)),
    "an unknown format|damaged model",
)
CASES["JSON"] = (_file("config.json", b'{"model_type": "bert"}'), "a JSON file that is not an index of shards")
CASES["JSON named safetensors"] = (_file("model.safetensors", b'{"a": [1, 2, 3]}'), "a JSON file")


def _zip(name: str, *members: str) -> Build:
    def build(directory: Path) -> Path:
        with zipfile.ZipFile(directory / name, "w") as archive:
            for member in members:
                archive.writestr(member, b"0" * 70_000)
        return directory / name

    return build


CASES["PyTorch zip"] = (
    _zip("model.safetensors", "archive/data/0", "archive/data.pkl"),
    "the pickle pops more values than its stack has",
)
CASES["npz"] = (_zip("model.npz", "weight.npy"), r"a NumPy \.npz file")
CASES["zip"] = (_zip("model.safetensors", "model.txt"), "a zip archive: unpack it")


# ----------------------------------------------------------------------------------- paths that are no regular file


def _empty_directory(directory: Path) -> Path:
    return directory


def _directory_named_so(directory: Path) -> Path:
    (directory / "model.safetensors").mkdir()
    return directory / "model.safetensors"


def _fifo(directory: Path) -> Path:
    os.mkfifo(directory / "model.safetensors")
    return directory / "model.safetensors"


def _fifo_in_directory(directory: Path) -> Path:
    os.mkfifo(directory / "model.safetensors")
    return directory


def _dangling(directory: Path) -> Path:
    (directory / "model.safetensors").symlink_to(directory / "gone")
    return directory / "model.safetensors"


def _looping(directory: Path) -> Path:
    (directory / "a.safetensors").symlink_to(directory / "b.safetensors")
    (directory / "b.safetensors").symlink_to(directory / "a.safetensors")
    return directory / "a.safetensors"


def _no_permission(directory: Path) -> Path:
    path = write_tensors(directory / "model.safetensors", {"a": ("F32", [4, 4])})
    path.chmod(0)
    return path


CASES["empty directory"] = (_empty_directory, "no checkpoint in this directory")
CASES["directory named as a file"] = (_directory_named_so, "no checkpoint in this directory")
CASES["FIFO"] = (_fifo, "a named pipe, not a file")
CASES["FIFO in a directory"] = (_fifo_in_directory, "no checkpoint in this directory")
CASES["endless device"] = (lambda _directory: Path("/dev/zero"), "a device, not a file")
CASES["empty device"] = (lambda _directory: Path("/dev/null"), "a device, not a file")
CASES["dangling link"] = (_dangling, "a symbolic link to .*gone, which does not exist")
CASES["looping link"] = (_looping, "a loop of symbolic links")
CASES["missing"] = (lambda directory: directory / "gone.safetensors", "no such file or directory")
CASES["missing pattern"] = (lambda directory: directory / "gone_*.safetensors", "no checkpoint matches this pattern")
CASES["too long a name"] = (lambda directory: directory / ("a" * 300), "can't be read: File name too long")
CASES["below a file"] = (lambda directory: _file("a", b"a")(directory) / "b", "can't be read: Not a directory")
CASES["no permission"] = (_no_permission, "no permission to read it")

# ------------------------------------------------------------------------------------------- names of the file itself

for _label, _name in {
    "newline": "a\nb.safetensors",
    "ESC": "a\x1b[31mb.safetensors",
    "RTL override": "a\u202eb.safetensors",
    "invalid UTF-8": os.fsdecode(b"a\xffb.safetensors"),
    "markup": "a[bold]b[",
}.items():
    CASES[f"{_label} in the file's name"] = (
        _file(_name, b"\xa5garbage, no checkpoint"),
        "not a safetensors file|an unknown format",
    )
