"""PyTorch's names of dtypes and storage classes, by the names of wcx.core.dtypes.

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

    counts_numbers: True where the sizes of a tensor count numbers, not elements.
    """

    dtype: str
    bits: int
    per_element: int = 1
    unsupported: str | None = None
    counts_numbers: bool = False

    def nbytes(self, elements: int) -> int:
        """Return the bytes that a number of elements take."""
        return (elements * self.bits + 7) // 8


def _type(dtype: str, per_element: int = 1) -> TorchType:
    return TorchType(dtype, DTYPES[dtype].bits * per_element, per_element)


def _bits_type(name: str, bits: int) -> TorchType:
    return TorchType(f"U{bits}", bits, unsupported=f"{name}: bits that are not numbers")


def _without_storage(name: str, dtype: str) -> TorchType:
    return TorchType(dtype, 8, unsupported=f"{name}: a dtype without storage")


_TYPES = {
    **{f"float{bits}": _type(f"F{bits}") for bits in (64, 32, 16)},
    **{f"int{bits}": _type(f"I{bits}") for bits in (64, 32, 16, 8)},
    **{f"uint{bits}": _type(f"U{bits}") for bits in (64, 32, 16, 8)},
    **{f"complex{bits}": _type(f"C{bits}") for bits in (128, 64, 32)},
    "bfloat16": _type("BF16"),
    "bool": _type("BOOL"),
    "float8_e4m3fn": _type("F8_E4M3"),
    "float8_e5m2": _type("F8_E5M2"),
    "float8_e4m3fnuz": _type("F8_E4M3FNUZ"),
    "float8_e5m2fnuz": _type("F8_E5M2FNUZ"),
    "float8_e8m0fnu": _type("F8_E8M0"),
    "float4_e2m1fn_x2": _type("F4", per_element=2),
    "qint32": _type("I32"),
    "qint8": _type("I8"),
    "quint8": _type("U8"),
    "quint4x2": TorchType("U4", 8, per_element=2, counts_numbers=True),
    "quint2x4": TorchType("U2", 8, per_element=4, counts_numbers=True),
    "bits16": _bits_type("bits16", 16),
    **{name: _bits_type(name, 8) for name in ("bits8", "bits1x8", "bits2x4", "bits4x2")},
    **{name: _without_storage(name, "I8") for name in map("int{}".format, range(1, 8))},
    **{name: _without_storage(name, "U8") for name in map("uint{}".format, range(1, 8))},
}
_OLD_NAMES = {
    **{"double": "float64", "float": "float32", "half": "float16", "long": "int64", "int": "int32", "short": "int16"},
    **{"chalf": "complex32", "cfloat": "complex64", "cdouble": "complex128"},
}
_STORAGES = {
    **{"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Bool": "bool"},
    **{"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"},
    **{"ComplexDouble": "complex128", "ComplexFloat": "complex64", "QInt32": "qint32", "QInt8": "qint8"},
    **{"QUInt8": "quint8", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4"},
}
"""By the class, less the `Storage` that its name ends with."""

BYTES = TorchType("U8", 8)
"""The elements of an UntypedStorage."""


def storage_type(value: Value) -> TorchType | None:
    """Return the dtype of a storage's elements, by its class; None for an unknown class.

    torch.FloatStorage, torch.cuda.FloatStorage, ... are the same.
    """
    if not isinstance(value, Global) or value.module.partition(".")[0] != "torch":
        return None
    if value.name in ("UntypedStorage", "_UntypedStorage"):
        return BYTES
    kind, suffix, rest = value.name.partition("Storage")
    return _TYPES[_STORAGES[kind]] if suffix and not rest and kind in _STORAGES else None


def tensor_type(value: Value) -> TorchType | None:
    """Return the dtype that torch.float32 and the like name; None for any other value."""
    if not isinstance(value, Global) or value.module != "torch":
        return None
    return _TYPES.get(_OLD_NAMES.get(value.name, value.name))
