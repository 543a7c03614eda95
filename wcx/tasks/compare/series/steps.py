"""The step that the name of a checkpoint says, of one name and over the names of a series; nothing is opened here.

A number counts where a word says what it is: step=900, iter_0001000, checkpoint-500, epoch_3, e3-s2000, 10k_steps.
Words are those that Hugging Face, PyTorch Lightning, Megatron, DeepSpeed, fairseq and timm write. Where no name has
such a word, the one number that varies over the series is taken, unless it looks like a version, a seed, a date, a
size, a fraction or a hash. A number that is not the same in every name beats one that is (vit_s16_epoch3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 2**53
"""The largest step: what every JSON reader and every float holds. Larger numbers in names are not taken for steps."""

_SUFFIX = re.compile(
    r"(?:\.safetensors|\.bin)\.index\.json$|\.pth\.tar$|\.(?:safetensors|pt|pth|bin|ckpt|onnx)$", re.IGNORECASE
)
_LONGEST_NAME = 1000  # characters; file systems end at 255 bytes
_FLAGS = re.IGNORECASE | re.ASCII
_SHARD = re.compile(r"[0-9]+-of-[0-9]+", _FLAGS)
_DATE = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[-_.T ]?(?:[01][0-9]|2[0-3])[-_.:]?[0-5][0-9](?:[-_.:]?[0-5][0-9])?)?(?![0-9])",
    _FLAGS,
)
_HASH = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,})(?![0-9a-z])",
    _FLAGS,
)
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
# A word begins where no letter stands before it, or with a capital after a small letter (globalStep=3).
_BEGIN = r"(?:(?<![a-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
_BETWEEN = r"(?:[ _\-=.:]|__|--)?"
_VALUE = r"([0-9]+(?:\.[0-9]+(?=[km]))?)([km]?)"
_END = r"(?![0-9a-z]|\.[0-9])"
_NEXT = r"(?=step|iter|epoch|global)"  # words may follow each other: epoch3step900
_LONG_STEP = r"(?:global[_\-]?steps?|timesteps?|steps?|iterations?|iters?|num_updates|updates?)"
_LONG_EPOCH = r"epochs?"
STEP, CHECKPOINT, SHORT_STEP, EPOCH, SHORT_EPOCH = "step", "checkpoint", "short step", "epoch", "short epoch"
_RANKS = (STEP, CHECKPOINT, SHORT_STEP, EPOCH, SHORT_EPOCH)
_RANKS_OF_CONSTANTS = (STEP, CHECKPOINT, EPOCH, SHORT_STEP, SHORT_EPOCH)  # one letter says less than a word
_UNITS: Mapping[str, str | None] = {
    STEP: "step",
    SHORT_STEP: "step",
    CHECKPOINT: None,  # steps with Hugging Face, epochs with timm and fairseq
    EPOCH: "epoch",
    SHORT_EPOCH: "epoch",
}
_AFTER_WORD = {
    STEP: re.compile(rf"{_BEGIN}{_LONG_STEP}{_BETWEEN}{_VALUE}(?:{_END}|{_NEXT})", _FLAGS),
    EPOCH: re.compile(rf"{_BEGIN}{_LONG_EPOCH}{_BETWEEN}{_VALUE}(?:{_END}|{_NEXT})", _FLAGS),
    CHECKPOINT: re.compile(rf"{_BEGIN}(?:checkpoints?|ckpt|chkpt){_BETWEEN}{_VALUE}{_END}", _FLAGS),
    SHORT_STEP: re.compile(rf"(?<![0-9a-z])(?:it|s)[_\-=.]?{_VALUE}{_END}", _FLAGS),
    SHORT_EPOCH: re.compile(rf"(?<![0-9a-z])(?:ep|e)[_\-=.]?{_VALUE}{_END}", _FLAGS),
}
_BEFORE_WORD = {
    STEP: re.compile(rf"(?<![0-9a-z.]){_VALUE}[ _\-]?{_LONG_STEP}(?![a-z])", _FLAGS),
    EPOCH: re.compile(rf"(?<![0-9a-z.]){_VALUE}[ _\-]?{_LONG_EPOCH}(?![a-z])", _FLAGS),
}
_FAIRSEQ = re.compile(r"(?:^|.*[^a-z])checkpoint_([0-9]+)_([0-9]+)$", _FLAGS)  # checkpoint_EPOCH_UPDATES.pt
_OF_ANOTHER_KIND = re.compile(r"(?<![a-z])(?:max|total|num|n|warmup|every|accum|inner|per|of)[_\-]?$", _FLAGS)
_LONGEST_WORD = 12
_INITIAL = frozenset({"init", "initial", "initialisation", "initialization", "untrained"})
_WORDS = re.compile(r"[a-z]+")
_NO_STEPS = frozenset(
    {"v", "ver", "version", "rev", "revision", "r", "release", "patch", "seed", "run", "trial", "exp", "experiment"}
    | {"fold", "part", "shard", "split", "rank", "gpu", "node", "worker", "replica", "job", "task", "member"}
    | {"layer", "layers", "block", "blocks", "head", "heads", "dim", "width", "depth", "hidden", "size", "bit", "bits"}
    | {"lr", "bs", "batch", "wd", "dropout", "temp", "alpha", "beta", "gamma", "lambda", "loss", "acc", "accuracy"}
    | {"score"}
)  # words whose number is something else
_MOST_BARE = 10**9  # what no word explains and is as large is a time, in seconds or finer
_DIGITS = re.compile(r"([0-9]+)")
_LAST_WORD = re.compile(r"([a-z]+)[ _\-=.:]*$", _FLAGS)


@dataclass(frozen=True, slots=True)
class Numbered:
    """One number of a name and where what names it begins and ends."""

    value: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a name says: its step, what that counts (step, epoch or None for unknown), its epoch, and where these stand.

    epoch: None where the step is one. start, end: in the name without its suffix.
    """

    step: int
    unit: str | None
    epoch: int | None
    start: int
    end: int


def stem_of(name: str) -> str:
    """The name without the suffix of a checkpoint file.

    >>> stem_of("epoch=3-step=900.ckpt"), stem_of("best.pth.tar"), stem_of("step1.5")
    ('epoch=3-step=900', 'best', 'step1.5')
    """
    stem = _SUFFIX.sub("", name)
    return stem or name


def says_step(name: str) -> bool:
    """Whether a name by itself says a step: it has a number with a word for it, or is a number.

    >>> says_step("checkpoint-500"), says_step("500.pt"), says_step("model-00001-of-00002.safetensors")
    (True, True, False)
    """
    stem = stem_of(name)
    return bool(_numbers_of(stem)) or (stem.isascii() and stem.isdigit())


def is_initial(name: str) -> bool:
    """Whether a name says that nothing was learned yet."""
    return not _INITIAL.isdisjoint(_WORDS.findall(stem_of(name).lower()))


def read_steps(names: Sequence[str]) -> list[Reading | None]:
    """Return what each of the names of a series says; None for a name without a number that a word explains.

    >>> [(found.step, found.epoch) for found in read_steps(["epoch=3-step=900.ckpt", "e4-s2k.pt"]) if found]
    [(900, 3), (2000, 4)]
    """
    found = [_numbers_of(stem_of(name)) for name in names]
    if any(_are_of_fairseq(numbers) for numbers in found):
        found = [_with_epochs(numbers) for numbers in found]
    alone = len(set(names)) == 1
    constant = {
        kind for kind in _RANKS if alone or _are_equal([numbers[kind].value for numbers in found if kind in numbers])
    }
    return [_reading(numbers, constant) for numbers in found]


def numbers_that_vary(names: Sequence[str]) -> list[int | None] | None:
    """Return of each name the one number in which the names differ; None for names without digits.

    None for all where they differ in anything else, or where that number is something else than a step.

    >>> numbers_that_vary(["layer1_10.pt", "layer1_20.pt", "best.pt"])
    [10, 20, None]
    >>> numbers_that_vary(["seed_1.pt", "seed_2.pt"]) is None
    True
    """
    if any(len(name) > _LONGEST_NAME for name in names):
        return None
    parts = [_DIGITS.split(_DECIMAL.sub(_masked, _without_dates(stem_of(name)))) for name in names]
    numbered = [part for part in parts if len(part) > 1]
    if len({tuple(part[::2]) for part in numbered}) != 1:
        return None
    first = numbered[0]
    varying = [index for index in range(1, len(first), 2) if len({part[index] for part in numbered}) > 1]
    if len(varying) != 1 or _is_something_else(first[varying[0] - 1], first[varying[0] + 1]):
        return None
    values = [_whole(part[varying[0]], "") if len(part) > 1 else None for part in parts]
    if any(len(part) > 1 and (value is None or value >= _MOST_BARE) for part, value in zip(parts, values, strict=True)):
        return None
    return values


def _is_something_else(before: str, after: str) -> bool:
    """Whether the text around a number says that it is no step: a version, a seed, a size such as 70m."""
    word = _LAST_WORD.search(before)
    return (word is not None and word[1].lower() in _NO_STEPS) or after[:1].isalpha()


def _are_equal(values: Sequence[int]) -> bool:
    """Whether several numbers are all the same."""
    return len(values) > 1 and len(set(values)) == 1


def _reading(numbers: Mapping[str, Numbered], constant: set[str]) -> Reading | None:
    """Take the number that varies and ranks first; without one that varies, the first of the constant ones."""
    kind = next((kind for kind in _RANKS if kind in numbers and kind not in constant), None)
    kind = kind or next((kind for kind in _RANKS_OF_CONSTANTS if kind in numbers), None)
    if kind is None:
        return None
    epoch = None if _UNITS[kind] == "epoch" else numbers.get(EPOCH) or numbers.get(SHORT_EPOCH)
    used = [numbers[kind], *([epoch] if epoch else [])]
    start, end = min(one.start for one in used), max(one.end for one in used)
    return Reading(numbers[kind].value, _UNITS[kind], epoch.value if epoch else None, start, end)


def _numbers_of(stem: str) -> dict[str, Numbered]:
    """The numbers of a name by the kind of word that explains them; of several of a kind the last."""
    if len(stem) > _LONGEST_NAME:
        return {}
    whole = _SHARD.sub(_masked, stem)
    cautious = _without_dates(stem)
    fairseq = _FAIRSEQ.match(cautious)
    if fairseq and (pair := _of_fairseq(fairseq)):
        return pair
    found: dict[str, Numbered] = {}
    for kind, pattern in _AFTER_WORD.items():
        text = whole if kind in (STEP, EPOCH) else cautious
        numbers = [one for match in pattern.finditer(text) if (one := _numbered(match, text)) is not None]
        if not numbers and kind in _BEFORE_WORD:
            numbers = [one for match in _BEFORE_WORD[kind].finditer(text) if (one := _numbered(match, text))]
        if numbers:
            found[kind] = numbers[-1]
    return found


def _with_epochs(numbers: Mapping[str, Numbered]) -> dict[str, Numbered]:
    """The numbers where checkpointN.pt was written after epoch N."""
    return {EPOCH if kind == CHECKPOINT else kind: one for kind, one in numbers.items()}


def _are_of_fairseq(numbers: Mapping[str, Numbered]) -> bool:
    """Whether step and epoch stand under one word."""
    return STEP in numbers and EPOCH in numbers and numbers[STEP].start == numbers[EPOCH].start


def _of_fairseq(match: re.Match[str]) -> dict[str, Numbered] | None:
    epoch, step = _whole(match[1], ""), _whole(match[2], "")
    if epoch is None or step is None:
        return None
    start = match.start(1) - len("checkpoint_")
    return {STEP: Numbered(step, start, match.end()), EPOCH: Numbered(epoch, start, match.end())}


def _numbered(match: re.Match[str], text: str) -> Numbered | None:
    if _OF_ANOTHER_KIND.search(text[max(0, match.start() - _LONGEST_WORD) : match.start()]):
        return None  # max_steps=10000
    value = _whole(match[1], match[2])
    return None if value is None else Numbered(value, match.start(), match.end())


def _whole(digits: str, suffix: str) -> int | None:
    """The number that digits and k or M stand for; None for a fraction and above MOST."""
    whole, _, fraction = digits.partition(".")
    zeros = {"": 0, "k": 3, "m": 6}[suffix.lower()]
    fraction = fraction.rstrip("0")
    significant = (whole + fraction + "0" * (zeros - len(fraction))).lstrip("0")
    if len(fraction) > zeros or len(significant) > len(str(MOST)):
        return None
    value = int(significant or "0")
    return value if value <= MOST else None


def _without_dates(stem: str) -> str:
    """The name with numbers that are no steps blanked out: of shards, dates and hashes; everything keeps its place."""
    for pattern in (_SHARD, _HASH, _DATE):
        stem = pattern.sub(_masked, stem)
    return stem


def _masked(match: re.Match[str]) -> str:
    """As long as what is blanked out; letters, so that no word is bound to what follows."""
    return "x" * len(match[0])
