"""Simple statistics, against exact fractions of the values that NumPy reads, and against NumPy's own."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import one_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from strategies import DTYPE_NAMES, random_tensor, write_safetensors

import wcx
from wcx.measures.statistics import Moments, square_root
from wcx.scan import moments

NAMES = ["sparsity", "l2_norm", "min", "max", "mean", "sd", "nonfinite"]
PRECISE = Context(prec=800, Emax=10**9, Emin=-(10**9))


def root(number: Fraction) -> float | None:
    exact = PRECISE.sqrt(PRECISE.divide(Decimal(number.numerator), Decimal(number.denominator)))
    found = float(exact)
    return found if np.isfinite(found) else None


def oracle(values: list[Any]) -> dict[str, Any]:
    """Every statistic from fractions; integers as they are."""
    finite = [Fraction(value) for value in values if isinstance(value, int) or np.isfinite(value)]
    number = len(finite)
    total, squares = sum(finite, Fraction(0)), sum((value * value for value in finite), Fraction(0))
    try:
        mean = float(total) / number if number else None
    except OverflowError:
        mean = float(total / number)
    return {
        "sparsity": sum(value == 0 for value in values) / len(values),
        "l2_norm": root(squares),
        "min": float(min(finite)) if number else None,
        "max": float(max(finite)) if number else None,
        "mean": mean,
        "sd": root(squares / number - (total / number) ** 2) if number else None,
        "nonfinite": len(values) - number,
    }


def measured(array: NDArray[Any], **settings: Any) -> Any:  # noqa: ANN401
    return wcx.measure(array, measures=NAMES, null="none", **settings).measures


@pytest.mark.parametrize("flavour", ["bytes", "special", "ordinary", "sparse"])
@pytest.mark.parametrize("dtype", [name for name in DTYPE_NAMES if name[1:] != "64"])
def test_every_dtype_against_fractions(dtype: str, flavour: str, tmp_path: Path) -> None:
    tensor = random_tensor(dtype, (12, 21), 5, flavour)
    path = write_safetensors(tmp_path / "m.safetensors", {"w": tensor})
    report = wcx.analyze(path, include=["*"], measures=NAMES, null="none")
    assert report.layers[0].measures == oracle(tensor.values.reshape(-1).tolist())
    assert report.model.measures == report.layers[0].measures


@pytest.mark.parametrize("kind", ["f8", "i8", "u8"])
def test_sixty_four_bits_against_fractions(kind: str) -> None:
    codes = np.random.default_rng(0).integers(0, 1 << 64, 400, np.uint64, endpoint=False)
    codes[:4] = [0, 1 << 63, (1 << 64) - 1, (1 << 63) - 1]
    array = codes.view(f"<{kind}").reshape(20, 20)
    with np.errstate(invalid="ignore"):
        assert measured(array) == oracle(array.reshape(-1).tolist())


@given(
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int8, np.uint8, np.int32]),
        st.tuples(st.integers(4, 6), st.integers(4, 9)),
    )
)
def test_any_array_against_fractions(array: NDArray[Any]) -> None:
    found = measured(array)
    assert found == oracle([value.item() for value in array.reshape(-1)])
    finite = array[np.isfinite(array)].astype(np.float64)
    if finite.size and np.abs(finite).max() < 1e100:
        assert found["mean"] == pytest.approx(finite.mean(), rel=1e-9, abs=1e-12 * np.abs(finite).max())
        assert found["sd"] == pytest.approx(finite.std(), rel=1e-6, abs=1e-7 * np.abs(finite).max())
        assert found["l2_norm"] == pytest.approx(np.linalg.norm(finite.astype(np.longdouble)), rel=1e-9)
        assert (found["min"], found["max"]) == (finite.min(), finite.max())


@one_of(2)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_many_numbers_in_many_pieces(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    array = (np.random.default_rng(0).standard_normal((300, 100)) * 1000).astype(kind)
    usual = measured(array)
    assert usual == oracle(array.reshape(-1).tolist())
    monkeypatch.setattr(moments, "_AT_ONCE", 37)
    assert measured(array) == usual
    assert measured(array.reshape(10, 30, 10, 10), layout="channels-last") == usual


def test_nothing_cancels() -> None:
    array = np.full((64, 64), 1e8)
    array[0, 0] = np.nextafter(1e8, 2e8)
    array[1] = [3.0, -1e300] * 32
    array[2] = 1e300
    array[3] = -1e300
    assert measured(array) == oracle(array.reshape(-1).tolist())


def test_a_norm_beyond_the_largest_double_is_null() -> None:
    array = np.full((4, 4), np.finfo(np.float64).max)
    found = measured(array)
    assert found == {**oracle(array.reshape(-1).tolist()), "l2_norm": None}
    assert (found["mean"], found["sd"]) == (np.finfo(np.float64).max, 0.0)


def test_nothing_finite_has_no_mean() -> None:
    found = measured(np.full((4, 5), np.nan, np.float32))
    assert found == dict(zip(NAMES, [0.0, 0.0, None, None, None, None, 20], strict=True))


def test_minus_zero_is_zero() -> None:
    found = measured(np.full((4, 4), -0.0, np.float32))
    assert str(found["min"]) == str(found["max"]) == str(found["mean"]) == "0.0"
    assert found["sparsity"] == 1.0


def test_a_model_has_the_moments_of_all_its_weights(tmp_path: Path) -> None:
    tensors = {name: random_tensor(name, (30, 40), 2, "ordinary") for name in ("F32", "BF16", "F64", "I8", "F8_E5M2")}
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    report = wcx.analyze(path, measures=NAMES, null="none")
    values = [value for tensor in tensors.values() for value in tensor.values.reshape(-1).tolist()]
    assert report.model.measures == oracle(values)


def test_the_mean_is_that_of_the_quantizers() -> None:
    array = np.random.default_rng(1).standard_normal((50, 40))
    report = wcx.measure(array, measures=["mean"], quantize="threshold:mean", null="none")
    assert report.measures["mean"] == report.fit.threshold


@given(
    st.lists(
        st.builds(Moments, *[st.integers(0, 99)] * 4, *[st.none() | st.floats(-9, 9)] * 2, st.integers()), max_size=4
    )
)
def test_moments_add_in_any_order(parts: list[Moments]) -> None:
    assert sum(parts, Moments()) == sum(reversed(parts), Moments())


@given(st.fractions(min_value=0))
def test_square_roots_are_correctly_rounded(number: Fraction) -> None:
    assert square_root(number) == root(number)


@pytest.mark.parametrize(
    "number", [Fraction(1, 2**4000), Fraction(2**2047), Fraction(2**53 + 1) ** 2, Fraction(1, 3**600)]
)
def test_square_roots_of_any_size(number: Fraction) -> None:
    assert square_root(number) == root(number)
