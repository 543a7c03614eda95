"""Steps and epochs in the names of checkpoints, of one name and over the names of a series; no file is opened here.

A number counts where a word says what it is: step=900, iter_0001000, checkpoint-500, epoch_3, e3-s2000, 10k_steps.
The words are those that Hugging Face, PyTorch Lightning, Megatron, DeepSpeed, fairseq and timm write. Where no name has
such a word, the one number that varies over the series is taken, unless it looks like a version, a seed, a date, a
size, a fraction or a hash. A number that varies over the names has priority over a constant one (vit_s16_epoch3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 2**53
"""The largest step, which every JSON reader and every double represents exactly; larger numbers are not steps."""

_SUFFIX = re.compile(
    r"(?:\.safetensors|\.bin)\.index\.json$|\.pth\.tar$|\.(?:safetensors|pt|pth|bin|ckpt|onnx)$", re.IGNORECASE
)
_LONGEST_NAME = 1000  # characters; file systems end at 255 bytes
_FLAGS = re.IGNORECASE | re.ASCII
_SHARD = re.compile(r"[0-9]++-of-[0-9]++", _FLAGS)
_DATE = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[-_.T+ ]?(?:[01][0-9]|2[0-3])[-_.:]?[0-5][0-9](?:[-_.:]?[0-5][0-9](?:\+[0-9]{2})?)?)?(?![0-9])"
    r"|(?:^|(?<![a-z])(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[0-3][0-9]_)"  # Hydra, TensorBoard
    r"(?:[01][0-9]|2[0-3])-[0-5][0-9]-[0-5][0-9](?![0-9])",
    _FLAGS,
)
_HASH = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,})(?![0-9a-z])",
    _FLAGS,
)
_DECIMAL = re.compile(r"[0-9]++\.[0-9]++")
# A word begins after anything but a letter, or with a capital after a small letter (globalStep=3).
_BEGIN = r"(?:(?<![a-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
_BETWEEN = r"(?:[ _\-=.:]|__|--)?"
_VALUE = r"([0-9]+(?:\.[0-9]+(?=[km]))?)([km]?)"
_END = r"(?![0-9a-z]|\.[0-9])"
_NEXT = r"(?=step|iter|epoch|global)"  # words may follow each other: epoch3step900
_LONG_STEP = r"(?:global[_\-]?steps?|timesteps?|steps?|iterations?|iters?|num_updates|updates?)"
_LONG_EPOCH = r"epochs?"
STEP, CHECKPOINT, SHORT_STEP, EPOCH, SHORT_EPOCH = "step", "checkpoint", "short step", "epoch", "short epoch"
_RANKS = (STEP, CHECKPOINT, SHORT_STEP, EPOCH, SHORT_EPOCH)
_CONSTANT_RANKS = (STEP, CHECKPOINT, EPOCH, SHORT_STEP, SHORT_EPOCH)  # one letter says less than a word
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
_OTHER_COUNT = re.compile(r"(?<![a-z])(?:max|total|num|n|warmup|every|accum|inner|per|of)[_\-]?$", _FLAGS)
_LONGEST_WORD = 12
_INITIAL = frozenset({"init", "initial", "initialisation", "initialization", "untrained"})
_WORDS = re.compile(r"[a-z]+")
_OTHER_WORDS = frozenset(
    {"v", "ver", "version", "rev", "revision", "r", "release", "patch", "seed", "run", "trial", "exp", "experiment"}
    | {"fold", "part", "shard", "split", "rank", "gpu", "node", "worker", "replica", "job", "task", "member"}
    | {"layer", "layers", "block", "blocks", "head", "heads", "dim", "width", "depth", "hidden", "size", "bit", "bits"}
    | {"lr", "bs", "batch", "wd", "dropout", "temp", "alpha", "beta", "gamma", "lambda", "loss", "acc", "accuracy"}
    | {"score"}
)  # words whose number is not a step
_MOST_BARE = 10**9  # a number without a word from here on is a time, in seconds or finer
_DIGITS = re.compile(r"([0-9]+)")
_LAST_WORD = re.compile(r"([a-z]+)[ _\-=.:]*$", _FLAGS)


@dataclass(frozen=True, slots=True)
class WordedNumber:
    """One number of a name, with the range of characters that it and its word take."""

    value: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedName:
    """The step in a name, its unit (step, epoch or None for unknown), the epoch, and the characters that they take.

    epoch: None where the step is one. start, end: in the name without its suffix.
    """

    step: int
    unit: str | None
    epoch: int | None
    start: int
    end: int


def stem_of(name: str) -> str:
    """Return the name without the suffix of a checkpoint file.

    >>> stem_of("epoch=3-step=900.ckpt"), stem_of("best.pth.tar"), stem_of("step1.5")
    ('epoch=3-step=900', 'best', 'step1.5')
    """
    return _SUFFIX.sub("", name) or name


def says_step(name: str) -> bool:
    """Return True if a name by itself says a step: it has a number with a word for it, or is a number.

    >>> says_step("checkpoint-500"), says_step("500.pt"), says_step("model-00001-of-00002.safetensors")
    (True, True, False)
    """
    stem = stem_of(name)
    return bool(_worded_numbers(stem)) or (stem.isascii() and stem.isdigit())


def is_initial(name: str) -> bool:
    """Return True if a name says that the model is untrained."""
    return not _INITIAL.isdisjoint(_WORDS.findall(stem_of(name).lower()))


def parse_names(names: Sequence[str]) -> list[ParsedName | None]:
    """Return the step of each name of a series; None for a name without a number that a word explains.

    >>> [(name.step, name.epoch) for name in parse_names(["epoch=3-step=900.ckpt", "e4-s2k.pt"]) if name]
    [(900, 3), (2000, 4)]
    """
    series = [_worded_numbers(stem_of(name)) for name in names]
    if any(_is_fairseq(numbers) for numbers in series):
        series = [{EPOCH if word == CHECKPOINT else word: n for word, n in numbers.items()} for numbers in series]
    alone = len(set(names)) == 1
    constant = {word for word in _RANKS if alone or _is_constant(word, series)}
    return [_parsed(numbers, constant) for numbers in series]


def varying_numbers(names: Sequence[str]) -> list[int | None] | None:
    """Return of each name the one number in which the names differ; None for names without digits.

    None for all where they differ in anything else, or where that number is not a step.

    >>> varying_numbers(["layer1_10.pt", "layer1_20.pt", "best.pt"])
    [10, 20, None]
    >>> varying_numbers(["seed_1.pt", "seed_2.pt"]) is None
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
    if len(varying) != 1 or _is_other_number(first[varying[0] - 1], first[varying[0] + 1]):
        return None
    values = [_integer(part[varying[0]]) if len(part) > 1 else None for part in parts]
    if any(len(part) > 1 and (value is None or value >= _MOST_BARE) for part, value in zip(parts, values, strict=True)):
        return None
    return values


def _is_other_number(before: str, after: str) -> bool:
    """Return True if the text around a number excludes a step: a version, a seed, a size such as 70m."""
    word = _LAST_WORD.search(before)
    return (word is not None and word[1].lower() in _OTHER_WORDS) or after[:1].isalpha()


def _is_constant(word: str, series: Sequence[Mapping[str, WordedNumber]]) -> bool:
    """Return True if several names have a number with the word, and all have the same."""
    values = [numbers[word].value for numbers in series if word in numbers]
    return len(values) > 1 and len(set(values)) == 1


def _parsed(numbers: Mapping[str, WordedNumber], constant: set[str]) -> ParsedName | None:
    """Take the number that varies and ranks first; without one that varies, the first of the constant ones."""
    word = next((word for word in _RANKS if word in numbers and word not in constant), None)
    word = word or next((word for word in _CONSTANT_RANKS if word in numbers), None)
    if word is None:
        return None
    step, unit = numbers[word], _UNITS[word]
    epoch = None if unit == "epoch" else numbers.get(EPOCH) or numbers.get(SHORT_EPOCH)
    spans = [step, epoch] if epoch else [step]
    start, end = min(number.start for number in spans), max(number.end for number in spans)
    return ParsedName(step.value, unit, epoch.value if epoch else None, start, end)


def _worded_numbers(stem: str) -> dict[str, WordedNumber]:
    """Return the numbers of a name by the word that explains them; the last of several with one word."""
    if len(stem) > _LONGEST_NAME:
        return {}
    whole = _SHARD.sub(_masked, stem)
    cautious = _without_dates(stem)
    fairseq = _FAIRSEQ.match(cautious)
    if fairseq and (pair := _fairseq_numbers(fairseq)):
        return pair
    found: dict[str, WordedNumber] = {}
    for word, pattern in _AFTER_WORD.items():
        text = whole if word in (STEP, EPOCH) else cautious
        numbers = _matches(pattern, text) or (_matches(_BEFORE_WORD[word], text) if word in _BEFORE_WORD else [])
        if numbers:
            found[word] = numbers[-1]
    return found


def _matches(pattern: re.Pattern[str], text: str) -> list[WordedNumber]:
    return [number for match in pattern.finditer(text) if (number := _worded_number(match, text))]


def _is_fairseq(numbers: Mapping[str, WordedNumber]) -> bool:
    """Return True if one word explains both step and epoch; then checkpointN.pt was written after epoch N."""
    return STEP in numbers and EPOCH in numbers and numbers[STEP].start == numbers[EPOCH].start


def _fairseq_numbers(match: re.Match[str]) -> dict[str, WordedNumber] | None:
    epoch, step = _integer(match[1]), _integer(match[2])
    if epoch is None or step is None:
        return None
    start = match.start(1) - len("checkpoint_")
    return {STEP: WordedNumber(step, start, match.end()), EPOCH: WordedNumber(epoch, start, match.end())}


def _worded_number(match: re.Match[str], text: str) -> WordedNumber | None:
    if _OTHER_COUNT.search(text[max(0, match.start() - _LONGEST_WORD) : match.start()]):
        return None  # max_steps=10000
    value = _integer(match[1], match[2])
    return None if value is None else WordedNumber(value, match.start(), match.end())


def _integer(digits: str, suffix: str = "") -> int | None:
    """Return the value of digits with a suffix k or M; None for a fraction and above MOST."""
    whole, _, fraction = digits.partition(".")
    zeros = {"": 0, "k": 3, "m": 6}[suffix.lower()]
    fraction = fraction.rstrip("0")
    significant = (whole + fraction + "0" * (zeros - len(fraction))).lstrip("0")
    if len(fraction) > zeros or len(significant) > len(str(MOST)):
        return None
    value = int(significant or "0")
    return value if value <= MOST else None


def _without_dates(stem: str) -> str:
    """Mask the numbers of shards, dates and hashes; everything else keeps its position."""
    for pattern in (_SHARD, _HASH, _DATE):
        stem = pattern.sub(_masked, stem)
    return stem


def _masked(match: re.Match[str]) -> str:
    """Return a text of the same length; letters, so that no word is bound to the characters after it."""
    return "x" * len(match[0])
