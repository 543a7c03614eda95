"""Which file is the same as before, and which checkpoints hold the same tensors, across formats."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import Tensor, random_tensor, tensor_of, write_safetensors
from torch_files import Tensor as TorchTensor
from torch_files import pickled, write_zip

import wcx
from wcx.core.checkpoint import Checkpoint, Quantization, TensorInfo, TensorReader
from wcx.core.errors import ChangedFileError
from wcx.formats import open_checkpoint, open_reader
from wcx.tasks.compare.series import identity as module
from wcx.tasks.compare.series.identity import Identity, identify, same_content

SAMPLES = Path(__file__).parents[4] / "sample_models"
CNN = SAMPLES / "digits_cnn"
BNN = SAMPLES / "digits_bnn" / "seed_0"


def identity_of(path: Path) -> Identity:
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        return identify(checkpoint, reader)


def are_same(one: Path, other: Path) -> bool:
    return same_content(open_checkpoint(one), open_checkpoint(other))


def network(seed: int = 0, rows: int = 64, prefix: str = "") -> dict[str, Tensor]:
    """Three layers of a network; with rows of 64 they are few enough to be sampled whole."""
    names = ("conv.weight", "fc.weight", "fc.bias")
    shapes = ((16, 3, 5, 5), (rows, 256), (rows,))
    return {
        prefix + name: random_tensor("F32", shape, seed + place, "ordinary")
        for place, (name, shape) in enumerate(zip(names, shapes, strict=True))
    }


def write_at(path: Path, place: int, change: int = 1) -> None:
    """Change one byte in place, at the same size and time and in the same file."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ change]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_ino == status.st_ino


# ------------------------------------------------------------------------------------------------------ the same file


def test_a_file_that_was_not_touched_is_the_same(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    assert identity_of(path) == identity_of(path)
    assert identity_of(path).key == identity_of(path).key


def test_a_file_moved_elsewhere_is_the_same(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    before = identity_of(path)
    (tmp_path / "below").mkdir()
    path.rename(tmp_path / "below" / "b.safetensors")
    assert identity_of(tmp_path / "below" / "b.safetensors").key == before.key


def test_a_touched_file_is_another(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    before = identity_of(path)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    after = identity_of(path)
    assert after.key != before.key
    assert replace(after, files=before.files) == before


def test_a_copy_is_another_file_of_the_same_content(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    copy = Path(shutil.copy2(path, tmp_path / "b.safetensors"))
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    assert identity_of(copy).key != identity_of(path).key
    assert identity_of(copy).content == identity_of(path).content
    assert are_same(path, copy)


@pytest.mark.parametrize("change", [0x01, 0x80])
def test_one_bit_changed_in_place_is_seen_wherever_all_is_sampled(tmp_path: Path, change: int) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    before, copy = identity_of(path), Path(shutil.copy(path, tmp_path / "b.safetensors"))
    nbytes = path.stat().st_size
    data = sum(len(tensor.raw) for tensor in network().values())
    for place in (nbytes - data, nbytes - data // 2, nbytes - 1):
        write_at(path, place, change)
        after = identity_of(path)
        assert after.files == before.files
        assert after.header == before.header
        assert after.key != before.key
        assert after.content != before.content
        assert not are_same(path, copy)
        write_at(path, place, change)
        assert identity_of(path) == before


def test_any_sampled_byte_of_a_large_file_is_seen_and_no_other(tmp_path: Path) -> None:
    tensors = {f"w{index}": random_tensor("F16", (512, 512), index) for index in range(4)}
    path = write_safetensors(tmp_path / "a.safetensors", tensors)
    copy = Path(shutil.copy(path, tmp_path / "b.safetensors"))
    before = identity_of(path)
    data = 4 * 2 * 512 * 512
    first = path.stat().st_size - data
    begins = [place * (data - 4096) // 63 for place in range(64)]
    for begin in begins:
        for place in (begin, begin + 4095):
            write_at(path, first + place)
            assert identity_of(path).key != before.key
            assert identity_of(path).content != before.content
            write_at(path, first + place)
    write_at(path, first + begins[30] + 5000)
    assert identity_of(path) == before  # what the samples can't see
    assert not are_same(path, copy)  # and comparing does


def test_a_file_replaced_by_another_of_the_same_size_and_time_is_another(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network(seed=0))
    before, status = identity_of(path), path.stat()
    other = write_safetensors(tmp_path / "b.safetensors", network(seed=5))
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = identity_of(path)
    assert after.files == before.files
    assert after.header == before.header
    assert after.key != before.key


def test_another_header_of_the_same_size_and_time_is_another_file(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    before = identity_of(path)
    write_at(path, path.read_bytes().index(b"conv"), 1)
    after = identity_of(path)
    assert after.files == before.files
    assert replace(after, header=before.header, content=before.content) == before
    assert after.key != before.key


def test_other_names_or_shapes_of_the_same_bytes_are_another_header(tmp_path: Path) -> None:
    raw = random_tensor("F32", (12, 12)).raw
    variants = [
        {"a": Tensor("F32", (12, 12), raw)},
        {"b": Tensor("F32", (12, 12), raw)},
        {"a": Tensor("F32", (144,), raw)},
        {"a": Tensor("I32", (12, 12), raw)},
        {"a": Tensor("F32", (6, 12), raw[:288]), "b": Tensor("F32", (6, 12), raw[288:])},
    ]
    found = [
        identity_of(write_safetensors(tmp_path / f"{index}.safetensors", tensors))
        for index, tensors in enumerate(variants)
    ]
    assert len({one.header for one in found}) == len({one.content for one in found}) == len(variants)


def test_every_field_of_a_tensor_is_in_the_header(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_safetensors(tmp_path / "a.safetensors", network()))
    changes: dict[str, Any] = {
        "name": "other",
        "role": "buffer",
        "source": "somewhere",
        "aliases": ("tied",),
        "quantization": Quantization((1,), (1, 1), 0.5),
        "unsupported": "text",
    }
    with open_reader(checkpoint) as reader:
        headers = {identify(checkpoint, reader).header}
        for name, value in changes.items():
            tensors = (replace(checkpoint.tensors[0], **{name: value}), *checkpoint.tensors[1:])
            headers.add(identify(replace(checkpoint, tensors=tensors), reader).header)
        assert identify(replace(checkpoint, path="other", directory=checkpoint.directory), reader).header in headers
    assert len(headers) == 1 + len(changes)


def test_optimizer_state_is_part_of_the_file_and_not_of_the_content(tmp_path: Path) -> None:
    state = {f"{name}.exp_avg": random_tensor("F32", tensor.shape, 9) for name, tensor in network().items()}
    path = write_safetensors(tmp_path / "a.safetensors", network())
    trained = write_safetensors(tmp_path / "b.safetensors", network() | state)
    before = identity_of(trained)
    assert before.content == identity_of(path).content
    assert are_same(path, trained)
    write_at(trained, trained.stat().st_size - 1)
    assert identity_of(trained).content == before.content
    assert identity_of(trained).key != before.key
    assert are_same(path, trained)


# -------------------------------------------------------------------------------------------------- the same content


@pytest.mark.parametrize("file", ["checkpoint.pt", "checkpoint_legacy.pt", "model.onnx"])
def test_one_network_in_another_format_is_the_same(file: str) -> None:
    expected, found = identity_of(CNN / "model.safetensors"), identity_of(CNN / file)
    assert found.content == expected.content
    assert found.key != expected.key
    assert are_same(CNN / "model.safetensors", CNN / file)
    assert are_same(CNN / file, CNN / "model.safetensors")


def test_two_epochs_are_not_the_same() -> None:
    one, other = BNN / "epoch_001.safetensors", BNN / "epoch_002.safetensors"
    assert identity_of(one).content != identity_of(other).content
    assert not are_same(one, other)
    assert are_same(one, one)


def test_every_epoch_of_a_run_is_told_from_every_other() -> None:
    found = [identity_of(path) for path in sorted(BNN.glob("*.safetensors"))]
    assert len(found) == 31
    assert len({one.content for one in found}) == len({one.key for one in found}) == 31


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model.", "state_dict.model.", "block._orig_mod."]
)
def test_what_wrappers_put_before_names_does_not_matter(tmp_path: Path, prefix: str) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network(prefix="block." if "block" in prefix else ""))
    wrapped = write_safetensors(tmp_path / "b.safetensors", network(prefix=prefix))
    assert identity_of(path).content == identity_of(wrapped).content
    assert are_same(path, wrapped)


def test_names_that_only_a_wrapper_tells_apart_are_left_whole(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network(0, prefix="model.") | network(5, prefix="module."))
    other = write_safetensors(tmp_path / "b.safetensors", network(0, prefix="module.") | network(5, prefix="model."))
    assert identity_of(path).content != identity_of(other).content
    assert not are_same(path, other)
    assert are_same(path, path)


def test_the_order_in_the_file_and_counters_do_not_matter(tmp_path: Path) -> None:
    def steps(number: int) -> Mapping[str, Tensor]:
        return {"bn.num_batches_tracked": tensor_of(np.array(number), "I64")}

    path = write_safetensors(tmp_path / "a.safetensors", network() | steps(5))
    other = write_safetensors(tmp_path / "b.safetensors", dict(reversed([*(network() | steps(6)).items()])))
    assert identity_of(path).content == identity_of(other).content
    assert are_same(path, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors | {"fc.bias": random_tensor("F32", (64,), 99)},
        lambda tensors: tensors | {"more": random_tensor("F32", (4,), 99)},
        lambda tensors: {name: tensor for name, tensor in tensors.items() if name != "fc.bias"},
        lambda tensors: tensors | {"temperature": tensor_of(np.array(1.5, np.float32), "F32")},
        lambda tensors: tensors | {"fc.weight": tensors["fc.weight"]._replace(shape=(256, 64))},
        lambda tensors: tensors | {"fc.weight": tensors["fc.weight"]._replace(dtype="U32")},
        lambda tensors: dict(zip(tensors, reversed(list(tensors.values())), strict=True)),
    ],
    ids=["bytes", "one more", "one less", "a number", "shape", "dtype", "names exchanged"],
)
def test_anything_else_does(tmp_path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", network())
    other = write_safetensors(tmp_path / "b.safetensors", change(network()))
    assert identity_of(path).content != identity_of(other).content
    assert not are_same(path, other)
    assert not are_same(other, path)


def test_zeros_of_different_signs_differ(tmp_path: Path) -> None:
    paths = [
        write_safetensors(tmp_path / f"{zero}.safetensors", {"w": tensor_of(np.full((4, 4), zero, np.float32), "F32")})
        for zero in (0.0, -0.0)
    ]
    assert not are_same(*paths)


def test_not_a_number_is_the_same_as_itself(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a", {"w": tensor_of(np.full((4, 4), np.nan, np.float32), "F32")})
    assert are_same(path, Path(shutil.copy(path, tmp_path / "b")))


def test_the_last_byte_of_a_large_tensor_is_compared_and_the_rest_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {f"w{index}": random_tensor("F32", (512, 1025), index) for index in range(2)}
    path = write_safetensors(tmp_path / "a", tensors)
    other = Path(shutil.copy(path, tmp_path / "b"))
    first = path.stat().st_size - 2 * 512 * 1025 * 4
    read = watch(monkeypatch)
    assert are_same(path, other)
    assert sum(read) == 2 * 2 * 512 * 1025 * 4
    assert max(read) == 1 << 20
    read.clear()
    write_at(other, first + 512 * 1025 * 4 - 1)
    assert not are_same(path, other)
    assert sum(read) == 2 * 512 * 1025 * 4


def watch(monkeypatch: pytest.MonkeyPatch, at_third_read: Callable[[], None] = lambda: None) -> list[int]:
    """How many bytes are read at once."""
    read: list[int] = []

    class Watched:
        def __init__(self, checkpoint: Checkpoint) -> None:
            self._reader = open_reader(checkpoint)
            self.check_unchanged = self._reader.check_unchanged

        def __enter__(self) -> Watched:
            return self

        def __exit__(self, *error: object) -> None:
            self._reader.__exit__(*error)

        def read_into(self, tensor: TensorInfo, start: int, out: memoryview) -> None:
            read.append(len(out))
            if len(read) == 3:  # by then both files are open
                at_third_read()
            self._reader.read_into(tensor, start, out)

    monkeypatch.setattr(module, "open_reader", Watched)
    return read


def test_checkpoints_without_tensors_are_not_called_the_same(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a", {})
    assert identity_of(path) == identity_of(path)
    assert not are_same(path, path)


def test_what_changes_while_it_is_compared_is_not_called_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_safetensors(tmp_path / name, network()) for name in "ab"]
    checkpoints = [open_checkpoint(path) for path in paths]
    for place, path in enumerate(paths):
        watch(monkeypatch, at_third_read=lambda path=path: os.utime(path, (5, 5)))
        assert not same_content(*checkpoints)
        monkeypatch.undo()
        checkpoints[place] = open_checkpoint(path)
    assert same_content(*checkpoints)


def test_what_can_not_be_read_is_not_called_the_same(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a", network())
    checkpoint = open_checkpoint(path)
    hindered = replace(
        checkpoint, tensors=(replace(checkpoint.tensors[0], unsupported="text"), *checkpoint.tensors[1:])
    )
    assert not same_content(hindered, hindered)
    os.utime(path, (5, 5))
    assert not same_content(checkpoint, checkpoint)


# ------------------------------------------------------------------------------------- storages that are decoded, views


def torch_file(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], **options: Any) -> Path:  # noqa: ANN401
    """A PyTorch file of arrays; strides: of an array's storage, in which its bytes are written."""
    tensors = {
        name: TorchTensor(name, array.shape, strides=tuple(step // array.itemsize for step in array.strides))
        for name, array in arrays.items()
    }
    data = {name: array.tobytes("A") for name, array in arrays.items()}
    write_zip(path, pickled(tensors), data, **options)
    return path


def arrays(rows: int) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(rows)
    return {f"w{index}": random.standard_normal((rows, 256)).astype(np.float32) for index in range(3)}


def deflated(path: Path, target: Path) -> Path:
    """The same zip, compressed."""
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    return target


def test_a_compressed_file_of_few_weights_has_the_same_content(tmp_path: Path) -> None:
    plain = torch_file(tmp_path / "a.pt", arrays(200))
    packed = deflated(plain, tmp_path / "b.pt")
    assert {tensor.storage.encoding for tensor in open_checkpoint(packed).tensors if tensor.storage} == {"deflate"}
    assert identity_of(plain).content == identity_of(packed).content
    assert are_same(plain, packed)


def test_a_transposed_view_of_few_weights_has_the_same_content(tmp_path: Path) -> None:
    plain = torch_file(tmp_path / "a.pt", arrays(200))
    viewed = torch_file(tmp_path / "b.pt", {name: np.asfortranarray(one) for name, one in arrays(200).items()})
    assert any(tensor.storage and tensor.storage.strides for tensor in open_checkpoint(viewed).tensors)
    assert identity_of(plain).content == identity_of(viewed).content
    assert are_same(plain, viewed)


@pytest.mark.parametrize("kind", ["deflated", "transposed"])
def test_of_large_storages_that_have_to_be_decoded_the_files_bytes_are_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plain = torch_file(tmp_path / "a.pt", arrays(2000))
    if kind == "deflated":
        packed = deflated(plain, tmp_path / "b.pt")
    else:
        packed = torch_file(tmp_path / "b.pt", {name: np.asfortranarray(one) for name, one in arrays(2000).items()})
    monkeypatch.setattr(module, "_WORK", 3_000_000)  # one of three tensors
    before = identity_of(packed)
    assert before.content == identity_of(Path(shutil.copy(packed, tmp_path / "c.pt"))).content
    assert before.content != identity_of(plain).content
    assert are_same(plain, packed)
    checkpoint = open_checkpoint(packed)
    seen = []
    with open_reader(checkpoint) as reader:
        spy = Spy(reader)
        identify(checkpoint, spy)
        seen = [tensor.name for tensor in spy.tensors if tensor.storage is not None]
    assert set(seen) == {"w0"}
    middle = checkpoint.tensors[2].storage
    assert middle is not None
    write_at(packed, middle.start + middle.nbytes - 1)
    assert identity_of(packed).key != before.key


class Spy:
    """A reader that remembers what it was asked for."""

    def __init__(self, reader: TensorReader) -> None:
        self._reader = reader
        self.tensors: list[TensorInfo] = []

    def __enter__(self) -> Spy:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def check_unchanged(self) -> None:
        self._reader.check_unchanged()

    def read_into(self, tensor: TensorInfo, start: int, out: memoryview) -> None:
        self.tensors.append(tensor)
        self._reader.read_into(tensor, start, out)


def test_a_damaged_checksum_is_still_found_by_the_reader_that_was_sampled_from(tmp_path: Path) -> None:
    path = torch_file(tmp_path / "a.pt", arrays(2000))
    checkpoint = open_checkpoint(path)
    tensor = checkpoint.tensors[1]
    write_at(path, tensor.offset + 1_000_003)
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        identify(checkpoint, reader)
        for start in range(0, tensor.nbytes, 512_000):
            data = memoryview(bytearray(512_000))
            if start + 512_000 < tensor.nbytes:
                reader.read_into(checkpoint.tensors[1], start, data)
            else:
                with pytest.raises(wcx.CheckpointError, match="CRC-32"):
                    reader.read_into(checkpoint.tensors[1], start, data)
    assert not same_content(checkpoint, checkpoint)


def test_damage_where_it_is_sampled_does_not_stop_the_series(tmp_path: Path) -> None:
    """The layer may be one that nobody asks for; if it is, counting says so."""
    packed = deflated(torch_file(tmp_path / "a.pt", arrays(200)), tmp_path / "b.pt")
    before = identity_of(packed)
    storage = open_checkpoint(packed).tensors[1].storage
    assert storage is not None
    with packed.open("r+b") as file:
        file.seek(storage.start)
        file.write(b"\xff" * 100)
    assert identity_of(packed).content != before.content


def test_a_file_cut_short_meanwhile_is_said(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a", network())
    checkpoint = open_checkpoint(path)
    os.truncate(path, path.stat().st_size - 5000)
    with open_reader(checkpoint) as reader, pytest.raises(ChangedFileError):
        identify(checkpoint, reader)


def test_no_more_than_64_pieces_of_the_model_and_of_the_optimizer_are_read(tmp_path: Path) -> None:
    tensors = {f"w{index}": random_tensor("F32", (300, 400), index) for index in range(3)}
    tensors |= {f"w{index}.exp_avg": random_tensor("F32", (300, 400), index) for index in range(3)}
    checkpoint = open_checkpoint(write_safetensors(tmp_path / "a", tensors))
    sizes = []
    with open_reader(checkpoint) as reader:
        spy = Spy(reader)
        monitored = spy.read_into

        def read_into(tensor: TensorInfo, start: int, out: memoryview) -> None:
            sizes.append(len(out))
            monitored(tensor, start, out)

        spy.read_into = read_into  # type: ignore[method-assign]
        identify(checkpoint, spy)
    assert sum(sizes) == 2 * 64 * 4096
    assert len(sizes) <= 2 * (64 + 3)
