"""Hostile index.json files and the shards beside them: what each is, and what must be said of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from checkpoint_files import write_index, write_tensors

__all__ = ["CASES", "HEAVY"]

Build = Callable[[Path], Path]

_INDEX = "model.safetensors.index.json"
_ONE, _TWO, _THREE = (f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3))
_WEIGHT_MAP = {"a": _ONE, "b": _TWO, "c": _THREE}


def _model(directory: Path) -> Path:
    for name, shard in _WEIGHT_MAP.items():
        write_tensors(directory / shard, {name: ("F32", [4, 4])})
    return directory / _INDEX


def _with_map(weight_map: object) -> Build:
    """Three good shards and this weight_map."""
    return lambda directory: write_index(_model(directory), weight_map)


def _with_text(text: bytes) -> Build:
    def build(directory: Path) -> Path:
        path = _model(directory)
        path.write_bytes(text)
        return path

    return build


def _with_shard(change: Callable[[Path], object]) -> Build:
    """A good index, and the second shard changed."""

    def build(directory: Path) -> Path:
        path = write_index(_model(directory), _WEIGHT_MAP)
        change(directory / _TWO)
        return path

    return build


def _through_directory(build: Build) -> Build:
    return lambda directory: build(directory).parent


def _link_out(path: Path) -> None:
    outside = path.parent.parent / f"{path.parent.name}-outside.safetensors"
    path.rename(outside)
    path.symlink_to(outside)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _weight_map_of(shard: str) -> Build:
    return _with_map({**_WEIGHT_MAP, "b": shard})


_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

CASES: dict[str, tuple[Build, str]] = {
    "missing shard": (_with_shard(Path.unlink), f"the shard '{_TWO}' is missing"),
    "missing shard, by directory": (_through_directory(_with_shard(Path.unlink)), f"the shard '{_TWO}' is missing"),
    "extra shard": (_with_map({"a": _ONE, "b": _TWO}), f"has the shard '{_THREE}', which the index does not name"),
    "tensor in another shard": (
        _with_map({"a": _ONE, "b": _THREE, "c": _TWO}),
        f"the tensor 'b' is in '{_TWO}', not in '{_THREE}' as the index says",
    ),
    "tensor of no shard": (
        _with_map({**_WEIGHT_MAP, "d": _TWO}),
        f"the tensor 'd' is not in its shard '{_TWO}'",
    ),
    "tensor that the index does not name": (
        _with_shard(lambda path: write_tensors(path, {"b": ("F32", [4, 4]), "x": ("F32", [4, 4])})),
        f"the tensor 'x' is in '{_TWO}', and the index does not name it",
    ),
    "tensor in two shards": (
        _with_shard(lambda path: write_tensors(path, {"a": ("F32", [4, 4]), "b": ("F32", [4, 4])})),
        f"the tensor 'a' is in two shards, '{_ONE}' and '{_TWO}'",
    ),
    "tensor named twice": (
        _with_text(f'{{"weight_map": {{"a": "{_ONE}", "a": "{_TWO}"}}}}'.encode()),
        "duplicate key 'a'",
    ),
    "weight_map twice": (_with_text(b'{"weight_map": {}, "weight_map": {}}'), "duplicate key 'weight_map'"),
    "shard above": (_weight_map_of("../x.safetensors"), r"the shard '\.\./x\.safetensors' is a path with '\.\.'"),
    "shard above, later": (_weight_map_of("a/../../x.safetensors"), r"a path with '\.\.'"),
    "shard absolute": (_weight_map_of("/etc/passwd"), "the shard '/etc/passwd' is an absolute path"),
    "shard with a drive": (_weight_map_of("C:x.safetensors"), "an absolute path"),
    "shard with a backslash": (_weight_map_of("..\\x.safetensors"), "a path with a NUL or a backslash"),
    "shard with a NUL": (_weight_map_of("x\0.safetensors"), "a path with a NUL or a backslash"),
    "shard without a name": (_weight_map_of(""), "an empty path"),
    "shard is a pickle by name": (_weight_map_of("model-00001-of-00003.bin"), "the index names shards of two formats"),
    "shard is no text": (_with_map({"a": 1}), "the shard of 'a' is not a string"),
    "shard is a link out": (_with_shard(_link_out), "a link that leads out of its directory"),
    "shard is a FIFO": (_with_shard(_fifo), "a named pipe, not a file"),
    "shard is a directory": (_with_shard(lambda path: (path.unlink(), path.mkdir())), "a directory, not a file"),
    "shard is an LFS pointer": (_with_shard(lambda path: path.write_bytes(_POINTER)), "a Git LFS pointer"),
    "shard is empty": (_with_shard(lambda path: path.write_bytes(b"")), "an empty file"),
    "shard is truncated": (_with_shard(lambda path: path.write_bytes(path.read_bytes()[:-1])), "truncated: 1 bytes"),
    "not JSON": (_with_text(b"weights: here"), "bad index: not valid JSON"),
    "no end": (_with_text(b'{"weight_map": {"a": "b.safetensors"'), "bad index: not valid JSON"),
    "BOM": (_with_text(b"\xef\xbb\xbf{}"), "bad index: not valid JSON"),
    "a list": (_with_text(b"[]"), "a JSON file that is not an index|bad index"),
    "no weight_map": (_with_text(b'{"metadata": {}}'), "it has no weight_map"),
    "weight_map is a list": (_with_map(["a"]), "weight_map is not an object"),
    "weight_map is null": (_with_map(None), "weight_map is not an object"),
    "weight_map is empty": (_with_map({}), "the index names no tensor"),
    "nested 100,000 deep": (_with_text(b'{"x":' + b"[" * 100_000), "nested more than 100 levels deep"),
    "100,000 objects deep": (_with_text(b'{"x":' * 100_000), "nested more than 100 levels deep"),
    "metadata of 2 MiB": (
        lambda directory: write_index(_model(directory), _WEIGHT_MAP, {"a": "x" * (2 << 20)}),
        "more than 1 MiB of metadata",
    ),
}


def _sparse(directory: Path) -> Path:
    with (directory / _INDEX).open("wb") as file:
        file.write(b"{")
        file.truncate(101_000_000)
    return directory / _INDEX


def _many_tensors(directory: Path) -> Path:
    text = b'{"weight_map":{' + b",".join(b'"%x":"a.safetensors"' % number for number in range(3_000_000)) + b"}}"
    (directory / _INDEX).write_bytes(text)
    return directory / _INDEX


def _nested_values(directory: Path) -> Path:
    (directory / _INDEX).write_bytes(b'{"x":[' + b"[],\n" * 2_000_000 + b"[]]}")
    return directory / _INDEX


def _many_members(directory: Path) -> Path:
    (directory / _INDEX).write_bytes(b"{" + b",".join(b'"%x":0' % number for number in range(2_000_000)) + b"}")
    return directory / _INDEX


HEAVY: dict[str, tuple[Build, str]] = {
    "101 MB": (_sparse, "above the limit of 100 MB"),
    "three million tensors": (_many_tensors, "more than 200000 tensors"),
    "megabytes of lists": (_nested_values, "a value of more than 1048576 bytes"),
    "two million members": (_many_members, "more than 1000 members"),
}
