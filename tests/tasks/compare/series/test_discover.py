"""From arguments to an ordered series: where checkpoints lie, what their names say, and what is said of the series."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wcx.core.errors import UsageError
from wcx.core.text import natural_key
from wcx.tasks.compare.series.discover import LocatedSeries, Order, locate
from wcx.tasks.compare.series.steps import MOST, is_initial, parse_names, says_step, stem_of, varying_numbers

SAMPLES = Path(__file__).parents[4] / "sample_models" / "digits_bnn"


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to stand in, called `runs`."""
    root = tmp_path / "runs"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def labelled(series: LocatedSeries) -> list[tuple[str, int | None]]:
    return [(one.label, one.step) for one in series.located]


def paths(series: LocatedSeries) -> list[str]:
    return [os.path.normpath(one.path) for one in series.located]


# --------------------------------------------------------------------------------------------- what a name says


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("step1000.pt", (1000, "step", None)),
        ("step_10k.safetensors", (10_000, "step", None)),
        ("step1.5k.pt", (1500, "step", None)),
        ("STEP-2M", (2_000_000, "step", None)),
        ("GlobalStep=4", (4, "step", None)),
        ("global_step500", (500, "step", None)),
        ("step=0000500.ckpt", (500, "step", None)),
        ("iter_0001000", (1000, "step", None)),
        ("iter-000100-ckpt.pth", (100, "step", None)),
        ("iteration12345.pt", (12345, "step", None)),
        ("it-5", (5, "step", None)),
        ("s_3.pt", (3, "step", None)),
        ("rl_model_10000_steps.pt", (10_000, "step", None)),
        ("10k-iters.pt", (10_000, "step", None)),
        ("checkpoint-500", (500, None, None)),
        ("ckpt.12.pt", (12, None, None)),
        ("chkpt_4.bin", (4, None, None)),
        ("checkpoint3.pt", (3, None, None)),
        ("epoch_001.safetensors", (1, "epoch", None)),
        ("EPOCH.7.pt", (7, "epoch", None)),
        ("ep12.pth.tar", (12, "epoch", None)),
        ("lr1e-3_epoch5.pt", (5, "epoch", None)),
        ("epoch=3-val_loss=0.25.ckpt", (3, "epoch", None)),
        ("epoch=3-step=900.ckpt", (900, "step", 3)),
        ("epoch=3-step=900-v1.ckpt", (900, "step", 3)),
        ("epoch3step900.ckpt", (900, "step", 3)),
        ("e3-s2000", (2000, "step", 3)),
        ("checkpoint_3_1000.pt", (1000, "step", 3)),  # fairseq
        ("pythia-70m-step3000", (3000, "step", None)),
        ("step1000-tokens4B", (1000, "step", None)),
        ("max_steps=10000-step=7.pt", (7, "step", None)),
        ("step=7-max_steps=10000.pt", (7, "step", None)),
        ("train_step_5.pt", (5, "step", None)),
        ("fashion_epoch_3.pt", (3, "epoch", None)),
        ("netStep4.pt", (4, "step", None)),
        (f"step{MOST}", (MOST, "step", None)),
        ("epoch=3-step=20110325.ckpt", (20110325, "step", 3)),
    ],
)
def test_a_word_says_what_its_number_is(name: str, said: tuple[int, str | None, int | None]) -> None:
    (reading,) = parse_names([name])
    assert reading is not None
    assert (reading.step, reading.unit, reading.epoch) == said
    assert says_step(name)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "model-00001-of-00003.safetensors",
        "step1-00001-of-00003.safetensors"[4:],
        "seed_0",
        "v2.pt",
        "ckpt-3fa2b1c9.pt",
        "checkpoint-2024-01-31.pt",
        "checkpoint_20240131_120000.pt",
        "checkpoint-20240131.pt",
        "ckpt-12345678-1234-4abc-9def-1234567890ab",
        "vit-7b",
        "epoch-1.5",
        "epoch=-1",
        "step1e5.pt",
        "step1.2345k.pt",
        "timesheet5",
        "lr1e-3.pt",
        f"step{MOST + 1}",
        "step" + "9" * 250,
        "step" + "9" * 5000,
        "mp_rank_00_model_states.pt",
        "",
    ],
)
def test_other_numbers_are_no_steps(name: str) -> None:
    assert parse_names([name]) == [None]


def test_a_number_that_varies_beats_one_that_does_not() -> None:
    found = parse_names(["vit_s16_epoch3.pt", "vit_s16_epoch4.pt"])
    assert [(one.step, one.unit) for one in found if one] == [(3, "epoch"), (4, "epoch")]
    found = parse_names(["epoch3_s10.pt", "epoch3_s20.pt"])
    assert [(one.step, one.epoch) for one in found if one] == [(10, 3), (20, 3)]
    (alone,) = parse_names(["vit_s16_epoch3.pt"])
    assert alone is not None
    assert alone.step == 3


def test_files_of_fairseq_count_epochs() -> None:
    found = parse_names(["checkpoint1.pt", "checkpoint2.pt", "checkpoint_2_500.pt", "checkpoint_last.pt"])
    assert [(one.step, one.unit, one.epoch) if one else None for one in found] == [
        (1, "epoch", None),
        (2, "epoch", None),
        (500, "step", 2),
        None,
    ]


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (["layer1_10.pt", "layer1_20.pt"], [10, 20]),
        (["10_net_G.pth", "20_net_G.pth", "latest_net_G.pth"], [10, 20, None]),
        (["500", "1000"], [500, 1000]),
        (["20240101_10.pt", "20240101_20.pt"], [10, 20]),
        (["layer1_10.pt", "layer2_20.pt"], None),
        (["model_v1.pt", "model_v2.pt"], None),
        (["seed-1.pt", "seed-2.pt"], None),
        (["2024-01-01.pt", "2024-01-02.pt"], None),
        (["3fa2b1c9.pt", "3fa2b1d8.pt"], None),
        (["m_0.1.pt", "m_0.2.pt"], None),
        (["m-7b.pt", "m-13b.pt"], None),
        (["m_1700000000.pt", "m_1700000001.pt"], None),
        (["a_1.pt", "b_2.pt"], None),
        (["a_1.pt", "a_1.pt"], None),
        (["a.pt", "b.pt"], None),
        (["a_" + "9" * 5000, "a_1"], None),
    ],
)
def test_the_one_number_that_varies(names: list[str], values: list[int | None] | None) -> None:
    assert varying_numbers(names) == values


def test_names_that_say_that_nothing_was_learned() -> None:
    assert all(map(is_initial, ["init.pt", "random-init.safetensors", "model_initial", "Untrained.pt"]))
    assert not any(map(is_initial, ["final.pt", "initiative.pt", "last"]))


def test_suffixes_are_no_part_of_a_name() -> None:
    names = ["a.pt", "a.pth.tar", "a.CKPT", "a.safetensors.index.json", "a.bin.index.json", ".pt", "a.b"]
    assert [stem_of(name) for name in names] == ["a", "a", "a", "a", "a", ".pt", "a.b"]


def test_runs_of_digits_of_any_length_have_an_order() -> None:
    numbers = [0, 7, 10, 10**10, 10**5000]
    digits = ["0", "07", "10", "1" + "0" * 10, "1" + "0" * 5000]
    names = [f"a{digit}b" for digit in digits]
    assert sorted(names, key=natural_key) == [names[place] for place in sorted(range(5), key=numbers.__getitem__)]
    assert natural_key("a1") < natural_key("a02") < natural_key("a2") < natural_key("a10")


# ------------------------------------------------------------------------------------------ where checkpoints are


def test_the_directory_of_a_trainer(here: Path) -> None:
    """Steps are the series; the model that save_model wrote beside them repeats one of them, and is named."""
    for step in (500, 1000, 1500):
        make(
            here, *(f"run/checkpoint-{step}/{name}" for name in ("model.safetensors", "optimizer.pt", "rng_state.pth"))
        )
    make(here, "run/model.safetensors", "run/training_args.bin", "run/trainer_state.json", "run/runs/events.1")
    series = locate(["run"])
    assert [(one.path, one.label, one.step, one.unit) for one in series.located] == [
        (f"run/checkpoint-{step}", f"checkpoint-{step}", step, "step") for step in (500, 1000, 1500)
    ]
    assert series.notes == (
        "skipped, no step in the name next to numbered checkpoints: run/model.safetensors; "
        "pass the paths to include them",
    )
    both = locate(["run", "run/model.safetensors"])
    assert labelled(both)[-1] == ("run", None)
    assert not any("left out" in note for note in both.notes)


def test_shards_and_adapters_in_step_directories(here: Path) -> None:
    shards = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    make(here, *(f"big/step{step}/{name}" for step in (1, 2) for name in shards), *(f"big/{name}" for name in shards))
    series = locate(["big"])
    assert paths(series) == ["big/step1", "big/step2"]
    assert "big/model.safetensors.index.json" in series.notes[0]
    make(here, *(f"{where}adapter_model.safetensors" for where in ("a/", "a/checkpoint-1/", "a/checkpoint-2/")))
    series = locate(["a"])
    assert paths(series) == ["a/checkpoint-1", "a/checkpoint-2"]
    assert "a/adapter_model.safetensors" in series.notes[0]


def test_files_of_steps_beside_a_model(here: Path) -> None:
    make(here, "run/epoch_10.pt", "run/epoch_9.pt", "run/best.pt", "run/model.safetensors", "run/log.csv")
    series = locate(["run"])
    assert labelled(series) == [("epoch_9", 9), ("epoch_10", 10), ("best", None)]
    assert "run/model.safetensors" in series.notes[0]
    assert series.notes[1:] == ("no step in the name, sorted after the numbered checkpoints: best",)


def test_other_directories_beside_steps(here: Path) -> None:
    make(here, "run/checkpoint-1/model.safetensors", "run/checkpoint-best/model.safetensors", "run/logs/events")
    make(here, "run/old/a.pt", "run/old/b.pt", "run/checkpoint-2/optimizer.pt")
    series = locate(["run"])
    assert labelled(series) == [("checkpoint-1", 1), ("checkpoint-best", None)]
    assert series.notes[0].startswith("skipped, no step in the name next to numbered checkpoints: run/old;")
    assert series.warnings == ("no checkpoint in directories named like a step: run/checkpoint-2",)


@pytest.mark.parametrize(
    ("names", "argument", "found"),
    [
        (["m/model.safetensors", "m/onnx/model.onnx", "m/2_Dense/model.safetensors"], "m", ["m"]),
        (["m/a.safetensors"], "m", ["m"]),
        (["m/model.safetensors", "m/old/step_1.pt"], "m", ["m"]),
        (["m/a.pt", "m/b.pt", "m/c/d.pt"], "m", ["m/a.pt", "m/b.pt"]),
        (["m/final.pt", "m/all/epoch_1.pt", "m/all/epoch_2.pt"], "m", ["m/all/epoch_1.pt", "m/all/epoch_2.pt", "m"]),
        (["m/it/iter_0001000/mp_rank_00/model_optim_rng.pt"], "m", ["m/it/iter_0001000/mp_rank_00"]),
        (["m/epoch_1/gen.pt", "m/epoch_1/disc.pt"], "m", ["m/epoch_1"]),
        (["m/1.safetensors.index.json", "m/2.safetensors.index.json"], "m",
         ["m/1.safetensors.index.json", "m/2.safetensors.index.json"]),
        (["m/step1.safetensors.index.json", "m/step1-00001-of-00001.safetensors"], "m",
         ["m/step1.safetensors.index.json"]),
        (["m/global_step5/mp_rank_00_model_states.pt", "m/global_step5/zero_pp_rank_0_mp_rank_00_optim_states.pt"], "m",
         ["m/global_step5"]),
        (["m/.hidden/epoch_1.pt", "m/epoch_2.pt", "m/epoch_3.pt"], "m", ["m/epoch_2.pt", "m/epoch_3.pt"]),
        (["m/1/2/3/4/epoch_1.pt", "m/1/epoch_1.pt"], "m", ["m/1/epoch_1.pt"]),
        (["v/checkpoints/epoch=0-step=5.ckpt", "v/checkpoints/last.ckpt", "v/hparams.yaml"], "v",
         ["v/checkpoints/epoch=0-step=5.ckpt", "v/checkpoints/last.ckpt"]),
    ],
)  # fmt: skip
def test_what_a_directory_stands_for(names: list[str], argument: str, found: list[str], here: Path) -> None:
    make(here, *names)
    assert paths(locate([argument])) == found


def test_globs_that_the_shell_did_not_expand(here: Path) -> None:
    make(here, *(f"run/checkpoint-{step}/model.safetensors" for step in (1000, 500)), "run/log.csv")
    directories = ["run/checkpoint-500", "run/checkpoint-1000"]
    assert paths(locate(["run/checkpoint-*"])) == directories
    assert paths(locate(["run/**"])) == directories
    assert paths(locate(["ru*"])) == directories
    files = locate(["run/*/model.safetensors"])
    assert paths(files) == [f"{directory}/model.safetensors" for directory in directories]
    assert labelled(files) == [("checkpoint-500", 500), ("checkpoint-1000", 1000)]


def test_nothing_to_be_found(here: Path) -> None:
    make(here, "empty/config.json", "a.pt")
    with pytest.raises(UsageError, match="no checkpoint found in empty, x/\\*: pass files"):
        locate(["empty", "x/*"])
    with pytest.raises(UsageError, match="no checkpoint given"):
        locate([])
    kept = locate(["empty", "x*", "gone.pt", "a.pt"], order="given")
    assert [one.path for one in kept.located] == ["empty", "x*", "gone.pt", "a.pt"]


def test_a_file_is_compared_with_itself(here: Path) -> None:
    make(here, "a.pt")
    series = locate(["a.pt", "a.pt", "./a.pt"])
    assert [one.path for one in series.located] == ["a.pt", "a.pt", "./a.pt"]
    assert [one.label for one in series.located] == ["a", "a (2)", "a (3)"]
    assert [one.label for one in locate(["step5.pt", "step5.pt"]).located] == ["step5", "step5 (2)"]


# --------------------------------------------------------------------------------------------------- their order


def test_order_is_that_of_steps_or_of_the_command(here: Path) -> None:
    arguments = ["step_10.pt", "step_9.pt", "final.pt", "init.pt"]
    series = locate(arguments)
    assert labelled(series) == [("init", 0), ("step_9", 9), ("step_10", 10), ("final", None)]
    assert "treated as step 0 because of the name: init" in series.notes
    given = locate(arguments, order="given")
    assert labelled(given) == [("step_10", 10), ("step_9", 9), ("final", None), ("init", 0)]
    assert "no step in the name: final" in given.notes
    make(here, "run/epoch_10.pt", "run/epoch_9.pt")
    assert [one.step for one in locate(["step_10.pt", "run"], order="given").located] == [10, 9, 10]


def test_no_steps_at_all(here: Path) -> None:
    series = locate(["model_v10.pt", "model_v9.pt"])
    assert labelled(series) == [("model_v9", None), ("model_v10", None)]
    assert series.notes == (
        "no step in the names: ordered by name (--order given keeps the order of the command line)",
    )


def test_numbers_without_a_word_are_said(here: Path) -> None:
    series = locate(["layer1_20.pt", "layer1_10.pt", "best.pt"])
    assert labelled(series) == [("layer1_10", 10), ("layer1_20", 20), ("best", None)]
    assert series.notes[0].endswith("used the number that varies as the step (10 to 20)")
    assert labelled(locate(["a/500/m.pt", "a/1000/m.pt"])) == [("500", 500), ("1000", 1000)]
    apart = locate(["a/net_a_1.pt", "a/net_a_2.pt", "b/net_b_1.pt", "b/net_b_2.pt"], group=True)
    assert [one.step for one in apart.located] == [1, 2, 1, 2]


def test_epochs_order_where_not_all_have_steps(here: Path) -> None:
    series = locate(["epoch=1-step=100.ckpt", "epoch_3.pt", "epoch=2-step=200.ckpt"])
    assert [(one.step, one.unit, one.epoch) for one in series.located] == [(n, "epoch", None) for n in (1, 2, 3)]
    assert series.notes == (
        "the numbers in the names have different units (1 in epochs, 2 in steps): ordered by epoch, which all have",
    )


def test_steps_and_epochs_mixed_have_no_order(here: Path) -> None:
    series = locate(["step_5.pt", "epoch_10.pt", "epoch_9.pt", "init.pt"])
    assert [one.label for one in series.located] == ["epoch_9", "epoch_10", "init", "step_5"]
    assert [one.unit for one in series.located] == ["epoch", "epoch", None, "step"]
    assert series.warnings == (
        "the numbers in the names have different units (2 in epochs, 1 in steps): ordered by name, not by step",
    )


def test_the_name_of_a_file_comes_before_its_directory(here: Path) -> None:
    series = locate(["step_2/epoch_9.pt", "step_1/epoch_10.pt"])
    assert [one.step for one in series.located] == [9, 10]
    same = locate(["checkpoint-100/ckpt1.pt", "checkpoint-200/ckpt1.pt"])
    assert labelled(same) == [("checkpoint-100", 100), ("checkpoint-200", 200)]
    above = locate(["x/step_3/a/model.pt", "x/step_12/a/model.pt"])
    assert labelled(above) == [("step_3", 3), ("step_12", 12)]
    equal = locate(["seed_0/epoch_5.pt", "seed_1/epoch_5.pt"])
    assert labelled(equal) == [("seed_0", 5), ("seed_1", 5)]
    shared = locate(["step_7/a.pt", "step_7/b.pt"])
    assert [one.step for one in shared.located] == [None, None]


# --------------------------------------------------------------------------------------------- what is said of it


def gap_notes(*steps: int) -> list[str]:
    return [note for note in locate([f"step_{step}.pt" for step in steps]).notes if note.startswith("gap")]


def test_gaps_in_a_regular_schedule(here: Path) -> None:
    assert gap_notes(100, 200, 300, 600) == ["gap: no checkpoint between step 300 and 600; all other intervals are 100"]
    assert gap_notes(*range(0, 20, 1), 25, 26, 40, 41, 42) == [
        "gap: no checkpoint between step 19 and 25, 26 and 40; all other intervals are 1"
    ]
    assert gap_notes(0, 10, 20, 30, 40, 50, 90, 95) == [
        "gap: no checkpoint between step 50 and 90; most intervals are 10"
    ]


@pytest.mark.parametrize(
    "steps",
    [
        (1, 2, 4, 8, 16, 32),
        (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 20_000, 1000)),
        (100, 200, 300, 350),
        (1, 5),
        (1, 2, 10),
        (10, 100, 1000, 10_000),
        (5,),
    ],
)
def test_no_gaps(steps: tuple[int, ...], here: Path) -> None:
    assert gap_notes(*steps) == []


def test_steps_that_come_again(here: Path) -> None:
    series = locate(["epoch=3-step=900.ckpt", "epoch=3-step=900-v1.ckpt", "epoch=4-step=1200.ckpt"])
    assert series.notes == ("several checkpoints have the same step: 900 (epoch=3-step=900, epoch=3-step=900-v1)",)
    assert [one.step for one in series.located] == [900, 900, 1200]


def test_what_is_said_is_safe_and_short(here: Path) -> None:
    hostile = [f"\x1b[31m{'x' * 200}{number}.pt\n" for number in range(9)] + ["step_1.pt", "\udcff.pt"]
    series = locate(hostile)
    text = "".join((*series.notes, *series.warnings))
    assert text.isprintable()
    assert len(text) < 600
    assert len({one.label for one in series.located}) == 11


def test_names_without_end_take_no_time(here: Path) -> None:
    names = ["9" * 100_000, "a" * 100_000, "step_" + "a1" * 50_000, "step" + "1" * 5000, "1-of-" * 20_000]
    assert [one.step for one in locate(names).located] == [None] * 5


# -------------------------------------------------------------------------------------------------------- runs


def test_runs_of_the_samples() -> None:
    series = locate([SAMPLES], group=True)
    assert [(one.group, one.step) for one in series.located] == [
        (f"seed_{seed}", epoch) for seed in range(3) for epoch in range(31)
    ]
    assert series.located[32].label == "seed_1/epoch_001"
    assert series.located[32].unit == "epoch"
    assert (series.notes, series.warnings) == ((), ())
    together = locate([SAMPLES])
    assert [one.step for one in together.located] == [epoch for epoch in range(31) for _ in range(3)]
    assert [one.group for one in together.located] == [None] * 93
    assert together.notes == ()
    assert together.warnings == (
        "3 directories contain the same steps (seed_0, seed_1, seed_2): use --group if each is a separate run",
    )
    assert locate([SAMPLES / "seed_0"]).warnings == ()


@pytest.mark.parametrize(
    ("files", "group"),
    [
        ("run_{run}/checkpoint-{step}/model.safetensors", "run_{run}"),
        ("lightning_logs/version_{run}/checkpoints/epoch={step}-step={step}00.ckpt", "version_{run}"),
        ("seed_{run}/lr_1/epoch_{step}.pt", "seed_{run}"),
        ("epoch_{step}/seed_{run}/m.pt", "seed_{run}"),
        ("net{run}/iter_000{step}/mp_rank_00/model_optim_rng.pt", "net{run}"),
        ("run_epochs{run}00/checkpoint-{step}/global_step{step}/m.pt", "run_epochs{run}00"),
    ],
)
def test_runs_are_told_apart_by_directories(files: str, group: str, here: Path) -> None:
    make(here, *(files.format(run=run, step=step) for run in (1, 10, 2) for step in (1, 2)))
    series = locate(["."], group=True)
    assert [one.group for one in series.located] == [group.format(run=run) for run in (1, 2, 10) for _ in range(2)]
    assert [str(one.step)[0] for one in series.located] == ["1", "2"] * 3
    assert len({one.label for one in series.located}) == 6


def test_runs_in_the_order_of_the_command(here: Path) -> None:
    series = locate(["b/step_2.pt", "a/step_1.pt", "b/step_1.pt"], order="given", group=True)
    assert [(one.group, one.step) for one in series.located] == [("b", 2), ("b", 1), ("a", 1)]


def test_what_belongs_to_a_run_without_a_step(here: Path) -> None:
    for run in ("run_epochs100", "run_epochs200"):
        make(here, *(f"{run}/{name}.pt" for name in ("epoch_1", "epoch_2", "best", "init")))
        make(here, f"{run}/last/model.safetensors")
    series = locate(
        [f"{run}/{name}" for run in ("run_epochs100", "run_epochs200") for name in ("*.pt", "last")], group=True
    )
    assert [one.step for one in series.located] == [0, 1, 2, None, None] * 2
    assert {one.group for one in series.located} == {"run_epochs100", "run_epochs200"}
    assert "run_epochs100: no step in the name, sorted after the numbered checkpoints" in series.notes[1]
    deeper = [f"a/{name}/adapter_model.safetensors" for name in ("checkpoint-1", "checkpoint-2", "final")]
    assert [(one.group, one.step) for one in locate(deeper, group=True).located] == [("a", 1), ("a", 2), ("a", None)]


def test_what_is_said_of_all_runs_is_said_once(here: Path) -> None:
    series = locate([f"{run}/step_{step}.pt" for run in "ab" for step in (1, 2, 3, 9)], group=True)
    assert series.notes == ("a, b: gap: no checkpoint between step 3 and 9; all other intervals are 1",)


def test_one_run_has_a_name(here: Path) -> None:
    series = locate(["seed_5/epoch_1.pt", "seed_5/epoch_2.pt"], group=True)
    assert [(one.group, one.label) for one in series.located] == [("seed_5", "epoch_1"), ("seed_5", "epoch_2")]


# ------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (["mnist_lr0.1_epoch_1.pt", "mnist_lr0.1_epoch_2.pt", "mnist_lr0.1_best.pt"], ["epoch_1", "epoch_2", "best"]),
        (["epoch_1_ema.pt", "epoch_2_ema.pt"], ["epoch_1", "epoch_2"]),
        (["layer1_10.pt", "layer1_20.pt"], ["layer1_10", "layer1_20"]),
        (["step1.pt", "step1.safetensors"], ["step1.pt", "step1.safetensors"]),
        (["a/final.pt", "b/final.pt"], ["a", "b"]),
        (["r/a/x/s_1.pt", "r/b/x/s_1.pt"], ["a", "b"]),
        (["r/a/x/step_1.pt", "r/b/x/step_1.pt", "r/b/x/step_2.pt"], ["a/step_1", "b/step_1", "b/step_2"]),
        (["run/model.safetensors", "run/pytorch_model.bin"], ["model", "pytorch_model"]),
        (["a/model.safetensors", "b/model.safetensors"], ["a", "b"]),
        (["a", "b/a", "c/b/a"], ["a", "b/a", "c/b/a"]),
        (["a", "a", "a (2)"], ["a", "a (3)", "a (2)"]),
    ],
)
def test_labels_are_short_and_distinct(arguments: list[str], labels: list[str], here: Path) -> None:
    assert [one.label for one in locate(arguments, order="given").located] == labels


@given(
    st.lists(
        st.lists(
            st.sampled_from(["a", "b", "step_1", "epoch=2-step=3", "x_1", "x_2", "init", ""]), min_size=1, max_size=4
        )
        .map("/".join)
        .flatmap(lambda path: st.sampled_from([path, f"{path}.pt", f"{path}.safetensors", f"{path} (2)"])),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["step", "given"]),
    st.booleans(),
)
def test_every_path_is_there_once_under_a_label_of_its_own(arguments: list[str], order: Order, group: bool) -> None:
    located = locate([f"/nowhere/{path}" for path in arguments], order=order, group=group).located
    assert sorted(one.path for one in located) == sorted(f"/nowhere/{path}" for path in arguments)
    assert len({one.label for one in located}) == len(arguments)
    assert all(one.label for one in located)
    assert all((one.group is not None) == group for one in located)
    again = locate([f"/nowhere/{path}" for path in arguments], order=order, group=group).located
    assert again == located
    if order == "step":
        groups = [one.group for one in located]
        assert groups == sorted(groups, key=groups.index)


def test_the_order_of_arguments_is_of_no_matter() -> None:
    names = [f"/nowhere/s{seed}/step_{step}.pt" for seed in (1, 2) for step in (1, 20, 3)] + ["/nowhere/s2/last.pt"]
    for group in (True, False):
        assert locate(names, group=group) == locate(names[::-1], group=group)


def test_a_directory_that_can_not_be_listed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(here, "a.pt", "run/step_1/model.pt", "run/step_2/model.pt", "closed/epoch_1.pt")
    real = os.listdir

    def listdir(path: str) -> list[str]:
        if "closed" in path or "step_2" in path:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert paths(locate(["closed", "a.pt"])) == ["a.pt", "closed"]  # opening it says why
    series = locate(["run"])
    assert paths(series) == ["run/step_1"]
    assert series.warnings == ("no checkpoint in directories named like a step: run/step_2",)


def test_an_empty_step_directory_hides_nothing(here: Path) -> None:
    """A save that crashed leaves one behind."""
    make(here, "run/checkpoint-500/optimizer.pt", "run/seed_0/step1.pt", "run/seed_0/step2.pt")
    series = locate(["run"])
    assert paths(series) == ["run/seed_0/step1.pt", "run/seed_0/step2.pt"]
    assert any("checkpoint-500" in warning for warning in series.warnings)


def test_time_stamps_are_no_steps(here: Path) -> None:
    make(here, "CKPT+2024-01-01+22-00-00+00/model.ckpt", "CKPT+2024-01-02+01-00-00+01/model.ckpt")
    assert labelled(locate(["."])) == [
        ("CKPT+2024-01-01+22-00-00+00", None),
        ("CKPT+2024-01-02+01-00-00+01", None),
    ]
    make(here, "hydra/09-00-00/x.pt", "hydra/10-00-00/x.pt")
    assert [one.step for one in locate(["hydra"]).located] == [None, None]
    make(here, "board/Jan01_09-00-00_host.pt", "board/Jan01_10-00-00_host.pt")
    assert [one.step for one in locate(["board"]).located] == [None, None]


def test_a_checkpoint_within_an_epoch_is_before_the_end_of_the_epoch(here: Path) -> None:
    make(here, "checkpoint1.pt", "checkpoint2.pt", "checkpoint3.pt", "checkpoint_2_10000.pt", "checkpoint_2_5000.pt")
    series = locate(["."])
    assert [path.removeprefix("checkpoint") for path in paths(series)] == [
        "1.pt",
        "_2_5000.pt",
        "_2_10000.pt",
        "2.pt",
        "3.pt",
    ]
    assert [one.step for one in series.located] == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("{}_{}.pth", ["D", "G"]),  # VITS
        ("{1}_net_{0}.pth", ["net_D", "net_G"]),  # CycleGAN
        ("net{}_epoch_{}.pth", ["netD_epoch", "netG_epoch"]),
    ],
)
def test_networks_in_one_directory_are_said_and_can_be_separated(name: str, runs: list[str], here: Path) -> None:
    make(here, *(name.format(network, step) for network in "DG" for step in (10, 20, 100)))
    mixed = locate(["."])
    assert mixed.warnings == (
        f"2 families of names contain the same steps ({', '.join(runs)}), as of several networks in one directory: use "
        "--group to compare each by itself, or pass the files of one",
    )
    grouped = locate(["."], group=True)
    assert [(one.group, one.step) for one in grouped.located] == [(run, step) for run in runs for step in (10, 20, 100)]
    assert not grouped.warnings


@pytest.mark.parametrize(
    "names",
    [
        ["epoch=1.ckpt", "epoch=2.ckpt", "epoch=1-v1.ckpt", "epoch=2-v1.ckpt"],  # Lightning's second file of a name
        ["warmup_100.pt", "warmup_200.pt", "main_300.pt", "main_400.pt"],
        ["best_step_200.pt", "step_100.pt", "step_200.pt"],
    ],
)
def test_other_names_are_of_one_network(names: list[str], here: Path) -> None:
    make(here, *names)
    assert not locate(["."]).warnings
    assert len({one.group for one in locate(["."], group=True).located}) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt"),
        ("mp_rank_00_000/model_optim_rng.pt", "mp_rank_00_001/model_optim_rng.pt"),
        ("tp_rank_00_pp_rank_000/model_weights.ckpt", "tp_rank_01_pp_rank_000/model_weights.ckpt"),
    ],
)
def test_parts_of_one_model_are_no_runs(first: str, second: str, here: Path) -> None:
    make(here, *(f"iter_000{step}/{part}" for step in (1000, 2000) for part in (first, second)))
    for group in (False, True):
        with pytest.raises(UsageError, match=r"in parts.*_rank_00.*not runs"):
            locate(["."], group=group)
    assert [one.step for one in locate([f"iter_*/{first}"]).located] == [1000, 2000]
