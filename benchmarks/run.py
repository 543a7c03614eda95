"""Print what wcx reaches beside what it is meant to reach; see README.md."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
from models import write_model
from timing import Row, in_threads, interleaved, run_cat, run_wcx

from wcx.blocks.counter import Counter, compiled_kernels
from wcx.blocks.packed import packed_words
from wcx.blocks.xor_counter import XorCounter
from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES, PlaneRule, UniformRule
from wcx.core.scheme import Fit, Statistics
from wcx.quantizers import Needs, parse_quantizer
from wcx.scan.engine import Threads
from wcx.scan.fit import fit_layers
from wcx.scan.layers import layer_of
from wcx.scan.sources import ArraySource

_COLUMNS = 4096


def kernels(options: argparse.Namespace) -> Iterator[Row]:
    """Arrays in memory, larger than any cache: counting against a read-only reduction over the same bytes."""
    for name, targets in (("F32", (0.85, 0.65)), ("BF16", (0.75, 0.45)), ("F16", (0.75, 0.45)), ("I8", (0.55, None))):
        yield from _memory_rows(name, options.memory << 20, targets)
    yield _against_numpy(options.memory << 18)
    yield _against_pybdm()


def _weights(name: str, nbytes: int) -> np.ndarray:
    """Random weights as unsigned codes [rows, 4096]."""
    itemsize = DTYPES[name].bits // 8
    count = nbytes // itemsize // (_COLUMNS * 4096) * (_COLUMNS * 4096)
    random = np.random.default_rng(0)
    kind = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16, "I8": np.int8}[name]
    block = random.standard_normal(_COLUMNS * 1024, dtype=np.float32)
    some = (block * 40 if name == "I8" else block).astype(kind).view(f"u{itemsize}")
    codes = np.empty(count, some.dtype)
    for start in range(0, count, some.size):
        codes[start : start + some.size] = np.roll(some, start // 4096)
    return codes.reshape(-1, _COLUMNS)


def _counters(name: str, threads: int, kernels_: object) -> list[Counter]:
    counters = [Counter(1, kernels_) for _ in range(threads)]
    for counter in counters:
        counter.begin(DTYPES[name], parse_quantizer("sign").cut(DTYPES[name], Fit()))
    return counters


def _memory_rows(name: str, nbytes: int, targets: tuple[float, float | None]) -> Iterator[Row]:
    codes = _weights(name, nbytes)
    words = codes.reshape(-1).view(np.uint64)
    for threads, target in zip((2, 1), targets, strict=True):
        parts = 2 * threads
        counters = _counters(name, parts, compiled_kernels())
        stripes = np.array_split(codes, parts)
        pieces = np.array_split(words, parts)

        def count(part: int) -> None:
            counters[part].count(stripes[part].reshape(-1), *stripes[part].shape)  # noqa: B023

        def read(part: int) -> None:
            pieces[part].min()  # noqa: B023

        seconds = interleaved(
            [lambda: in_threads(count, parts, threads), lambda: in_threads(read, parts, threads)],  # noqa: B023
            7,
        )
        per_weight = 1e9 * seconds[0] / codes.size
        yield Row(
            f"{name} in memory, of the read limit, {threads} thread{'s' * (threads > 1)}",
            f">= {target}" if target else "",
            f"{seconds[1] / seconds[0]:.2f} ({per_weight:.3f} ns/weight)",
        )


def _against_numpy(nbytes: int) -> Row:
    codes = _weights("BF16", nbytes)
    stripes = np.array_split(codes, 4)
    fast, plain = _counters("BF16", 4, compiled_kernels()), _counters("BF16", 1, None)

    def count(part: int) -> None:
        fast[part].count(stripes[part].reshape(-1), *stripes[part].shape)

    seconds = interleaved(
        [lambda: in_threads(count, 4, 2), lambda: plain[0].count(codes.reshape(-1), *codes.shape)],
        3,
    )
    return Row("BF16, 2 threads, against the NumPy path", ">= 6x", f"{seconds[1] / seconds[0]:.1f}x")


def _against_pybdm() -> Row:
    from wcx.tasks.verify.verify import import_pybdm

    method = import_pybdm().BDM(ndim=2)
    plane = np.random.default_rng(0).integers(0, 2, (512, 1024))
    codes = _weights("F32", 256 << 20)
    counter = _counters("F32", 1, compiled_kernels())[0]
    seconds = interleaved(
        [lambda: counter.count(codes.reshape(-1), *codes.shape), lambda: method.decompose_and_count(plane)], 3
    )
    ratio = (seconds[1] / plane.size) / (seconds[0] / codes.size)
    return Row("F32, 1 thread, against pybdm", ">= 1500x", f"{ratio:,.0f}x ({1e9 * seconds[1] / plane.size:.0f} ns)")


def planes(options: argparse.Namespace) -> Iterator[Row]:
    """Eight bit-planes at once, against the NumPy path, in pieces of 1 MiB as they are read."""
    for name in ("F32", "BF16", "I8"):
        codes = _weights(name, 16 * (DTYPES[name].bits // 8) << 20)
        cut = UniformRule(8, -4.0, float(np.float32(8) / np.float32(255)))
        kernels_ = compiled_kernels(DTYPES[name], cut)
        height = max(4, (1 << 20) // (_COLUMNS * codes.itemsize))
        pieces = [codes[start : start + height] for start in range(0, len(codes), height)]
        counters = [Counter(8, some) for some in (kernels_, kernels_, None)]
        for counter in counters:
            counter.begin(DTYPES[name], cut)

        def count(counter: int, pieces: list[np.ndarray]) -> None:
            for piece in pieces:
                counters[counter].count(piece.reshape(-1), *piece.shape)  # noqa: B023

        seconds = interleaved(
            [
                lambda: count(0, pieces),  # noqa: B023
                lambda: in_threads(lambda part: count(part, pieces[part::2]), 2, 2),  # noqa: B023
                lambda: count(2, pieces),  # noqa: B023
            ],
            5,
        )
        each = " / ".join(f"{1e9 * some / codes.size:.2f}" for some in seconds)
        yield Row(
            f"8 bit-planes of {name}, 1 / 2 threads, against the NumPy path",
            ">= 8x / 14x",
            f"{seconds[2] / seconds[0]:.1f}x / {seconds[2] / seconds[1]:.1f}x ({each} ns/weight)",
        )


_SHARES = (0.0, 0.001, 0.01, 0.1, 0.5)


def changes(options: argparse.Namespace) -> Iterator[Row]:
    """What counting takes with the changes since two earlier planes, of that share of their bits, against without."""
    levels = UniformRule(8, -4.0, float(np.float32(8) / np.float32(255)))
    for planes, size in ((1, 32), (8, 16)):
        for name in ("F32", "BF16", "I8"):
            codes = _weights(name, size * (DTYPES[name].bits // 8) << 20)
            cut = levels if planes == 8 else parse_quantizer("sign").cut(DTYPES[name], Fit())
            kernels_ = compiled_kernels(DTYPES[name], cut, packing=True)
            height = max(4, (1 << 20) // (_COLUMNS * codes.itemsize))
            series = _Series([codes[at : at + height] for at in range(0, len(codes), height)], name, cut, kernels_)
            plain, *changed = interleaved(
                [series.count, *[partial(series.compare, share) for share in _SHARES]],
                5,
            )
            ratios = " / ".join(f"{some / plain:.2f}" for some in changed)
            yield Row(
                f"{planes} plane{'s' * (planes > 1)} of {name} with both changes, against without; "
                f"{' / '.join(f'{share:g}' for share in _SHARES)} of the bits changed",
                "<= 2" if planes == 1 and name != "I8" else "",
                f"{ratios} ({1e9 * plain / codes.size:.3f} ns/weight without)",
            )


class _Series:
    """Pieces of a layer as they are read, and earlier bits of theirs, of which a share is another."""

    def __init__(self, pieces: list[np.ndarray], name: str, cut: PlaneRule, kernels_: object) -> None:
        self._pieces = pieces
        self._planes = len(cut)
        self._counters = [Counter(self._planes, kernels_) for _ in range(2)]
        for counter in self._counters:
            counter.begin(DTYPES[name], cut)
        self._changes = [XorCounter(self._planes, kernels_) for _ in range(2)]
        self._kept = [np.zeros(packed_words(*piece.shape, self._planes), np.uint64) for piece in pieces]
        self._earlier = {share: self._flipped(share) for share in _SHARES}

    def _flipped(self, share: float) -> list[list[np.ndarray]]:
        random = np.random.default_rng(0)
        earlier: list[list[np.ndarray]] = [[], []]
        for piece, kept in zip(self._pieces, self._kept, strict=True):
            self._counters[1].count(piece.reshape(-1), *piece.shape, kept)
            for some in earlier:
                flips = random.random(64 * kept.size, np.float32) < share
                some.append(kept ^ np.packbits(flips, bitorder="little").view(np.uint64))
        return earlier

    def count(self) -> None:
        """Count the blocks."""
        for piece in self._pieces:
            self._counters[0].count(piece.reshape(-1), *piece.shape)

    def compare(self, share: float) -> None:
        """Count the blocks and those of the bits that differ from earlier ones, and keep the bits."""
        previous, first = self._earlier[share]
        for piece, kept, *earlier in zip(self._pieces, self._kept, previous, first, strict=True):
            self._counters[1].count(piece.reshape(-1), *piece.shape, kept)
            for changes, some in zip(self._changes, earlier, strict=True):
                changes.count(kept, some, *piece.shape, self._planes)


_LARGE = ((4096, 4096), (11008, 4096), (4096, 11008), (4096,))


def files(options: argparse.Namespace) -> Iterator[Row]:
    """The whole command on a large file against `cat` of it, less the command on a small one."""
    folder = Path(options.directory or tempfile.mkdtemp(prefix="wcx-bench-"))
    large, middle, small = folder / "large.safetensors", folder / "middle.safetensors", folder / "small.safetensors"
    try:
        write_model(large, int(options.size * 2**30), _LARGE)
        write_model(middle, int(options.size * 2**30) // 8, _LARGE)
        write_model(small, 1000, ((16, 16),))
        run_wcx("analyze", str(middle), "--json")
        cat, whole, start, part = interleaved(
            [
                lambda: run_cat(str(large)),
                lambda: run_wcx("analyze", str(large), "--json"),
                lambda: run_wcx("analyze", str(small), "--json"),
                lambda: run_wcx("analyze", str(middle), "--json"),
            ],
            5,
        )
        name = f"whole wcx analyze, {options.size:g} GiB BF16 in the page cache, against cat"
        rate = large.stat().st_size / (whole - start) / 1e9
        yield Row(name, "<= 1.2", f"{(whole - start) / cat:.2f} ({rate:.1f} GB/s; start-up {start:.2f} s apart)")
        yield Row("time against size, from 1/8 of it (1 = linear)", "1", f"{(whole - start) / (part - start) / 8:.2f}")
        _, peak = run_wcx("analyze", str(large), "--json")
        yield Row("peak memory, that file", "< 300 MiB", f"{peak:.0f} MiB")
        _, peak = run_wcx("inspect", str(large), "--json")
        yield Row("peak memory, wcx inspect", "< 300 MiB", f"{peak:.0f} MiB")
        if _drop_caches():
            cold = []
            for function in (lambda: run_cat(str(large)), lambda: run_wcx("analyze", str(large), "--json")[0]):
                _drop_caches()
                cold.append(function())
            yield Row("the same, cold, against cat", "<= 1.1", f"{(cold[1] - start) / cold[0]:.2f}")
    finally:
        for path in (large, middle, small):
            path.unlink(missing_ok=True)
        if not options.directory:
            shutil.rmtree(folder, ignore_errors=True)


def series(options: argparse.Namespace) -> Iterator[Row]:
    """`wcx compare` of eight checkpoints against `wcx analyze` of the same files, without a cache and with one."""
    folder = Path(options.directory or tempfile.mkdtemp(prefix="wcx-bench-")) / "series"
    folder.mkdir()
    cache = {"WCX_CACHE_DIR": str(folder / "cache")}
    try:
        for step in range(9):
            _write_step(folder, step, int(options.size * 2**30) // 8)
        paths = [str(folder / f"step{step}.safetensors") for step in range(9)]
        compare = lambda *more: run_wcx("compare", *paths[:8], "--json", *more, environment=cache)  # noqa: E731
        analyze, whole = interleaved(
            [lambda: run_wcx("analyze", *paths[:8], "--ndjson"), lambda: compare("--no-cache")], 3
        )
        name = f"whole wcx compare, 8 x {options.size / 8:g} GiB BF16"
        yield Row(f"{name}, against wcx analyze of them", "-", f"{whole / analyze:.2f}")
        _, peak = compare("--no-cache")
        yield Row("peak memory", "< 300 MiB", f"{peak:.0f} MiB")
        compare()
        again, _ = compare()
        yield Row("the same again, with its cache, against without", "-", f"{again / whole:.2f}")
        more, _ = run_wcx("compare", *paths, "--json", environment=cache)
        yield Row("with one checkpoint more (three are read)", "-", f"{more / whole:.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_step(folder: Path, step: int, nbytes: int) -> None:
    """A checkpoint that differs from the one before by the signs of 2 % of its weights."""
    path = folder / f"step{step}.safetensors"
    if step == 0:
        write_model(path, nbytes, _LARGE)
        return
    shutil.copyfile(folder / f"step{step - 1}.safetensors", path)
    weights = np.memmap(path, np.uint16, "r+", offset=1 << 20)  # well behind the header; a multiple of two bytes
    weights[np.random.default_rng(step).integers(0, weights.size, weights.size // 50)] ^= 0x8000


def _drop_caches() -> bool:
    """Empty the page cache; False where that is not allowed."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        return False
    return True


def small(options: argparse.Namespace) -> Iterator[Row]:
    """Many small tensors, from reading to values."""
    with tempfile.TemporaryDirectory(prefix="wcx-bench-") as folder:
        path, one = Path(folder) / "many.safetensors", Path(folder) / "one.safetensors"
        write_model(path, 30_000 * 64 * 64 * 4, ((64, 64),), "F32")
        write_model(one, 64, ((64, 64),), "F32")
        for null, target in (("none", 50), ("permutation", 200)):
            many, few, inspected = interleaved(
                [
                    lambda: run_wcx("analyze", str(path), "--null", null, "--ndjson"),  # noqa: B023
                    lambda: run_wcx("analyze", str(one), "--null", null, "--ndjson"),  # noqa: B023
                    lambda: run_wcx("inspect", str(path), "--json"),
                ],
                3,
            )
            measured = f"{1e6 * (many - few) / 30_000:.0f} us ({many:.1f} s for 30,000; inspect {inspected:.1f} s)"
            yield Row(f"64x64 tensors, reading to values and NDJSON, null {null}", f"<= {target} us", measured)
    yield _null_row()


def _null_row() -> Row:
    from wcx.measures.null import Margins, permutation_null
    from wcx.measures.tables import load_table

    table = load_table("4x4")
    times = []
    for side in (64, 512, 4096, 16384):
        for share in (0.5, 0.1, 0.01):
            margins = [Margins(side * side, int(side * side * share) + extra, side * side // 16) for extra in range(4)]
            permutation_null(margins[:1], table, 1024)
            start = time.perf_counter()
            for plane in margins[1:]:
                permutation_null([plane], table, 1024)
            times.append((time.perf_counter() - start) / 3)
    return Row(
        "closed-form null of a plane, 64^2 to 16384^2, density 0.5 to 0.01",
        "about 1 ms",
        f"{1e3 * min(times):.1f} to {1e3 * max(times):.1f} ms",
    )


def startup(options: argparse.Namespace) -> Iterator[Row]:
    """Whole processes that do little."""
    with tempfile.TemporaryDirectory(prefix="wcx-bench-") as folder:
        little, some = Path(folder) / "little.safetensors", Path(folder) / "some.safetensors"
        write_model(little, 100_000, ((96, 64),), "F32")
        write_model(some, 3 << 29, ((2048, 2048),))
        environment = {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
        first, _ = run_wcx("analyze", str(some), environment=environment)
        times = interleaved(
            [
                lambda: run_wcx("--help"),
                lambda: run_wcx("analyze", str(little)),
                lambda: run_wcx("analyze", str(some), environment=environment),
                lambda: run_wcx("inspect", str(some)),
            ],
            7,
        )
    for name, target, seconds in zip(
        (
            "wcx --help",
            "wcx analyze, 100 kB",
            "wcx analyze, 1.5 GiB BF16, compiled code at hand",
            "wcx inspect, 1.5 GiB",
        ),
        ("0.15 s", "0.3 s", "0.7 s beside the reading", ""),
        times,
        strict=True,
    ):
        yield Row(name, target, f"{seconds:.2f} s")
    yield Row("the first run, which compiles, beside later ones", "3 s more", f"{first - times[2]:.1f} s more")


class _Keeper:
    """A quantizer that learns the statistics themselves."""

    def __init__(self, **needs: object) -> None:
        self.needs = Needs(**needs)

    def fit(self, statistics: Statistics) -> Statistics:
        """The statistics."""
        return statistics


def fitting(options: argparse.Namespace) -> Iterator[Row]:
    """Exact statistics of 2^26 weights in memory against NumPy's."""
    codes = _weights("F32", 256 << 20)
    values = codes.view(np.float32)
    tails = [33554, 33555, values.size - 33556, values.size - 33555]
    cases = (
        ("exact percentile range", ">= 30x np.partition", {"quantiles": (0.0005, 0.9995)}, _partition(values, tails)),
        ("exact median", "np.median", {"quantiles": (0.5,)}, lambda: np.median(values)),
        ("exact mean", "np.mean in double", {"mean": True}, lambda: values.mean(dtype=np.float64)),
        ("range", "np.min and np.max", {"range": True}, lambda: (values.min(), values.max())),
    )
    tensor = TensorInfo("w", "F32", codes.shape, codes.nbytes)
    for name, target, needs, plain in cases:
        quantizer = _Keeper(**needs)

        def fit(quantizer: _Keeper = quantizer) -> object:
            return fit_layers([layer_of(tensor)], [quantizer], lambda: ArraySource(codes), Threads(2), compiled=True)

        seconds = interleaved([fit, plain], 3)
        measured = f"{seconds[1] / seconds[0]:.1f}x ({1e9 * seconds[0] / codes.size:.2f} ns/weight)"
        yield Row(f"F32, {name}, 2 threads, against {target.rpartition('x ')[2]}", target, measured)


def _partition(values: np.ndarray, ranks: list[int]) -> Callable[[], object]:
    return lambda: np.partition(values.reshape(-1), ranks)


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "kernels": kernels,
    "fitting": fitting,
    "planes": planes,
    "changes": changes,
    "files": files,
    "series": series,
    "small": small,
    "startup": startup,
}


def main() -> None:
    """Run the sections that were named, and print their rows as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=", ".join(SECTIONS))
    parser.add_argument("--size", type=float, default=4, help="GiB of the large file")
    parser.add_argument("--memory", type=int, default=1024, help="MiB of the arrays in memory")
    parser.add_argument("--directory", help="where the large file is written")
    options = parser.parse_args()
    print("| check | target | measured |\n|---|---|---|")
    for name in options.sections:
        for row in SECTIONS[name](options):
            print(f"| {row.check} | {row.target} | {row.measured} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
