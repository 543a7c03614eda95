"""Compressed sizes, against the standard library on the whole bytes: streaming, threads and memory change none."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from backports import zstd
from children import Done, run_python
from commands import run_here
from depth import one_of
from numpy.typing import NDArray
from strategies import DTYPE_NAMES, BytesReader, Tensor, random_tensor, tensor_of, write_safetensors

import wcx
from wcx.blocks.bits import bits_of
from wcx.core.checkpoint import Quantization, TensorInfo
from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError, UsageError
from wcx.core.progress import Progress
from wcx.formats import open_checkpoint
from wcx.formats.reader import CheckpointReader
from wcx.measures import MEASURES, streamed_names
from wcx.measures.compression import Compression
from wcx.scan import compress as streaming
from wcx.scan import engine, grid
from wcx.scan.compress import StreamedLayer, stream_specs, streamed_layer
from wcx.scan.engine import OpenSource, Threads, Work, scan
from wcx.scan.layers import Layer, layer_of
from wcx.scan.sources import FileSource
from wcx.tasks.analyze.analyze import analyze_checkpoint
from wcx.tasks.analyze.settings import make_settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_models" / "digits_bnn" / "seed_0" / "epoch_030.safetensors"


def zstd_stream(data: bytes) -> bytes:
    """Zstandard's stream, which does not depend on its pieces either, but is not what compress() gives."""
    compressor = zstd.ZstdCompressor(level=3)
    compressor.set_pledged_input_size(len(data))
    return compressor.compress(data) + compressor.flush()


WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "bz2": lambda data: bz2.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9),
    "zstd": zstd_stream,
}
NAMES = tuple(WHOLE)


def sizes(data: bytes, name: str) -> dict[str, Any]:
    """What the report has to say of some bytes."""
    nbytes = len(WHOLE[name](data))
    return {"nbytes": nbytes, "ratio": nbytes / len(data)}


def assert_sizes(found: Any, raw: bytes, planes: dict[str, NDArray[Any]], name: str) -> None:  # noqa: ANN401
    packed = {plane: sizes(np.packbits(bits.reshape(-1)).tobytes(), name) for plane, bits in planes.items()}
    assert found[name] == {**sizes(raw, name), "planes": packed}


def streamed(layer: Layer, names: Sequence[str], open_source: OpenSource) -> StreamedLayer:
    """What measures of those names need of the signs of a layer."""
    specs = stream_specs(layer, (layer.dtype.positive,), 1, names, stored=True)
    (found,) = scan([Work(layer, specs)], open_source)
    return streamed_layer(found, ["sign"])


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "PIECE_BYTES", 1 << 14)


# --------------------------------------------------------------------------------------- the same as the whole at once


def arrays() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    text = np.frombuffer((b"complexity of the weights " * 40_000)[:1_000_000], np.uint8)
    return {
        "random": random.standard_normal((500, 601)).astype(np.float32),
        "constant": np.full((1000, 1000), 0.5, np.float16),
        "periodic": np.resize(np.sin(np.arange(997)), (700, 500)).astype(ml_dtypes.bfloat16),
        "text": text.reshape(1000, 1000),
        "few": random.integers(-2, 3, (40, 50)).astype(np.int8),
        "tiny": np.ones((4, 4)),
        "doubles": random.standard_normal((300, 700)).round(3),
    }


@one_of(5)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", arrays())
def test_sizes_are_those_of_the_library(kind: str, name: str) -> None:
    array = arrays()[kind]
    found = wcx.measure(array, measures=[name], null="none").measures
    assert list(found) == [name]
    assert_sizes(found, array.tobytes(), {"sign": array > 0}, name)


@one_of(7)
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [4, 511, 4095, 4096, 4097, 16384, 32768, 65274, 65535, 65536, 100_001, 300_000])
def test_pieces_change_no_size(size: int, name: str) -> None:
    random = np.random.default_rng(size)
    words = random.integers(0, 256, (50, 9), np.uint8)
    data = words[random.integers(0, 50, size // 9 + 1)].tobytes()[: 4 * size]
    data = (data + data + data)[: 4 * size].ljust(4 * size, b"\0")
    array = np.frombuffer(data, np.uint8).reshape(4, size)
    found = wcx.measure(array, measures=[name], null="none").measures
    assert_sizes(found, data, {"sign": array > 0}, name)


def test_a_real_model_layer_by_layer_and_whole() -> None:
    report = wcx.analyze(SAMPLE, measures=NAMES, null="none", quantize="polarity")
    checkpoint = open_checkpoint(SAMPLE)
    sums = {name: [0, 0, 0, 0] for name in NAMES}
    data = SAMPLE.read_bytes()
    for layer in report.layers:
        tensor = checkpoint[layer.name]
        raw = data[tensor.offset : tensor.offset + tensor.nbytes]
        values = np.frombuffer(raw, "<f4")
        for name in NAMES:
            assert_sizes(layer.measures, raw, {"plus": values > 0, "minus": values < 0}, name)
            found = layer.measures[name]
            added = (found["nbytes"], len(raw), found["planes"]["minus"]["nbytes"], -(-values.size // 8))
            sums[name] = [one + other for one, other in zip(sums[name], added, strict=True)]
    for name, (nbytes, original, minus, packed) in sums.items():
        of_model = report.model.measures[name]
        assert (of_model["nbytes"], of_model["ratio"]) == (nbytes, nbytes / original)
        assert of_model["planes"]["minus"] == {"nbytes": minus, "ratio": minus / packed}


@pytest.mark.parametrize("dtype", [name for name in DTYPE_NAMES if not name.startswith("C")])
def test_stored_bytes_and_bits_of_every_dtype(dtype: str, tmp_path: Path) -> None:
    tensor = random_tensor(dtype, (20, 24), 1, "special")
    path = write_safetensors(tmp_path / "m.safetensors", {"w": tensor})
    (layer,) = wcx.analyze(path, include=["*"], measures=["gzip"], null="none").layers
    assert_sizes(layer.measures, tensor.raw, {"sign": tensor.values > 0}, "gzip")


# -------------------------------------------------------------------------------------------- which bytes, which bits


@pytest.mark.parametrize("layout", ["in-channel-rows", "channels-last", "mosaic", "square"])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_layout_orders_bits_and_leaves_bytes_alone(layout: str, as_file: bool, tmp_path: Path) -> None:
    array = np.random.default_rng(0).standard_normal((8, 6, 4, 5)).astype(np.float32)
    matrices = {
        "in-channel-rows": array.transpose(1, 0, 2, 3),
        "channels-last": array.transpose(0, 2, 3, 1),
        "mosaic": array.transpose(0, 2, 1, 3),
        "square": array,
    }
    if as_file:
        path = write_safetensors(tmp_path / "m.safetensors", {"w": tensor_of(array, "F32")})
        (layer,) = wcx.analyze(path, layout=layout, measures=["gzip"], null="none").layers
    else:
        layer = wcx.measure(array, layout=layout, measures=["gzip"], null="none")
    assert_sizes(layer.measures, array.tobytes(), {"sign": matrices[layout] > 0}, "gzip")


def test_strings_take_the_flat_tensor() -> None:
    array = np.random.default_rng(0).standard_normal((7, 9)).astype(np.float32)
    found = wcx.measure(array, block="1x12", measures=["bz2"], null="none").measures
    assert_sizes(found, array.tobytes(), {"sign": array > 0}, "bz2")


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_stored_bytes_of_arrays_are_little_endian(byte_order: str) -> None:
    array = np.random.default_rng(0).standard_normal((16, 16)).round(1).astype(f"{byte_order}f8")
    found = wcx.measure(array.T, measures=["lzma"], null="none").measures
    assert_sizes(found, array.T.astype("<f8").tobytes(), {"sign": array.T > 0}, "lzma")


def tensor_of_integers(dtype: str, shape: tuple[int, int]) -> tuple[bytes, NDArray[Any]]:
    """Random stored bytes of a type of 4 or 8 bits, and its numbers."""
    bits = DTYPES[dtype].bits
    raw = np.random.default_rng(7).integers(0, 256, shape[0] * shape[1] * bits // 8, np.uint8)
    codes = np.stack([raw & 15, raw >> 4], axis=1).reshape(-1) if bits == 4 else raw
    numbers = codes.astype(np.int64)
    numbers -= (numbers >> (bits - 1) << bits) * (DTYPES[dtype].kind == "signed")
    return raw.tobytes(), numbers.reshape(shape)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("dtype", ["U8", "I8", "I4", "U4"])
def test_integers_with_a_zero_point_are_cut_at_it_and_stored_as_they_are(dtype: str) -> None:
    raw, numbers = tensor_of_integers(dtype, (400, 200))
    quantization = Quantization((3,), (1, 1), 0.5)
    info = TensorInfo("w", dtype, (400, 200), len(raw), quantization=quantization)
    layer = layer_of(info)
    names = ("gzip", "min", "max", "mean")
    found = streamed(layer, names, lambda: FileSource(BytesReader(raw)))
    measures = streaming.measures_of(found, names)
    numbers -= 3
    assert_sizes(measures, raw, {"sign": numbers > 0}, "gzip")
    assert [measures[name] for name in names[1:]] == [numbers.min(), numbers.max(), numbers.sum() / numbers.size]


@pytest.mark.parametrize("dtype", ["F32", "F64", "BF16", "F8_E4M3", "I8", "U8", "I32"])
def test_planes_of_levels_and_of_stored_integers(dtype: str, tmp_path: Path) -> None:
    tensor = random_tensor(dtype, (24, 20), 2, "ordinary")
    path = write_safetensors(tmp_path / "m.safetensors", {"w": tensor})
    (layer,) = wcx.analyze(path, quantize="uniform:3", include=["*"], measures=["gzip"], null="none").layers
    values = tensor.values.astype(np.float32)
    steps = np.rint((values - values.min()) / np.float32(layer.fit.delta)).astype(np.int64)
    assert_sizes(layer.measures, tensor.raw, {f"bit{bit}": steps >> bit & 1 for bit in range(3)}, "gzip")
    if dtype[0] in "IU":
        bits = DTYPES[dtype].bits
        (layer,) = wcx.analyze(path, quantize="integer", include=["*"], measures=["gzip"], null="none").layers
        offset = tensor.values.astype(np.int64) + ((1 << bits - 1) if dtype[0] == "I" else 0)
        assert_sizes(layer.measures, tensor.raw, {f"bit{bit}": offset >> bit & 1 for bit in range(bits)}, "gzip")


def test_only_the_bits_that_are_wanted_are_made() -> None:
    codes = np.arange(256, dtype=np.uint8)
    cut = (DTYPES["I8"].positive, DTYPES["I8"].negative)
    assert [bits.sum() for bits in bits_of(codes, DTYPES["I8"], cut, [1])] == [128]
    assert list(bits_of(codes, DTYPES["I8"], cut, [])) == []


# --------------------------------------------------------------------------------------------------------- long lzma


def test_long_streams_have_a_short_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    """What repeats beyond the dictionary is found up to the limit, and not above."""
    from wcx.measures import lzma as module

    monkeypatch.setattr(module, "_EXACT", 1 << 16)
    monkeypatch.setattr(module, "_DICTIONARY", 1 << 16)
    random = np.random.default_rng(0).integers(0, 256, 1 << 17, np.uint8)
    short, long = random[: 1 << 16].reshape(256, 256), np.concatenate([random, random]).reshape(1024, 256)
    assert wcx.measure(short, measures=["lzma"]).measures["lzma"]["nbytes"] == len(lzma.compress(short, preset=9))
    assert len(lzma.compress(long, preset=9)) < 140_000
    assert wcx.measure(long, measures=["lzma"]).measures["lzma"]["nbytes"] > 260_000


def test_the_shortest_stream_of_lzma_has_all_its_hashes() -> None:
    script = """
import resource
from wcx.measures.lzma import LZMA
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
before = peak()
compressors = [LZMA.begin(100) for _ in range(3)]
assert peak() - before <= 3 * LZMA.memory(100), (peak() - before) / 3
"""
    run_python(script, check=True)


def test_memory_of_compressors_is_bounded() -> None:
    for name in NAMES:
        compression = MEASURES[name]
        assert isinstance(compression, Compression)
        for nbytes in (1, 10_000, 1 << 20, 8 << 20, (8 << 20) + 1, 1 << 40):
            assert 0 < compression.memory(nbytes) <= engine._MEMORY


# -------------------------------------------------------------------------------- threads, passes, progress, errors


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors: dict[str, Tensor] = {
        dtype: random_tensor(dtype, (64, 100), 1, flavour)
        for dtype, flavour in (
            ("F32", "special"),
            ("BF16", "bytes"),
            ("I8", "sparse"),
            ("F4", "bytes"),
            ("F64", "special"),
        )
    }
    return write_safetensors(tmp_path_factory.mktemp("streams") / "m.safetensors", tensors)


@one_of(3)
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("memory", [1, 20 << 20, 1 << 40])
def test_neither_threads_nor_passes_change_a_report(model: Path, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"measures": ["all"], "null": "none", "quantize": "polarity"}
    usual = wcx.analyze(model, threads=1, **settings).to_dict()
    monkeypatch.setattr(streaming, "_PASS_MEMORY", memory)
    monkeypatch.setattr(engine, "_READING_MEMORY", memory)
    monkeypatch.setattr(engine, "_MEMORY", max(memory, 1))
    for threads in (1, 3):
        assert wcx.analyze(model, threads=threads, **settings).to_dict() == usual


@one_of(3)
@pytest.mark.parametrize("measures", [["gzip"], ["mean"], ["lzma", "sd"], ["all"], ["sparsity"], ["bdm"]])
def test_progress_is_told_of_every_byte(model: Path, measures: list[str]) -> None:
    started: list[int] = []
    nbytes: list[int] = []
    progress = Progress(on_start=started.append, on_bytes=nbytes.append)
    settings = make_settings(measures=measures, null="none")
    analyze_checkpoint(open_checkpoint(model), settings, Threads(2), progress)
    assert started == [sum(nbytes)]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_reading_ends_the_threads(model: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    read_into: Callable[..., None] = CheckpointReader.read_into
    reads = iter(range(1 << 30))

    def fail(self: CheckpointReader, tensor: Any, start: int, out: memoryview) -> None:  # noqa: ANN401
        if next(reads) > 8:
            raise CheckpointError("m.safetensors", "the disk is gone", start)
        read_into(self, tensor, start, out)

    monkeypatch.setattr(CheckpointReader, "read_into", fail)
    before = threading.active_count()
    with pytest.raises(CheckpointError, match="the disk is gone"):
        wcx.analyze(model, threads=threads, measures=["gzip", "lzma"], null="none")
    assert threading.active_count() == before


def test_who_stops_listening_ends_the_threads(model: Path) -> None:
    import threading

    checkpoint = open_checkpoint(model)
    layers = [layer_of(tensor) for tensor in checkpoint.tensors]
    rules = [(layer.dtype.positive,) for layer in layers]

    def sources() -> Iterator[Any]:
        from wcx.formats import open_reader

        with open_reader(checkpoint) as reader:
            works = [
                Work(layer, stream_specs(layer, rule, 1, ["lzma"], stored=True))
                for layer, rule in zip(layers, rules, strict=True)
            ]
            found = scan(works, lambda: FileSource(reader), Threads(3))
            yield next(found)
            found.close()

    before = threading.active_count()
    assert len(list(sources())) == 1
    assert threading.active_count() == before


# ---------------------------------------------------------------------------------------------------- what is asked for


def test_stream_measures_say_what_they_are() -> None:
    for stream in map(MEASURES.__getitem__, streamed_names()):
        assert stream.unit
        assert len(stream.summary) > 15


def test_all_is_all_and_nothing_is_what_planes_have() -> None:
    usual = make_settings().measures
    assert not set(usual) & set(streamed_names())
    assert make_settings(measures=["all"]).measures == (*usual, *streamed_names())
    assert make_settings(measures=["sd", "gzip", "bdm"]).measures == ("bdm", "gzip", "sd")
    with pytest.raises(UsageError, match="unknown measure 'gzap'"):
        make_settings(measures=["all", "gzap"])


def test_what_was_not_asked_for_is_null() -> None:
    report = wcx.analyze(SAMPLE, measures=["gzip"])
    assert report.layers[0].planes[0].bdm is report.layers[0].total.bdm is report.model.total.bdm is None
    assert wcx.analyze(SAMPLE).layers[0].measures == wcx.analyze(SAMPLE).model.measures == {}


def test_a_model_without_layers_has_no_measures(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"bias": random_tensor("F32", (8,), 0)})
    assert wcx.analyze(path, measures=["all"]).model.measures == {}


def run(*arguments: str) -> Done:
    return run_here("analyze", SAMPLE, *arguments)


def test_sorting_by_a_measure_and_conditions_on_it() -> None:
    table = run("-m", "gzip", "--sort", "measures.gzip.ratio").stdout
    assert table.index("fc3.weight") < table.index("fc2.weight") < table.index("fc1.weight")
    assert run("-m", "gzip", "--fail-on", "layer.measures.gzip.ratio > 0.99").returncode == 1
    assert run("-m", "gzip", "--fail-on", "layer[fc1*].measures.gzip.planes.sign.nbytes < 700").returncode == 0
    for wrong in (["--sort", "measures.gzip.ratio"], ["-m", "gzip", "--sort", "measures.gzip.size"]):
        assert run(*wrong).returncode == 2
    assert run("-m", "gzip", "--fail-on", "layer.measures.gzap.ratio > 1").returncode == 2


def test_without_its_library_zstd_names_the_command() -> None:
    program = (
        "import sys; sys.modules['backports.zstd'] = sys.modules['compression'] = None\n"
        f"from wcx.cli import run\nsys.exit(run(['analyze', {str(SAMPLE)!r}, '-m', 'zstd']))"
    )
    done = run_python(program)
    assert done.returncode == 4
    assert 'pip install "backports.zstd>=1.0"' in done.stderr
