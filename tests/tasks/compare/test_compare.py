"""From checkpoints to one comparison: the series are those of analyze, the changes those of the oracle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from depth import one_of
from strategies import Tensor, close, tensor_of, write_safetensors

import wcx
from wcx.core.comparison import Comparison, LayerSeries, Series
from wcx.core.errors import CheckpointError, UsageError
from wcx.core.report import PlaneReport, Report
from wcx.scan import counts_cache
from wcx.scan.cache import Store
from wcx.scan.counts_file import LayerCounts, encode_counts
from wcx.scan.layers import Layer, Piece
from wcx.scan.sources import FileSource
from wcx.tasks.compare import compare as run_module
from wcx.tasks.compare import counting as reading_module
from wcx.tasks.compare.series.header_scan import HeaderScan

SAMPLES = Path(__file__).parents[3] / "sample_models"
RUNS = SAMPLES / "digits_bnn"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own."""
    directory = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WCX_CACHE_DIR", str(directory))
    return directory


def weights(seed: int, shapes: Mapping[str, tuple[int, ...]], of: float = 0.0) -> dict[str, Tensor]:
    """Tensors that drift away from those of seed 0 by `of`."""
    found = {}
    for at, (name, shape) in enumerate(shapes.items()):
        start = np.random.default_rng([0, at]).standard_normal(shape)
        step = np.random.default_rng([seed, at]).standard_normal(shape)
        found[name] = tensor_of((start + of * step).astype(np.float32), "F32")
    return found


SHAPES = {"fc1.weight": (40, 64), "fc2.weight": (24, 44), "conv.weight": (8, 5, 5, 6)}  # mostly with a closed form


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Five checkpoints that drift."""
    for step in range(5):
        write_safetensors(tmp_path / f"step{100 * step}.safetensors", weights(step, SHAPES, 0.4 * step))
    return tmp_path


def plain(comparison: Comparison) -> str:
    return json.dumps(comparison.to_dict(), allow_nan=False)


def value(plane: PlaneReport, path: str) -> float | None:
    found: Any = plane
    for name in path.split("."):
        found = None if found is None else getattr(found, name)
    return found  # type: ignore[no-any-return]


def layers_of(comparison: Comparison) -> dict[str, LayerSeries]:
    return {layer.name: layer for layer in comparison.layers if layer.plane is not None}


def bits_of(path: Path, name: str) -> Any:  # noqa: ANN401
    from safetensors.numpy import load_file

    values = load_file(path)[name].astype(np.float64)
    return naive.sign(values.reshape(values.shape[0], -1))


# ------------------------------------------------------------------------------------------------------------- series


def assert_series_are_of_analyze(comparison: Comparison, reports: list[Report]) -> None:
    """Every number of every series stands in the report of that checkpoint."""
    numbers = 0
    for at, report in enumerate(reports):
        layers = {layer.name: layer for layer in report.layers}
        for series in comparison.layers:
            layer = layers[series.name]
            planes = {plane.plane: plane for plane in layer.planes}
            for name, values in series.series.items():
                first, _, last = name.partition(".")
                if first in layer.measures:
                    of = layer.measures[first]
                    inside = of["planes"][series.plane] if series.plane is not None else of
                    wanted = inside[last] if isinstance(inside, Mapping) else inside
                else:
                    wanted = value(planes[series.plane], name)  # type: ignore[index]
                assert values[at] == wanted, (series.name, name)
                numbers += 1
        for plane, row in zip(comparison.model.planes, report.model.planes, strict=True):
            assert row.pooled is not None
            for name, values in plane.pooled.items():
                first, _, last = name.partition(".")
                if first in report.model.measures:
                    assert values[at] == report.model.measures[first]["planes"][plane.plane][last]
                else:
                    assert values[at] == value(row.pooled, name), name
            assert plane.sum["bdm"][at] == row.sum.bdm
        assert comparison.model.total["bdm"][at] == report.model.total.bdm
    assert numbers >= 10 * len(reports)


@one_of(3)
@pytest.mark.parametrize("seed", ["seed_0", "seed_1", "seed_2"])
def test_series_of_the_samples_are_those_of_analyze(seed: str) -> None:
    paths = sorted((RUNS / seed).glob("epoch_*.safetensors"))
    comparison = wcx.compare(RUNS / seed)
    assert [checkpoint.step for checkpoint in comparison.checkpoints] == list(range(31))
    assert_series_are_of_analyze(comparison, [wcx.analyze(path) for path in paths])


@one_of(3)
@pytest.mark.parametrize(
    "settings",
    [
        {"quantize": "polarity"},
        {"quantize": "uniform:3:p99"},
        {"quantize": "threshold:median", "layout": "square"},
        {"block": "1x12"},
        {"boundary": "recursive"},
        {"boundary": "correlated", "null": "shuffle:5"},
        {"null": "none", "measures": ["all"]},
        {"null": "shuffle:4", "seed": 7, "rarefy": 20},
        {"preset": "qubd", "layout": "mosaic", "null": "none"},
        {"preset": "sakabe"},
        {"measures": ["bdm", "gzip", "l2_norm"]},
    ],
    ids=str,
)
def test_series_are_those_of_analyze_with_any_setting(run: Path, settings: dict[str, Any]) -> None:
    paths = sorted(run.glob("*.safetensors"))
    comparison = wcx.compare(run, **settings)
    assert_series_are_of_analyze(comparison, [wcx.analyze(path, **settings) for path in paths])


def test_series_of_ratios_to_a_reference(run: Path) -> None:
    reference = run / "step0.safetensors"
    comparison = wcx.compare(run, reference=reference)
    reports = [wcx.analyze(path, reference=reference) for path in sorted(run.glob("*.safetensors"))]
    assert_series_are_of_analyze(comparison, reports)
    assert layers_of(comparison)["fc1.weight"].series["reference.ratio"][0] == 1.0
    assert comparison.model.planes[0].sum["reference.ratio"][4] == reports[4].model.planes[0].sum.reference_ratio


def test_series_of_all_parameters_as_one_vector(run: Path) -> None:
    comparison = wcx.compare(run, preset="momos")
    reports = [wcx.analyze(path, preset="momos") for path in sorted(run.glob("*.safetensors"))]
    vector = comparison.model.concatenated
    assert vector is not None
    for at, report in enumerate(reports):
        assert report.model.concatenated is not None
        assert vector["bdm"][at] == report.model.concatenated.bdm
        measures = report.model.measures["concatenated"]
        assert vector["l2_norm"][at] == measures["l2_norm"]
        assert vector["gzip.nbytes"][at] == measures["gzip"]["nbytes"]


# ------------------------------------------------------------------------------------------------------------ changes


def test_changes_are_those_of_the_oracle(run: Path) -> None:
    paths = sorted(run.glob("*.safetensors"))
    comparison = wcx.compare(run)
    for name, layer in layers_of(comparison).items():
        planes = [bits_of(path, name) for path in paths]
        assert (layer.flips[0], layer.flips_from_first[0]) == (None, 0.0)
        for at in range(1, 5):
            for other, flips, delta in (
                (at - 1, layer.flips, layer.delta),
                (0, layer.flips_from_first, layer.delta_from_first),
            ):
                changed = planes[at] ^ planes[other]
                counts = naive.block_counts(changed)
                assert flips[at] == delta["density"][at] == changed.sum() / changed.size
                assert close(known(delta["bdm"], at), naive.bdm(counts))
                assert close(known(delta["block_entropy"], at), naive.block_entropy(counts))
                assert close(known(delta["mean_ctm"], at), naive.mean_ctm(counts))


def known(series: Series, at: int) -> float:
    found = series[at]
    assert found is not None
    return found


def test_the_null_of_a_change_is_that_of_its_plane(tmp_path: Path) -> None:
    shapes = {"w": (64, 64)}
    paths = [write_safetensors(tmp_path / f"step{at}.safetensors", weights(at, shapes, 0.5 * at)) for at in range(2)]
    changed = bits_of(paths[0], "w") ^ bits_of(paths[1], "w")
    report = wcx.measure(changed.astype(np.float32), name="w").planes[0]
    comparison = wcx.compare(tmp_path)
    delta = comparison.layers[0].delta
    assert report.null is not None
    for name in ("bdm", "block_entropy", "mean_ctm"):
        assert delta[name][1] == getattr(report, name)
    assert delta["null.bdm.ratio"][1] == report.null.bdm.ratio  # type: ignore[union-attr]
    pooled = comparison.model.planes[0]
    assert pooled.flips[1] == report.density
    assert pooled.delta["null.bdm.ratio"][1] == report.null.bdm.ratio  # type: ignore[union-attr]


def test_pooled_changes_are_those_of_all_layers(run: Path) -> None:
    paths = sorted(run.glob("*.safetensors"))
    comparison = wcx.compare(run)
    planes = [[bits_of(path, name) for name in SHAPES] for path in paths]
    pooled = comparison.model.planes[0]
    for at in range(1, 5):
        changed = [one ^ other for one, other in zip(planes[at], planes[at - 1], strict=True)]
        counts = naive.pooled(*map(naive.block_counts, changed))
        assert known(pooled.flips, at) == sum(int(some.sum()) for some in changed) / sum(some.size for some in changed)
        assert close(known(pooled.delta["bdm"], at), naive.bdm(counts))


@pytest.mark.parametrize("quantize", ["sign", "uniform:2", "polarity"])
def test_a_checkpoint_against_itself_has_not_changed(run: Path, quantize: str) -> None:
    path = run / "step400.safetensors"
    comparison = wcx.compare([path, path], quantize=quantize)
    for series in (*comparison.layers, *comparison.model.planes):
        assert series.flips == (None, 0.0)
        assert series.flips_from_first == (0.0, 0.0)
        assert {values for delta in (series.delta, series.delta_from_first) for values in delta.values()} == {
            (None, None)
        }
    for layer in comparison.layers:
        assert all(one == other for one, other in layer.series.values())
    assert comparison.checkpoints[1].duplicate_of == comparison.checkpoints[0].label
    assert "has the same tensors" in comparison.warnings[0]


def test_dtypes_and_formats_may_differ(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((600, 700)).astype(np.float16)
    write_safetensors(tmp_path / "step1.safetensors", {"fc.weight": tensor_of(values, "F16")})
    write_safetensors(tmp_path / "step2.safetensors", {"fc.weight": tensor_of(-values.astype(np.float64), "F64")})
    write_safetensors(tmp_path / "step3.safetensors", {"fc.weight": tensor_of(values.astype(np.float32), "F32")})
    layer = wcx.compare(tmp_path).layers[0]
    nonzero = np.count_nonzero(values) / values.size
    assert layer.flips == (None, nonzero, nonzero)
    assert layer.flips_from_first == (0.0, nonzero, 0.0)


def test_one_network_in_four_files() -> None:
    names = ("checkpoint.pt", "checkpoint_legacy.pt", "model.onnx", "model.safetensors")
    comparison = wcx.compare([SAMPLES / "digits_cnn" / name for name in names], order="given")
    pooled = comparison.model.planes[0]
    assert pooled.flips == (None, 0.0, 0.0, 0.0)
    assert len(set(pooled.pooled["bdm"])) == 1


# ----------------------------------------------------------------------------------------- what is wrong with a series


def test_a_series_with_a_corrupt_file_a_changed_architecture_and_shuffled_names(run: Path) -> None:
    clean = wcx.compare(run)
    (run / "step50.safetensors").write_bytes(b"\x00" * 100)
    wide = {**weights(2, SHAPES, 0.8), "fc2.weight": weights(9, {"w": (28, 44)})["w"]}
    del wide["conv.weight"]
    write_safetensors(run / "step250.safetensors", wide)
    shuffled = weights(4, SHAPES, 1.6)
    write_safetensors(
        run / "step400.safetensors", {f"module.{name}": shuffled[name] for name in reversed(list(shuffled))}
    )
    comparison = wcx.compare(run)
    assert [checkpoint.step for checkpoint in comparison.checkpoints] == [0, 50, 100, 200, 250, 300, 400]
    assert [checkpoint.error is not None for checkpoint in comparison.checkpoints] == [at == 1 for at in range(7)]
    kept = [0, 2, 3, 5, 6]
    for name, layer in layers_of(clean).items():
        found = layers_of(comparison)[name]
        for measure, values in layer.series.items():
            if not measure.startswith("null."):  # which is drawn here, by the name in the file
                assert tuple(found.series[measure][at] for at in kept) == values
        assert tuple(found.flips_from_first[at] for at in kept) == layer.flips_from_first
    pooled, clean_pooled = comparison.model.planes[0], clean.model.planes[0]
    assert tuple(pooled.pooled["bdm"][at] for at in kept) == clean_pooled.pooled["bdm"]
    assert pooled.pooled["bdm"][1] is pooled.pooled["bdm"][4] is None
    assert [dict(one) for one in comparison.unmatched] == [
        {"name": "fc2.weight", "in": ["step250"], "reason": "shape differs", "shape": [28, 44]},
        {"name": "conv.weight", "in": ["step250"], "reason": "missing"},
    ]
    same = layers_of(comparison)["fc1.weight"]
    assert known(same.flips, 4) == 0.0  # against step200, which has the same tensor
    assert layers_of(comparison)["conv.weight"].flips[5] is None  # its predecessor has no such layer
    assert comparison.checkpoints[1].error is not None


def test_a_file_that_breaks_while_it_is_read_is_no_predecessor(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = wcx.compare([run / f"step{step}.safetensors" for step in (0, 100, 300, 400)])
    codes = FileSource.codes

    def breaks(self: FileSource, layer: Layer, piece: Piece) -> Any:  # noqa: ANN401
        if "step200" in self._reader._paths[0]:  # type: ignore[attr-defined]
            raise CheckpointError("step200.safetensors", "broken", 8)
        return codes(self, layer, piece)

    monkeypatch.setattr(FileSource, "codes", breaks)
    comparison = wcx.compare(run)
    assert comparison.checkpoints[2].error == "broken (byte 8)"
    kept = [0, 1, 3, 4]
    for name, layer in layers_of(clean).items():
        found = layers_of(comparison)[name]
        assert tuple(found.flips[at] for at in kept) == layer.flips
        assert found.series["bdm"][2] is None


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "step1.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError):
        wcx.compare(tmp_path)
    with pytest.raises(UsageError):
        wcx.compare()
    with pytest.raises(UsageError):
        wcx.compare(tmp_path, threads=0)


# -------------------------------------------------------------------------------------------------------- the cache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Weights read of each file to be counted or compressed; samples and headers are no part of it."""
    codes, found = FileSource.codes, {}

    def counting(self: FileSource, layer: Layer, piece: Piece) -> Any:  # noqa: ANN401
        path = self._reader._paths[0]  # type: ignore[attr-defined]
        found[path] = found.get(path, 0) + piece.height * piece.width
        return codes(self, layer, piece)

    monkeypatch.setattr(FileSource, "codes", counting)
    return found


def test_what_was_counted_is_not_read_again(run: Path, reads: dict[str, int]) -> None:
    first = plain(wcx.compare(run))
    assert len(reads) == 5
    reads.clear()
    assert plain(wcx.compare(run)) == first
    assert not reads


def test_every_byte_is_read_once(run: Path, reads: dict[str, int]) -> None:
    wcx.compare(run)
    assert list(reads.values()) == [40 * 64 + 24 * 44 + 8 * 150] * 5


def test_another_checkpoint_takes_reading_three(run: Path, reads: dict[str, int], tmp_path: Path) -> None:
    wcx.compare(run)
    write_safetensors(run / "step500.safetensors", weights(7, SHAPES, 1.0))
    reads.clear()
    comparison = wcx.compare(run)
    assert len(reads) == 3
    assert plain(wcx.compare(run, cache=False)) == plain(comparison)


def test_other_measures_are_made_of_the_same_counts(run: Path, reads: dict[str, int]) -> None:
    wcx.compare(run)
    reads.clear()
    comparison = wcx.compare(run, measures=["bdm_rarefied"], rarefy=50)
    assert not reads
    assert plain(comparison) == plain(wcx.compare(run, measures=["bdm_rarefied"], rarefy=50, cache=False))


@pytest.mark.parametrize(
    "settings", [{}, {"quantize": "uniform:3"}, {"preset": "qubd", "null": "none"}, {"boundary": "correlated"}]
)
def test_the_cache_changes_no_byte(run: Path, settings: dict[str, Any]) -> None:
    afresh = plain(wcx.compare(run, cache=False, **settings))
    assert plain(wcx.compare(run, **settings)) == afresh
    assert plain(wcx.compare(run, **settings)) == afresh


@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_damaged_entries_are_made_anew(run: Path, cache: Path, damage: str) -> None:
    wanted = plain(wcx.compare(run))
    for number, path in enumerate(sorted(path for path in cache.rglob("*") if path.is_file())):
        data = path.read_bytes()
        if number % 2:
            continue
        if damage == "remove":
            path.unlink()
        else:
            path.write_bytes(data[: len(data) // 2] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    assert plain(wcx.compare(run)) == wanted


def test_a_part_that_is_lost_on_the_way_is_counted_anew(
    run: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts_cache, "_FILE_CODES", 1)
    wcx.compare(run)
    whole = plain(wcx.compare(run, rarefy=30, cache=False))
    rows = sorted((path for path in cache.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    for path in rows[::3]:
        path.unlink()
    assert plain(wcx.compare(run, rarefy=30)) == whole


@pytest.mark.parametrize("data", [b"", b"1", b"PK", encode_counts([LayerCounts("other", (4, 4), ())], {})])
def test_entries_of_other_content_are_made_anew(
    run: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    wanted = plain(wcx.compare(run))
    get, seen = Store.get, set[bytes]()

    def other(store: Store, key: str) -> bytes | None:
        found = get(store, key)
        number = found is None or found.isdigit()  # of files, which leads to these
        seen.add(b"" if found is None else found[:2])
        return found if number else data

    monkeypatch.setattr(Store, "get", other)
    assert plain(wcx.compare(run)) == wanted
    assert b"PK" in seen


def test_a_changed_file_is_seen(run: Path) -> None:
    before = wcx.compare(run)
    write_safetensors(run / "step200.safetensors", weights(11, SHAPES, 0.4))
    after = wcx.compare(run)
    assert before.layers[0].flips[2] != after.layers[0].flips[2]
    assert plain(after) == plain(wcx.compare(run, cache=False))


@pytest.mark.parametrize(
    "settings",
    [
        {"quantize": "polarity"},
        {"quantize": "sign:zero=one"},
        {"layout": "square"},
        {"boundary": "recursive"},
        {"block": "1x12"},
        {"preset": "sakabe"},
        {"exclude": ["conv*"]},
        {"null": "none"},
        {"seed": 3, "null": "shuffle:4"},
        {"rarefy": 7},
        {"measures": ["l2_norm"]},
    ],
    ids=str,
)
def test_nothing_is_taken_for_other_settings(run: Path, settings: dict[str, Any]) -> None:
    wcx.compare(run)
    assert plain(wcx.compare(run, **settings)) == plain(wcx.compare(run, cache=False, **settings))


def test_what_makes_the_model_may_change_with_the_series(run: Path) -> None:
    """The same files are told of with fewer layers in the model's rows when most of the series lacks one."""
    few = {name: shape for name, shape in SHAPES.items() if name != "conv.weight"}
    wcx.compare(run)
    for step in range(5, 12):
        write_safetensors(run / f"step{100 * step}.safetensors", weights(step, few, 0.3))
    comparison = wcx.compare(run)
    assert plain(comparison) == plain(wcx.compare(run, cache=False))
    pooled = comparison.model.planes[0].pooled
    assert None not in pooled["bdm"]
    assert layers_of(comparison)["conv.weight"].series["bdm"][5:] == (None,) * 7


def test_what_was_complete_alone_is_not_among_others(run: Path) -> None:
    few = {name: shape for name, shape in SHAPES.items() if name != "conv.weight"}
    alone = [write_safetensors(run / f"step{100 * step}.safetensors", weights(step, few, 0.3)) for step in (5, 6)]
    assert None not in wcx.compare(alone).model.planes[0].pooled["bdm"]
    comparison = wcx.compare(run)
    assert [value is None for value in comparison.model.planes[0].pooled["bdm"]] == [False] * 5 + [True] * 2


def test_layers_that_change_their_rank_are_not_mixed_up(run: Path) -> None:
    """What is in most checkpoints is counted first: with more checkpoints another order, and no count of the other."""
    same = {"a.weight": (32, 32), "b.weight": (32, 32), "c.weight": (32, 32)}
    fewer = {name: shape for name, shape in same.items() if name != "b.weight"}
    series = run / "grows"
    series.mkdir()
    for step, shapes in enumerate((same, same, fewer, fewer, fewer)):
        write_safetensors(series / f"step{step}.safetensors", weights(step, shapes, 0.5))
    for upto in (2, 3, 5):
        paths = [series / f"step{step}.safetensors" for step in range(upto)]
        assert plain(wcx.compare(paths)) == plain(wcx.compare(paths, cache=False))


def test_a_predecessor_that_is_gone_is_not_held_against_its_successor(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = wcx.compare(run)
    write_safetensors(run / "step500.safetensors", weights(7, SHAPES, 1.0))
    reopen = reading_module.reopen

    def gone(headers: HeaderScan, *arguments: Any) -> Any:  # noqa: ANN401
        if headers.located.label == "step400":
            raise CheckpointError(headers.located.path, "gone")
        return reopen(headers, *arguments)

    monkeypatch.setattr(reading_module, "reopen", gone)
    after = wcx.compare(run)
    assert [checkpoint.error for checkpoint in after.checkpoints] == [None] * 6
    for mine, other in zip(after.layers, before.layers, strict=True):
        assert mine.flips[:5] == other.flips
        assert mine.flips[5] is None
        assert mine.flips_from_first[5] is not None
        assert mine.series["bdm"][5] is not None
    assert any(
        "no changes for step500 since the previous checkpoint" in warning and "gone" in warning
        for warning in after.warnings
    )
    monkeypatch.undo()


def test_a_file_that_changes_after_its_header_was_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matched = run_module.match

    def late(*arguments: Any) -> Any:  # noqa: ANN401
        write_safetensors(run / "step200.safetensors", weights(11, SHAPES, 0.4))
        return matched(*arguments)

    monkeypatch.setattr(run_module, "match", late)
    comparison = wcx.compare(run)
    assert comparison.checkpoints[2].error == "the file changed during the comparison"
    assert [checkpoint.error for checkpoint in comparison.checkpoints].count(None) == 4


def test_a_repeated_checkpoint_is_no_point_of_the_statistics(run: Path) -> None:
    (run / "log.csv").write_text("step,loss\n" + "".join(f"{step},{900 - step}\n" for step in range(0, 500, 50)))
    before = wcx.compare(run, log=run / "log.csv", null="none")
    shutil.copy(run / "step200.safetensors", run / "step250.safetensors")
    after = wcx.compare(run, log=run / "log.csv", null="none")
    assert [checkpoint.duplicate_of for checkpoint in after.checkpoints] == [None] * 3 + ["step200"] + [None] * 2
    assert after.correlations == before.correlations
    assert any("the statistics leave out" in note for note in after.notes)


def test_a_moved_directory_keeps_its_counts(run: Path, reads: dict[str, int], tmp_path_factory: Any) -> None:  # noqa: ANN401
    wcx.compare(run)
    moved = tmp_path_factory.mktemp("elsewhere") / "run"
    shutil.move(str(run), moved)
    reads.clear()
    wcx.compare(moved)
    assert not reads


# ------------------------------------------------------------------------------------------------------ same bytes


def test_threads_change_no_byte(run: Path) -> None:
    assert plain(wcx.compare(run, threads=1, cache=False)) == plain(wcx.compare(run, threads=4, cache=False))


def test_compiled_code_changes_no_byte(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plainly = plain(wcx.compare(run, cache=False, quantize="polarity"))
    monkeypatch.setattr("wcx.tasks.compare.compare.worth_compiling", lambda *_arguments: True)
    assert plain(wcx.compare(run, cache=False, quantize="polarity")) == plainly


# ----------------------------------------------------------------------------------------------------- log and groups


def test_correlations_are_those_of_scipy_on_the_tidy_table() -> None:
    from scipy import stats

    run = RUNS / "seed_1"
    comparison = wcx.compare(run, log=run / "log.csv", metrics=["train_loss"])
    table: dict[str, dict[str, float]] = {}
    for checkpoint, _, _, _, measure, number, scope, _ in comparison.rows():
        if scope in ("pooled", "log") and number is not None:
            table.setdefault(measure, {})[checkpoint] = number
    loss = table["train_loss"]
    checked = 0
    for found in comparison.correlations:
        if found.scope == "pooled" and found.transform in ("raw", "diff") and found.pearson.r is not None:
            pairs = np.array([(table[found.measure][label], loss[label]) for label in loss])
            x, y = (np.diff(pairs, axis=0) if found.transform == "diff" else pairs).T
            assert found.n == len(x)
            assert close(found.pearson.r, stats.pearsonr(x, y).statistic)
            if found.transform == "diff":  # differences that are equal but for rounding are ties
                x, y = (np.diff(pairs, axis=0) / abs(pairs).max(axis=0)).round(12).T
            assert close(found.spearman.r or 0.0, stats.spearmanr(x, y).statistic)
            assert close(found.kendall.r or 0.0, stats.kendalltau(x, y).statistic)
            checked += 1
    assert checked >= 12
    assert comparison.joined is not None
    assert (comparison.joined.used, comparison.joined.unused) == (31, 0)
    assert {"bdm", "gzip.nbytes"} <= {found.measure for found in comparison.correlations}
    assert {found.against for found in comparison.differences} >= {"block_entropy", "gzip.nbytes"}


def test_runs_are_apart() -> None:
    options: dict[str, Any] = {"measures": ["bdm", "block_entropy"], "null": "none"}
    grouped = wcx.compare(RUNS, group=True, log="log.csv", metrics=["train_loss"], **options)
    alone = wcx.compare(RUNS / "seed_1", **options)
    assert [checkpoint.group for checkpoint in grouped.checkpoints[::31]] == ["seed_0", "seed_1", "seed_2"]
    for mine, other in zip(grouped.layers, alone.layers, strict=True):
        assert mine.series["bdm"][31:62] == other.series["bdm"]
        assert mine.flips[31:62] == other.flips
        assert mine.delta_from_first["bdm"][31:62] == other.delta_from_first["bdm"]
    assert {found.n for found in grouped.groups} == {3}
    assert {found.group for found in grouped.correlations} == {"seed_0", "seed_1", "seed_2"}


def test_one_log_is_not_that_of_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in ("seed_0", "seed_1"):
        (tmp_path / seed).mkdir()
        for step in range(2):
            write_safetensors(tmp_path / seed / f"step{step}.safetensors", weights(step, {"w": (8, 8)}))
    log = tmp_path / "seed_0" / "log.csv"
    log.write_text("step,loss\n0,2\n1,1\n")
    monkeypatch.chdir(tmp_path)
    for path in (log, "seed_0/log.csv"):
        with pytest.raises(UsageError, match="one file for 2 runs"):
            wcx.compare(tmp_path, group=True, log=path)
    with pytest.raises(UsageError, match="no such file next to the checkpoints of seed_1"):
        wcx.compare(tmp_path, group=True, log="log.csv")
    shutil.copy(log, tmp_path / "above.csv")
    with pytest.raises(UsageError, match="one file for 2 runs"):
        wcx.compare(tmp_path, group=True, log="above.csv")
    shutil.copy(log, tmp_path / "seed_1")
    found = wcx.compare(tmp_path, group=True, log="log.csv")
    assert found.settings["log"]["paths"] == [str(tmp_path / seed / "log.csv") for seed in ("seed_0", "seed_1")]


def test_one_log_named_twice_is_not_that_of_two_runs(tmp_path: Path) -> None:
    for seed in ("seed_0", "seed_1"):
        (tmp_path / seed).mkdir()
        write_safetensors(tmp_path / seed / "step0.safetensors", weights(0, {"w": (8, 8)}))
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n0,2\n")
    with pytest.raises(UsageError, match="one file for 2 runs"):
        wcx.compare(tmp_path, group=True, log=[log, log])


def test_layers_that_only_few_have_make_no_model_and_that_is_said(tmp_path: Path) -> None:
    for step, name in enumerate(("a", "b")):
        write_safetensors(tmp_path / f"step{step}.safetensors", weights(step, {name: (16, 16)}))
    comparison = wcx.compare(tmp_path)
    assert len(comparison.layers) == 2
    assert any(warning.startswith("no model rows: no layer is in most") for warning in comparison.warnings)


def test_a_series_without_a_layer_says_so(run: Path) -> None:
    assert "no layer could be compared: see the notes for the reasons" in wcx.compare(run, include=["none*"]).warnings


def test_a_checkpoint_that_lacks_a_layer_has_no_row_of_the_model_and_that_is_said(run: Path) -> None:
    few = {name: shape for name, shape in SHAPES.items() if name != "conv.weight"}
    write_safetensors(run / "step250.safetensors", weights(9, few, 0.3))
    comparison = wcx.compare(run)
    assert any(warning.startswith("no model rows for step250:") for warning in comparison.warnings)


def test_what_has_no_null_for_its_changes_says_so(run: Path) -> None:
    assert any("closed form or by draws" in note for note in wcx.compare(run, null="shuffle:3").notes)
    found = wcx.compare(run, boundary="correlated", null="shuffle:3")
    assert "changes have no null with boundary correlated" in found.notes
    assert set(found.layers[0].delta["null.bdm.ratio"]) == {None}


@pytest.fixture
def sets() -> Callable[..., Comparison]:
    return lambda **settings: wcx.compare(RUNS / "seed_0", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"order": "sideways"},
        {"smooth": "hard", "log": "log.csv"},
        {"metrics": ["loss"]},
        {"log": ["a.csv", "b.csv"]},
        {"log": str(RUNS / "seed_0" / "log.csv"), "metrics": ["nothing"]},
        {"preset": "unknown"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense(sets: Callable[..., Comparison], settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        sets(**settings)


def test_a_log_that_is_not_there(sets: Callable[..., Comparison]) -> None:
    with pytest.raises(CheckpointError):
        sets(log="nowhere.csv")
