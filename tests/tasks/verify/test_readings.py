"""Tensors as wcx and as the library of the format read them: files by the libraries, and readings that are wrong."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import ml_dtypes
import numpy as np
import onnx
import pytest
import safetensors
from checkpoint_files import write_index, write_tensors
from commands import run_here
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch_files import Tensor, write_zip

from wcx.core.checkpoint import TensorInfo
from wcx.core.verification import Reading
from wcx.formats import open_checkpoint, open_reader
from wcx.formats.reader import CheckpointReader
from wcx.tasks.verify import libraries
from wcx.tasks.verify.libraries import runs_of
from wcx.tasks.verify.read_by_library import read_by_library

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "sample_models"
DTYPES = (
    *("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "C64"),
    *("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4"),
)
RANDOM = np.random.default_rng(0)


def readings(path: Path, seed: int = 0, *, full: bool = True) -> dict[str, Reading]:
    checkpoint = open_checkpoint(path)
    with open_reader(checkpoint) as reader:
        return {found.tensor: found for found in read_by_library(checkpoint, reader, seed, full=full)}


def outcome(reading: Reading) -> tuple[bool | None, int, str | None]:
    return reading.agrees, reading.elements, reading.reason


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------------ safetensors


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_safetensors_dtype_reads_as_by_the_library(tmp_path: Path, dtype: str) -> None:
    path = write_tensors(tmp_path / "m.safetensors", {"x": ("U8", (7,)), "w": (dtype, (12, 40))})
    assert outcome(readings(path)["w"]) == (True, 480, None)


def test_scalars_and_empty_tensors_are_compared(tmp_path: Path) -> None:
    save_file({"s": np.array(3, np.float32), "e": np.zeros((0, 4), np.float16)}, tmp_path / "m.safetensors")
    found = readings(tmp_path / "m.safetensors")
    assert (outcome(found["s"]), outcome(found["e"])) == ((True, 1, None), (True, 0, None))
    assert found["s"].version == safetensors.__version__


def test_shards_are_opened_each(tmp_path: Path) -> None:
    for shard, name in enumerate("ab", start=1):
        save_file({name: floats(4, 4)}, tmp_path / f"model-0000{shard}-of-00002.safetensors")
    weight_map = {name: f"model-0000{shard}-of-00002.safetensors" for shard, name in enumerate("ab", start=1)}
    path = write_index(tmp_path / "model.safetensors.index.json", weight_map)
    assert [outcome(found) for found in readings(path).values()] == [(True, 16, None)] * 2


def test_bytes_of_a_large_file_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MOST_NBYTES", 1 << 20)
    path = write_tensors(tmp_path / "m.safetensors", {"w": ("F32", (600, 600)), "x": ("F8_E4M3", (4, 4))})
    found = readings(path)
    assert found["w"].agrees
    assert outcome(found["x"]) == (None, 0, found["x"].reason)
    assert "has more than 1 MiB" in (found["x"].reason or "")


# ------------------------------------------------------------------------------------------------------------- onnx


def model(*tensors: TensorProto, nodes: list[onnx.NodeProto] | None = None, **more: object) -> onnx.ModelProto:
    graph = helper.make_graph(nodes or [], "main", [], [], list(tensors))
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)], **more)


@pytest.mark.parametrize("dtype", [number for number in TensorProto.DataType.values() if number not in (0, 8)])
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "list"])
def test_every_onnx_dtype_reads_as_by_the_library(tmp_path: Path, dtype: int, raw: bool) -> None:
    values = RANDOM.integers(0, 2, (5, 7)).astype(helper.tensor_dtype_to_np_dtype(dtype))
    tensor = numpy_helper.from_array(values, "w") if raw else helper.make_tensor("w", dtype, [5, 7], values.ravel())
    onnx.save(model(tensor), tmp_path / "m.onnx")
    found = readings(tmp_path / "m.onnx")["w"]
    if found.reason and "6-bit numbers in int32_data" in found.reason:
        assert not raw
    else:
        assert outcome(found) == (True, 35, None)


def test_tensors_of_inner_graphs_and_functions_are_found(tmp_path: Path) -> None:
    def weight(name: str) -> TensorProto:
        return numpy_helper.from_array(floats(4, 4), name)

    def constant(name: str) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=weight("of its own"))

    branch = helper.make_graph([constant("k")], "b", [], [], [weight("w")])
    choose = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    made = helper.make_node("Made", [], ["z"], name="n", domain="other", table=weight("t"))
    function = helper.make_function("local", "F", ["x"], ["y"], [constant("c")], [helper.make_opsetid("", 21)])
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(floats(2), "s"), numpy_helper.from_array(np.array([3, 7])), [3, 3]
    )
    content = model(weight("w"), nodes=[constant("c"), choose, made], functions=[function])
    content.graph.sparse_initializer.append(sparse)
    onnx.save(content, tmp_path / "m.onnx")
    found = readings(tmp_path / "m.onnx")
    assert outcome(found.pop("s.indices")) == (None, 0, "wcx doesn't read it: sparse indices")
    assert len(found) == 9
    assert {name: outcome(item) for name, item in found.items() if not item.agrees} == {}


def test_external_data_are_loaded_tensor_by_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MOST_NBYTES", 1 << 20)
    tensors = [
        numpy_helper.from_array(values, name) for name, values in {"w": floats(40, 9), "l": floats(999, 999)}.items()
    ]
    onnx.save(model(*tensors), tmp_path / "m.onnx", save_as_external_data=True, location="data", size_threshold=9)
    found = readings(tmp_path / "m.onnx")
    assert outcome(found["w"]) == (True, 360, None)
    assert outcome(found["l"]) == (None, 0, "onnx loads it whole, and the tensor has more than 1 MiB")


def test_external_data_without_a_length_are_as_large_as_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "MOST_NBYTES", 1 << 20)
    onnx.save(model(numpy_helper.from_array(floats(4, 4), "w")), tmp_path / "m.onnx", save_as_external_data=True,
              location="data", size_threshold=9)  # fmt: skip
    content = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    entries = content.graph.initializer[0].external_data
    kept = [entry for entry in entries if entry.key != "length"]
    del entries[:]
    entries.extend(kept)
    (tmp_path / "m.onnx").write_bytes(content.SerializeToString())
    assert readings(tmp_path / "m.onnx")["w"].agrees
    with (tmp_path / "data").open("ab") as file:
        file.truncate(2 << 20)
    assert readings(tmp_path / "m.onnx")["w"].reason == "onnx loads it whole, and the tensor has more than 1 MiB"


def test_lists_of_short_integers_count_by_what_they_grow_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MOST_NBYTES", 1 << 20)
    onnx.save(model(helper.make_tensor("w", TensorProto.INT64, [200_000], [1] * 200_000)), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size < 1 << 20
    assert readings(tmp_path / "m.onnx")["w"].reason == "onnx loads it whole, and the model has more than 1 MiB"


def test_packed_codes_are_compared_as_stored(tmp_path: Path) -> None:
    codes = RANDOM.integers(0, 256, (6, 2, 16), np.uint8)
    scales = numpy_helper.from_array(floats(12), "scales")
    node = helper.make_node("MatMulNBits", ["x", "w", "scales"], ["y"], domain="com.microsoft", K=64, N=6, bits=4,
                            block_size=32)  # fmt: skip
    onnx.save(model(numpy_helper.from_array(codes, "w"), scales, nodes=[node]), tmp_path / "m.onnx")
    assert open_checkpoint(tmp_path / "m.onnx")["w"].dtype == "U4"
    assert outcome(readings(tmp_path / "m.onnx")["w"]) == (True, 192, None)


# ------------------------------------------------------------------------------------------- what a difference says


def flipped(monkeypatch: pytest.MonkeyPatch, name: str, byte: int) -> None:
    """Let wcx read one bit of one byte of a tensor wrongly."""
    read_into = CheckpointReader.read_into

    def wrong(self: CheckpointReader, tensor: TensorInfo, start: int, out: memoryview) -> None:
        read_into(self, tensor, start, out)
        if tensor.name == name and start <= byte < start + len(out.cast("B")):
            out.cast("B")[byte - start] ^= 0x80

    monkeypatch.setattr(CheckpointReader, "read_into", wrong)


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_flipped_bit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    values, path = np.ones((8, 9), np.float32), tmp_path / f"m.{kind}"
    if kind == "onnx":
        onnx.save(model(numpy_helper.from_array(values, "w"), numpy_helper.from_array(values, "v")), path)
    else:
        save_file({"w": values, "v": values}, path)
    flipped(monkeypatch, "w", 4 * 25 + 3)
    found = readings(path, full=False)
    assert outcome(found["v"]) == (True, 72, None)
    assert outcome(found["w"]) == (False, 72, f"element [2, 7] is 0xbf800000 by wcx, 0x3f800000 by {kind}")


def test_every_byte_of_a_large_tensor_is_compared_with_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"w": np.zeros((3, 130_000), np.int8)}, tmp_path / "m.safetensors")
    flipped(monkeypatch, "w", 389_999)
    found = readings(tmp_path / "m.safetensors")["w"]
    assert found.reason == "element [2, 129999] is 0x80 by wcx, 0x00 by safetensors"


@pytest.mark.parametrize("change", [{"dtype": "I32"}, {"shape": (9, 8)}, {"shape": (72,)}])
def test_another_dtype_or_shape_is_a_difference(tmp_path: Path, change: dict[str, Any]) -> None:
    save_file({"w": floats(8, 9)}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    wrong = replace(checkpoint, tensors=(replace(checkpoint.tensors[0], **change),))
    with open_reader(wrong) as reader:
        (found,) = read_by_library(wrong, reader, 0, full=False)
    assert found.agrees is False
    assert "safetensors F32 [8, 9]" in (found.reason or "")


def test_the_command_ends_with_1_and_names_the_element(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"v": floats(8, 9), "a\x1b[31m": np.ones((3,), np.float32)}, tmp_path / "m.safetensors")
    flipped(monkeypatch, "a\x1b[31m", 3)
    done = run_here("verify", tmp_path / "m.safetensors")
    version = safetensors.__version__
    assert done.returncode == 1
    assert "a\\x1b[31m  DIFFERS from safetensors: element [0] is 0xbf800000 by wcx, 0x3f800000 by" in done.stdout
    assert f"1 of 2 tensors read as by safetensors {version}: 75 elements compared\n" in done.stdout
    found = json.loads(run_here("verify", tmp_path / "m.safetensors", "--json").stdout)
    jsonschema.validate(found, json.loads((ROOT / "docs" / "schema" / "verification-1.json").read_text("utf-8")))
    assert not found["agrees"]
    assert {item["tensor"]: item["agrees"] for item in found["readings"]} == {"v": True, "a\x1b[31m": False}


# ------------------------------------------------------------------------------------------ what can't be compared


def test_a_library_that_is_missing_is_said_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = run_here("verify", SAMPLES / "digits_cnn" / "model.onnx")
    assert done.returncode == 0
    assert "not compared: onnx is not installed: 16 of 16 tensors (" in done.stdout


def test_a_format_without_a_library_is_said(tmp_path: Path) -> None:
    save_file({"w": floats(4, 4)}, tmp_path / "m.safetensors")
    checkpoint = replace(open_checkpoint(tmp_path / "m.safetensors"), format="grid")
    with open_reader(checkpoint) as reader:
        (found,) = read_by_library(checkpoint, reader, 0, full=False)
    assert found == Reading("w", None, None, None, 0, "no reference library reads the format grid")


def test_what_a_library_refuses_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(model(numpy_helper.from_array(floats(4, 4), "w")), tmp_path / "m.onnx")
    monkeypatch.setattr(onnx, "load", lambda *_arguments, **_options: 1 // 0)
    reason = readings(tmp_path / "m.onnx")["w"].reason
    assert reason == "onnx refuses it: ZeroDivisionError 'integer division or modulo by zero'"


# ---------------------------------------------------------------------------------------------------- the sample


def test_the_seed_draws_twenty_tensors(tmp_path: Path) -> None:
    save_file({f"w{index:02}": floats(2) for index in range(60)}, tmp_path / "m.safetensors")
    drawn = [list(readings(tmp_path / "m.safetensors", seed, full=False)) for seed in (0, 0, 1)]
    assert [len(names) for names in drawn] == [20] * 3
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == sorted(drawn[0])
    assert len(readings(tmp_path / "m.safetensors")) == 60


def test_a_sample_of_a_large_tensor_is_bounded(tmp_path: Path) -> None:
    save_file({"w": np.zeros((1500, 1000), np.int8)}, tmp_path / "m.safetensors")
    assert readings(tmp_path / "m.safetensors", full=False)["w"].elements <= 4 << 16


@pytest.mark.parametrize(
    "shape", [(), (1,), (0,), (7,), (3, 0, 2), (5, 4), (2, 3, 5), (1, 1, 40), (3, 17, 2), (2, 2, 2, 9)]
)
@pytest.mark.parametrize("most", [1, 3, 8, 1000])
def test_runs_cover_a_tensor_once_and_in_order(shape: tuple[int, ...], most: int) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    count, run_at = runs_of(shape, most)
    runs = [run_at(index) for index in range(count)]
    assert all(0 < run.count <= most for run in runs)
    assert [list(range(run.first, run.first + run.count)) for run in runs] == [
        array[run.slices].reshape(-1).tolist() for run in runs
    ]
    assert sum(run.count for run in runs) == array.size
    assert [run.first for run in runs] == sorted({run.first for run in runs})


# ------------------------------------------------------------------------------------------------------------ torch


class FakeTensor:
    """The few methods of torch.Tensor that are used, on an array."""

    layout, is_quantized = "torch.strided", False

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, f"torch.{array.dtype.name}"

    def __getitem__(self, cut: object) -> FakeTensor:
        return FakeTensor(self.array[cut])

    def detach(self) -> FakeTensor:
        return self

    def contiguous(self) -> FakeTensor:
        return FakeTensor(np.ascontiguousarray(self.array))

    def reshape(self, *shape: int) -> FakeTensor:
        return FakeTensor(self.array.reshape(*shape))

    def view(self, dtype: type) -> FakeTensor:
        return FakeTensor(self.array.view(dtype))

    def numpy(self) -> np.ndarray[Any, Any]:
        return self.array


def fake_torch(monkeypatch: pytest.MonkeyPatch, loaded: object) -> list[dict[str, object]]:
    """Put a module in place of torch that loads this; return the options of each load."""
    calls: list[dict[str, object]] = []

    def load(_path: str, **options: object) -> object:
        calls.append(options)
        return loaded

    module = SimpleNamespace(__version__="2.13.0", load=load, Tensor=FakeTensor, uint8=np.uint8)
    monkeypatch.setitem(sys.modules, "torch", module)
    return calls


def saved(path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """A file whose tensor is the transpose of its storage."""
    values = floats(5, 4)
    content = {"state": {"w": Tensor("0", (4, 5), strides=(1, 4))}, "more": [Tensor("1", (3,), "BFloat16")]}
    return write_zip(path, content, {"0": values.tobytes(), "1": bytes(range(6))}), values.T


def test_torch_reads_weights_only_and_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, values = saved(tmp_path / "m.pt")
    halves = np.frombuffer(bytes(range(6)), ml_dtypes.bfloat16)
    more: list[object] = [FakeTensor(halves)]
    more.append(more)  # a circle
    calls = fake_torch(monkeypatch, {"state": {"w": FakeTensor(values)}, "more": more})
    found = readings(path)
    assert calls == [{"map_location": "cpu", "weights_only": True, "mmap": True}]
    assert found["state.w"] == Reading("state.w", "torch", "2.13.0", True, 20, None)
    assert outcome(found["more.0"]) == (True, 3, None)


def test_torch_finds_a_difference_and_a_tensor_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, values = saved(tmp_path / "m.pt")
    wrong = values.copy()
    wrong[3, 4] = 0
    fake_torch(monkeypatch, {"state": {"w": FakeTensor(wrong)}})
    found = readings(path)
    assert found["state.w"].agrees is False
    assert (found["state.w"].reason or "").startswith("element [3, 4] is 0x")
    assert outcome(found["more.0"]) == (None, 0, "no tensor of this name is found with torch")


def test_torch_loads_no_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MOST_NBYTES", 100)
    path, _values = saved(tmp_path / "m.pt")
    calls = fake_torch(monkeypatch, {})
    assert "torch loads it whole, and the file has more than" in (readings(path)["state.w"].reason or "")
    assert calls == []


def test_torch_reads_no_compressed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = floats(4, 5)
    content = {"w": Tensor("0", (4, 5))}
    path = write_zip(tmp_path / "m.pt", content, {"0": values.tobytes()}, method=zipfile.ZIP_DEFLATED)
    calls = fake_torch(monkeypatch, {"w": FakeTensor(values)})
    assert (readings(path)["w"].reason or "").startswith("the file is compressed")
    assert calls == []


def test_two_tensors_of_one_name_are_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = floats(4, 5), floats(4, 5)
    content = {"1": Tensor("0", (4, 5)), 1: Tensor("1", (4, 5))}
    path = write_zip(tmp_path / "m.pt", content, {"0": first.tobytes(), "1": second.tobytes()})
    fake_torch(monkeypatch, {"1": FakeTensor(first), 1: FakeTensor(second)})
    found = readings(path)
    assert found["1"].reason == "several tensors of this name are found with torch"
    assert found["1#2"].reason == "no tensor of this name is found with torch"


def test_graphs_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    def choose() -> onnx.NodeProto:
        branch = helper.make_graph([], "b", [], [], [numpy_helper.from_array(floats(4, 4), "w")])
        return helper.make_node("If", ["x"], ["y"], name="n", then_branch=branch)

    onnx.save(model(nodes=[choose(), choose()]), tmp_path / "m.onnx")
    assert {name: found.reason for name, found in readings(tmp_path / "m.onnx").items()} == {
        "n.then_branch/w": "several tensors of this name are found with onnx",
        "n.then_branch~2/w": "no tensor of this name is found with onnx",
    }
