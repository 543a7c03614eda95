"""PyTorch's names of dtypes and storage classes, and what they are in the names of wcx.core.dtypes.

Source: torch/storage.py, c10/core/ScalarType.h of PyTorch 2.13. A storage class names the dtype of what it holds;
UntypedStorage holds bytes, and the tensor that uses it says what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.dtypes import DTYPES
from wcx.formats.pytorch.inert import Global, Value


@dataclass(frozen=True, slots=True)
class TorchType:
    """A dtype of PyTorch: `bits` of one of its elements, each of which holds `per_element` numbers of `dtype`.

    counts_numbers: whether the sizes of a tensor count numbers, not elements.
    """

    dtype: str
    bits: int
    per_element: int = 1
    unsupported: str | None = None
    counts_numbers: bool = False

    def nbytes(self, elements: int) -> int:
        """Bytes that so many elements take."""
        return (elements * self.bits + 7) // 8


def _type(dtype: str, per_element: int = 1) -> TorchType:
    return TorchType(dtype, DTYPES[dtype].bits * per_element, per_element)


def _bits_type(name: str, bits: int) -> TorchType:
    return TorchType("U16" if bits == 16 else "U8", bits, unsupported=f"{name}: bits that are no numbers")


_TYPES = {
    "float64": _type("F64"),
    "float32": _type("F32"),
    "float16": _type("F16"),
    "bfloat16": _type("BF16"),
    "float8_e4m3fn": _type("F8_E4M3"),
    "float8_e5m2": _type("F8_E5M2"),
    "float8_e4m3fnuz": _type("F8_E4M3FNUZ"),
    "float8_e5m2fnuz": _type("F8_E5M2FNUZ"),
    "float8_e8m0fnu": _type("F8_E8M0"),
    "float4_e2m1fn_x2": _type("F4", per_element=2),
    "int64": _type("I64"),
    "int32": _type("I32"),
    "int16": _type("I16"),
    "int8": _type("I8"),
    "uint64": _type("U64"),
    "uint32": _type("U32"),
    "uint16": _type("U16"),
    "uint8": _type("U8"),
    "bool": _type("BOOL"),
    "complex32": _type("C32"),
    "complex64": _type("C64"),
    "complex128": _type("C128"),
    "qint32": _type("I32"),
    "qint8": _type("I8"),
    "quint8": _type("U8"),
    "quint4x2": TorchType("U4", 8, per_element=2, counts_numbers=True),
    "quint2x4": TorchType("U2", 8, per_element=4, counts_numbers=True),
    "bits8": _bits_type("bits8", 8),
    "bits16": _bits_type("bits16", 16),
    "bits1x8": _bits_type("bits1x8", 8),
    "bits2x4": _bits_type("bits2x4", 8),
    "bits4x2": _bits_type("bits4x2", 8),
    **{f"int{bits}": TorchType("I8", 8, unsupported=f"int{bits}: a dtype without storage") for bits in range(1, 8)},
    **{f"uint{bits}": TorchType("U8", 8, unsupported=f"uint{bits}: a dtype without storage") for bits in range(1, 8)},
}
_OLD_NAMES = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "chalf": "complex32",
    "cfloat": "complex64",
    "cdouble": "complex128",
}
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt32Storage": "qint32",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
BYTES = TorchType("U8", 8)
"""What an UntypedStorage holds."""


def storage_type(value: Value) -> TorchType | None:
    """What the elements of a storage are, by its class; None for an unknown class.

    torch.FloatStorage, torch.cuda.FloatStorage, ... are the same; the class may also be given by its bare name.
    """
    if not isinstance(value, Global) or value.module.partition(".")[0] != "torch":
        return None
    if value.name == "UntypedStorage" or value.name == "_UntypedStorage":
        return BYTES
    name = _STORAGES.get(value.name)
    return None if name is None else _TYPES[name]


def tensor_type(value: Value) -> TorchType | None:
    """What a torch.float32 and the like stand for; None for what is no known dtype."""
    if not isinstance(value, Global) or value.module != "torch":
        return None
    return _TYPES.get(_OLD_NAMES.get(value.name, value.name))
