"""The selection of tensors, with a reason for each that is left out: one rule that `inspect` and `analyze` share.

A pure function of the descriptions; no data is read. The texts it returns are a contract (they are in the JSON).
docs/measures.md, section "Which tensors", is the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from typing import Protocol

from wcx.blocks.layout import arrange
from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES, DType
from wcx.core.scheme import Scheme

_SIDE = 4  # of a 4x4 block
_STRING = 12  # symbols of a 1x12 block
_ANALYSED_INTEGERS = ("I8", "U8", "I4", "U4", "I2", "U2")
_DEFAULT = Scheme()


def _refuses_nothing(_dtype: DType) -> None:
    return None


def select(
    tensor: TensorInfo,
    scheme: Scheme | None = _DEFAULT,
    *,
    refuses: Callable[[DType], str | None] = _refuses_nothing,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    include_optimizer: bool = False,
    tensors: Mapping[str, TensorInfo] | None = None,
) -> str | None:
    """Return None for a tensor that is analysed, otherwise the reason why it is not.

    scheme: the block and the layout; None where any shape will do. refuses: gives the reason why a dtype can't be
    quantized. include, exclude: globs on the whole name, case-sensitive. tensors: all tensors of the checkpoint by
    name, by which packed codes are recognised.
    What is included by name is analysed whatever its type or role, if it has a matrix and its numbers an order.

    >>> select(TensorInfo("fc.bias", "F32", (256,), 1024))
    '1-D'
    """
    if _matches(tensor.name, exclude):
        return "excluded"
    if include and not _matches(tensor.name, include):
        return "not included"
    if tensor.unsupported:
        return tensor.unsupported
    shape_reason = _shape_reason(tensor, scheme)
    if include:
        return shape_reason or _complex_reason(tensor) or refuses(DTYPES[tensor.dtype])
    if tensor.role == "optimizer" and not include_optimizer:
        return "optimizer state"
    if shape_reason in ("1-D", "empty"):
        return shape_reason
    reason = packed_reason(tensor, tensors or {}) or shape_reason or _type_reason(tensor)
    return reason or refuses(DTYPES[tensor.dtype])


class Choice(Protocol):
    """A user's choice of tensors: Settings and the like."""

    @property
    def include(self) -> Sequence[str]:
        """Globs on names."""

    @property
    def exclude(self) -> Sequence[str]:
        """Globs on names."""

    @property
    def include_optimizer(self) -> bool:
        """True to include optimizer state."""


def select_each(
    tensors: Sequence[TensorInfo],
    choice: Choice,
    scheme: Scheme | None,
    refuses: Callable[[DType], str | None] = _refuses_nothing,
) -> Iterator[tuple[TensorInfo, str | None]]:
    """Yield every tensor of a checkpoint with its reason from `select`."""
    by_name = {tensor.name: tensor for tensor in tensors}
    for tensor in tensors:
        yield (
            tensor,
            select(
                tensor,
                scheme,
                refuses=refuses,
                include=choice.include,
                exclude=choice.exclude,
                include_optimizer=choice.include_optimizer,
                tensors=by_name,
            ),
        )


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _shape_reason(tensor: TensorInfo, scheme: Scheme | None) -> str | None:
    shape = tensor.shape
    if scheme is None:
        return "empty" if 0 in shape else None
    if len(shape) < 2:
        return "1-D"
    if 0 in shape:
        return "empty"
    if scheme.strings:
        return "under 12 symbols" if prod(shape) < _STRING else None
    try:
        matrix = arrange(shape, scheme.layout)
    except ValueError as error:
        return str(error)
    if matrix.axes is not None and DTYPES[tensor.dtype].bits < 8:
        return f"packed {tensor.dtype} in layout {scheme.layout}"
    return "under 4x4" if min(matrix.rows, matrix.columns) < _SIDE else None


def _type_reason(tensor: TensorInfo) -> str | None:
    kind = DTYPES[tensor.dtype].kind
    if tensor.quantization is not None:
        return None
    if kind == "bool":
        return "BOOL"
    if kind in ("signed", "unsigned") and tensor.dtype not in _ANALYSED_INTEGERS:
        return f"integer {tensor.dtype}"
    if kind == "scale":
        return "E8M0 (no sign)"
    return _complex_reason(tensor)


def _complex_reason(tensor: TensorInfo) -> str | None:
    return None if DTYPES[tensor.dtype].ordered else f"complex {tensor.dtype}"


# ------------------------------------------------------------------------------------- codes packed into integers

_PACKED = "packed 4-bit codes"


def packed_reason(tensor: TensorInfo, tensors: Mapping[str, TensorInfo]) -> str | None:
    """Return the reason for integers that hold several codes each, recognised by the other tensors of their module.

    The sign of such an integer says nothing about a weight. Names and types are those that the libraries write:
    GPTQ, AWQ (`qweight`, `qzeros` with `scales`), bitsandbytes (`weight` with `absmax` and `quant_map` or
    `quant_state`), MXFP4 (`*_blocks` with `*_scales`), compressed-tensors (`weight_packed` with `weight_scale`),
    ModelOpt NVFP4 (U8 `weight` with `weight_scale` and `weight_scale_2`), MLX (U32 `weight` with `scales`, `biases`).
    """
    if DTYPES[tensor.dtype].kind not in ("signed", "unsigned") or tensor.quantization is not None:
        return None
    module, _, last = tensor.name.rpartition(".")
    prefix = f"{module}." if module else ""
    if last in ("qweight", "qzeros") and tensor.dtype in ("I32", "U32") and f"{prefix}scales" in tensors:
        return _PACKED
    if last == "weight_packed" and f"{prefix}weight_scale" in tensors:
        return _PACKED
    if last.endswith("_blocks") and tensor.dtype == "U8" and f"{tensor.name[:-7]}_scales" in tensors:
        return _PACKED
    if last.endswith("_scales") and tensor.dtype == "U8" and f"{tensor.name[:-7]}_blocks" in tensors:
        return "E8M0 (no sign)"
    return _PACKED if _packed_in_place(tensor, prefix, tensors) else None


def _packed_in_place(tensor: TensorInfo, prefix: str, tensors: Mapping[str, TensorInfo]) -> bool:
    """Return True if the codes have the name of the unpacked weight."""
    if tensor.dtype == "U32":
        return f"{prefix}scales" in tensors and f"{prefix}biases" in tensors
    if tensor.dtype != "U8":
        return False
    bitsandbytes = f"{tensor.name}.absmax" in tensors and (
        f"{tensor.name}.quant_map" in tensors
        or f"{tensor.name}.quant_state.bitsandbytes__nf4" in tensors
        or f"{tensor.name}.quant_state.bitsandbytes__fp4" in tensors
    )
    return bitsandbytes or {f"{tensor.name}_scale", f"{tensor.name}_scale_2"} <= tensors.keys()
