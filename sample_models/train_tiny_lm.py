"""Train a tiny character-level transformer and save it as a sharded BF16 checkpoint.

The text is the docstrings inside the installed scikit-learn package (BSD-3-Clause); it is used for training alone and
is not shipped. The network has the parts and the tensor names of a small Llama: RMS norm, rotary positions, SwiGLU.

    python -m venv .venv-train
    .venv-train/bin/pip install torch==2.13.0 scikit-learn==1.9.1 safetensors
    .venv-train/bin/python sample_models/train_tiny_lm.py

It writes three shards, ``model.safetensors.index.json``, ``config.json`` and ``log.csv`` into ``tiny_lm_bf16`` beside
this script, or into ``--out``.
"""

import argparse
import ast
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import sklearn
import torch
from stable_safetensors import write_safetensors
from torch import Tensor, nn
from torch.nn import functional

SEED = 0
STEPS = 1200
EVALUATION_INTERVAL = 100
BATCH_SIZE = 24
LEARNING_RATE = 3e-3
WARMUP_STEPS = 50
WEIGHT_DECAY = 0.1
TEST_FRACTION = 10  # every tenth docstring is test text
TEST_WINDOWS = 200
SHARDS = 3
VOCABULARY = "\n" + "".join(chr(code) for code in range(32, 127))
CONTEXT_LENGTH = 128
LAYERS = 4
HEADS = 4
HIDDEN_SIZE = 64
INTERMEDIATE_SIZE = 176
ROTARY_BASE = 10000.0
NORM_EPSILON = 1e-6
LOG_COLUMNS = ("step", "learning_rate", "train_loss", "test_loss")


def rotate(values: Tensor) -> Tensor:
    """Rotary position embedding of ``values``, shaped (batch, heads, positions, head size)."""
    positions, head_size = values.shape[-2:]
    frequencies = ROTARY_BASE ** (-torch.arange(0, head_size, 2) / head_size)
    angles = torch.outer(torch.arange(positions), frequencies).repeat(1, 2)
    first, second = values.chunk(2, dim=-1)
    return values * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()


class SelfAttention(nn.Module):
    """Causal multi-head attention."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE, bias=False)
        self.k_proj = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE, bias=False)
        self.v_proj = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE, bias=False)
        self.o_proj = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Attend to this and the earlier positions."""
        projections = (self.q_proj(hidden), self.k_proj(hidden), self.v_proj(hidden))
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in projections)
        attended = functional.scaled_dot_product_attention(rotate(query), rotate(key), value, is_causal=True)
        return self.o_proj(attended.transpose(1, 2).flatten(2))


class GatedMlp(nn.Module):
    """The SwiGLU feed-forward block."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN_SIZE, INTERMEDIATE_SIZE, bias=False)
        self.up_proj = nn.Linear(HIDDEN_SIZE, INTERMEDIATE_SIZE, bias=False)
        self.down_proj = nn.Linear(INTERMEDIATE_SIZE, HIDDEN_SIZE, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """The gated projection up, and the projection down again."""
        return self.down_proj(functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class DecoderLayer(nn.Module):
    """Attention and feed-forward block, each after a norm and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(HIDDEN_SIZE, eps=NORM_EPSILON)
        self.self_attn = SelfAttention()
        self.post_attention_layernorm = nn.RMSNorm(HIDDEN_SIZE, eps=NORM_EPSILON)
        self.mlp = GatedMlp()

    def forward(self, hidden: Tensor) -> Tensor:
        """One layer."""
        hidden = hidden + self.self_attn(self.input_layernorm(hidden))
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Decoder(nn.Module):
    """Embedding, layers and the last norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(len(VOCABULARY), HIDDEN_SIZE)
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(HIDDEN_SIZE, eps=NORM_EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        """The last hidden states."""
        hidden = self.embed_tokens(tokens)
        for layer in self.layers:
            hidden = layer(hidden)
        return self.norm(hidden)


class LanguageModel(nn.Module):
    """The decoder and its output head."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Decoder()
        self.lm_head = nn.Linear(HIDDEN_SIZE, len(VOCABULARY), bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of the next character at every position."""
        return self.lm_head(self.model(tokens))


def docstrings() -> Iterator[str]:
    """The docstrings of scikit-learn's own modules, tests left out, in the order of the file names."""
    package = Path(sklearn.__file__).parent
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix()):
        if {"tests", "externals"} & set(path.relative_to(package).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


def load_tokens() -> tuple[Tensor, Tensor]:
    """The characters of the training and of the test text, as indices into the vocabulary."""
    index = {character: token for token, character in enumerate(VOCABULARY)}
    texts = [text for text in docstrings() if text]
    test = "\n\n".join(texts[::TEST_FRACTION])
    train = "\n\n".join(text for number, text in enumerate(texts) if number % TEST_FRACTION)
    train_tokens, test_tokens = (
        torch.tensor([index[character] for character in text if character in index]) for text in (train, test)
    )
    return train_tokens, test_tokens


def windows_loss(network: LanguageModel, tokens: Tensor, starts: Tensor) -> Tensor:
    """Mean cross-entropy (nats a character) of the windows of ``tokens`` that begin at ``starts``."""
    windows = tokens[starts[:, None] + torch.arange(CONTEXT_LENGTH + 1)]
    logits = network(windows[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def fixed_loss(network: LanguageModel, tokens: Tensor) -> float:
    """The loss over a fixed set of windows, evenly spaced over all of ``tokens``."""
    starts = torch.linspace(0, len(tokens) - CONTEXT_LENGTH - 1, TEST_WINDOWS, dtype=torch.float64).long()
    return windows_loss(network, tokens, starts).item()


def scheduled_factor(step: int) -> float:
    """The share of the learning rate at ``step``: a short rise, then a straight fall to zero."""
    return min((step + 1) / WARMUP_STEPS, (STEPS - step) / (STEPS - WARMUP_STEPS))


def train_steps(network: LanguageModel, tokens: Tensor) -> Iterator[tuple[int, float]]:
    """Train, yielding (optimizer steps so far, learning rate of the next step) at every evaluation."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scheduled_factor)
    generator = torch.Generator().manual_seed(SEED)
    for step in range(STEPS):
        if step % EVALUATION_INTERVAL == 0:
            yield step, float(schedule.get_last_lr()[0])
        starts = torch.randint(len(tokens) - CONTEXT_LENGTH, (BATCH_SIZE,), generator=generator)
        optimizer.zero_grad()
        windows_loss(network, tokens, starts).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    yield STEPS, float(schedule.get_last_lr()[0])


def save_shards(folder: Path, network: LanguageModel) -> None:
    """Write the tensors as BF16 into shards of about the same size, and the index of them."""
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in network.state_dict().items()}
    total_size = sum(tensor.nbytes for tensor in tensors.values())
    shards: list[dict[str, Tensor]] = [{} for _ in range(SHARDS)]
    offset = 0
    for name, tensor in tensors.items():
        shards[offset * SHARDS // total_size][name] = tensor
        offset += tensor.nbytes
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{SHARDS:05d}.safetensors"
        metadata = {"format": "pt", "step": str(STEPS), "seed": str(SEED)}
        write_safetensors(folder / file_name, shard, metadata)
        weight_map |= dict.fromkeys(shard, file_name)
    index = {"metadata": {"total_size": total_size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def save_config(folder: Path, network: LanguageModel, train_tokens: Tensor, test_tokens: Tensor) -> None:
    """Write the sizes of the network and the losses of the saved, rounded weights."""
    rounded = LanguageModel()
    rounded.load_state_dict({name: tensor.bfloat16() for name, tensor in network.state_dict().items()})
    config = {
        "vocab_size": len(VOCABULARY),
        "vocabulary": VOCABULARY,
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": INTERMEDIATE_SIZE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT_LENGTH,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROTARY_BASE,
        "dtype": "bfloat16",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "train_loss_of_saved_weights": fixed_loss(rounded, train_tokens),
        "test_loss_of_saved_weights": fixed_loss(rounded, test_tokens),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def train_model(folder: Path) -> None:
    """Train the network, writing the log, the shards and the configuration into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    network = LanguageModel()
    train_tokens, test_tokens = load_tokens()
    print(f"{len(train_tokens)} characters to train on, {len(test_tokens)} to test on")
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        for step, learning_rate in train_steps(network, train_tokens):
            losses = (fixed_loss(network, train_tokens), fixed_loss(network, test_tokens))
            writer.writerow([repr(value) for value in (step, learning_rate, *losses)])
            print(f"step {step}: train loss {losses[0]:.4f}, test loss {losses[1]:.4f}", flush=True)
    save_shards(folder, network)
    save_config(folder, network, train_tokens, test_tokens)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "tiny_lm_bf16")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train_model(arguments.out)


if __name__ == "__main__":
    main()
