"""Logs with one metric a row: a column for each tag, as if the log had been written in columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wcx.core.errors import CheckpointError, UsageError
from wcx.tasks.compare.logs.columns import TrainingLog, read_log


def read(folder: Path, text: str, step_column: str | None = None, metrics: tuple[str, ...] = ()) -> TrainingLog:
    path = folder / "log"
    path.write_text(text)
    return read_log(str(path), step_column=step_column, metrics=metrics)


def by_step(log: TrainingLog) -> dict[str, dict[float, float]]:
    """The numbers of each metric by step."""
    (axis,) = log.axes
    steps = dict(zip(axis.column.rows, axis.column.values, strict=True))
    return {
        name: {steps[row]: value for row, value in zip(column.rows, column.values, strict=True)}
        for name, column in log.metrics.items()
    }


WIDE = {"loss": {10.0: 0.5, 20.0: 0.25}, "acc": {20.0: 0.75}}
ROWS = [(10, "loss", 0.5), (20, "loss", 0.25), (20, "acc", 0.75)]


@pytest.mark.parametrize(
    "text",
    [
        "step,tag,value\n" + "".join(f"{step},{tag},{value}\n" for step, tag, value in ROWS),
        ",step,tag,value\n" + "".join(f"{i},{step},{tag},{value}\n" for i, (step, tag, value) in enumerate(ROWS)),
        "key,value,timestamp,step,is_nan\n" + "".join(f"{tag},{value},17000,{step},0\n" for step, tag, value in ROWS),
        "Step;Tag;Value\n" + "".join(f"{step};{tag};{value}\n".replace(".", ",") for step, tag, value in ROWS),
        "iteration\tvariable\tvalue\n" + "".join(f"{step}\t{tag}\t{value}\n" for step, tag, value in ROWS),
        "".join(json.dumps({"step": step, "tag": tag, "value": value}) + "\n" for step, tag, value in ROWS),
        "".join(json.dumps({"metricName": tag, "metricValue": str(v), "step": s}) + "\n" for s, tag, v in ROWS),
        json.dumps([{"key": tag, "value": value, "timestamp": 1, "step": step} for step, tag, value in ROWS]),
    ],
)
def test_each_tag_is_a_column(tmp_path: Path, text: str) -> None:
    log = read(tmp_path, text)
    assert by_step(log) == WIDE
    assert any(note.startswith("one metric a row: read a column for each '") for note in log.notes)
    assert log.warnings == ()
    assert list(read(tmp_path, text, metrics=("acc",)).metrics) == ["acc"]


def test_runs_keep_their_tags_apart(tmp_path: Path) -> None:
    text = "run,tag,step,value,wall_time\ntrain,loss,1,2,0\nval,loss,1,3,0\n"
    assert by_step(read(tmp_path, text)) == {"train/loss": {1: 2}, "val/loss": {1: 3}}


def test_one_run_of_mlflow_has_plain_names_and_several_are_refused(tmp_path: Path) -> None:
    text = "key,value,timestamp,step,run_uuid\nloss,2,0,1,a1\nacc,3,0,1,a1\n"
    assert by_step(read(tmp_path, text)) == {"loss": {1: 2}, "acc": {1: 3}}
    with pytest.raises(CheckpointError, match="rows of several runs by 'run_uuid': export the log of one run"):
        read(tmp_path, text + "loss,2,0,1,b2\n")


def test_the_step_column_asked_for_counts(tmp_path: Path) -> None:
    log = read(tmp_path, "timestamp,tag,value\n5,loss,1\n6,acc,2\n", step_column="timestamp")
    assert by_step(log) == {"loss": {5: 1}, "acc": {6: 2}}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("step,name,loss,value\n1,a,2,3\n", ["loss", "value"]),
        ("step,metric,value\n1,2,3\n", ["metric", "value"]),
        ("step,loss,value\n1,2,3\n", ["loss", "value"]),
    ],
)
def test_other_logs_keep_their_columns(tmp_path: Path, text: str, names: list[str]) -> None:
    assert list(read(tmp_path, text).metrics) == names


def test_rows_without_a_tag_are_left_out_and_counted(tmp_path: Path) -> None:
    log = read(tmp_path, f"step,tag,value\n1,loss,2\n2,,3\n3,5,3\n4,{'x' * 2000},3\n5,loss,51%\n6,loss,1\n")
    assert by_step(log) == {"loss": {1: 2, 6: 1}}
    assert log.rows == 6
    assert log.warnings == (
        "skipped unreadable rows: 3 (first: a row without a text in 'tag')",
        "'loss': treated non-numeric cells as missing: 1 (first: '51%')",
    )


def test_the_number_of_tags_is_bounded(tmp_path: Path) -> None:
    text = "step,tag,value\n" + "".join(f"1,t{tag},2\n" for tag in range(10_001))
    with pytest.raises(CheckpointError, match="more than 10,000 columns"):
        read(tmp_path, text)


def test_a_log_without_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column of steps or epochs with numbers"):
        read(tmp_path, "tag,value\nloss,2\n")


def fairseq(prefix: str) -> str:
    rows = [
        {"epoch": 1, "update": 0.5, "loss": "9.5", "num_updates": "50", "lr": "0.1"},
        {"epoch": 1, "train_loss": "9", "train_num_updates": "100", "train_wall": "7"},
        {"epoch": 1, "valid_loss": "8", "valid_num_updates": "100"},
    ]
    return "".join(prefix + json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("prefix", ["", "2026-01-01 10:00:00 | INFO | train | "])
def test_every_row_of_fairseq_has_the_same_counter(tmp_path: Path, prefix: str) -> None:
    begin = "2026-01-01 10:00:00 | INFO | fairseq_cli.train | {'_name': None}\n" if prefix else ""
    log = read(tmp_path, begin + fairseq(prefix))
    assert log.axes[0].name == "num_updates"
    assert list(log.axes[0].column.values) == [50, 100, 100]
    assert {name: list(log.metrics[name].values) for name in ("loss", "train_loss", "valid_loss")} == {
        "loss": [9.5],
        "train_loss": [9],
        "valid_loss": [8],
    }
