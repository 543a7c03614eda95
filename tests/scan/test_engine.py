"""The engine: one reading for all that want it, answers in order, and nothing that can't go to another process."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from strategies import random_tensor, write_safetensors

import wcx
from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.scheme import Scheme
from wcx.formats import open_checkpoint
from wcx.quantizers.contract import Needs
from wcx.scan import engine, grid
from wcx.scan.compress import stream_specs
from wcx.scan.count import CountBlocks, scan_counts
from wcx.scan.engine import Done, Item, Job, Threads, Tools, Unordered, Work, run_item, scan
from wcx.scan.grid import Flat, Grid, Rows, Stored
from wcx.scan.layers import Layer, Piece, layer_of
from wcx.scan.moments import SumValues
from wcx.scan.sources import ArraySource
from wcx.scan.statistics import First
from wcx.tasks.analyze.analyze import analyze_checkpoint
from wcx.tasks.analyze.settings import make_settings

SCHEME = Scheme()
RULE = (DTYPES["F32"].positive,)


class Watched(ArraySource):
    """An array that notes which pieces are read."""

    def __init__(self, codes: NDArray[Any]) -> None:
        super().__init__(codes)
        self.pieces: list[Piece] = []

    def codes(self, layer: Layer, piece: Piece) -> NDArray[Any]:
        self.pieces.append(piece)
        return super().codes(layer, piece)


class Zeros:
    """A tensor of any shape, all of whose codes are 0."""

    def codes(self, _layer: Layer, piece: Piece) -> NDArray[Any]:
        return np.zeros(piece.height * piece.width, np.uint32)

    def stored(self, _layer: Layer, _start: int, nbytes: int) -> memoryview:
        return memoryview(bytes(nbytes))


class Processes:
    """An engine of other processes: it maps what a cluster would map."""

    threads = 2

    def run(
        self, job: Job, items: Sequence[Item], threads: int, ahead: int, on_bytes: Callable[[int], None] | None
    ) -> Generator[list[Done], None, None]:
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            yield from pool.map(partial(run_item, job), items)


def codes_of(rows: int, columns: int) -> NDArray[np.uint32]:
    return np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32).view(np.uint32)


def layer(rows: int, columns: int) -> Layer:
    return layer_of(TensorInfo("w", "F32", (rows, columns), 4 * rows * columns))


# ------------------------------------------------------------------------------------------------------ one reading


def test_a_piece_is_read_once_for_all_that_want_it() -> None:
    codes = codes_of(2000, 300)
    source = Watched(codes)
    specs = (CountBlocks(RULE, SCHEME), First(DTYPES["F32"], Needs(range=True)), SumValues())
    work = Work(layer(2000, 300), specs)
    assert [reading.specs for reading in work.readings] == [(0, 1, 2)]
    ((counted, statistics, moments),) = scan([work], lambda: source)
    assert sum(piece.height * piece.width for piece in source.pieces) == codes.size
    assert counted.planes[0].ones == (codes.view(np.float32) > 0).sum()
    assert statistics.lo == moments.lo == codes.view(np.float32).min()


def test_compressors_share_the_reading_of_counts_where_rows_are_whole() -> None:
    narrow, wide = layer(2000, 300), layer(8, 100_000)
    for some, grids in ((narrow, [Rows()]), (wide, [Rows(), Flat()])):
        specs = (CountBlocks(RULE, SCHEME), *stream_specs(some, RULE, 1, ["gzip", "sd"], stored=True))
        assert [reading.grid for reading in Work(some, specs).readings] == grids


def test_compressors_of_too_much_memory_have_readings_of_their_own() -> None:
    specs = stream_specs(layer(2000, 4000), RULE, 1, ["lzma", "bz2"], stored=True)
    readings = Work(layer(2000, 4000), specs).readings
    assert len(readings) > 1
    assert all(len(reading.specs) == 1 or reading.memory <= engine._READING_MEMORY for reading in readings)


def test_statistics_never_take_stored_bytes() -> None:
    class OfBytes(Unordered):
        @property
        def grid(self) -> Grid:
            return Stored(100)

    readings = Work(layer(5, 5), (OfBytes(), SumValues())).readings  # type: ignore[arg-type]
    assert [reading.grid for reading in readings] == [Stored(100), Rows()]


@pytest.mark.parametrize("boundary", ["correlated", "correlated:3"])
def test_statistics_take_every_weight_once_where_blocks_overlap(boundary: str) -> None:
    """Pieces of overlapping blocks share rows and columns: sums over them would count these twice."""
    values = np.random.default_rng(0).standard_normal((40_000, 40)).astype(np.float32)
    names = ["l2_norm", "mean", "gzip"]
    usual = wcx.measure(values, measures=names, null="none").measures
    assert wcx.measure(values, measures=names, null="none", boundary=boundary).measures == usual


# -------------------------------------------------------------------------------------------------------- merging


def test_parts_are_merged_to_what_one_part_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = codes_of(900, 130)
    specs = (CountBlocks(RULE, SCHEME), First(DTYPES["F32"], Needs(mean=True)), SumValues())
    work, source = Work(layer(900, 130), specs), ArraySource(codes)
    (whole,) = scan([work], lambda: source)
    monkeypatch.setattr(grid, "_ITEM_BYTES", 5000)
    monkeypatch.setattr(grid, "PIECE_BYTES", 1000)
    assert len(engine.items_of([work])) > 50
    for threads in (1, 3):
        (parts,) = scan([work], lambda: source, Threads(threads))
        assert parts == whole


def test_results_come_in_the_order_of_the_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "_ITEM_BYTES", 5000)
    shapes = [(8, 8), (900, 130), (4, 4), (300, 64), (5, 5)]
    works = [Work(layer(*shape), (CountBlocks(RULE, SCHEME),)) for shape in shapes]
    found = [counted.planes[0].symbols for (counted,) in scan(works, Zeros, Threads(3))]
    assert found == [rows * columns for rows, columns in shapes]


class Refusing(Unordered):
    """A spec whose accumulator fails in the second layer."""

    def begin(self, layer: Layer, _tools: Tools) -> Any:  # noqa: ANN401
        if layer.rows == 8:
            raise RuntimeError("no second layer")
        return SumValues().begin(layer, _tools)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_worker_is_raised_in_its_turn(threads: int) -> None:
    works = [Work(layer(rows, 1000), (Refusing(),)) for rows in (1000, 8, 1000)]  # type: ignore[arg-type]
    results = scan(works, Zeros, Threads(threads))
    assert next(results)[0].number == 1_000_000
    with pytest.raises(RuntimeError, match="no second layer"):
        next(results)


# --------------------------------------------------------------------------------------------- to other processes


def test_items_specs_and_released_accumulators_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "_ITEM_BYTES", 5000)
    specs = (CountBlocks(RULE, SCHEME), First(DTYPES["F32"], Needs(range=True, quantiles=(0.5,))), SumValues())
    source = ArraySource(codes_of(900, 130))
    work = Work(layer(900, 130), specs)
    items = pickle.loads(pickle.dumps(engine.items_of([work])))
    job = pickle.loads(pickle.dumps(Job(partial(ArraySource, codes_of(900, 130)), compiled=True)))
    answers = [pickle.loads(pickle.dumps(run_item(job, item))) for item in items]

    class Recorded(Processes):
        def run(self, *_arguments: Any) -> Generator[list[Done], None, None]:  # noqa: ANN401
            yield from answers

    (found,) = scan_counts([work], lambda: source, Recorded(), compiled=False)
    (usual,) = scan([work], lambda: source)
    assert (found[0], found[2]) == (usual[0], usual[2])


def test_a_whole_analysis_in_other_processes_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "_ITEM_BYTES", 40_000)
    shapes = {"a": (64, 64), "large": (803, 37), "wide": (9, 2001), "c": (5, 5)}
    tensors = {name: random_tensor("F32", shape, 1, "ordinary") for name, shape in shapes.items()}
    path = write_safetensors(tmp_path / "m.safetensors", tensors)
    settings = make_settings(quantize="uniform:3:p99", measures=["all"])
    usual = wcx.analyze(path, quantize="uniform:3:p99", measures=["all"])
    found = analyze_checkpoint(open_checkpoint(path), settings, Processes())
    assert found.to_dict() == usual.to_dict()
