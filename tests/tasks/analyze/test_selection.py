"""Which tensors are analysed, and the reason for each that is not."""

from __future__ import annotations

import pytest

from wcx.core.checkpoint import TensorInfo
from wcx.core.scheme import Scheme
from wcx.tasks.analyze.selection import select


def _tensor(name: str = "w", dtype: str = "F32", shape: tuple[int, ...] = (8, 8), role: str = "weight") -> TensorInfo:
    return TensorInfo(name, dtype, shape, 0, role=role)


@pytest.mark.parametrize(
    ("dtype", "shape", "reason"),
    [
        ("F32", (), "1-D"),
        ("F32", (64,), "1-D"),
        ("F32", (0,), "1-D"),
        ("F32", (0, 8), "empty"),
        ("F32", (8, 8, 0), "empty"),
        ("F32", (3, 100), "under 4x4"),
        ("F32", (100, 3), "under 4x4"),
        ("F32", (100, 3, 1, 1), "under 4x4"),
        ("F32", (3, 10, 10), "under 4x4"),
        ("F32", (4, 4), None),
        ("F32", (4, 1, 2, 2), None),
        ("F64", (8, 8), None),
        ("F16", (8, 8), None),
        ("BF16", (8, 8), None),
        ("F8_E4M3", (8, 8), None),
        ("F8_E5M2FNUZ", (8, 8), None),
        ("F6_E2M3", (8, 8), None),
        ("F4", (8, 8), None),
        ("I8", (8, 8), None),
        ("U8", (8, 8), None),
        ("BOOL", (8, 8), "BOOL"),
        ("I16", (8, 8), "integer I16"),
        ("I64", (8, 8), "integer I64"),
        ("U32", (8, 8), "integer U32"),
        ("C64", (8, 8), "complex C64"),
        ("C128", (8, 8), "complex C128"),
        ("F8_E8M0", (8, 8), "E8M0 (no sign)"),
        ("I64", (1, 512), "under 4x4"),
    ],
)
def test_shape_and_dtype_decide(dtype: str, shape: tuple[int, ...], reason: str | None) -> None:
    assert select(_tensor(dtype=dtype, shape=shape)) == reason


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((3, 4), None), ((12, 1), None), ((11, 1), "under 12 symbols"), ((12,), "1-D"), ((0, 12), "empty")],
)
def test_strings_need_twelve_symbols(shape: tuple[int, ...], reason: str | None) -> None:
    assert select(_tensor(shape=shape), Scheme("1x12", "ignore", "flat")) == reason


def test_optimizer_state_is_asked_for() -> None:
    state = _tensor("exp_avg", role="optimizer")
    assert select(state) == "optimizer state"
    assert select(state, include_optimizer=True) is None
    assert select(_tensor(role="buffer")) is None


def test_exclude_goes_before_include() -> None:
    tensor = _tensor("layer.1.weight")
    assert select(tensor, exclude=["*.1.*"]) == "excluded"
    assert select(tensor, include=["layer*"], exclude=["*.1.*"]) == "excluded"
    assert select(tensor, include=["other*"]) == "not included"
    assert select(tensor, include=["other*", "layer*"]) is None


def test_globs_are_of_the_whole_name_and_case_sensitive() -> None:
    assert select(_tensor("fc.weight"), include=["weight"]) == "not included"
    assert select(_tensor("fc.weight"), include=["FC.*"]) == "not included"
    assert select(_tensor("fc.weight"), include=["fc.w?ight"]) is None


def test_what_is_included_is_analysed_whatever_it_is_if_it_has_a_matrix() -> None:
    for dtype in ("I64", "BOOL", "F8_E8M0"):
        assert select(_tensor(dtype=dtype), include=["w"]) is None
    assert select(_tensor(role="optimizer"), include=["w"]) is None
    assert select(_tensor(shape=(8,)), include=["w"]) == "1-D"
    assert select(_tensor(shape=(3, 8)), include=["w"]) == "under 4x4"
    assert select(_tensor(dtype="C64"), include=["w"]) == "complex C64"


_PACKED = {
    "GPTQ": ("m.qweight", "I32", (64, 64), ["m.scales", "m.qzeros", "m.g_idx"]),
    "GPTQ zeros": ("m.qzeros", "I32", (8, 64), ["m.scales"]),
    "no module": ("qweight", "I32", (64, 64), ["scales"]),
    "bitsandbytes": ("m.weight", "U8", (2048, 1), ["m.weight.absmax", "m.weight.quant_state.bitsandbytes__nf4"]),
    "older bitsandbytes": ("m.weight", "U8", (2048, 1), ["m.weight.absmax", "m.weight.quant_map"]),
    "MXFP4": ("m.down_proj_blocks", "U8", (4, 64, 90, 16), ["m.down_proj_scales"]),
    "compressed-tensors": ("m.weight_packed", "I32", (64, 64), ["m.weight_scale"]),
    "NVFP4": ("m.weight", "U8", (64, 64), ["m.weight_scale", "m.weight_scale_2"]),
    "MLX": ("m.weight", "U32", (64, 64), ["m.scales", "m.biases"]),
}


@pytest.mark.parametrize("kind", _PACKED)
def test_packed_codes_are_known_by_what_is_beside_them(kind: str) -> None:
    name, dtype, shape, beside = _PACKED[kind]
    tensor = _tensor(name, dtype, shape)
    tensors = {item.name: item for item in (tensor, *map(_tensor, beside))}
    assert select(tensor, tensors=tensors) == "packed 4-bit codes"
    assert select(tensor) != "packed 4-bit codes"
    assert select(_tensor(name, "F16"), tensors=tensors) is None


def test_scales_of_mxfp4_are_exponents() -> None:
    scales = _tensor("m.down_proj_scales", "U8", (4, 64, 90))
    assert select(scales, tensors={"m.down_proj_blocks": scales, scales.name: scales}) == "E8M0 (no sign)"
