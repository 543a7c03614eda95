"""Reading ONNX models, which the onnx library makes, and whose values it decodes as the oracle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from protobuf_bytes import length_delimited, number

from wcx.core.checkpoint import Checkpoint, Quantization, TensorInfo
from wcx.core.errors import CheckpointError, UnknownFormatError
from wcx.formats import FORMATS, open_checkpoint, open_reader
from wcx.formats.format import FileHead, Match
from wcx.formats.onnx.tensors import ONNX_DTYPES

_NUMERIC = [number for number, name in ONNX_DTYPES.items() if name != "STRING"]
_BITS = {"U4": 4, "I4": 4, "F4": 4, "U2": 2, "I2": 2, "F6_E2M3": 6, "F6_E3M2": 6}


def _tensor(name: str, values: object, dtype: str = "float32") -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def _weight(name: str = "w", shape: tuple[int, ...] = (4, 6), dtype: str = "float32") -> TensorProto:
    return _tensor(name, np.arange(np.prod(shape)).reshape(shape), dtype)


def _node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attributes: object
) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, **attributes)


def _model(
    nodes: Sequence[onnx.NodeProto] = (), tensors: Sequence[TensorProto] = (), **more: object
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "main", [], [], list(tensors))
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)], **more)


def _write(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def _opened(tmp_path: Path, *tensors: TensorProto, nodes: Sequence[onnx.NodeProto] = ()) -> Checkpoint:
    return open_checkpoint(_write(tmp_path / "model.onnx", _model(nodes, tensors)))


def _bytes_of(checkpoint: Checkpoint, tensor: TensorInfo) -> bytes:
    out = bytearray(tensor.nbytes)
    with open_reader(checkpoint) as reader:
        reader.read_into(tensor, 0, memoryview(out))
    return bytes(out)


def _packed(array: np.ndarray, dtype: str) -> bytes:
    """The bytes that a tensor of these values has: several codes a byte for types below 8 bits, the low bits first."""
    bits = _BITS.get(dtype)
    if bits is None:
        return array.tobytes()
    total = 0
    for place, code in enumerate(array.reshape(-1).view(np.uint8).tolist()):
        total |= (code & ((1 << bits) - 1)) << bits * place
    return total.to_bytes(-(-array.size * bits // 8), "little")


def _values(data_type: int, count: int) -> np.ndarray:
    """Some numbers of a type, also below zero where it has them."""
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    values = np.array([0, 1, 2, 1, 3, 0, 1] * count)[:count]
    signed = not str(dtype).startswith(("uint", "bool", "float8_e8m0"))
    return (values - 2 * (np.arange(count) % 2) * signed).astype(np.float32).astype(dtype)


# -------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("count", [0, 1, 5, 12, 300])
@pytest.mark.parametrize("data_type", _NUMERIC, ids=ONNX_DTYPES.get)
@pytest.mark.parametrize("kind", ["raw", "typed", "external"])
def test_every_dtype_is_what_the_library_decodes(data_type: int, kind: str, count: int, tmp_path: Path) -> None:
    dtype = ONNX_DTYPES[data_type]
    values = _values(data_type, count)
    packed = _packed(values, dtype)
    if kind == "typed":
        proto = helper.make_tensor("w", data_type, [count], values)
    else:
        proto = TensorProto(name="w", data_type=data_type, dims=[count], raw_data=packed)
    oracle = numpy_helper.to_array(proto)
    if kind == "external":
        (tmp_path / "data.bin").write_bytes(b"junk" + packed)
        proto.ClearField("raw_data")
        _set_external(proto, location="data.bin", offset="4", length=str(len(packed)))
    checkpoint = _opened(tmp_path, proto)
    tensor = checkpoint["w"]
    assert (tensor.dtype, tensor.shape, tensor.nbytes) == (dtype, (count,), len(packed))
    if kind == "typed" and dtype.startswith("F6_") and count:
        assert tensor.unsupported == "6-bit numbers in int32_data"
    else:
        assert tensor.unsupported is None
        assert _bytes_of(checkpoint, tensor) == packed == _packed(oracle, dtype)


def test_the_dtypes_are_all_that_the_library_knows() -> None:
    assert set(TensorProto.DataType.values()) - {0} == set(ONNX_DTYPES)


def test_large_integers_of_variable_length(tmp_path: Path) -> None:
    values = np.array([0, 1, -1, 2**62, -(2**63), 127, 128, 300] * 5000)
    checkpoint = _opened(tmp_path, helper.make_tensor("w", TensorProto.INT64, values.shape, values))
    assert _bytes_of(checkpoint, checkpoint["w"]) == values.tobytes()


def test_text_is_listed(tmp_path: Path) -> None:
    tensor = _opened(tmp_path, helper.make_tensor("w", TensorProto.STRING, [2], ["a", "bc"]))["w"]
    assert (tensor.dtype, tensor.shape, tensor.unsupported) == ("STRING", (2,), "text")


def test_typed_data_in_several_pieces_is_listed(tmp_path: Path) -> None:
    """Legal protobuf that no program writes: a packed list in two runs, or not packed at all."""
    begin = length_delimited(8, b"w") + number(2, 7) + number(1, 2)
    for data in (length_delimited(7, b"\1") * 2, number(7, 1) * 2, length_delimited(7, b"\1") + number(7, 1)):
        path = tmp_path / "model.onnx"
        path.write_bytes(number(1, 9) + length_delimited(7, length_delimited(5, begin + data)))
        assert open_checkpoint(path)["w"].unsupported == "int64_data in 2 pieces"
        assert numpy_helper.to_array(onnx.load(path).graph.initializer[0]).tolist() == [1, 1]


# --------------------------------------------------------------------------------------------------- where weights are


def _branch(name: str, *tensors: TensorProto, nodes: Sequence[onnx.NodeProto] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [], list(tensors))


def _constant(output: str, tensor: TensorProto | None = None) -> onnx.NodeProto:
    return _node("Constant", [], [output], value=tensor or _weight(""))


def test_initializers_constants_attributes_and_sparse_tensors(tmp_path: Path) -> None:
    sparse = helper.make_sparse_tensor(_tensor("s", [1, 2]), _tensor("", [3, 7], "int64"), [3, 3])
    other = helper.make_sparse_tensor(_tensor("", [1]), _tensor("", [3], "int64"), [3, 3])
    model = _model(
        [
            _constant("c"),
            _node("ConstantOfShape", ["x"], value=_tensor("", [1.0])),
            helper.make_node(
                "Custom", ["c"], ["z"], name="n", domain="d", table=_weight(), more=[_weight(), _weight()]
            ),
            helper.make_node("Constant", [], ["sc"], sparse_value=other),
            _node("Constant", [], ["f"], value_float=1.0),
        ],
        [_weight()],
    )
    model.graph.sparse_initializer.append(sparse)
    checkpoint = open_checkpoint(_write(tmp_path / "model.onnx", model))
    assert {tensor.name: tensor.source for tensor in checkpoint.tensors} == {
        "w": "initializer",
        "c": "Constant",
        "ConstantOfShape_1.value": "attribute value of ConstantOfShape",
        "n.table": "attribute table of Custom",
        "n.more.0": "attribute more of Custom",
        "n.more.1": "attribute more of Custom",
        "sc.values": "sparse Constant",
        "sc.indices": "sparse Constant",
        "s.values": "sparse initializer",
        "s.indices": "sparse initializer",
    }
    assert checkpoint["s.indices"].unsupported == "sparse indices"
    assert checkpoint["s.values"].shape == (2,)


def test_subgraphs_functions_and_training(tmp_path: Path) -> None:
    inner = _node("Loop", [], body=_branch("b", _weight("w")))
    then = _branch("t", _weight("w"), nodes=[_constant("c"), inner])
    node = helper.make_node("If", ["x"], ["y"], name="choose", then_branch=then, else_branch=_branch("e", _weight("w")))
    function = helper.make_function("local", "F", ["x"], ["y"], [_constant("c")], [helper.make_opsetid("", 17)])
    model = _model([node, node], [_weight("w")], functions=[function])
    training = model.training_info.add()
    training.algorithm.initializer.append(_weight("momentum"))
    checkpoint = open_checkpoint(_write(tmp_path / "model.onnx", model))
    names = [tensor.name for tensor in checkpoint.tensors]
    assert names[0] == "w"
    assert sorted(names) == sorted(
        ["w", "training_info.0.algorithm/momentum", "local.F/c"]
        + [
            f"choose.{branch}/{name}"
            for end in ("", "~2")
            for branch, inside in ((f"then_branch{end}", ["w", "c", "Loop_1.body/w"]), (f"else_branch{end}", ["w"]))
            for name in inside
        ]
    )
    assert checkpoint["choose.then_branch/Loop_1.body/w"].source == "initializer of choose.then_branch/Loop_1.body"
    assert checkpoint["training_info.0.algorithm/momentum"].role == "optimizer"
    assert "10 tensors are in subgraphs or functions: their names begin with the path to it" in checkpoint.notes


def test_a_graph_that_stands_twice_is_one(tmp_path: Path) -> None:
    """Protobuf merges the two; the library does."""
    path = _write(tmp_path / "model.onnx", _model([], [_weight("a")]))
    path.write_bytes(path.read_bytes() + length_delimited(7, length_delimited(5, _weight("b").SerializeToString())))
    assert [tensor.name for tensor in onnx.load(path).graph.initializer] == ["a", "b"]
    assert [tensor.name for tensor in open_checkpoint(path).tensors] == ["a", "b"]


def test_what_the_model_says_of_itself(tmp_path: Path) -> None:
    model = _model([], [_weight()], producer_name="pytorch", producer_version="2.1.0", doc_string="d" * 5000)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    helper.set_model_props(model, {"epoch": "3"})
    checkpoint = open_checkpoint(_write(tmp_path / "model.onnx", model))
    assert (checkpoint.version, checkpoint.producer) == ("IR 9, opset 17, com.microsoft 1", "pytorch 2.1.0")
    assert checkpoint.metadata == {"graph": "main", "doc_string": "d" * 1000 + "...", "epoch": "3"}
    assert (checkpoint.format, checkpoint.files, checkpoint.notes) == ("onnx", ("model.onnx",), ())


def test_a_model_without_tensors_opens(tmp_path: Path) -> None:
    checkpoint = _opened(tmp_path)
    assert checkpoint.tensors == ()
    assert checkpoint.notes == ("the model has no tensors",)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([_node("MatMul", ["x", "w"])], "initializer, MatMul B: stored [in, out]"),
        ([_node("MatMul", ["w", "x"])], "initializer, MatMul A: stored [out, in]"),
        ([_node("Gemm", ["x", "w"])], "initializer, Gemm B: stored [in, out]"),
        ([_node("Gemm", ["x", "w"], transB=1)], "initializer, Gemm B: stored [out, in]"),
        ([_node("Conv", ["x", "w"])], "initializer, Conv W: stored [out, in, ...]"),
        (
            [_node("Transpose", ["w"], ["t"]), _node("MatMul", ["x", "t"])],
            "initializer, MatMul B through Transpose: stored [out, in]",
        ),
        (
            [_node("Identity", ["w"], ["t"]), _node("MatMul", ["x", "t"])],
            "initializer, MatMul B: stored [in, out]",
        ),
        ([_node("Gather", ["w", "i"]), _node("MatMul", ["x", "w"])],
         "initializer, Gather data, MatMul B: stored [in, out]"),
        ([_node("Add", ["x", "w"])], "initializer"),
    ],
)  # fmt: skip
def test_the_source_says_who_uses_a_weight_and_how_it_is_stored(
    nodes: list[onnx.NodeProto], expected: str, tmp_path: Path
) -> None:
    assert _opened(tmp_path, _weight(), nodes=nodes)["w"].source == expected


def test_a_weight_of_an_outer_graph_is_used_inside(tmp_path: Path) -> None:
    then = _branch("t", nodes=[_node("MatMul", ["x", "w"])])
    node = _node("If", ["c"], then_branch=then, else_branch=_branch("e"))
    assert _opened(tmp_path, _weight(), nodes=[node])["w"].source == "initializer, MatMul B: stored [in, out]"


def test_statistics_scales_and_zero_points_are_buffers(tmp_path: Path) -> None:
    names = ["scale", "bias", "mean", "variance", "s", "z"]
    nodes = [_node("BatchNormalization", ["x", *names[:4]]), _node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    checkpoint = _opened(tmp_path, *(_weight(name, (4,)) for name in names), nodes=nodes)
    roles = {tensor.name: tensor.role for tensor in checkpoint.tensors}
    assert roles == {name: "weight" if name in ("scale", "bias") else "buffer" for name in names}


# --------------------------------------------------------------------------------------------------- quantized weights


def _quantized(tmp_path: Path, node: onnx.NodeProto, *tensors: TensorProto) -> TensorInfo:
    return _opened(tmp_path, *tensors, nodes=[node])["w"]


def test_one_zero_point_and_one_scale(tmp_path: Path) -> None:
    node = _node("DequantizeLinear", ["w", "s", "z"])
    tensors = (_weight(dtype="uint8"), _tensor("s", 0.5), _tensor("z", 128, "uint8"))
    assert _quantized(tmp_path, node, *tensors).quantization == Quantization((128,), (1, 1), 0.5)
    node = _node("DequantizeLinear", ["w", "s"])
    assert _quantized(tmp_path, node, *tensors).quantization == Quantization((0,), (1, 1), 0.5)


@pytest.mark.parametrize(("axis", "grid"), [(0, (4, 1)), (1, (1, 6)), (-1, (1, 6))])
def test_zero_points_along_an_axis(axis: int, grid: tuple[int, ...], tmp_path: Path) -> None:
    points = np.arange(max(grid))
    tensors = (_weight(dtype="int8"), _weight("s", (max(grid),)), _tensor("z", points, "int8"))
    node = _node("DequantizeLinear", ["w", "s", "z"], axis=axis)
    assert _quantized(tmp_path, node, *tensors).quantization == Quantization(tuple(points.tolist()), grid)


def test_equal_zero_points_are_one(tmp_path: Path) -> None:
    tensors = (_weight(dtype="int8"), _weight("s", (6,)), _tensor("z", [-3] * 6, "int8"))
    found = _quantized(tmp_path, _node("DequantizeLinear", ["w", "s", "z"]), *tensors)
    assert found.quantization == Quantization((-3,), (1, 1))


def test_zero_points_of_blocks(tmp_path: Path) -> None:
    points = np.arange(8).reshape(4, 2)
    tensors = (_weight(dtype="uint8"), _weight("s", (4, 2)), _tensor("z", points, "uint8"))
    node = _node("DequantizeLinear", ["w", "s", "z"], axis=1, block_size=3)
    assert _quantized(tmp_path, node, *tensors).quantization == Quantization(tuple(range(8)), (4, 2))
    node = _node("DequantizeLinear", ["w", "s", "z"], axis=1, block_size=4)
    assert _quantized(tmp_path, node, *tensors).unsupported == "blocks of 4 that do not divide its 6 elements"


def test_zero_points_of_four_bits(tmp_path: Path) -> None:
    points = helper.make_tensor("z", TensorProto.INT4, [3], [-8, 7, -1])
    weight = helper.make_tensor("w", TensorProto.INT4, [3, 5], np.arange(15) - 8)
    found = _quantized(tmp_path, _node("DequantizeLinear", ["w", "s", "z"], axis=0), weight, points)
    assert (found.dtype, found.quantization) == ("I4", Quantization((-8, 7, -1), (3, 1)))


def test_zero_points_from_constants_external_files_and_typed_data(tmp_path: Path) -> None:
    (tmp_path / "z.bin").write_bytes(b"\x07\x09")
    external = TensorProto(name="z", data_type=TensorProto.UINT8, dims=[2])
    _set_external(external, location="z.bin")
    typed = helper.make_tensor("z", TensorProto.UINT8, [2], [7, 9])
    node = _node("DequantizeLinear", ["w", "s", "z"], axis=0)
    weight = _weight(shape=(2, 4), dtype="uint8")
    for tensor in (external, typed):
        assert _quantized(tmp_path, node, weight, tensor).quantization == Quantization((7, 9), (2, 1))
    checkpoint = _opened(tmp_path, weight, nodes=[_constant("z", typed), node])
    assert checkpoint["w"].quantization == Quantization((7, 9), (2, 1))


@pytest.mark.parametrize(
    ("node", "grid"),
    [
        (_node("QLinearConv", ["x", "xs", "xz", "w", "s", "z", "ys", "yz"]), (4, 1)),
        (_node("QLinearMatMul", ["x", "xs", "xz", "w", "s", "z", "ys", "yz"]), (1, 4)),
        (_node("QLinearMatMul", ["w", "s", "z", "b", "bs", "bz", "ys", "yz"]), (4, 1)),
        (_node("ConvInteger", ["x", "w", "xz", "z"]), (4, 1)),
        (_node("MatMulInteger", ["x", "w", "xz", "z"]), (1, 4)),
        (_node("DynamicQuantizeMatMul", ["x", "w", "s", "z"], domain="com.microsoft"), (1, 4)),
        (_node("MatMulIntegerToFloat", ["x", "w", "xs", "s", "xz", "z"], domain="com.microsoft"), (1, 4)),
        (_node("QGemm", ["x", "xs", "xz", "w", "s", "z"], domain="com.microsoft"), (1, 4)),
        (_node("QGemm", ["x", "xs", "xz", "w", "s", "z"], domain="com.microsoft", transB=1), (4, 1)),
        (_node("QAttention", ["x", "w", "b", "xs", "s", "m", "xz", "z"], domain="com.microsoft"), (1, 4)),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "x".join(map(str, value)),
)
def test_operators_that_take_codes(node: onnx.NodeProto, grid: tuple[int, ...], tmp_path: Path) -> None:
    tensors = (_weight(shape=(4, 4), dtype="uint8"), _tensor("z", [1, 2, 3, 4], "uint8"), _weight("s", (4,)))
    checkpoint = _opened(tmp_path, *tensors, nodes=[node])
    assert checkpoint["w"].quantization == Quantization((1, 2, 3, 4), grid)
    assert checkpoint["z"].role == "buffer"


def test_the_two_weights_of_a_quantized_lstm(tmp_path: Path) -> None:
    inputs = ["x", "w", "r", "", "", "", "", "", "s", "z", "s", "rz"]
    tensors = (
        _weight("w", (2, 3, 4), "uint8"),
        _weight("r", (2, 3, 4), "uint8"),
        _tensor("z", [5, 6], "uint8"),
        _tensor("rz", np.arange(8).reshape(2, 4), "uint8"),
    )
    node = _node("DynamicQuantizeLSTM", inputs, domain="com.microsoft")
    checkpoint = _opened(tmp_path, *tensors, nodes=[node])
    assert checkpoint["w"].quantization == Quantization((5, 6), (2, 1, 1))
    assert checkpoint["r"].quantization == Quantization(tuple(range(8)), (2, 1, 4))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_of_n_bits(bits: int, tmp_path: Path) -> None:
    rows, columns, block = 5, 40, 16
    nbytes = block * bits // 8
    packed = np.arange(rows * 3 * nbytes).reshape(rows, 3, nbytes)
    weight = _tensor("w", packed, "uint8")
    attributes = {"K": columns, "N": rows, "bits": bits, "block_size": block, "domain": "com.microsoft"}
    found = _quantized(tmp_path, _node("MatMulNBits", ["x", "w", "s"], **attributes), weight)
    assert (found.dtype, found.shape, found.nbytes) == (f"U{bits}", (rows, 48), packed.size)
    assert found.quantization == Quantization((1 << (bits - 1),), (1, 1))
    assert found.source == "initializer, MatMulNBits B: stored [out, in], 8 padding columns"
    points = np.arange(rows * 3).reshape(rows, 3) % (1 << bits)
    per_row = -(-3 * bits // 8)
    data = b"".join(sum(int(p) << bits * i for i, p in enumerate(row)).to_bytes(per_row, "little") for row in points)
    node = _node("MatMulNBits", ["x", "w", "s", "z"], **attributes)
    found = _quantized(tmp_path, node, weight, _tensor("z", list(data), "uint8"))
    assert found.quantization == Quantization(tuple(points.reshape(-1).tolist()), (rows, 3))


def test_an_embedding_of_blocks(tmp_path: Path) -> None:
    attributes = {"block_size": 16, "quantize_axis": 1, "bits": 4, "domain": "com.microsoft"}
    weight = _weight("w", (3, 16), "uint8")
    found = _quantized(tmp_path, _node("GatherBlockQuantized", ["w", "i", "s"], **attributes), weight)
    assert (found.dtype, found.shape, found.quantization) == ("U4", (3, 32), Quantization((8,), (1, 1)))
    node = _node("GatherBlockQuantized", ["w", "i", "s", "z"], **attributes)
    found = _quantized(tmp_path, node, weight, _tensor("z", [[0x21], [0x43], [0x65]], "uint8"))
    assert found.quantization == Quantization((1, 2, 3, 4, 5, 6), (3, 2))


@pytest.mark.parametrize(
    ("nodes", "unsupported"),
    [
        ([_node("DequantizeLinear", ["w", "s", "gone"])], "zero point is computed at run time"),
        (
            [_node("DequantizeLinear", ["w", "s", "z"]), _node("DequantizeLinear", ["w", "s"], ["y2"])],
            "codes with different zero points",
        ),
        ([_node("DequantizeLinear", ["w", "s", "many"], axis=0)], "zero points that do not match its shape"),
        ([_node("DequantizeLinear", ["w", "s", "many"], axis=7)], "zero points along an axis that is out of range"),
        ([_node("DequantizeLinear", ["w", "s", "i8"])], "zero point of another dtype, I8"),
        (
            [_node("Reshape", ["w", "shape"], ["r"]), _node("DequantizeLinear", ["r", "s", "many"], axis=1)],
            "zero points of a tensor that is rearranged before use",
        ),
        (
            [_node("Cast", ["w"], ["f"], to=1), _node("Sub", ["f", "z"])],
            "zero point subtracted by a separate operator",
        ),
        ([_node("MatMulBnb4", ["x", "w", "s"], domain="com.microsoft")],
         "codes of the operator com.microsoft.MatMulBnb4"),
        ([_node("MatMulNBits", ["x", "w", "s"], domain="com.microsoft", K=4, N=4, bits=3)], "codes of 3 bits"),
        (
            [_node("MatMulNBits", ["x", "w", "s"], domain="com.microsoft", K=99, N=4, bits=4, block_size=16)],
            "MatMulNBits with inconsistent sizes",
        ),
    ],
)  # fmt: skip
def test_codes_whose_meaning_is_not_known_are_not_guessed(
    nodes: list[onnx.NodeProto], unsupported: str, tmp_path: Path
) -> None:
    tensors = (
        _weight(dtype="uint8"),
        _tensor("z", 128, "uint8"),
        _tensor("many", range(6), "uint8"),
        _tensor("i8", 1, "int8"),
    )
    assert _opened(tmp_path, *tensors, nodes=nodes)["w"].unsupported == unsupported


def test_zero_points_follow_a_transposed_weight(tmp_path: Path) -> None:
    nodes = [_node("Transpose", ["w"], ["t"], perm=[1, 0]), _node("DequantizeLinear", ["t", "s", "z"], axis=0)]
    tensors = (_weight(dtype="uint8"), _tensor("z", range(6), "uint8"))
    assert _opened(tmp_path, *tensors, nodes=nodes)["w"].quantization == Quantization(tuple(range(6)), (1, 6))


def test_integers_that_nobody_takes_for_codes_stay_plain(tmp_path: Path) -> None:
    tensor = _quantized(tmp_path, _node("Gather", ["w", "i"]), _weight(dtype="int8"))
    assert (tensor.quantization, tensor.unsupported) == (None, None)


# ------------------------------------------------------------------------------------------------------ external data


def _set_external(tensor: TensorProto, **entries: str) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_weights_in_files_beside_the_model(tmp_path: Path) -> None:
    model = _model([], [_weight("a", (64, 64)), _weight("b", (5, 5)), _tensor("inside", [1.0])])
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=99)
    checkpoint = open_checkpoint(tmp_path / "model.onnx")
    assert checkpoint.files == ("model.onnx", "model.onnx_data")
    assert checkpoint.notes == ("weights in 1 external files: model.onnx_data",)
    for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer:
        assert _bytes_of(checkpoint, checkpoint[tensor.name]) == numpy_helper.to_array(tensor).tobytes()


def test_tensors_that_share_their_bytes_are_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(400))
    places = {"a": "0", "b": "0", "c": "96"}
    tensors = [_set_external(_weight(name), location="data", offset=offset) for name, offset in places.items()]
    checkpoint = _opened(tmp_path, *tensors)
    assert [(tensor.name, tensor.aliases) for tensor in checkpoint.tensors] == [("a", ("b",)), ("c", ())]


def test_links_within_the_directory_or_a_repository_of_the_cache_are_followed(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--x" / "snapshots" / "abc"
    blobs = tmp_path / "models--x" / "blobs"
    for directory in (snapshot, blobs):
        directory.mkdir(parents=True)
    (blobs / "data").write_bytes(bytes(96))
    _write(blobs / "model", _model([], [_set_external(_weight(), location="w.data")]))
    (snapshot / "model.onnx").symlink_to("../../blobs/model")
    (snapshot / "w.data").symlink_to("../../blobs/data")
    assert open_checkpoint(snapshot / "model.onnx").files == ("model.onnx", "w.data")


def test_what_a_runtime_keeps_in_memory_is_listed(tmp_path: Path) -> None:
    tensor = _set_external(_weight(), location="*/_ORT_MEM_ADDR_/*", offset="94", length="96")
    assert _opened(tmp_path, tensor)["w"].unsupported == "data only in the memory of the process that wrote the file"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({}, "external_data has no location"),
        ({"location": ""}, "an empty path"),
        ({"location": "/etc/passwd"}, "an absolute path"),
        ({"location": "../data"}, "a path with '..'"),
        ({"location": "a/../../data"}, "a path with '..'"),
        ({"location": "a\\b"}, "backslash"),
        ({"location": "a\0b"}, "NUL"),
        ({"location": "link"}, "a link that leads out of its directory"),
        ({"location": "gone"}, "is missing: download it"),
        ({"location": "dir"}, "a directory, not a file"),
        ({"location": "pipe"}, "a named pipe, not a file"),
        (
            {"location": "data", "offset": "-1"},
            "the external offset '-1' is not a non-negative integer of at most 19 digits",
        ),
        ({"location": "data", "offset": "1e3"}, "is not a non-negative integer of at most 19 digits"),
        ({"location": "data", "offset": "٣"}, "is not a non-negative integer of at most 19 digits"),
        ({"location": "data", "offset": "9" * 30}, "is not a non-negative integer of at most 19 digits"),
        ({"location": "data", "offset": "5"}, "which has only 100: download it again"),
        ({"location": "data", "length": "95"}, "the external length is 95, but its shape and dtype need 96 bytes"),
        ({"location": "data", "__class__": "x"}, "unknown key '__class__' in external_data"),
    ],
)
def test_external_data_that_are_not_allowed(entries: dict[str, str], reason: str, tmp_path: Path) -> None:
    home = tmp_path / "model"
    (home / "dir").mkdir(parents=True)
    (home / "data").write_bytes(bytes(100))
    (tmp_path / "data").write_bytes(bytes(100))
    (home / "link").symlink_to(tmp_path / "data")
    os.mkfifo(home / "pipe")
    path = _write(home / "m.onnx", _model([], [_set_external(_weight(), **entries)]))
    with pytest.raises(CheckpointError, match="tensor 'w'") as caught:
        open_checkpoint(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"data_type": 77}, "unknown data type 77"),
        ({"data_type": 0}, "no data type"),
        ({"dims": [-1]}, "negative dimension -1"),
        ({"dims": [2**62, 2**62]}, "more than 2^63 bytes"),
        ({"dims": [1] * 65}, "more than 64 dimensions"),
        ({"dims": [3]}, "its data have 8 bytes, but its shape and dtype need 12"),
        ({"raw_data": b""}, "no data"),
        ({"float_data": [1.0, 2.0]}, "data in more than one place"),
        ({"raw_data": b"", "float_data": [1.0]}, "float_data has 1 numbers, but its shape and dtype need 2"),
        ({"raw_data": b"", "int64_data": [1, 2]}, "data in int64_data, but F32 uses float_data"),
        ({"raw_data": b"", "int64_data": [1], "float_data": [1.0]}, "data both in"),
        ({"data_type": TensorProto.STRING}, "text outside of string_data"),
    ],
)
def test_tensors_that_contradict_themselves(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    tensor = TensorProto(**{"name": "w", "data_type": 1, "dims": [2], "raw_data": bytes(8), **fields})
    with pytest.raises(CheckpointError, match="tensor 'w'") as caught:
        _opened(tmp_path, tensor)
    assert reason in str(caught.value)
    assert caught.value.offset is not None


def _nested(depth: int) -> bytes:
    graph = b""
    for _ in range(depth):
        node = length_delimited(4, b"If") + length_delimited(5, length_delimited(1, b"t") + length_delimited(6, graph))
        graph = length_delimited(1, node)
    return number(1, 9) + length_delimited(7, graph)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (bytes(100), "only zero bytes"),
        (b"\xff" * 100, "damaged model"),
        (number(1, 9), "not an ONNX model: it has no graph"),
        (number(1, 9) + number(7, 1), "field 7 of a model has wire type 0"),
        (number(1, 9) + length_delimited(7, length_delimited(5, b"")), "a tensor without a name: no data type"),
        (_nested(60), "graphs nested more than 50 levels deep"),
        (_model([], [_weight()]).SerializeToString()[:-40], "truncated: download it again"),
        (_model([], [_weight(), _weight()]).SerializeToString(), "duplicate tensor name 'w' in the graph"),
        (_model([_constant("w")], [_weight()]).SerializeToString(), "duplicate tensor name 'w' in the graph"),
        (_model([], [_weight("")]).SerializeToString(), "an initializer without a name"),
        (_model([], [_weight("ab")]).SerializeToString().replace(b"\x02ab", b"\x02a\xff"), "is not valid UTF-8"),
    ],
)
def test_models_that_are_damaged(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fifty_graphs_in_graphs_are_walked(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(_nested(50))
    assert open_checkpoint(path).tensors == ()


# ---------------------------------------------------------------------------------------------------------- recognising


def _ends(name: str, content: bytes) -> FileHead:
    return FileHead(name, len(content), content[: 64 << 10], content[-64 << 10 :])


def test_a_model_is_recognised_by_its_structure(tmp_path: Path) -> None:
    model = _model([_node("MatMul", ["x", "w"])], [_weight(shape=(300, 300))], producer_name="pytorch")
    content = model.SerializeToString()
    assert FORMATS["onnx"].sniff(_ends("model", content)) == Match.STRUCTURE
    graph = length_delimited(7, model.graph.SerializeToString())
    later = graph + number(1, 9) + length_delimited(8, number(2, 17))
    assert FORMATS["onnx"].sniff(_ends("model", later)) == Match.STRUCTURE
    path = tmp_path / "model.bin"
    path.write_bytes(later)
    assert open_checkpoint(path).format == "onnx"


def test_half_a_model_is_recognised_too(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_model([], [_weight(shape=(300, 300))]).SerializeToString()[:100_000])
    with pytest.raises(CheckpointError, match="truncated: download it again"):
        open_checkpoint(path)


def test_nothing_else_is_taken_for_a_model() -> None:
    random = np.random.default_rng(5)
    sniff = FORMATS["onnx"].sniff
    others = [
        b"PK\x03\x04",
        b"\x80\x02}",
        b"GGUF\3\0\0\0",
        b"\x1c\0\0\0TFL3",
        b"\x89HDF\r\n",
        b"{}",
        b"<html>",
        b"\n\n",
    ]
    for head in others:
        assert sniff(_ends("model.onnx", head + bytes(500))) == Match.SUFFIX
        assert sniff(_ends("model", head + random.bytes(500))) == Match.NO
    for _ in range(5000):
        content = random.bytes(int(random.integers(1, 300)))
        assert sniff(_ends("model", content)) == Match.NO
        assert sniff(_ends("model", b"\x08\x09" + content)) == Match.NO
    for size in (0x3A08, 0x1208, 0x4208):
        assert sniff(_ends("a.safetensors", size.to_bytes(8, "little") + b"{" + b" " * 20000)) == Match.NO


def test_the_format_of_the_runtime_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.ort"
    path.write_bytes(b"\x18\0\0\0ORTM" + bytes(range(100)))
    with pytest.raises(UnknownFormatError, match=r"ONNX Runtime's own format \(\.ort\)"):
        open_checkpoint(path)
