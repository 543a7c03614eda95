"""Train a small convolutional network on scikit-learn's digits and save it in four formats.

    python -m venv .venv-train
    .venv-train/bin/pip install torch==2.13.0 scikit-learn==1.9.1 safetensors==0.8.0 onnx==1.23.2
    .venv-train/bin/python sample_models/train_digits_cnn.py

It writes ``checkpoint.pt`` (the zip format of ``torch.save``) and ``checkpoint_legacy.pt`` (the format before it), both
with the state of Adam, ``model.safetensors`` and ``model.onnx``, and ``log.csv``, into ``digits_cnn`` beside this
script, or into ``--out``.
"""

import argparse
import csv
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import onnx
import torch
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from stable_safetensors import write_safetensors
from torch import Tensor, nn
from torch.nn import functional

SEED = 0
EPOCHS = 20
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
TEST_SAMPLES = 360
LOG_COLUMNS = ("epoch", "train_loss", "test_loss", "test_accuracy")


class DigitsNetwork(nn.Module):
    """Two convolutions, each normalised and pooled to half the width and height, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(128, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the ten classes for images of shape (batch, 1, 8, 8)."""
        hidden = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 2)
        hidden = functional.max_pool2d(functional.relu(self.bn2(self.conv2(hidden))), 2)
        return self.fc2(functional.relu(self.fc1(hidden.flatten(1))))


def load_samples() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images and digits to train on, images and digits to test on."""
    images, digits = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, digits, test_size=TEST_SAMPLES, random_state=SEED, stratify=digits)
    train_images, test_images, train_digits, test_digits = map(torch.as_tensor, parts)
    shape = (-1, 1, 8, 8)
    return train_images.float().view(shape), train_digits, test_images.float().view(shape), test_digits


@torch.no_grad()
def loss_and_accuracy(network: DigitsNetwork, images: Tensor, digits: Tensor) -> tuple[float, float]:
    """Cross-entropy and accuracy in evaluation mode, the mode that the network is left in."""
    logits = network.eval()(images)
    return functional.cross_entropy(logits, digits).item(), (logits.argmax(dim=1) == digits).double().mean().item()


def train_epoch(network: DigitsNetwork, optimizer: torch.optim.Optimizer, images: Tensor, digits: Tensor) -> None:
    """Take one optimizer step for each batch, in random order."""
    network.train()
    for batch in torch.randperm(len(digits)).split(BATCH_SIZE):
        optimizer.zero_grad()
        functional.cross_entropy(network(images[batch]), digits[batch]).backward()
        optimizer.step()


@contextmanager
def numbered_storages() -> Iterator[None]:
    """Number the storages, which the legacy format names by their addresses: those differ from run to run."""
    numbers: dict[int, int] = {}
    number = property(lambda storage: numbers.setdefault(storage.data_ptr(), len(numbers)))
    with mock.patch.object(torch.UntypedStorage, "_cdata", number):
        yield


def write_onnx(path: Path, network: DigitsNetwork) -> None:
    """Export the network in evaluation mode, its normalisations left as they are (by default they are folded away)."""
    batch = {0: "batch"}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 1, 8, 8),),
            path,
            dynamo=False,  # the newer exporter needs another package
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": batch, "logits": batch},
        )


@torch.no_grad()
def check_onnx(path: Path, network: DigitsNetwork, images: Tensor) -> None:
    """Stop unless the exported network gives the same logits up to rounding."""
    (logits,) = ReferenceEvaluator(onnx.load(path)).run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.as_tensor(logits), network.eval()(images), rtol=1e-4, atol=1e-4)


def train(folder: Path) -> None:
    """Train, writing the log and the four files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    network = DigitsNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    train_images, train_digits, test_images, test_digits = load_samples()
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        for epoch in range(EPOCHS + 1):
            if epoch:
                train_epoch(network, optimizer, train_images, train_digits)
            loss, _ = loss_and_accuracy(network, train_images, train_digits)
            row = (epoch, loss, *loss_and_accuracy(network, test_images, test_digits))
            writer.writerow([repr(value) for value in row])
    checkpoint = {"epoch": epoch, "model": network.state_dict(), "optimizer": optimizer.state_dict(), "loss": loss}
    torch.save(checkpoint, folder / "checkpoint.pt")
    with numbered_storages():
        torch.save(checkpoint, folder / "checkpoint_legacy.pt", _use_new_zipfile_serialization=False)
    metadata = {"format": "pt", "epoch": str(epoch), "seed": str(SEED)}
    write_safetensors(folder / "model.safetensors", network.state_dict(), metadata)
    write_onnx(folder / "model.onnx", network)
    check_onnx(folder / "model.onnx", network, test_images)
    print(", ".join(f"{name} {value}" for name, value in zip(LOG_COLUMNS, row, strict=True)))


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "digits_cnn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train(arguments.out)


if __name__ == "__main__":
    main()
