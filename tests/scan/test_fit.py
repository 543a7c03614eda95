"""What quantizers learn of tensors: statistics to the last bit, however a tensor streams by, and the cuts they give."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from strategies import (
    DTYPE_NAMES,
    Tensor,
    code_type,
    decode,
    encode,
    layer_of,
    random_codes,
    random_tensor,
    write_safetensors,
)

import wcx
from wcx.core.errors import UsageError
from wcx.core.exact import mean_of, position, quantile
from wcx.core.scheme import Statistics
from wcx.quantizers import Needs
from wcx.scan import grid
from wcx.scan.engine import Threads
from wcx.scan.fit import fit_layers
from wcx.scan.layers import Layer
from wcx.scan.sources import ArraySource

SHARES = (0.5, 0.0005, 0.9995, 0.0, 1.0, 0.3)
EVERYTHING = Needs(range=True, mean=True, mean_abs=True, quantiles=SHARES)


@dataclass(frozen=True)
class Keeper:
    """A quantizer that learns the statistics themselves."""

    needs: Needs

    def fit(self, statistics: Statistics) -> Any:  # noqa: ANN401
        return statistics


class ManySources:
    """The codes of several layers in memory."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._sources = {name: ArraySource(array) for name, array in arrays.items()}

    def codes(self, layer: Layer, piece: Any) -> NDArray[Any]:  # noqa: ANN401
        return self._sources[layer.tensor.name].codes(layer, piece)


def statistics_of(
    arrays: Sequence[tuple[str, NDArray[Any]]], needs: Needs = EVERYTHING, threads: int = 1, *, compiled: bool = False
) -> list[Any]:
    """The statistics of matrices of codes, each with its dtype."""
    layers = [layer_of(dtype, *codes.shape, name=str(number)) for number, (dtype, codes) in enumerate(arrays)]
    source = ManySources({str(number): codes for number, (_, codes) in enumerate(arrays)})
    quantizers: Any = [Keeper(needs)]
    found = fit_layers(layers, quantizers, lambda: source, Threads(threads), compiled=compiled)  # type: ignore[arg-type, return-value]
    return [fit for (fit,) in found]


def values_of(dtype: str, codes: NDArray[Any]) -> NDArray[np.float64]:
    return (codes != 0).astype(np.float64) if dtype == "BOOL" else decode(codes, dtype, codes.shape)


def expected(dtype: str, codes: NDArray[Any]) -> Statistics:
    """The oracle's statistics; the sums of 64-bit integers are of the integers."""
    values = naive.finite(values_of(dtype, codes))
    if not values:
        return Statistics()
    exact: list[Any] = values
    if dtype in ("I64", "U64"):
        exact = codes.reshape(-1).view("<i8" if dtype == "I64" else "<u8").tolist()
    return Statistics(
        len(values),
        values[0],
        values[-1],
        naive.mean(exact),
        naive.mean([abs(value) for value in exact]),
        tuple(naive.quantile(values, share) for share in SHARES),
    )


@pytest.fixture
def tiny_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many stripes, many pieces."""
    monkeypatch.setattr(grid, "_ITEM_BYTES", 512)
    monkeypatch.setattr(grid, "PIECE_BYTES", 256)
    monkeypatch.setattr(grid, "WIDEST_WHOLE_ROW", 16)
    monkeypatch.setattr(grid, "_STRINGS", 4)
    monkeypatch.setattr("wcx.scan.layers._SMALL_LAYER", 0)


CASES = [
    (dtype, flavour, shape)
    for dtype in (*DTYPE_NAMES, "F8_E8M0")
    for flavour, shape in (("bytes", (9, 31)), ("special", (6, 70)), ("ordinary", (4, 8)), ("sparse", (1, 1)))
]


def matrices() -> list[tuple[str, NDArray[Any]]]:
    random = np.random.default_rng(0)
    return [
        (dtype, random_codes(dtype, shape[0] * shape[1], random, flavour).reshape(shape))
        for dtype, flavour, shape in CASES
    ]


@pytest.fixture(scope="module")
def oracle() -> Iterator[list[Statistics]]:
    with np.errstate(all="ignore"):
        yield [expected(dtype, codes) for dtype, codes in matrices()]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
def test_every_dtype_to_the_last_bit_in_tiny_pieces(
    oracle: list[Statistics], threads: int, compiled: bool, tiny_grid: None
) -> None:
    found = statistics_of(matrices(), threads=threads, compiled=compiled)
    for case, one, correct in zip(CASES, found, oracle, strict=True):
        assert one == correct, case


def test_every_dtype_to_the_last_bit_whole(oracle: list[Statistics]) -> None:
    assert statistics_of(matrices(), threads=2) == oracle


NEEDS = [
    Needs(range=True),
    Needs(mean=True),
    Needs(mean_abs=True),
    Needs(quantiles=SHARES),
    Needs(mean=True, quantiles=SHARES),
    Needs(range=True, mean_abs=True),
]


@pytest.mark.parametrize("needs", NEEDS)
def test_only_what_was_asked_for(oracle: list[Statistics], needs: Needs) -> None:
    for case, found, correct in zip(CASES, statistics_of(matrices(), needs), oracle, strict=True):
        none = not correct.number
        assert found == Statistics(
            correct.number,
            correct.lo if needs.range else None,
            correct.hi if needs.range else None,
            correct.mean if needs.mean else None,
            correct.mean_abs if needs.mean_abs else None,
            () if none or not needs.quantiles else correct.quantiles,
        ), case


@given(st.lists(st.floats(width=64), min_size=1, max_size=40), st.sampled_from(["F64", "F32", "F16", "BF16"]))
def test_any_numbers(values: list[float], dtype: str) -> None:
    codes = np.array(encode(values, dtype), code_type(dtype)).reshape(1, -1)
    with np.errstate(all="ignore"):
        correct = expected(dtype, codes)
    (found,) = statistics_of([(dtype, codes)])
    assert (found.number, found.lo, found.hi) == (correct.number, correct.lo, correct.hi)
    assert (found.mean, found.mean_abs) == (correct.mean, correct.mean_abs)
    if correct.number:
        assert found.quantiles[0] == correct.quantiles[0]
        assert all(math.isfinite(value) for value in found.quantiles)


@pytest.mark.parametrize("dtype", ["F64", "F32", "BF16", "F8_E4M3"])
def test_no_finite_value_at_all(dtype: str) -> None:
    codes = np.array(encode([math.nan] * 4, dtype)).astype(code_type(dtype))
    assert statistics_of([(dtype, codes.reshape(1, 4))]) == [Statistics()]


def test_sums_that_plain_addition_gets_wrong() -> None:
    values = [1e308, 1e308, 1.0, -1e308, -1e308, 1e-320]
    (found,) = statistics_of([("F64", np.array([values]).view("<u8"))])
    assert found.mean == math.fsum([1e308, -1e308, 1.0, 1e-320]) / 6
    assert found.mean_abs == pytest.approx(4 / 6 * 1e308)  # the sum itself is beyond all doubles
    assert mean_of(3 << 1074, 2) == 1.5


def test_what_is_not_needed_costs_nothing() -> None:
    def no_source() -> Any:  # noqa: ANN401
        raise AssertionError("nothing has to be read")

    layers = [layer_of("F32", 4, 4)] * 3
    quantizers: Any = [Keeper(Needs())]
    found: Any = fit_layers(layers, quantizers, no_source, Threads(2))
    assert found == [(Statistics(),)] * 3


def test_bytes_are_told_once_however_many_passes() -> None:
    told: list[int] = []
    codes = np.arange(4 << 20, dtype="<u8").reshape(1024, -1)
    quantizers: Any = [Keeper(EVERYTHING)]
    fit_layers([layer_of("F64", *codes.shape)], quantizers, lambda: ArraySource(codes), Threads(2), told.append)
    assert sum(told) == codes.nbytes


# ------------------------------------------------------------------------------------------------------- torch's rank


@pytest.mark.parametrize(
    ("number", "share", "rank"), [(4, 0.5, (1, 2, 0.5)), (1, 0.3, (0, 0, 0.0)), (5, 1.0, (4, 4, 0.0))]
)
def test_where_quantiles_lie(number: int, share: float, rank: tuple[int, int, float]) -> None:
    assert position(share, number, float32_rank=False) == position(share, number, float32_rank=True) == rank


TORCH = {  # torch.quantile of torch 2.13.0 for (1 - 0.999) / 2, 1 - (1 - 0.999) / 2, 0.5 and 0.3
    10: (-0.9991884827613831, 0.8877322673797607, 0.03444182872772217, -0.4016261100769043),
    1000: (-0.9992687702178955, 0.9983586668968201, -0.0004550516605377197, -0.399394690990448),
    54321: (-0.9989685416221619, 0.9990015625953674, 5.7578086853027344e-05, -0.39994898438453674),
}


@pytest.mark.parametrize("number", TORCH)
def test_narrow_quantiles_are_those_of_torch(number: int) -> None:
    words = np.arange(number, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)
    values = words.astype(np.float32) / np.float32(1 << 31) - np.float32(1)
    needs = Needs(quantiles=((1 - 0.999) / 2, 1 - (1 - 0.999) / 2, 0.5, 0.3), float32_rank=True)
    (found,) = statistics_of([("F32", values.view("<u4").reshape(1, -1))], needs)
    assert found.quantiles == TORCH[number]


def test_a_narrow_rank_is_a_float32_up_to_two_to_the_24() -> None:
    share = 1 - (1 - 0.999) / 2
    assert position(share, 1 << 24, float32_rank=True)[2] != position(share, 1 << 24, float32_rank=False)[2]
    assert position(share, (1 << 24) + 1, float32_rank=True) == position(share, (1 << 24) + 1, float32_rank=False)


@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=2, max_size=2), st.integers(2, 1 << 25), st.floats(0, 1)
)
def test_narrow_quantiles_are_float32_between_their_neighbours(ends: list[float], number: int, share: float) -> None:
    low, high = sorted(ends)
    found = quantile(low, high, share, number, float32_rank=True)
    assert found == float(np.float32(found))
    slack = 1e-6 * max(abs(low), abs(high)) + 1e-44  # the width is rounded
    assert low - slack <= found <= high + slack


# ------------------------------------------------------------------------------------------- threshold and ternary


def oracles_planes(values: NDArray[np.float64], quantizer: str) -> tuple[float, list[NDArray[np.uint8]]]:
    """The bound and the planes."""
    finite = naive.finite(values)
    kind, _, parameter = quantizer.partition(":")
    if kind == "ternary":
        bound = float(parameter or 0.7) * naive.mean([abs(value) for value in finite]) if finite else 0.0
        return bound, list(naive.ternary(values, float(parameter or 0.7)).values())
    learned = {"mean": naive.mean, "median": naive.median}.get(parameter)
    bound = (learned(finite) if finite else 0.0) if learned else float(parameter)
    return bound, [naive.threshold(values, bound)]


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    found = {
        f"{dtype}.{flavour}": random_tensor(dtype, shape, number, flavour)
        for number, dtype in enumerate(DTYPE_NAMES)
        for flavour, shape in (("bytes", (12, 20)), ("special", (5, 8, 4)), ("ordinary", (4, 16)))
        if dtype not in ("I64", "U64")
    }
    found["constant"] = Tensor("F32", (8, 8), np.full((8, 8), 0.1, "<f4").tobytes())
    found["nan"] = Tensor("F32", (8, 8), np.full((8, 8), np.nan, "<f4").tobytes())
    return found


@pytest.mark.parametrize(
    "quantizer", ["threshold:mean", "threshold:median", "threshold:-0.5", "ternary", "ternary:0.05"]
)
def test_files_end_to_end(
    tensors: dict[str, Tensor], quantizer: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    settings: dict[str, Any] = {"quantize": quantizer, "include": ["*"], "null": "none", "rarefy": 10}
    report = wcx.analyze(path, threads=1, **settings)
    for layer in report.layers:
        values = naive.rows(tensors[layer.name].values)
        bound, planes = oracles_planes(values, quantizer)
        assert layer.fit.threshold == bound, layer.name
        assert [plane.ones for plane in layer.planes] == [naive.ones(plane) for plane in planes], layer.name
        for found, plane in zip(layer.planes, planes, strict=True):
            assert found.bdm == pytest.approx(naive.bdm(naive.block_counts(plane)), rel=1e-9), layer.name
    request.getfixturevalue("tiny_grid")
    for threads in (2, 4):
        again = wcx.analyze(path, threads=threads, **settings)
        assert json.dumps(again.to_dict()) == json.dumps(report.to_dict())


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        ("threshold", "threshold takes mean, median or a number, not nothing"),
        ("threshold:", "not ''"),
        ("threshold:nan", "not 'nan'"),
        ("threshold:mode", "not 'mode'"),
        ("ternary:-1", "ternary takes a factor of 0 or more, not '-1'"),
        ("ternary:inf", "not 'inf'"),
        ("ternary:", "not ''"),
    ],
)
def test_what_makes_no_sense_is_refused(quantizer: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        wcx.measure(np.ones((4, 4)), quantize=quantizer)
    assert message in str(caught.value)
