"""Training logs: what each form of them says, column by column, and which files are refused."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from wcx.core.errors import CheckpointError, UsageError
from wcx.core.text import escape, shortened
from wcx.tasks.compare.logs import columns as training_log
from wcx.tasks.compare.logs import files as log_files
from wcx.tasks.compare.logs.columns import TrainingLog, read_log
from wcx.tasks.compare.logs.roles import LogColumn

Values = dict[int, float]


def values(column: LogColumn) -> Values:
    """The numbers of a column by row."""
    return dict(zip(column.rows, column.values, strict=True))


def read(folder: Path, text: str | bytes, step_column: str | None = None, metrics: tuple[str, ...] = ()) -> TrainingLog:
    path = folder / "log"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_log(str(path), step_column=step_column, metrics=metrics)


def axes(log: TrainingLog) -> dict[str, str | None]:
    return {axis.name: axis.unit for axis in log.axes}


PLAIN = "step,loss\n10,0.5\n20,0.25\n"


# ----------------------------------------------------------------------------------------------------------- the forms


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PLAIN, "CSV"),
        ("\ufeff" + PLAIN, "CSV"),
        (PLAIN.replace("\n", "\r\n"), "CSV"),
        (PLAIN.replace("\n", "\r"), "CSV"),
        (PLAIN.replace(",", "\t"), "TSV"),
        (PLAIN.replace(",", ";"), "CSV with semicolons"),
        (PLAIN.replace(",", ";").replace(".", ","), "CSV with semicolons"),
        (PLAIN.replace(",", "\t").replace(".", ","), "TSV"),
        ('"step", "loss"\n"10", "0.5"\n"20", "0.25"\n', "CSV"),
        ("\n# made by hand\n#\n\nstep,loss\n10,0.5\n\n# half\n20,0.25\n,\n", "CSV"),
        ("# step,loss\n10,0.5\n20,0.25\n", "CSV"),  # numpy.savetxt
        ("step,loss,\n10,0.5,\n20,0.25,\n", "CSV"),
        ("step,loss\n10,0.5,,\n20,0.25,\n", "CSV"),
        ('{"step": 10, "loss": 0.5}\n\n{"step": 20, "loss": 0.25}\n', "JSON lines"),
        ('{"step": 10, "loss": 0.5}\n{"step": 20, "loss": 0.25}', "JSON lines"),
        ('{"step": "10", "loss": "0.5"}\r\n{"loss": "0.25", "step": "20"}\r\n', "JSON lines"),  # fairseq
        ('[{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]', "a JSON array"),
        ('\ufeff [\n {"step": 10, "loss": 0.5},\n {"step": 20, "loss": 0.25}\n]\n', "a JSON array"),
        (
            '{"a": [1, {}], "log_history": [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]}',
            "trainer_state.json",
        ),
        ('{"step": [10, 20], "loss": [0.5, 0.25]}\n\n', "a JSON object"),
        ('{"step": ["10", "20"], "loss": ["0.5", 0.25], "seed": 7, "net": {"a": [1, 2, 3]}}', "a JSON object"),
        ('{\n "history": {"step": [10, 20], "loss": [0.5, 0.25]},\n "seeds": [1, 2, 3]\n}', "a JSON object"),
        ('{"history": [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]}', "a JSON object"),
        ('{"history": [1], "data": [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]}', "a JSON object"),
        (
            '{"metrics": [{"key": "loss", "value": 0.5, "timestamp": 9, "step": 10},'
            ' {"key": "loss", "value": 0.25, "timestamp": 9, "step": 20}], "next_page_token": ""}',
            "a JSON object",  # MLflow
        ),
        ('{"step": 10, "loss": 0.5, "bins": [1]}\n{"step": 20, "loss": 0.25, "bins": [1]}', "JSON lines"),
        ('{"step": 10, "loss": 0.5, "a": [1], "b": [2]}\n{"step": 20, "loss": 0.25, "a": [1]}', "JSON lines"),
        (PLAIN.encode("utf-16"), "CSV"),
        ('[{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]'.encode("utf-16"), "a JSON array"),
    ],
)
def test_one_log_in_every_form(tmp_path: Path, text: str | bytes, kind: str) -> None:
    log = read(tmp_path, text)
    assert log.kind == kind
    assert log.rows == 2
    assert axes(log) == {"step": "step"}
    assert {name: values(column) for name, column in log.metrics.items()} == {"loss": {0: 0.5, 1: 0.25}}
    assert values(log.axes[0].column) == {0: 10, 1: 20}
    assert log.warnings == ()


def test_trainer_state_has_training_and_evaluation_in_rows_of_their_own(tmp_path: Path) -> None:
    history = [
        {"epoch": 0.5, "grad_norm": 1.5, "learning_rate": 5e-05, "loss": 2.0, "step": 500},
        {"epoch": 0.5, "eval_loss": 1.75, "eval_runtime": 3.0, "eval_samples_per_second": 90.0, "step": 500},
        {"epoch": 1.0, "grad_norm": float("nan"), "learning_rate": 0.0, "loss": 1.0, "step": 1000},
        {"epoch": 1.0, "step": 1000, "total_flos": 1e18, "train_loss": 1.5, "train_runtime": 9.0},
    ]
    state = {
        "best_metric": None,
        "epoch": 1.0,
        "global_step": 1000,
        "log_history": history,
        "stateful_callbacks": {"a": [{}]},
    }
    log = read(tmp_path, json.dumps(state, indent=2))
    assert (log.kind, log.rows) == ("trainer_state.json", 4)
    assert axes(log) == {"step": "step", "epoch": "epoch"}
    assert {name: values(column) for name, column in log.metrics.items()} == {
        "grad_norm": {0: 1.5},
        "loss": {0: 2.0, 2: 1.0},
        "eval_loss": {1: 1.75},
        "train_loss": {3: 1.5},
    }
    assert values(log.axes[1].column) == {0: 0.5, 1: 0.5, 2: 1.0, 3: 1.0}
    assert log.warnings == ("'grad_norm': treated NaN or infinite values as missing: 1",)
    assert "'eval_runtime', 'eval_samples_per_second', 'total_flos', 'train_runtime'" in log.notes[0]


def test_trainer_state_on_one_line(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps({"log_history": [{"step": 1, "loss": 2}]})).kind == "trainer_state.json"


def test_lightning_leaves_cells_empty(tmp_path: Path) -> None:
    log = read(tmp_path, "epoch,step,train_loss_step,val_loss\n0,49,2.5,\n0,99,,1.5\n1,149,2.0,\n")
    assert axes(log) == {"step": "step", "epoch": "epoch"}
    assert values(log.metrics["train_loss_step"]) == {0: 2.5, 2: 2.0}
    assert values(log.metrics["val_loss"]) == {1: 1.5}


def test_keras_counts_epochs(tmp_path: Path) -> None:
    log = read(tmp_path, "epoch,accuracy,loss,val_loss\n0,0.5,2.0,2.5\n1,0.75,1.0,1.5\n")
    assert axes(log) == {"epoch": "epoch"}
    assert list(log.metrics) == ["accuracy", "loss", "val_loss"]


def test_tensorboard_export(tmp_path: Path) -> None:
    log = read(tmp_path, "Wall time,Step,Value\n1700000000.5,0,2.5\n1700000001.5,10,1.5\n")
    assert axes(log) == {"Step": "step"}
    assert {name: values(column) for name, column in log.metrics.items()} == {"Value": {0: 2.5, 1: 1.5}}
    assert log.notes[0] == "columns not used by default, choose them with --metric: 'Wall time'"


def test_weights_and_biases_export(tmp_path: Path) -> None:
    header = (
        '"train/global_step","a - _step","a - _step__MIN","a - train/loss","a - train/loss__MIN","a - train/loss__MAX"'
    )
    log = read(tmp_path, f'{header}\n"10","3","3","0.5","0.5","0.5"\n')
    assert axes(log) == {"train/global_step": "step"}
    assert list(log.metrics) == ["a - train/loss"]


def test_weights_and_biases_counts_calls_only_where_nothing_else_counts(tmp_path: Path) -> None:
    row = '{"_step": 3, "_runtime": 9.5, "_timestamp": 1.7e9, "train/loss": 0.5%s}\n'
    assert axes(read(tmp_path, row % "")) == {"_step": "step"}
    log = read(tmp_path, row % ', "train/global_step": 30, "train/epoch": 1')
    assert axes(log) == {"train/global_step": "step", "train/epoch": "epoch"}
    assert list(log.metrics) == ["train/loss"]


def test_objects_in_objects_have_names_with_dots(tmp_path: Path) -> None:
    log = read(tmp_path, '{"step": 1, "train": {"loss": 0.5, "by": {"head": 2}}, "tags": ["a"], "done": true}')
    assert {name: values(column) for name, column in log.metrics.items()} == {
        "train.loss": {0: 0.5},
        "train.by.head": {0: 2},
    }


# ----------------------------------------------------------------------------------------------------------- the cells


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0.5", 0.5),
        (" 5e-1 ", 0.5),
        ("+.5", 0.5),
        ("5.E-1", 0.5),
        ("-0", -0.0),
        ("0.1", 0.1),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
        ("4.9406564584124654e-324", 5e-324),
    ],
)
def test_numbers(tmp_path: Path, cell: str, expected: float) -> None:
    log = read(tmp_path, f"step,loss\n1,{cell}\n2,1\n")
    assert values(log.metrics["loss"])[0] == expected


@pytest.mark.parametrize("cell", ["nan", "NaN", "-nan", "inf", "Infinity", "-INF", "1e999", "9" * 400])
def test_what_is_not_finite_is_missing_and_said(tmp_path: Path, cell: str) -> None:
    log = read(tmp_path, f"step,loss\n1,{cell}\n2,1\n")
    assert values(log.metrics["loss"]) == {1: 1}
    assert log.warnings == ("'loss': treated NaN or infinite values as missing: 1",)


@pytest.mark.parametrize("cell", ["", "null", "None", "N/A", "-", "NA"])
def test_what_is_not_there_is_missing(tmp_path: Path, cell: str) -> None:
    log = read(tmp_path, f"step,loss\n1,{cell}\n2,1\n")
    assert values(log.metrics["loss"]) == {1: 1}
    assert log.warnings == ()


@pytest.mark.parametrize("cell", ["1_000", "0x10", "1 000", "٣", "1,5", "True", "diverged", "1e", "--1", "5%"])
def test_what_is_no_number_is_missing_and_said(tmp_path: Path, cell: str) -> None:
    log = read(tmp_path, f'step,loss\n1,"{cell}"\n2,1\n3,2\n')
    assert values(log.metrics["loss"]) == {1: 1, 2: 2}
    assert log.warnings == (f"'loss': treated non-numeric cells as missing: 1 (first: {shortened(cell)})",)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"nan"', "1e999", "1" + "0" * 400])
def test_what_is_not_finite_in_json(tmp_path: Path, value: str) -> None:
    log = read(tmp_path, f'{{"step": 1, "loss": {value}}}\n{{"step": 2, "loss": 1}}\n')
    assert values(log.metrics["loss"]) == {1: 1}
    assert "treated NaN or infinite values as missing: 1" in log.warnings[0]


@pytest.mark.parametrize("value", ["true", "[1]", '"x"', "{}"])
def test_what_is_no_number_in_json(tmp_path: Path, value: str) -> None:
    log = read(tmp_path, f'{{"step": 1, "loss": {value}}}\n{{"step": 2, "loss": 1}}\n{{"step": 3, "loss": 1}}\n')
    assert values(log.metrics["loss"]) == {1: 1, 2: 1}


def test_decimal_commas(tmp_path: Path) -> None:
    log = read(tmp_path, "step;loss;note\n10;1,5e-3;a,b\n20;,25;-\n")
    assert values(log.metrics["loss"]) == {0: 0.0015, 1: 0.25}
    assert "read commas in numbers as decimal points" in log.notes


@pytest.mark.parametrize("text", ["step;loss\n1.000;0,5\n", "step;loss\n1;0,5\n2;0.5\n", "step;loss\n1;0.5\n2;0,5\n"])
def test_decimal_commas_and_points_in_one_file_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CheckpointError, match=r"line [23]: ambiguous numbers, with decimal commas and with points"):
        read(tmp_path, text)


# --------------------------------------------------------------------------------------------------------- the columns


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("step", "step"),
        ("Step", "step"),
        ("global_step", "step"),
        ("trainer/global_step", "step"),
        ("Iteration", "step"),
        ("iter", "step"),
        ("it", "step"),
        ("num_updates", "step"),
        ("batch", "step"),
        ("_step", "step"),
        ("epoch", "epoch"),
        ("Epoch", "epoch"),
        ("ep", "epoch"),
        ("train/epoch", "epoch"),
    ],
)
def test_columns_that_count(tmp_path: Path, name: str, unit: str) -> None:
    log = read(tmp_path, f"{name},loss\n1,0.5\n")
    assert axes(log) == {name: unit}
    assert list(log.metrics) == ["loss"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("batch,step,loss", "step"),
        ("batch,iter,loss", "iter"),
        ("_step,train/global_step,loss", "train/global_step"),
        ("eval/step,iteration,loss", "iteration"),
        ("iteration,global_step,loss", "global_step"),
        ("loss/step,train/step,loss", "train/step"),
        ("loss/step,step/loss,_step", "_step"),
        ("time/iterations,time/total_timesteps,loss", "time/total_timesteps"),  # Stable-Baselines3
    ],
)
def test_the_better_name_counts(tmp_path: Path, header: str, expected: str) -> None:
    assert axes(read(tmp_path, f"{header}\n1,2,0.5\n")) == {expected: "step"}


def test_of_equally_good_names_the_one_with_the_most_numbers_counts(tmp_path: Path) -> None:
    assert axes(read(tmp_path, "eval/step,train/step,loss\n1,1,3\n,2,2\n")) == {"train/step": "step"}


def test_a_loss_of_an_epoch_is_a_metric(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss/step,loss/epoch\n1,0.5,0.75\n")
    assert axes(log) == {"step": "step"}
    assert list(log.metrics) == ["loss/step", "loss/epoch"]


def test_a_column_that_counts_has_numbers(tmp_path: Path) -> None:
    assert axes(read(tmp_path, "step,iteration,epoch,loss\n,5,1/30,0.5\n")) == {"iteration": "step"}


def test_the_step_column_asked_for(tmp_path: Path) -> None:
    text = "step,epoch,seen,loss\n1,0,64,0.5\n"
    assert axes(read(tmp_path, text, step_column="seen")) == {"seen": None}
    assert axes(read(tmp_path, text, step_column="epoch")) == {"epoch": "epoch"}
    assert list(read(tmp_path, text, step_column="seen").metrics) == ["loss"]


def test_the_metrics_asked_for_come_in_that_order(tmp_path: Path) -> None:
    log = read(tmp_path, "step,a,b,wall_time\n1,2,3,4\n", metrics=("wall_time", "a", "step"))
    assert {name: values(column) for name, column in log.metrics.items()} == {
        "wall_time": {0: 4},
        "a": {0: 2},
        "step": {0: 1},
    }
    assert log.notes == ()


@pytest.mark.parametrize(
    "name",
    [
        "Wall time",
        "wall_time",
        "time",
        "timestamp",
        "_timestamp",
        "_runtime",
        "train_runtime",
        "eval_samples_per_second",
        "eval_steps_per_second",
        "step_time",
        "total_flos",
        "eta",
        "Relative Time (Process)",
        "num_input_tokens_seen",
        "train/elapsed",
    ],
)
def test_clocks_are_no_metrics_by_default(tmp_path: Path, name: str) -> None:
    log = read(tmp_path, f"step,{name},loss\n1,5,0.5\n")
    assert list(log.metrics) == ["loss"]
    assert log.notes[0] == f"columns not used by default, choose them with --metric: '{name}'"
    assert list(read(tmp_path, f"step,{name},loss\n1,5,0.5\n", metrics=(name,)).metrics) == [name]


def test_constant_columns_are_kept_and_text_is_not(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss,phase,nothing\n1,0.1,warm,\n2,0.1,cold,\n")
    assert list(log.metrics) == ["loss"]


@pytest.mark.parametrize("name", ["lr", "LR", "lr-Adam", "learning_rate", "train/lr", "weight_decay", "beta1"])
def test_settings_of_the_optimizer_are_no_metrics_unless_asked_for(tmp_path: Path, name: str) -> None:
    text = f"step,loss,{name}\n1,5,0.1\n2,4,0.2\n"
    log = read(tmp_path, text)
    assert list(log.metrics) == ["loss"]
    assert any(name in note for note in log.notes)
    assert list(read(tmp_path, text, metrics=(name,)).metrics) == [name]


def test_a_column_of_more_text_than_numbers_is_no_metric_by_default(tmp_path: Path) -> None:
    text = "step,tag,loss\n1,a,1\n2,b,2\n3,5,3\n"
    assert list(read(tmp_path, text).metrics) == ["loss"]
    assert read(tmp_path, text, metrics=("tag",)).warnings == (
        "'tag': treated non-numeric cells as missing: 2 (first: 'a')",
    )


def test_a_column_without_numbers_is_left_out_by_name_with_its_first_cell(tmp_path: Path) -> None:
    text = "step,loss,acc,day\n1,2,51.0%,Monday\n2,1,,Tuesday\n"
    log = read(tmp_path, text)
    assert list(log.metrics) == ["loss"]
    assert log.notes == (
        "columns left out, since they contain no number: 'acc' (first: '51.0%'), 'day' (first: 'Monday')",
    )
    assert read(tmp_path, text, metrics=("loss",)).notes == ()
    with pytest.raises(UsageError, match=r"--metric 'acc': .* contains no number; .*'51\.0%'"):
        read(tmp_path, text, metrics=("acc",))


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
def test_the_first_line_of_excel_is_passed_over(tmp_path: Path, first: str) -> None:
    log = read(tmp_path, f"{first}\r\nstep;loss\r\n10;0,5\r\n")
    assert (log.rows, values(log.metrics["loss"])) == (1, {0: 0.5})
    assert read(tmp_path, "sep=\t\nstep\tloss\n10\t0.5\n").kind == "TSV"


def test_delimiters_in_quotes_are_none(tmp_path: Path) -> None:
    assert list(read(tmp_path, '"a;b;c;d",step,"e;f"\n1,2,3\n').metrics) == ["a;b;c;d", "e;f"]


@pytest.mark.parametrize("line", ["%d,0.5,{}\n", '{{"step": %d, "loss": 0.5, "text": "{}"}}\n'])
def test_long_lines_are_bounded_one_by_one(tmp_path: Path, line: str) -> None:
    header = "" if line.startswith("{") else "step,loss,text\n"
    log = read(tmp_path, header + "".join((line % row).format("x" * 100_000) for row in range(20)))
    assert log.rows == 20


def test_what_is_passed_over_is_said_only_where_nothing_was_asked_for(tmp_path: Path) -> None:
    text = "iteration,step,wall_time,loss\n1,2,3,0.5\n"
    assert read(tmp_path, text).notes == (
        "columns not used by default, choose them with --metric: 'iteration', 'wall_time'",
    )
    assert read(tmp_path, text, metrics=("loss",)).notes == ()


def test_a_column_of_nan_is_kept_and_said(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss\n1,nan\n2,nan\n")
    assert values(log.metrics["loss"]) == {}
    assert "treated NaN or infinite values as missing: 2" in log.warnings[0]
    assert list(read(tmp_path, "step,loss\n1,nan\n", metrics=("loss",)).metrics) == ["loss"]
    with pytest.raises(UsageError, match=r"'loss': this column of .* contains no number"):
        read(tmp_path, "step,loss\n1,nan\n", step_column="loss")


@pytest.mark.parametrize(
    ("step_column", "metrics", "message"),
    [
        (
            "stp",
            (),
            r"--step-column 'stp': .* no such "
            r"column \(did you mean 'step'\?\); its columns are 'step', 'loss', 'phase'",
        ),
        ("phase", (), "--step-column 'phase': this column of .* contains no number"),
        (None, ("los",), r"--metric 'los': .* no such column \(did you mean 'loss'\?\)"),
        (None, ("loss", "zzz"), "--metric 'zzz': .* no such column; its columns are"),
        (None, ("phase",), "--metric 'phase': this column of .* contains no number"),
        (None, ("Loss",), "did you mean 'loss'"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, step_column: str, metrics: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, "step,loss,phase\n1,0.5,a\n", step_column, metrics)


def test_no_column_counts(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match="epochs with numbers, choose one with --step-column; its columns are 'a', 'b'",
    ):
        read(tmp_path, "a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"epochs with numbers.* are 'step' \(first: '0\.1k'\), 'loss'$"):
        read(tmp_path, "step,loss\n0.1k,2\n")
    with pytest.raises(UsageError, match=r"'step': this column of .* contains no number; .*'0\.1k'"):
        read(tmp_path, "step,loss\n0.1k,2\n", step_column="step")


def test_no_column_has_metrics(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"column other than the steps; .* 'step', 'phase' \(first: 'warm'\)$"):
        read(tmp_path, "step,phase\n1,warm\n")


def test_names_of_columns_steer_no_terminal(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, "a\x1b[31m,b\u202e\n1,2\n")
    assert str(error.value).isprintable()
    log = read(tmp_path, "step,a\x1b[31m\n1,nan\n")
    assert log.warnings[0].isprintable()


# ----------------------------------------------------------------------------------------------- damage that is passed


def test_rows_with_too_many_cells_are_left_out_and_said(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss\n1,0.5\n2,0.25,3,0.125\n4,0.0625\n")
    assert log.rows == 3
    assert values(log.metrics["loss"]) == {0: 0.5, 1: 0.0625}
    assert log.warnings == ("skipped unreadable rows: 1 (first: line 3 has 4 cells, the header has 2)",)


def test_a_last_line_that_is_being_written(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss,acc\n1,0.5,1\n2,0.2")
    assert values(log.metrics["loss"]) == {0: 0.5}
    assert log.warnings[0] == "skipped unreadable rows: 1 (first: line 3, the last line, is truncated)"
    log = read(tmp_path, "step,loss\n1,0.5\n2,0.2")
    assert values(log.metrics["loss"]) == {0: 0.5, 1: 0.2}
    assert log.warnings == ("the last line has no line ending: its last number may be truncated",)


def test_lines_with_fewer_cells(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss,acc\n1,0.5\n2,0.25,1\n")
    assert values(log.metrics["acc"]) == {1: 1}
    assert log.warnings == ("lines with fewer cells than the header: 1 (their last columns count as missing)",)


def test_the_header_again_after_a_resume(tmp_path: Path) -> None:
    log = read(tmp_path, "step,loss\n1,0.5\nstep,loss\n2,0.25\n")
    assert log.rows == 2
    assert values(log.metrics["loss"]) == {0: 0.5, 1: 0.25}
    assert any("repeated header lines, as after a resume: 1" in note for note in log.notes)


def test_an_index_without_a_name(tmp_path: Path) -> None:
    log = read(tmp_path, ",step,loss\n0,1,0.5\n")  # pandas
    assert list(log.metrics) == ["loss"]
    assert any("columns without a name" in note for note in log.notes)


def test_lines_that_are_no_json(tmp_path: Path) -> None:
    log = read(tmp_path, '{"step": 1, "loss": 0.5}\nSaving model...\n[1]\n{"step": 2, "loss": 0.25}\n{"step": 3, "lo')
    assert log.rows == 5
    assert values(log.metrics["loss"]) == {0: 0.5, 1: 0.25}
    assert log.warnings == ("skipped unreadable rows: 3 (first: line 2 is not a JSON object)",)


def test_rows_with_endless_names_are_left_out(tmp_path: Path) -> None:
    log = read(tmp_path, f'{{"step": 1, "loss": 0.5}}\n{{"step": 2, "loss": 1, "{"x" * 1001}": 1}}\n')
    assert values(log.metrics["loss"]) == {0: 0.5}
    assert "unreadable rows: 1 (first: line 2" in log.warnings[0]


def test_objects_are_followed_sixteen_deep(tmp_path: Path) -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "5" + "}" * depth

    log = read(tmp_path, f'{{"step": 1, "loss": 0.5, "b": {nested(16)}, "c": {nested(17)}}}\n')
    assert list(log.metrics) == ["loss", "b" + ".a" * 16]


def test_many_comments(tmp_path: Path) -> None:
    assert read(tmp_path, f"# {'x' * 100_000}\n" * 12 + PLAIN).rows == 2


def test_elements_that_are_no_objects(tmp_path: Path) -> None:
    log = read(tmp_path, '[{"step": 1, "loss": 0.5}, 3, "x", [{}], null]')
    assert log.rows == 5
    assert log.warnings == ("skipped unreadable rows: 4 (first: element 2 of the array is not an object)",)


# ----------------------------------------------------------------------------------------------- files that are refused


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("# only\n#this\n", "only comments"),
        ("hello\n", "line 1: no delimiter \\(comma, semicolon or tab\\)"),
        ("step,loss\n", "no readable row: the file has no rows"),
        ("1,0.5\n2,0.25\n", "line 1: expected column names, found numbers"),
        ("step,loss,loss\n1,2,3\n", "line 1: duplicate column name 'loss'"),
        (f"step,{'x' * 2000}\n1,2\n", "line 1: a column name has more than 1,000 characters"),
        ("step,loss\n1,2,3\n", r"no readable row: line 2 has 3 cells, the header has 2 \(CSV\)"),
        ("step,loss\n1,2" + " " * (1 << 20), "line 2: a row of more than 1 MiB"),
        ('step,loss\n1,"2\n' + "3\n" * (1 << 20), "line .*(field larger|a row of more than 1 MiB)"),
        ("{", "not valid JSON"),
        ("{'loss': 0.5, 'epoch': 0.1}\n", "Python, not JSON: use trainer_state.json"),
        ("Some weights are new\n  3%|#  | 1/30\r{'loss': 0.5, 'epoch': 0.1}\n", "Python, not JSON"),
        ("[{'loss': 0.5, 'epoch': 0.1}]", "Python, not JSON"),
        ("sep=;\n", "only comments and blank lines"),
        ('{\n "loss": 2\n}', "a JSON object without an array log_history"),
        ('{\n "loss": {"step": [1], "loss": [2]}\n}', "a JSON object without an array log_history"),
        ('{"step": [1, 2], "loss": [2]}', "arrays of different lengths: 'step' has 2 values, 'loss' has 1"),
        ('{"step": [1, 2], "loss": [2, x1]}', "not a JSON value"),
        ('{"step": [1, 2], "loss": [2, 1], "loss": [2, 1]}', "'loss'"),
        ('{"step": [], "loss": []}', "no readable row"),
        ('{"history": [{"step": 1, "loss": 2}}', r"expected a ',' or '\]'"),
        (f'{{"step": [1], "{"x" * 2000}": [2]}}', "a column name has more than 1,000 characters"),
        ('{"log_history": 3, \n"x": 1}', "a JSON object without an array log_history"),
        ('{"log_history": [{"step": 1, "loss": 2}', "not valid JSON"),
        ('[{"step": 1, "loss": 2}', r"expected a ',' or '\]'"),
        ('[{"step": 1, "loss": 2}] x', "unexpected data after the JSON object"),
        ("[" * 100_000, "nested more than|not valid JSON"),
        ("[]", "no readable row: the file has no rows"),
        ("[1, 2]", "no readable row: element 1 of the array is not an object"),
        (b"\x80\0\0\0\0\0\0\0{}", "not a text file"),
        (b"PK\3\4\0\0", "not a text file"),
    ],
)
def test_what_is_no_training_log(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as error:
        read(tmp_path, text)
    assert error.value.path == str(tmp_path / "log")
    assert "\n" not in str(error.value)


def test_deep_nesting_on_a_line_is_no_object(tmp_path: Path) -> None:
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    log = read(tmp_path, '{"step": 1, "loss": 2}\n' + deep + "\n")
    assert "unreadable rows: 1 (first: line 2" in log.warnings[0]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a directory, not a file: name a training log"):
        read_log(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="a named pipe, not a file: name a training log"):
        read_log(str(tmp_path / "pipe"))
    with pytest.raises(CheckpointError, match="no such file"):
        read_log(str(tmp_path / "nothing"))


def test_sizes_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(CheckpointError, match="exceed the limit of 256 MiB"):
        read_log(str(tmp_path / "huge"))


def test_json_in_one_piece_has_a_smaller_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wcx.tasks.compare.logs.files.json_document._MAX_NBYTES", 10)
    with pytest.raises(CheckpointError, match="exceeds the limit of 64 MiB"):
        read(tmp_path, '[{"step": 1, "loss": 2}]')


@pytest.mark.parametrize(
    ("limit", "text", "reason"),
    [
        ("_MAX_ROWS", PLAIN, "more than 1 rows"),
        ("_MAX_COLUMNS", PLAIN, "more than 1 columns"),
        ("_MAX_COLUMNS", '{"step": 1}\n{"loss": 1}\n', "more than 1 columns"),
        ("_MAX_NUMBERS", PLAIN, "more than 1 values"),
    ],
)
def test_rows_columns_and_values_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, text: str, reason: str
) -> None:
    monkeypatch.setattr(training_log, limit, 1)
    with pytest.raises(CheckpointError, match=reason):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "limit", "text", "reason"),
    [
        ("_MAX_CELLS", 3, '{"step": [1, 2], "loss": [1, 2]}', "more than 3 values in arrays"),
        ("_MAX_ELEMENTS", 1, '{"step": [1, 2], "loss": [1, 2]}', "more than 1 elements"),
        ("_MAX_MEMBERS", 1, '{"step": [1], "loss": [1]}', "more than 1 members"),
    ],
)
def test_objects_of_arrays_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, text: str, reason: str
) -> None:
    monkeypatch.setattr(f"wcx.tasks.compare.logs.files.json_document.{name}", limit)
    with pytest.raises(CheckpointError, match=reason):
        read(tmp_path, text)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("shift", ["", " "])
def test_json_in_utf_16_takes_no_more_memory_than_in_utf_8(encoding: str, shift: str, tmp_path: Path) -> None:
    rows = [{"step": step, "loss": step / 2, "t": ("\U0001f600" if step else "\u4e2d") * 240_000} for step in range(8)]
    text = shift + json.dumps(rows, ensure_ascii=False)
    path = tmp_path / "log.json"
    path.write_bytes(("\ufeff" + text).encode(encoding))
    tracemalloc.start()
    try:
        log = read_log(str(path), metrics=("loss",))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert values(log.metrics["loss"]) == {step: step / 2 for step in range(8)}
    assert peak < 1.25 * len(text.encode()) + (12 << 20)  # pieces of it, and a value


def test_only_columns_that_were_asked_for_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_log, "_MAX_NUMBERS", 4)
    text = "step,loss,a,b,seen\n1,0.5,2,3,4\n2,0.25,2,3,4\n"
    with pytest.raises(CheckpointError, match="more than 4 values: choose columns with --metric"):
        read(tmp_path, text)
    assert values(read(tmp_path, text, metrics=("loss",)).metrics["loss"]) == {0: 0.5, 1: 0.25}
    assert axes(read(tmp_path, text, "seen", ("loss",))) == {"seen": None}
    with pytest.raises(UsageError, match="its columns are 'step', 'loss', 'a', 'b', 'seen'"):
        read(tmp_path, text, metrics=("c",))


def test_memory_is_bounded_by_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("step,loss\n" + "".join(f"{row},0.5\n" for row in range(30_000)))
    tracemalloc.start()
    log = read_log(str(tmp_path / "log"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert log.rows == 30_000
    assert peak < 30_000 * 2 * 16 + (2 << 20)


def said_of(folder: Path, text: bytes) -> tuple[str, ...]:
    try:
        log = read(folder, text)
    except (CheckpointError, UsageError) as error:
        return (str(error),)
    return log.notes + log.warnings


def test_no_bytes_do_anything_but_make_a_log_or_be_refused(tmp_path: Path) -> None:
    seeds = [
        PLAIN.encode(),
        b"epoch;loss\n1;0,5\n2;\n",
        b'{"step": 1, "loss": {"a": 2}}\n{"step": 2}\n',
        b'{"log_history": [{"step": 1, "loss": 2}], "x": {"y": [1, "z"]}}',
        b'[{"step": 1, "loss": NaN}, {"step": 2, "loss": 3}]',
    ]
    source = random.Random(0)
    alphabet = b'",;\t\n\r{}[]:.#-+eE0123456789 nulNaInfty\0\xff\xfe\xef\xbb\xbf\\\x1b'
    for _ in range(600):
        text = bytearray(source.choice(seeds))
        for _ in range(source.randrange(1, 8)):
            at = source.randrange(len(text) + 1)
            text[at : at + source.randrange(3)] = bytes(source.choices(alphabet, k=source.randrange(4)))
        assert all(said == escape(said) for said in said_of(tmp_path, bytes(text)))


def test_forms_are_told_by_content(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(PLAIN)
    assert read_log(str(tmp_path / "log.json")).kind == "CSV"
    rows = log_files.read_rows(log_files.LogFile(str(tmp_path / "log.json")))
    assert next(rows) == {"step": 10.0, "loss": 0.5}


def test_a_long_cell_is_no_obstacle(tmp_path: Path) -> None:
    """Logs hold whole configurations in a cell; csv's own limit is 131,072 characters."""
    log = read(tmp_path, f"step,loss,cfg\n1,0.5,{'x' * 200_000}\n2,0.25,y\n")
    assert list(log.metrics) == ["loss"]
    assert log.rows == 2
