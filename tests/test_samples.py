"""The shipped models are what their README says: whole, small, a checkpoint for every row of the log."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

import wcx

SAMPLES = Path(__file__).parents[1] / "sample_models"


def test_every_file_has_its_checksum() -> None:
    lines = (SAMPLES / "SHA256SUMS").read_text("utf-8").splitlines()
    listed = dict(reversed(line.split(maxsplit=1)) for line in lines)
    for name, checksum in listed.items():
        assert hashlib.sha256((SAMPLES / name).read_bytes()).hexdigest() == checksum, name
    shipped = {str(path.relative_to(SAMPLES)) for path in SAMPLES.glob("*/**/*") if path.is_file()}
    assert {name for name in shipped if "__pycache__" not in name} == listed.keys()


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.glob("**/*") if path.is_file()) < 5_000_000


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_run_has_a_checkpoint_for_every_row_of_its_log(seed: int) -> None:
    run = SAMPLES / "digits_bnn" / f"seed_{seed}"
    with (run / "log.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:5] == ["step", "epoch", "train_loss", "test_loss", "test_accuracy"]
    assert len(rows) >= 30
    for row in rows:
        checkpoint = wcx.open_checkpoint(run / f"epoch_{int(row['epoch']):03}.safetensors")
        assert checkpoint.metadata["step"] == row["step"]
        assert checkpoint["fc1.weight"].shape == (96, 64)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 5
    assert float(rows[-1]["test_accuracy"]) > 0.9


def test_the_convolutional_network_learned() -> None:
    with (SAMPLES / "digits_cnn" / "log.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["epoch", "train_loss", "test_loss", "test_accuracy"]
    assert [int(row["epoch"]) for row in rows] == list(range(21))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 100
    assert round(360 * float(rows[-1]["test_accuracy"])) == 357
