"""Quantizers: which codes are ones, against the oracle that decodes and compares; and how they are named."""

from __future__ import annotations

from typing import Any

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

from wcx.core.dtypes import DTYPES, BitRule, UniformRule
from wcx.core.errors import UsageError
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import NOTHING, Needs, parse_quantizer


@pytest.mark.parametrize("specification", [name for name in QUANTIZERS if not name.startswith("uniform")])
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
        ("", "unknown quantizer '': choose one of sign, polarity"),
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


# --------------------------------------------------------------------------------------------- uniform and integer


def fitted(specification: str, *statistics: Any) -> Fit:  # noqa: ANN401
    return parse_quantizer(specification).fit(Statistics(*statistics))


@pytest.mark.parametrize(
    ("specification", "name", "needs"),
    [
        ("uniform:8", "uniform:8", Needs(range=True)),
        ("uniform:8:minmax", "uniform:8", Needs(range=True)),
        ("uniform:16:absmax", "uniform:16:absmax", Needs(range=True)),
        ("uniform:1:p99.90", "uniform:1:p99.9", Needs(quantiles=(0.0004999999999999449, 0.9995))),
        ("uniform:4:p100", "uniform:4:p100", Needs(quantiles=(0.0, 1.0))),
        ("integer", "integer", NOTHING),
    ],
)
def test_names_and_needs_of_bit_planes(specification: str, name: str, needs: Needs) -> None:
    quantizer = parse_quantizer(specification)
    assert (quantizer.name, quantizer.zero, quantizer.needs) == (name, None, needs)
    assert parse_quantizer(quantizer.name) == quantizer


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (":0", "1 to 16 bits"),
        (":17", "1 to 16 bits"),
        (":08", "1 to 16 bits"),
        ("", "1 to 16 bits"),
        (":8.0", "1 to 16 bits"),
        (":\u0668", "1 to 16 bits"),
        (":8:", "not ''"),
        (":8:p0", "not 'p0'"),
        (":8:p100.1", "not 'p100.1'"),
        (":8:99.9", "not '99.9'"),
        (":8:p1e1", "not 'p1e1'"),
        (":8:absmax:", "not 'absmax:'"),
    ],
)
def test_any_other_uniform_quantizer_is_refused(parameters: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_quantizer(f"uniform{parameters}")


def test_the_fit_is_in_float32() -> None:
    assert fitted("uniform:8", 2, -1.0, 1.0) == Fit(lo=-1.0, hi=1.0, delta=float(np.float32(2) / np.float32(255)))
    fit = fitted("uniform:2", 9, -0.1, 0.3)
    assert (fit.lo, fit.hi) == (float(np.float32(-0.1)), float(np.float32(0.3)))
    assert fit.delta == float((np.float32(0.3) - np.float32(-0.1)) / np.float32(3))
    assert fitted("uniform:2:absmax", 9, -0.5, 0.25) == Fit(lo=-0.5, hi=0.5, delta=float(np.float32(1) / np.float32(3)))
    assert fitted("uniform:1:p90", 9, -5.0, 5.0, None, None, (-1.0, 2.0)) == Fit(lo=-1.0, hi=2.0, delta=3.0)


@pytest.mark.parametrize(
    ("statistics", "lo", "hi"),
    [
        ((), None, None),
        ((5, 2.0, 2.0), 2.0, 2.0),
        ((5, 0.0, 9.9e-9), 0.0, float(np.float32(9.9e-9))),
        ((5, -0.0, 0.0), 0.0, 0.0),
        ((5, -3e38, 3e38), float(np.float32(-3e38)), float(np.float32(3e38))),  # hi - lo is beyond float32
        ((5, -1e300, 1.0), None, 1.0),
    ],
)
def test_no_range_no_step(statistics: tuple[Any, ...], lo: float | None, hi: float | None) -> None:
    for specification in ("uniform:8", "uniform:1"):
        fit = fitted(specification, *statistics)
        assert fit == Fit(lo=lo, hi=hi, delta=0.0)
        assert str(fit.lo) != "-0.0"
        assert parse_quantizer(specification).cut(DTYPES["F32"], fit) == UniformRule(
            int(specification[8:]), lo or 0.0, 0.0
        )


def test_the_least_range_is_the_nearest_float32_to_1e_8() -> None:
    """As torch compares: a range of just that is one."""
    least = float(np.float32(1e-8))
    assert fitted("uniform:1", 2, 0.0, least).delta == least
    assert fitted("uniform:1", 2, 0.0, float(np.nextafter(np.float32(1e-8), np.float32(0)))).delta == 0.0


def test_integer_takes_integers_as_they_are_stored() -> None:
    quantizer = parse_quantizer("integer")
    refused = {name for name, dtype in DTYPES.items() if quantizer.refuses(dtype)}
    assert refused == {name for name, dtype in DTYPES.items() if dtype.kind not in ("signed", "unsigned")}
    assert quantizer.refuses(DTYPES["BF16"]) == "not integer codes"
    assert quantizer.planes(DTYPES["U2"]) == ("bit0", "bit1")
    assert quantizer.cut(DTYPES["I8"], Fit()) == BitRule(8)
    assert quantizer.stored
    assert not any(parse_quantizer(name).stored for name in QUANTIZERS)
