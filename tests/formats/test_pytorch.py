"""PyTorch files that are in order, and what is wrong with some that are not."""

from __future__ import annotations

import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import write_index
from depth import EXHAUSTIVE
from torch_files import Made, Name, Tensor, write_legacy, write_zip

from wcx.core.checkpoint import Checkpoint, Quantization
from wcx.core.errors import CheckpointError
from wcx.formats import open_checkpoint, open_reader

_RAW = struct.pack("<20f", *range(20))


def _bytes(checkpoint: Checkpoint, name: str) -> bytes:
    tensor = checkpoint[name]
    out = bytearray(tensor.nbytes)
    with open_reader(checkpoint) as reader:
        reader.read_into(tensor, 0, memoryview(out))
    return bytes(out)


def _floats(checkpoint: Checkpoint, name: str) -> list[float]:
    raw = _bytes(checkpoint, name)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_a_state_dict(method: int, protocol: int, tmp_path: Path) -> None:
    value = OrderedDict({"fc.weight": Tensor("0", (4, 5)), "bn.running_mean": Tensor("1", (2,))})
    path = write_zip(tmp_path / "a.pt", value, {"0": _RAW, "1": bytes(8)}, method=method, protocol=protocol)
    checkpoint = open_checkpoint(path)
    assert (checkpoint.format, checkpoint.version, checkpoint.producer) == ("pytorch", "zip 3", "PyTorch")
    assert [(tensor.name, tensor.shape, tensor.role) for tensor in checkpoint.tensors] == [
        ("fc.weight", (4, 5), "weight"),
        ("bn.running_mean", (2,), "buffer"),
    ]
    assert _floats(checkpoint, "fc.weight") == list(range(20))


def test_the_layout_before_1_6(tmp_path: Path) -> None:
    value = {"a": Tensor("7", (4, 5)), "b": Tensor("8", (3,), "Half")}
    checkpoint = open_checkpoint(
        write_legacy(tmp_path / "a.pth", value, {"7": ("Float", _RAW), "8": ("Half", b"abcdef")})
    )
    assert checkpoint.version == "legacy 1001"
    assert _floats(checkpoint, "a") == list(range(20))
    assert _bytes(checkpoint, "b") == b"abcdef"


def test_views_and_tied_weights(tmp_path: Path) -> None:
    whole = Tensor("0", (4, 5))
    value = {
        "whole": whole,
        "tied": whole,
        "also": Tensor("0", (4, 5)),
        "turned": Tensor("0", (5, 4), strides=(1, 5), elements=20),
        "rows": Tensor("0", (2, 5), first=10, elements=20),
        "wide": Tensor("0", (40, 5), strides=(0, 1), elements=20),
        "negated": Tensor("0", (4, 5), metadata={"neg": True}),
    }
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": _RAW}))
    assert checkpoint["whole"].aliases == ("tied", "also")
    assert _floats(checkpoint, "turned")[:5] == [0, 5, 10, 15, 1]
    assert _floats(checkpoint, "rows") == list(range(10, 20))
    assert checkpoint["wide"].unsupported == "expanded from fewer elements"
    assert checkpoint["negated"].unsupported == "negated view"
    assert checkpoint.notes == ("2 tensors are views that overlap others: shared elements are counted in each",)


def test_big_endian_numbers(tmp_path: Path) -> None:
    raw = struct.pack(">20f", *range(20))
    path = write_zip(tmp_path / "a.pt", {"a": Tensor("0", (4, 5))}, {"0": raw}, records={"byteorder": b"big"})
    assert _floats(open_checkpoint(path), "a") == list(range(20))


def test_a_training_checkpoint(tmp_path: Path) -> None:
    moments = {"state": {0: {"exp_avg": Tensor("1", (4, 5))}}, "param_groups": [{"lr": 0.1}]}
    value = {
        "epoch": 3,
        "args": Made(Name("argparse", "Namespace"), (), {"lr": 0.5}),
        "state_dict": {"scaler": {"weight": Tensor("0", (4, 5))}},
        "optimizer_states": [moments],
        "ema": {"scaler": {"weight": Tensor("2", (4, 5))}},
    }
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.ckpt", value, dict.fromkeys("012", _RAW)))
    assert {tensor.name: (tensor.role, tensor.source) for tensor in checkpoint.tensors} == {
        "state_dict.scaler.weight": ("weight", None),
        "optimizer_states.0.state.0.exp_avg": ("optimizer", None),
        "ema.scaler.weight": ("optimizer", "EMA copy"),
    }
    assert checkpoint.metadata == {"epoch": "3", "args.lr": "0.5"}


def test_averages_alone_are_the_model(tmp_path: Path) -> None:
    value = {"ema": {"w": Tensor("0", (4, 5))}}
    assert open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": _RAW}))["ema.w"].role == "weight"


def test_averages_in_a_callback_say_so(tmp_path: Path) -> None:
    value = {
        "state_dict": {"w": Tensor("0", (4, 5))},
        "callbacks": {"EMACallback": {"averaged": {"w": Tensor("1", (4, 5))}}},
        "swa_state": {"w": Tensor("2", (4, 5))},
    }
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.ckpt", value, dict.fromkeys("012", _RAW)))
    assert {tensor.name: (tensor.role, tensor.source) for tensor in checkpoint.tensors} == {
        "state_dict.w": ("weight", None),
        "callbacks.EMACallback.averaged.w": ("optimizer", "EMA copy"),
        "swa_state.w": ("optimizer", "EMA copy"),
    }


@pytest.mark.parametrize("key", [b"x", Made(Name("_codecs", "encode"), ("x", "latin1"))])
def test_keys_of_bytes_are_names(key: object, tmp_path: Path) -> None:
    """Up to protocol 2 a pickle has bytes as a call that encodes a text."""
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", {key: Tensor("0", (4, 5))}, {"0": _RAW}))
    assert [tensor.name for tensor in checkpoint.tensors] == ["x"]


def test_a_tagged_list_of_tensors_is_looked_into(tmp_path: Path) -> None:
    tagged = Made(Name("torch.jit._pickle", "restore_type_tag"), ([Tensor("0", (4, 5))], "List[Tensor]"))
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", {"a": tagged}, {"0": _RAW}))
    assert [tensor.name for tensor in checkpoint.tensors] == ["a.0"]


def test_tensors_of_one_name_get_numbers(tmp_path: Path) -> None:
    class Key(Made):
        """A key that is written anew each time."""

    value = {Key(Name("_codecs", "encode"), ("x", "latin1"), number): Tensor("0", (4, 5)) for number in range(3)}
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": _RAW}))
    assert [(tensor.name, tensor.aliases) for tensor in checkpoint.tensors] == [("x", ("x#2", "x#3"))]


def test_a_whole_module_gives_the_names_of_its_state_dict(tmp_path: Path) -> None:
    def module(parameters: dict[str, Any], buffers: dict[str, Any], modules: dict[str, Any]) -> Made:
        state = {"training": True, "_parameters": parameters, "_buffers": buffers, "_modules": modules}
        return Made(Name("my.models", "Net"), (), state)

    parameter = Made(Name("torch._utils", "_rebuild_parameter"), (Tensor("0", (4, 5)), True, OrderedDict()))
    value = module({}, {"mean": Tensor("1", (2,))}, {"scaler": module({"weight": parameter}, {}, {})})
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": _RAW, "1": bytes(8)}))
    assert {tensor.name: tensor.role for tensor in checkpoint.tensors} == {"mean": "buffer", "scaler.weight": "weight"}
    assert checkpoint.metadata == {}


def test_quantized_codes_carry_their_zero_point(tmp_path: Path) -> None:
    storage, first, shape, strides, *_rest = Tensor("0", (4, 5), "QUInt8").args
    parameters = (Name("torch", "per_tensor_affine"), 0.5, 128)
    args = (storage, first, shape, strides, parameters, False, OrderedDict())
    value = {"q": Made(Name("torch._utils", "_rebuild_qtensor"), args)}
    tensor = open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": bytes(20)}))["q"]
    assert (tensor.dtype, tensor.quantization) == ("U8", Quantization((128,), (1, 1), 0.5))


def test_one_name_twice_is_told_apart(tmp_path: Path) -> None:
    value = {"a": {"b": Tensor("0", (4, 5))}, "a.b": Tensor("1", (4, 5))}
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": _RAW, "1": _RAW}))
    assert [tensor.name for tensor in checkpoint.tensors] == ["a.b", "a.b#2"]


def test_what_refers_to_itself_ends(tmp_path: Path) -> None:
    loop: list[Any] = [Tensor("0", (4, 5))]
    loop.append(loop)
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", {"x": loop}, {"0": _RAW}))
    assert [tensor.name for tensor in checkpoint.tensors] == ["x.0"]


def test_shards(tmp_path: Path) -> None:
    tied = Tensor("0", (4, 5))
    write_zip(tmp_path / "pytorch_model-00001-of-00002.bin", {"a": tied, "tied": tied}, {"0": _RAW})
    write_zip(tmp_path / "pytorch_model-00002-of-00002.bin", {"b": Tensor("0", (4, 5))}, {"0": _RAW})
    first, second = (f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2))
    write_index(tmp_path / "pytorch_model.bin.index.json", {"a": first, "tied": first, "b": second})
    checkpoint = open_checkpoint(tmp_path)
    assert (checkpoint.format, checkpoint.files) == ("pytorch", (first, second))
    assert [(tensor.name, tensor.file, tensor.aliases) for tensor in checkpoint.tensors] == [
        ("a", 0, ("tied",)),
        ("b", 1, ()),
    ]


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (Tensor("9", (4, 5)), "tensor 'w': its storage 'archive/data/9' is not in the archive"),
        (Tensor("0", (4, 6)), "its storage '0' has 80 bytes instead of 96"),
        (Tensor("0", (4, 5), first=1, elements=20), "it reaches element 20 of a storage that has 20"),
        (Tensor("0", (4, 5), strides=(-5, 1), elements=20), "its stride is not a tuple of integers from 0 to 2^62 - 1"),
        (Tensor("0", (1,) * 65, elements=20), "65 dimensions, more than 64"),
        (Tensor("0", (1 << 40, 1 << 40), strides=(0, 0), elements=20), "more than 2^62 elements"),
        (Tensor("0", (4, 5), "Strange"), "the unknown class 'torch.StrangeStorage'"),
        (Made(Name("torch._utils", "_rebuild_tensor_v2"), (1, 2)), "rebuilt from 2 arguments"),
    ],
)
def test_a_tensor_that_cannot_be_right_is_refused(tensor: Made, reason: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pt", {"w": tensor}, {"0": _RAW})
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert reason in str(caught.value).replace("\\", "")


def test_damage_is_named(tmp_path: Path) -> None:
    value = {"w": Tensor("0", (4, 5))}
    for tail, reason in ((b"x", "1 bytes after the last storage belong to no storage"), (b"", None)):
        path = write_legacy(tmp_path / "a.pt", value, {"0": ("Float", _RAW)}, tail=tail)
        if reason:
            with pytest.raises(CheckpointError, match=reason):
                open_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated: the storage '0' should have 20 elements"):
        open_checkpoint(path)
    with pytest.raises(CheckpointError, match="a pickle without PyTorch tensors"):
        open_checkpoint(write_zip(tmp_path / "b.pt", {"a": 1}, {}))


def test_the_objects_of_a_package_and_the_torchscript_in_it(tmp_path: Path) -> None:
    inner = write_zip(
        tmp_path / "inner.pt", {"fc": Tensor("0", (4, 5)), "same": Tensor("0", (4, 5)), "epoch": 3}, {"0": _RAW}
    )
    with zipfile.ZipFile(inner) as archive:
        pickle = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    path = tmp_path / "accentor.pt"
    members = {
        ".data/0.storage": _RAW,
        ".data/ts_code/0/data.pkl": pickle,
        ".data/ts_code/0/constants.pkl": b"\x80\x02).",
        "model/net.pkl": pickle,
        "model/net.py": b"import os",
        "notes/readme.txt": b"words",
        ".data/extern_modules": b"torch",
        ".data/version": b"6\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"accentor/{name}", content)
    checkpoint = open_checkpoint(path)
    (tensor,) = checkpoint.tensors
    assert (tensor.name, tensor.source, checkpoint.version) == ("ts_code.0.fc", "TorchScript", "package 6")
    assert tensor.aliases == ("ts_code.0.same", "model.net.fc", "model.net.same")
    assert _floats(checkpoint, "model.net.same") == list(range(20))
    assert checkpoint.metadata == {"model.net.epoch": "3"}


def test_a_package_shares_the_opcodes_of_all_its_pickles(tmp_path: Path) -> None:
    half = b"\x80\x02" + b"N0" * 600_000 + b"N."
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/one.pkl", half)
        archive.writestr("a/two.pkl", half)
        archive.writestr("a/.data/extern_modules", b"")
    with pytest.raises(CheckpointError, match="more opcodes than the limit of"):
        open_checkpoint(tmp_path / "a.pt")


@EXHAUSTIVE
def test_a_table_of_300_000_objects_beside_the_tensors_is_fine(tmp_path: Path) -> None:
    table = [Made(Name("lookups", "Entry")) for _ in range(300_000)]
    path = write_zip(tmp_path / "a.pt", {"fc.weight": Tensor("0", (4, 5)), "table": table}, {"0": _RAW})
    assert [tensor.name for tensor in open_checkpoint(path).tensors] == ["fc.weight"]


def test_a_buffer_that_says_so_is_one(tmp_path: Path) -> None:
    state = {"persistent": True, "_is_buffer": True}
    rebuild = Name("torch._utils", "_rebuild_tensor_v2")
    whole = Tensor("0", (4, 5))
    value = {
        "buffer": Made(
            Name("torch._tensor", "_rebuild_from_type_v2"), (rebuild, Name("torch", "Tensor"), whole.args, state)
        ),
        "weight": Tensor("0", (4, 5)),
        "lazy": Made(Name("torch.nn.parameter", "UninitializedParameter"), (True,)),
        "epoch": 3,
    }
    checkpoint = open_checkpoint(write_zip(tmp_path / "a.pt", value, {"0": _RAW}))
    assert checkpoint["buffer"].role == "buffer"
    assert checkpoint["lazy"].unsupported == "not initialised: no shape and no data yet"
    assert checkpoint.metadata == {"epoch": "3"}


def test_what_torch_save_left_unfinished(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.pt", {"w": Tensor("0", (4, 5))}, {"0": _RAW}).read_bytes()
    broken = tmp_path / "b.pt"
    broken.write_bytes(whole[: whole.rindex(b"PK\x01\x02") - 20])
    with pytest.raises(CheckpointError, match="truncated: a zip archive without its directory"):
        open_checkpoint(broken)


def test_a_shard_of_a_distributed_checkpoint_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "__0_0.distcp", {"w": Tensor("0", (4, 5))}, {"0": _RAW})
    with pytest.raises(CheckpointError, match="dcp_to_torch_save"):
        open_checkpoint(path)
