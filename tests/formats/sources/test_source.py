"""Checkpoints from a source that is no file system, and from descriptions that were pickled: the same bytes."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import legal_cases
import pytest
from checkpoint_files import write_index, write_tensors

import wcx.formats
from wcx.core.checkpoint import Checkpoint, Signature
from wcx.core.errors import ChangedFileError, CheckpointError
from wcx.formats import find_checkpoints, open_checkpoint, open_reader
from wcx.formats.sources import SOURCES
from wcx.formats.sources.source import Kind

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@dataclass
class MemoryFile:
    path: str
    content: bytes
    local_path: None = None
    reads: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nbytes = len(self.content)
        self.signature = Signature(self.nbytes, 0, hash(self.content))

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None: ...

    def read(self, start: int, nbytes: int) -> bytes:
        assert 0 <= start <= start + nbytes <= self.nbytes
        return self.content[start : start + nbytes]

    def read_into(self, start: int, out: memoryview) -> None:
        out[:] = self.read(start, len(out))


class MemorySource:
    """Files in a dict, under paths such as mem://model/weights.pt."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def open(self, path: str) -> MemoryFile:
        if path not in self.files:
            raise CheckpointError(path, "no such file")
        return MemoryFile(path, self.files[path])

    def signature(self, path: str) -> Signature:
        if path not in self.files:
            raise ChangedFileError(path, "gone")
        return self.open(path).signature

    def kind(self, path: str) -> Kind | None:
        if path in self.files:
            return "file"
        return "directory" if any(name.startswith(f"{path}/") for name in self.files) else None

    def list(self, directory: str) -> list[str]:
        inside = (name.removeprefix(f"{directory}/") for name in self.files if name.startswith(f"{directory}/"))
        return sorted({name.partition("/")[0] for name in inside})

    def split(self, path: str) -> tuple[str, str]:
        directory, _slash, name = path.rpartition("/")
        return directory, name

    def join(self, directory: str, name: str) -> str:
        return f"{directory}/{name}"

    def check_inside(self, directory: str, name: str) -> None: ...


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemorySource]:
    monkeypatch.setattr(SOURCES, "_table", {**SOURCES._table, "mem": f"{__name__}:SOURCE"})
    SOURCE.files.clear()
    yield SOURCE
    SOURCE.files.clear()


SOURCE = MemorySource()


def move(source: MemorySource, path: Path) -> str:
    """Take the file and all that lies next to it into memory, and away from the disk; return its path there."""
    for directory, _names, files in os.walk(path.parent):
        for name in files:
            content = Path(directory, name).read_bytes()
            source.files[f"mem://m/{Path(directory, name).relative_to(path.parent)}"] = content
    shutil.rmtree(path.parent)
    return f"mem://m/{path.name}"


def contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The bytes of every tensor that can be read, in pieces, by name."""
    found = {}
    with open_reader(checkpoint) as reader:
        for tensor in checkpoint.tensors:
            if tensor.unsupported is None:
                data = bytearray(tensor.nbytes)
                for start in range(0, tensor.nbytes, 24):
                    reader.read_into(tensor, start, memoryview(data)[start : start + 24])
                found[tensor.name] = bytes(data)
        reader.check_unchanged()
    return found


def sharded(directory: Path) -> Path:
    for name, shard in zip("ab", SHARDS, strict=True):
        write_tensors(directory / shard, {name: ("F32", [8, 8])}, {"of": name})
    return write_index(directory / "model.safetensors.index.json", dict(zip("ab", SHARDS, strict=True)))


BUILDS: dict[str, Callable[[Path], Path]] = {
    "safetensors": lambda path: write_tensors(path / "model.safetensors", {"w": ("F32", [8, 8]), "b": ("U8", [5])}),
    "sharded": sharded,
    **{name: build for name, (build, _expected) in legal_cases.CASES.items()},
}


def build_all(root: Path) -> Iterator[tuple[str, Path]]:
    for number, (name, build) in enumerate(BUILDS.items()):
        directory = root / str(number)
        directory.mkdir()
        yield name, build(directory)


def test_every_format_reads_from_memory_what_it_reads_from_disk(memory: MemorySource, tmp_path: Path) -> None:
    for name, path in build_all(tmp_path):
        local = open_checkpoint(path)
        expected = contents(local)
        memory.files.clear()
        moved = open_checkpoint(move(memory, path))
        assert moved.directory == "mem://m", name
        assert moved.tensors == local.tensors, name
        assert replace(moved, path="", directory="", signatures=()) == replace(
            local, path="", directory="", signatures=()
        ), name
        assert contents(pickle.loads(pickle.dumps(moved))) == expected, name


def test_a_pickled_description_opens_the_same_reader(tmp_path: Path) -> None:
    encodings = set()
    for name, path in build_all(tmp_path):
        checkpoint = open_checkpoint(path)
        copy = pickle.loads(pickle.dumps(checkpoint))
        assert copy == checkpoint, name
        assert contents(copy) == contents(checkpoint), name
        for tensor in copy.tensors:
            storage = tensor.storage
            encodings.add((storage.encoding, storage.strides is not None) if storage else None)
    assert {None, ("raw", True), ("deflate", False), ("varint", False)} <= encodings


def test_a_directory_in_memory_is_its_model(memory: MemorySource, tmp_path: Path) -> None:
    index = move(memory, sharded(tmp_path))
    checkpoint = open_checkpoint("mem://m")
    assert (checkpoint.path, checkpoint.files) == ("mem://m", SHARDS)
    assert contents(checkpoint) == contents(open_checkpoint(index))
    assert find_checkpoints(["mem://m"]) == ["mem://m"]
    memory.files["mem://m/model-00003-of-00002.safetensors"] = b""
    with pytest.raises(CheckpointError, match="which the index does not name"):
        open_checkpoint(index)
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint("mem://other/model.pt")


def test_a_file_in_memory_that_changes_is_noticed(memory: MemorySource, tmp_path: Path) -> None:
    path = move(memory, BUILDS["safetensors"](tmp_path))
    checkpoint = open_checkpoint(path)
    memory.files[path] += b"x"
    with open_reader(checkpoint) as reader, pytest.raises(ChangedFileError, match="changed or replaced"):
        reader.read_into(checkpoint.tensors[0], 0, memoryview(bytearray(4)))
    del memory.files[path]
    with open_reader(checkpoint) as reader, pytest.raises(ChangedFileError, match="gone"):
        reader.check_unchanged()


@pytest.mark.parametrize("path", ["https://example.org/model.pt", "HF://org/model", "s3://bucket/model.pt"])
def test_other_schemes_are_refused(path: str) -> None:
    with pytest.raises(CheckpointError, match="wcx reads local files only: download it first"):
        open_checkpoint(path)
    assert find_checkpoints([path]) == [path]


def test_an_unknown_scheme_is_a_name_of_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no such file or directory"):
        open_checkpoint("mem://m/model.pt")


def test_a_directory_that_can_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    index = sharded(tmp_path)
    monkeypatch.setattr(os, "listdir", refuse)
    for path in (tmp_path, index):
        with pytest.raises(CheckpointError, match="can't list the directory: Permission denied"):
            open_checkpoint(path)


def test_no_format_touches_a_file_but_through_a_source() -> None:
    """Names may be compared by os.path; patterns of the command line are of this machine."""
    folder = Path(wcx.formats.__file__).parent
    wrong = []
    for path in folder.rglob("*.py"):
        if path.parent.name != "sources":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module == "wcx.core.files":
                    wrong.append(f"{path}: wcx.core.files")
                if isinstance(node, ast.Call) and ast.unparse(node.func).split("(")[0] in FILE_CALLS:
                    wrong.append(f"{path}:{node.lineno}")
    assert not wrong


FILE_CALLS = {
    "open",
    *(f"os.{name}" for name in ("open", "read", "pread", "preadv", "stat", "lstat", "fstat", "listdir", "scandir")),
    *(f"os.path.{name}" for name in ("exists", "lexists", "isfile", "isdir", "islink", "getsize", "realpath")),
}
