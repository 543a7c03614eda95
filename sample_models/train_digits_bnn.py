"""Train a binarized network on scikit-learn's digits and keep a checkpoint of every epoch.

The network is that of BinaryNet (Courbariaux et al., 2016): real latent weights, of which the forward pass uses the
signs alone, binarized activations, straight-through gradients, and batch normalisation after each linear layer.

    python -m venv .venv-train
    .venv-train/bin/pip install torch==2.13.0 scikit-learn==1.9.1 safetensors
    .venv-train/bin/python sample_models/train_digits_bnn.py

It writes ``digits_bnn/seed_<seed>/epoch_<epoch>.safetensors`` and ``log.csv`` beside this script, or under ``--out``.
"""

import argparse
import copy
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from stable_safetensors import write_safetensors
from torch import Tensor, nn
from torch.nn import functional

SEEDS = (0, 1, 2)
EPOCHS = 30
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
INITIAL_BOUND = 0.1
TEST_SAMPLES = 360
SPLIT_SEED = 0
LOG_COLUMNS = ("step", "epoch", "train_loss", "test_loss", "test_accuracy", "train_loss_eval", "test_loss_eval")


class Samples(NamedTuple):
    """Images, 64 numbers from 0 to 1 each, and their digits."""

    images: Tensor
    digits: Tensor


def binarize(values: Tensor) -> Tensor:
    """The signs of ``values`` (+1 at zero), with the gradient of the clipping of ``values`` to [-1, 1]."""
    clipped = values.clamp(-1, 1)
    signs = torch.where(values >= 0, 1.0, -1.0)
    return clipped + (signs - clipped).detach()


class BinaryLinear(nn.Linear):
    """A linear layer without bias which multiplies by the signs of its latent weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        nn.init.uniform_(self.weight, -INITIAL_BOUND, INITIAL_BOUND)

    def forward(self, values: Tensor) -> Tensor:
        """The product of ``values`` with the signs of the latent weights."""
        return functional.linear(values, binarize(self.weight))


class DigitsNetwork(nn.Module):
    """64 inputs, binary layers of 96 and 32 units, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = BinaryLinear(64, 96)
        self.bn1 = nn.BatchNorm1d(96)
        self.fc2 = BinaryLinear(96, 32)
        self.bn2 = nn.BatchNorm1d(32)
        self.fc3 = BinaryLinear(32, 10)
        self.bn3 = nn.BatchNorm1d(10)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the ten classes."""
        hidden = binarize(self.bn1(self.fc1(images)))
        hidden = binarize(self.bn2(self.fc2(hidden)))
        return self.bn3(self.fc3(hidden))

    @torch.no_grad()
    def clip_latent_weights(self) -> None:
        """Keep the latent weights in [-1, 1], outside which they would no longer get a gradient."""
        for layer in (self.fc1, self.fc2, self.fc3):
            layer.weight.clamp_(-1, 1)


def load_samples() -> tuple[Samples, Samples]:
    """The training and the test samples: the same split for every seed."""
    images, digits = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, digits, test_size=TEST_SAMPLES, random_state=SPLIT_SEED, stratify=digits)
    train_images, test_images, train_digits, test_digits = map(torch.as_tensor, parts)
    return Samples(train_images.float(), train_digits), Samples(test_images.float(), test_digits)


@torch.no_grad()
def loss_and_accuracy(network: DigitsNetwork, samples: Samples, batch_statistics: bool) -> tuple[float, float]:
    """Cross-entropy and accuracy over all of ``samples`` as one batch; ``network`` itself is left as it is."""
    logits = copy.deepcopy(network).train(batch_statistics)(samples.images)
    loss = functional.cross_entropy(logits, samples.digits)
    return loss.item(), (logits.argmax(dim=1) == samples.digits).double().mean().item()


def train_epochs(network: DigitsNetwork, samples: Samples, generator: torch.Generator) -> Iterator[tuple[int, int]]:
    """Train, yielding (epoch, optimizer steps so far) before the first step and after every epoch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    step = 0
    yield 0, step
    for epoch in range(1, EPOCHS + 1):
        network.train()
        for batch in torch.randperm(len(samples.digits), generator=generator).split(BATCH_SIZE):
            optimizer.zero_grad()
            functional.cross_entropy(network(samples.images[batch]), samples.digits[batch]).backward()
            optimizer.step()
            network.clip_latent_weights()
            step += 1
        yield epoch, step


def log_row(network: DigitsNetwork, step: int, epoch: int, train: Samples, test: Samples) -> list[str]:
    """The row of ``log.csv`` for this moment: batch statistics up to the accuracy, then evaluation mode."""
    train_loss, _ = loss_and_accuracy(network, train, batch_statistics=True)
    test_loss, test_accuracy = loss_and_accuracy(network, test, batch_statistics=True)
    train_loss_eval, _ = loss_and_accuracy(network, train, batch_statistics=False)
    test_loss_eval, _ = loss_and_accuracy(network, test, batch_statistics=False)
    return [repr(v) for v in (step, epoch, train_loss, test_loss, test_accuracy, train_loss_eval, test_loss_eval)]


def train_seed(folder: Path, seed: int) -> None:
    """Train with one seed, writing the checkpoints and the log into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network = DigitsNetwork()
    generator = torch.Generator().manual_seed(seed)
    train, test = load_samples()
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        for epoch, step in train_epochs(network, train, generator):
            row = log_row(network, step, epoch, train, test)
            writer.writerow(row)
            metadata = {"format": "pt", "step": str(step), "epoch": str(epoch), "seed": str(seed)}
            write_safetensors(folder / f"epoch_{epoch:03d}.safetensors", network.state_dict(), metadata)
    print(f"seed {seed}: " + ", ".join(f"{name} {value}" for name, value in zip(LOG_COLUMNS, row, strict=True)))


def main() -> None:
    """Read the command line and train every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "digits_bnn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for seed in SEEDS:
        train_seed(arguments.out / f"seed_{seed}", seed)


if __name__ == "__main__":
    main()
