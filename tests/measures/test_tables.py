"""The complexity tables: pybdm's numbers to the last bit, their checksums, their symmetries."""

from __future__ import annotations

import gzip
import hashlib
import math
import pickle
from importlib.resources import files
from types import ModuleType
from typing import Any

import naive
import numpy as np
import pytest
from numpy.typing import NDArray

from wcx.measures.tables import UNIT, join, load_table, table_checksums

SQUARES = ["4x4", "3x3", "2x2", "1x1"]
STRINGS = [f"s{length}" for length in range(1, 13)]


@pytest.fixture(scope="module")
def stored() -> dict[str, NDArray[np.float64]]:
    with (files("wcx.measures") / "data" / "ctm.npz").open("rb") as stream, np.load(stream) as arrays:
        return {name: arrays[name] for name in arrays.files}


def of_pybdm(pybdm: ModuleType, name: str) -> dict[str, float]:
    """pybdm's values by the bits of a block, for a block and not its complement, read from the installed package."""
    shape = tuple(map(int, name.split("x"))) if "x" in name else (int(name[1:]),)
    source = "ctm-b2-d4x4.pkl.gz" if "x" in name else "ctm-b2-d12.pkl.gz"
    data = (files(pybdm) / "ctmdata" / source).read_bytes()
    found: dict[tuple[int, ...], dict[str, float]] = pickle.loads(gzip.decompress(data))
    return found[shape]


def code_of(bits: str, name: str) -> int:
    """Squares: cell (r, c) of n x n is bit n r + c. Strings: the first symbol is the highest bit."""
    return int(bits[::-1] if "x" in name else bits, 2)


@pytest.mark.parametrize("name", [*SQUARES, *STRINGS])
def test_every_value_is_pybdms(pybdm: ModuleType, stored: dict[str, Any], name: str) -> None:
    theirs = of_pybdm(pybdm, name)
    cells = len(next(iter(theirs)))
    expected = np.full(1 << cells, np.nan)
    for bits, value in theirs.items():
        expected[code_of(bits, name)] = value
        expected[code_of(bits.translate({48: 49, 49: 48}), name)] = value  # the complement
    np.testing.assert_array_equal(stored[name], expected, strict=True)


def test_there_are_no_other_tables(stored: dict[str, Any]) -> None:
    assert sorted(stored) == sorted([*SQUARES, *STRINGS])


def test_checksums_are_those_of_the_values(stored: dict[str, Any]) -> None:
    listed = table_checksums()
    strings = {f"1x{length}": f"s{length}" for length in range(2, 13)}
    assert {shape for _, shape, _ in listed} == {*SQUARES, *strings}
    for name, shape, checksum in listed:
        values = stored[strings.get(shape, shape)]
        assert hashlib.sha256(values.astype("<f8").tobytes()).hexdigest() == checksum
        table = load_table(shape)
        assert (table.name, table.shape, table.sha256) == (name, shape, checksum)
        np.testing.assert_array_equal(table.values, values)


def test_several_shapes_stand_one_after_the_other() -> None:
    table = load_table("4x4+3x3+2x2")
    assert (table.possible, table.cells, table.main) == (65536 + 512 + 16, 16, load_table("4x4"))
    parts = [load_table(shape) for shape in ("4x4", "3x3", "2x2")]
    np.testing.assert_array_equal(table.values, np.concatenate([part.values for part in parts]))
    np.testing.assert_array_equal(table.values * UNIT, table.units)
    strings = load_table("1x12+1x11+1x10+1x9+1x8+1x7+1x6+1x5+1x4+1x3+1x2")
    assert strings.possible == 2**13 - 4


@pytest.mark.parametrize("shape", ["4x4", "3x3", "2x2", "1x12"])
def test_the_oracle_has_the_same_table(shape: str) -> None:
    height, width = map(int, shape.split("x"))
    oracle = naive.ctm_table((height, width))
    values = load_table(shape).values
    if height == 1:  # the oracle has the first symbol in the lowest bit
        oracle = {int(f"{code:012b}"[::-1], 2): value for code, value in oracle.items()}
    assert dict(enumerate(values.tolist())) == oracle


# ----------------------------------------------------------------------------------------------------- known numbers


def test_the_table_of_4x4_blocks() -> None:
    values = load_table("4x4").values
    assert (values.size, values.min(), values.max()) == (65536, 22.006706292292176, 36.02279026553976)
    assert values[0] == values[65535] == values.min()
    assert (values == values.min()).sum() == 2
    assert math.fsum(values) == pytest.approx(1990936.7672519875, abs=1e-9)
    assert math.fsum(values) / 65536 == pytest.approx(30.379284168273735, rel=1e-14)
    assert values.std() == pytest.approx(2.130632227106724, rel=1e-12)


def test_the_table_of_strings_of_12() -> None:
    values = load_table("1x12").values
    assert (values.size, values.min(), values.max()) == (4096, 25.610413747641715, 37.479236302416716)
    assert math.fsum(values) == pytest.approx(133138.52786480985, abs=1e-9)


# -------------------------------------------------------------------------------------------------------- symmetries


def images(side: int) -> dict[str, NDArray[np.int64]]:
    """For every block of a square, the code of its image under each symmetry."""
    place = np.arange(side * side).reshape(side, side)
    codes = np.arange(1 << (side * side))
    moved = {
        "transpose": place.T,
        "rotation": np.rot90(place),
        "left and right": place[:, ::-1],
        "up and down": place[::-1],
    }
    found = {name: (codes[:, None] >> to.reshape(-1) & 1) @ (1 << np.arange(side * side)) for name, to in moved.items()}
    return {**found, "complement": codes ^ ((1 << (side * side)) - 1)}


@pytest.mark.parametrize("shape", SQUARES)
def test_symmetries_of_the_square_change_no_value(shape: str) -> None:
    values = load_table(shape).values
    for name, image in images(int(shape[0])).items():
        assert sorted(image.tolist()) == list(range(values.size)), name
        np.testing.assert_array_equal(values[image], values, err_msg=name)


def test_a_string_its_mirror_and_its_complement_have_one_value() -> None:
    values = load_table("1x12").values
    codes = np.arange(4096)
    mirrored = (codes[:, None] >> np.arange(12) & 1) @ (1 << np.arange(12)[::-1])
    np.testing.assert_array_equal(values[mirrored], values)
    np.testing.assert_array_equal(values[codes ^ 4095], values)


# ----------------------------------------------------------------------------------------------------- exact numbers


@pytest.mark.parametrize("shape", [*SQUARES, "1x12"])
def test_units_are_the_values_exactly(shape: str) -> None:
    table = load_table(shape)
    high, low = table.halves
    for value, units, *halves in zip(*(x.tolist() for x in (table.values, table.units, high, low)), strict=True):
        numerator, denominator = value.as_integer_ratio()
        assert UNIT % denominator == 0
        assert units == numerator * (UNIT // denominator) == join(*halves)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 100, 4095, 4096])
def test_the_largest_values_are_summed_exactly(number: int) -> None:
    table = load_table("1x12")
    assert table.largest(number) == sum(sorted(table.units.tolist(), reverse=True)[:number])
    assert table.smallest == min(table.units.tolist())


def test_classes_by_ones_are_the_oracles() -> None:
    table = load_table("4x4")
    count, first, second = table.classes
    assert table.ones.tolist() == [code.bit_count() for code in range(65536)]
    for k, members in enumerate(naive.block_classes()):
        assert count[k] == members.size == math.comb(16, k)
        assert first[k] == pytest.approx(float(members.total), rel=1e-15)
        assert second[k] == pytest.approx(float(members.squares), rel=1e-13)
