"""The expected BDM of m blocks: recorded digits, exact sums, and blocks really drawn."""

from __future__ import annotations

from itertools import combinations

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from strategies import as_counts, close, counts_of, evaluate, random_plane

from wcx.measures.bdm_rarefied import rarefied_terms


def terms(n: int, blocks: int, drawn: int) -> tuple[float, float]:
    seen, logs = rarefied_terms(np.array([n], float), blocks, drawn)
    return float(seen[0]), float(logs[0])


@pytest.mark.parametrize(
    ("n", "seen", "logs"),
    [(1, 1.024e-06, 0.0), (2, 2.047998952448e-06, 1.047552e-12), (15_259, 0.015503900879838, None)],
)
def test_a_billion_blocks(n: int, seen: float, logs: float | None) -> None:
    found = terms(n, 10**9, 1024)
    assert found[0] == pytest.approx(seen, rel=1e-12, abs=0)
    assert logs is None or found[1] == pytest.approx(logs, rel=1e-6, abs=0)


@settings(max_examples=examples(200))
@given(st.data())
def test_terms_are_the_exact_ones(data: st.DataObject) -> None:
    blocks = data.draw(st.one_of(st.integers(2, 50), st.integers(2, 3000)))
    drawn = data.draw(st.integers(1, min(blocks - 1, 200)))
    n = data.draw(st.integers(1, blocks))
    seen, logs = terms(n, blocks, drawn)
    exact = naive.rarefied_terms(n, blocks, drawn)
    assert seen == pytest.approx(exact[0], rel=1e-11, abs=0)
    assert logs == pytest.approx(exact[1], rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("n", [1, 3, 50, 700, 5_000, 8_000, 15_000, 16_383, 16_384])
def test_terms_of_a_large_layer(n: int) -> None:
    exact = naive.rarefied_terms(n, 16_384, 1024)
    found = terms(n, 16_384, 1024)
    assert found[0] == pytest.approx(exact[0], rel=1e-12, abs=0)
    assert found[1] == pytest.approx(exact[1], rel=1e-11, abs=1e-300)


def test_many_terms_at_once_are_those_one_by_one() -> None:
    numbers = np.array([*range(1, 1200), 5_000, 40_000, 65_000], float)
    seen, logs = rarefied_terms(numbers, 100_000, 1024)
    assert (seen.shape, logs.shape) == (numbers.shape, numbers.shape)
    for place in (0, 1, 510, 511, 512, 513, 1024, 1198, 1199, 1200, 1201):
        assert (seen[place], logs[place]) == pytest.approx(terms(int(numbers[place]), 100_000, 1024), rel=1e-13)
    assert (np.diff(seen) >= 0).all()
    assert (np.diff(logs) >= 0).all()


@pytest.mark.parametrize("drawn", [1, 2, 3, 5, 6])
def test_all_subsets_of_few_blocks(drawn: int) -> None:
    """Six blocks of three kinds; every subset of so many has the same chance."""
    blocks = [0, 0, 0, 77, 77, 1234]
    values = [naive.bdm({code: part.count(code) for code in set(part)}) for part in combinations(blocks, drawn)]
    counts = as_counts({0: 3, 77: 2, 1234: 1}, 96, 20)
    assert close(evaluate(counts, rarefy=drawn)["bdm_rarefied"], sum(values) / len(values))


@pytest.mark.parametrize("rarefy", [256, 257, 10**9])
def test_with_no_more_blocks_than_are_drawn_it_is_bdm_exactly(rarefy: int) -> None:
    found = evaluate(counts_of(random_plane(64, 64, 0.5)), rarefy)
    assert found["bdm_rarefied"] == found["bdm"]


def test_one_block_less_than_there_are_is_close_to_bdm() -> None:
    counts = counts_of(random_plane(64, 64, 0.5))
    found = evaluate(counts, 255)
    assert 0 < found["bdm"] - found["bdm_rarefied"] < 40


def test_the_value_depends_on_the_kinds_and_not_on_the_size() -> None:
    """The same mixture of blocks, thousandfold: the same value but for drawing without replacement."""
    mixture = {0: 40, 77: 30, 1234: 20, 40_000: 10}
    small = as_counts({code: 100 * n for code, n in mixture.items()}, 160_000, 0)
    large = as_counts({code: 10**6 * n for code, n in mixture.items()}, 16 * 10**8, 0)
    one, other = (evaluate(counts, 1024)["bdm_rarefied"] for counts in (small, large))
    assert one == pytest.approx(other, rel=1e-3)
