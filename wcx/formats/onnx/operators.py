"""The use of weights by operators: layouts of their dimensions, elements passed on, codes taken.

Source: the operators' documentation, https://onnx.ai/onnx/operators (domain "") and docs/ContribOperators.md of
onnxruntime (domain "com.microsoft"). Tables and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

_MICROSOFT = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Quantized:
    """One input of codes: the inputs with its scale and its zero point, and the axes that these run along.

    axes: of the input, one for each dimension of the zero point, where that has any; None: as attributes say.
    """

    codes: int
    scale: int
    zero_point: int
    axes: tuple[int, ...] | None = ()


QUANTIZED: dict[tuple[str, str], tuple[Quantized, ...]] = {
    ("", "DequantizeLinear"): (Quantized(0, 1, 2, None),),
    ("", "QLinearConv"): (Quantized(3, 4, 5, (0,)),),
    ("", "QLinearMatMul"): (Quantized(0, 1, 2, (-2,)), Quantized(3, 4, 5, (-1,))),
    ("", "ConvInteger"): (Quantized(1, -1, 3, (0,)),),
    ("", "MatMulInteger"): (Quantized(0, -1, 2, (-2,)), Quantized(1, -1, 3, (-1,))),
    (_MICROSOFT, "DequantizeLinear"): (Quantized(0, 1, 2, None),),
    (_MICROSOFT, "DynamicQuantizeMatMul"): (Quantized(1, 2, 3, (-1,)),),
    (_MICROSOFT, "MatMulIntegerToFloat"): (Quantized(0, 2, 4, (-2,)), Quantized(1, 3, 5, (-1,))),
    (_MICROSOFT, "QGemm"): (Quantized(0, 1, 2, ()), Quantized(3, 4, 5, None)),
    (_MICROSOFT, "QAttention"): (Quantized(1, 4, 7, (1,)),),
    (_MICROSOFT, "DynamicQuantizeLSTM"): (Quantized(1, 8, 9, (0, 2)), Quantized(2, 10, 11, (0, 2))),
    (_MICROSOFT, "QEmbedLayerNormalization"): (Quantized(2, 8, 13), Quantized(3, 9, 14), Quantized(4, 10, 15)),
    (_MICROSOFT, "MatMulNBits"): (Quantized(1, 2, 3, None),),
    (_MICROSOFT, "GatherBlockQuantized"): (Quantized(0, 2, 3, None),),
}
"""Operators that take codes, with the inputs that can be weights."""

KEEPING = frozenset({"Identity", "Cast", "DequantizeLinear", "QuantizeLinear"})
"""Operators whose output has the elements of the first input in the same places (as other numbers)."""

MOVING = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Gather", "Slice", "Expand", "Split"})
"""Operators whose output has elements of the first input in other places."""

PACKING = {
    "Sub": "zero point subtracted by a separate operator",
    "BitShift": "packed codes, unpacked by BitShift",
    "BitwiseAnd": "packed codes, unpacked by BitwiseAnd",
}
"""Operators that give the integers of a weight another meaning, and why that can't be followed."""

BUFFERS = {
    ("", "BatchNormalization"): (3, 4),
    ("", "QuantizeLinear"): (1, 2),
    ("", "QLinearConv"): (1, 2, 6, 7),
    ("", "QLinearMatMul"): (6, 7),
    (_MICROSOFT, "QuantizeLinear"): (1, 2),
    (_MICROSOFT, "QAttention"): (3, 6),
    (_MICROSOFT, "QGemm"): (7, 8),
}
"""Inputs that are statistics, or scales and zero points of what is not stored, and no weights."""

LAYOUTS: dict[tuple[str, str], dict[int, tuple[str, str]]] = {
    ("", "MatMul"): {0: ("A", "[out, in]"), 1: ("B", "[in, out]")},
    ("", "Gemm"): {0: ("A", "[out, in]"), 1: ("B", "[in, out]"), 2: ("C", "")},
    ("", "Conv"): {1: ("W", "[out, in, ...]"), 2: ("B", "")},
    ("", "ConvTranspose"): {1: ("W", "[in, out, ...]"), 2: ("B", "")},
    ("", "LSTM"): {1: ("W", ""), 2: ("R", ""), 3: ("B", "")},
    ("", "GRU"): {1: ("W", ""), 2: ("R", ""), 3: ("B", "")},
    ("", "RNN"): {1: ("W", ""), 2: ("R", ""), 3: ("B", "")},
    ("", "BatchNormalization"): {1: ("scale", ""), 2: ("B", ""), 3: ("mean", ""), 4: ("variance", "")},
    ("", "InstanceNormalization"): {1: ("scale", ""), 2: ("B", "")},
    ("", "LayerNormalization"): {1: ("scale", ""), 2: ("B", "")},
    ("", "Gather"): {0: ("data", "")},
    ("", "QLinearConv"): {3: ("W", "[out, in, ...]")},
    ("", "QLinearMatMul"): {0: ("A", "[out, in]"), 3: ("B", "[in, out]")},
    ("", "ConvInteger"): {1: ("W", "[out, in, ...]")},
    ("", "MatMulInteger"): {0: ("A", "[out, in]"), 1: ("B", "[in, out]")},
    (_MICROSOFT, "DynamicQuantizeMatMul"): {1: ("B", "[in, out]")},
    (_MICROSOFT, "MatMulIntegerToFloat"): {0: ("A", "[out, in]"), 1: ("B", "[in, out]")},
    (_MICROSOFT, "QGemm"): {0: ("A", "[out, in]"), 3: ("B", "[in, out]")},
    (_MICROSOFT, "FusedMatMul"): {0: ("A", "[out, in]"), 1: ("B", "[in, out]")},
    (_MICROSOFT, "FusedConv"): {1: ("W", "[out, in, ...]")},
    (_MICROSOFT, "QAttention"): {1: ("weight", "[in, out]")},
    (_MICROSOFT, "Attention"): {1: ("weight", "[in, out]")},
    (_MICROSOFT, "DynamicQuantizeLSTM"): {1: ("W", ""), 2: ("R", "")},
    (_MICROSOFT, "GatherBlockQuantized"): {0: ("data", "")},
    (_MICROSOFT, "MatMulNBits"): {1: ("B", "[out, in]")},
}
"""The name of an input, and its dimensions as they are stored (empty: nothing worth saying)."""


def is_of_interest(domain: str, operator: str) -> bool:
    """Return True if the use of a weight by an operator matters: those above, and all that are not of the standard."""
    if domain not in ("", "ai.onnx.ml"):
        return True
    known = operator in KEEPING or operator in MOVING or operator in PACKING
    return known or (domain, operator) in LAYOUTS or (domain, operator) in QUANTIZED
