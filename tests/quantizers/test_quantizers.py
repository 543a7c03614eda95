"""Quantizers: which codes are ones, against the oracle that decodes and compares; and how they are named."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import (
    DTYPE_NAMES,
    QUANTIZERS,
    bits_of,
    code_type,
    cut_of,
    decode,
    encode,
    planes_of,
    random_codes,
    special_codes,
)

from wcx.dtypes import DTYPES
from wcx.errors import UsageError
from wcx.quantizers import parse_quantizer


@pytest.mark.parametrize("specification", QUANTIZERS)
@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_the_ones_are_the_oracles(dtype: str, specification: str) -> None:
    """Every code up to 16 bits; beyond, those where something changes and many others."""
    if bits_of(dtype) <= 16:
        codes = np.arange(1 << bits_of(dtype)).astype(code_type(dtype))
    else:
        random = np.random.default_rng(bits_of(dtype))
        codes = np.array([*special_codes(dtype), *random_codes(dtype, 2000, random).tolist()], code_type(dtype))
    rules = cut_of(specification, dtype)
    planes = planes_of(decode(codes, dtype, codes.shape), specification)
    assert [[code in rule for code in codes.tolist()] for rule in rules] == [plane.tolist() for plane in planes]


VALUES = [1.0, -1.0, 0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -5e-324]


@pytest.mark.parametrize(
    ("specification", "bits"),
    [
        ("sign", ["100001010"]),
        ("sign:zero=zero", ["100001010"]),
        ("sign:zero=one", ["101101010"]),
        ("polarity", ["100001010", "010000101"]),
    ],
)
def test_zeros_nan_infinities_and_subnormals(specification: str, bits: list[str]) -> None:
    rules = cut_of(specification, "F64")
    assert ["".join(str(int(code in rule)) for code in encode(VALUES, "F64")) for rule in rules] == bits


@pytest.mark.parametrize(
    ("specification", "name", "zero", "planes"),
    [
        ("sign", "sign", "zero", ("sign",)),
        ("sign:zero=zero", "sign", "zero", ("sign",)),
        ("sign:zero=one", "sign", "one", ("sign",)),
        ("polarity", "polarity", "zero", ("plus", "minus")),
    ],
)
def test_what_a_specification_means(specification: str, name: str, zero: str, planes: tuple[str, ...]) -> None:
    quantizer = parse_quantizer(specification)
    assert (quantizer.name, quantizer.zero, quantizer.planes(DTYPES["F32"])) == (name, zero, planes)


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("", "unknown quantizer '': one of sign, polarity"),
        ("signs", "unknown quantizer 'signs'"),
        ("SIGN", "unknown quantizer 'SIGN'"),
        ("sign:", "sign takes zero=zero or zero=one, not ''"),
        ("sign:zero=2", "not 'zero=2'"),
        ("sign:zero=one:x", "not 'zero=one:x'"),
        ("polarity:", "polarity takes no parameters, not ''"),
        ("polarity:zero=one", "polarity takes no parameters, not 'zero=one'"),
    ],
)
def test_any_other_specification_is_refused(specification: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_quantizer(specification)
    assert message in str(caught.value)
