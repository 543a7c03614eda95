"""Positioned reads: short ones, several threads, few descriptors, files that change under them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkpoint_files import write_index, write_tensors

from wcx.core.checkpoint import Checkpoint, TensorInfo, TensorReader
from wcx.core.errors import ChangedFileError, CheckpointError
from wcx.formats import open_checkpoint, open_reader
from wcx.formats import reader as reader_module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tensors(tmp_path / "model.safetensors", {"a": ("F32", [64, 64]), "b": ("U8", [100])})


def _sharded(directory: Path, count: int) -> Checkpoint:
    shards = {f"t{number}": f"model-{number:05}-of-{count:05}.safetensors" for number in range(count)}
    for name, shard in shards.items():
        write_tensors(directory / shard, {name: ("U8", [number_of(name) + 1])})
    return open_checkpoint(write_index(directory / "model.safetensors.index.json", shards))


def number_of(name: str) -> int:
    return int(name[1:])


def _read(reader: TensorReader, tensor: TensorInfo, start: int = 0, nbytes: int | None = None) -> bytes:
    out = bytearray(tensor.nbytes - start if nbytes is None else nbytes)
    reader.read_into(tensor, start, memoryview(out))
    return bytes(out)


def test_any_part_can_be_read(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    tensor = checkpoint["b"]
    whole = path.read_bytes()[tensor.offset :]
    with open_reader(checkpoint) as reader:
        assert _read(reader, tensor) == whole
        assert _read(reader, tensor, 7, 13) == whole[7:20]
        assert _read(reader, tensor, 100, 0) == b""


def test_a_read_beyond_the_tensor_is_refused(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        for start, nbytes in ((0, 101), (100, 1), (-1, 1)):
            with pytest.raises(ValueError, match="of a tensor that has 100"):
                _read(reader, checkpoint["b"], start, nbytes)


def test_short_reads_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:1000]], offset))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, offset: pread(fd, min(count, 7), offset))
    checkpoint = open_checkpoint(path)
    tensor = checkpoint["a"]
    with open_reader(checkpoint) as reader:
        assert _read(reader, tensor) == path.read_bytes()[tensor.offset :][: tensor.nbytes]


def test_words_can_be_read_into(path: Path) -> None:
    out = memoryview(bytearray(16)).cast("I")
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        reader.read_into(checkpoint["a"], 0, out)
    assert out.tobytes() == path.read_bytes()[checkpoint["a"].offset :][:16]


def test_several_threads_and_many_shards_need_few_descriptors(tmp_path: Path) -> None:
    checkpoint = _sharded(tmp_path, 60)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with open_reader(checkpoint) as reader, ThreadPoolExecutor(8) as threads:
        jobs = list(checkpoint.tensors) * 20
        contents = list(threads.map(lambda tensor: _read(reader, tensor), jobs))
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) - before <= reader_module._OPEN_FILES + 8
        reader.check_unchanged()
    assert contents == [bytes(range(len(content))) for content in contents]
    assert [len(content) for content in contents] == [tensor.nbytes for tensor in jobs]
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_pipe_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a device can have effects, opening a pipe waits."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "open", lambda *_arguments: pytest.fail("opened"))
    with pytest.raises(CheckpointError, match="a named pipe"):
        open_checkpoint(tmp_path / "pipe")


def test_nothing_is_opened_before_it_is_read(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    path.unlink()
    with open_reader(checkpoint) as reader, pytest.raises(CheckpointError, match="no such file"):
        _read(reader, checkpoint["b"])


def test_a_file_truncated_while_it_is_read_is_an_error(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        _read(reader, checkpoint["a"])
        os.truncate(path, checkpoint["b"].offset + 10)
        with pytest.raises(ChangedFileError, match="the file shrank while it was read") as caught:
            _read(reader, checkpoint["b"])
        assert caught.value.offset == checkpoint["b"].offset + 10


def _rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(0, 1))


def _replace(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    status = path.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.rename(path)


@pytest.mark.parametrize("change", [_rewrite, _replace, Path.unlink, lambda path: os.truncate(path, 1 << 20)])
@pytest.mark.parametrize("opened", [True, False])
def test_a_file_that_changed_is_noticed_at_the_end(path: Path, change: object, opened: bool) -> None:
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        if opened:
            _read(reader, checkpoint["b"])
        reader.check_unchanged()
        assert callable(change)
        change(path)
        with pytest.raises(ChangedFileError):
            reader.check_unchanged()


def test_a_file_replaced_before_it_is_read_is_not_read(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    _replace(path)
    with open_reader(checkpoint) as reader:
        for _ in range(2):
            with pytest.raises(ChangedFileError, match="changed or replaced"):
                _read(reader, checkpoint["b"])
