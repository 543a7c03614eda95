"""From what stands on the command line to checkpoints: globs that the shell did not expand, and directories.

Nothing is opened here and nothing raises: what can't be resolved is passed on as it is, so that opening it says why
and the other arguments are still done.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from wcx.core.text import natural_key

_INDEXES = (
    (".safetensors.index.json", "model.safetensors.index.json"),
    (".bin.index.json", "pytorch_model.bin.index.json"),
)  # by suffix, and the name that is taken before others
_INDEX_SUFFIXES = tuple(suffix for suffix, _name in _INDEXES)
_PREFERRED = ("model.safetensors", "pytorch_model.bin")
_FIXED = (*_PREFERRED, *(name for _suffix, name in _INDEXES))
_SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar", ".bin", ".ckpt", ".onnx")
_NEVER = (
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin"),
    *("optimizer_[0-9]*.bin", "scheduler.bin", "scheduler_[0-9]*.bin", "sampler*.bin"),  # Accelerate
    "*_optim_states.pt",  # DeepSpeed
)
_DEEPEST = 3  # levels of directories below one that is named: runs/run_a/iter_0001000/mp_rank_00


def find_checkpoints(arguments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the paths of all checkpoints that the arguments name, in their order, each to be opened on its own.

    A file is itself; a directory that holds one checkpoint is itself, one that holds several gives each; a pattern
    that is no file's name gives what it matches, in the order in which a person counts. Names that lead nowhere are
    kept: opening them raises.
    """
    return [path for argument in arguments for path in _expand(os.fspath(argument))]


def can_give_several(arguments: Sequence[str | os.PathLike[str]]) -> bool:
    """Whether the arguments can name several checkpoints, whatever they name today: then reports are one per line."""
    paths = [os.fspath(argument) for argument in arguments]
    return len(paths) != 1 or _is_pattern(paths[0]) or (os.path.isdir(paths[0]) and not _has_fixed_name(paths[0]))


def has_wildcard(path: str) -> bool:
    """Whether a path could be a pattern."""
    return glob.has_magic(path)


def candidates_of(directory: str) -> list[str]:
    """Return the names of the checkpoints that a directory stands for; OSError where it can't be listed.

    Its index if there is one (of safetensors before that of PyTorch), else model.safetensors, the only *.safetensors,
    pytorch_model.bin, in this order; else all checkpoint files. Files beside a model, such as optimizer.pt, are never
    taken for it.
    """
    names = sorted(os.listdir(directory), key=natural_key)
    for suffix, preferred in _INDEXES:
        indexes = [name for name in names if name.endswith(suffix)]
        if indexes:
            return [preferred] if preferred in indexes else indexes
    files = [name for name in names if _is_checkpoint_name(name) and os.path.isfile(os.path.join(directory, name))]
    tensors = [name for name in files if name.endswith(".safetensors")]
    if "model.safetensors" not in files and len(tensors) == 1:
        return tensors
    return next(([name] for name in _PREFERRED if name in files), files)


def _is_checkpoint_name(name: str) -> bool:
    beside = name.startswith(".") or any(fnmatchcase(name, pattern) for pattern in _NEVER)
    return not beside and name.endswith(_SUFFIXES)


def _expand(argument: str) -> list[str]:
    if _is_pattern(argument):
        return _expand_pattern(argument) or [argument]
    return _expand_directory(argument) if os.path.isdir(argument) else [argument]


def _is_pattern(argument: str) -> bool:
    return has_wildcard(argument) and not os.path.lexists(argument)


def _expand_directory(directory: str) -> list[str]:
    names = _candidates_or_none(directory)
    return [directory] if len(names) <= 1 else [os.path.join(directory, name) for name in names]


def _candidates_or_none(directory: str) -> list[str]:
    try:
        return candidates_of(directory)
    except OSError:
        return []


def _has_fixed_name(directory: str) -> bool:
    """Whether a directory's checkpoint is told by a name that only one file can have."""
    names = _candidates_or_none(directory)
    return len(names) == 1 and (names[0] in _PREFERRED or names[0].endswith(_INDEX_SUFFIXES))


def _expand_pattern(pattern: str) -> list[str]:
    """What a pattern matches: checkpoint files and directories that hold one; all files if there is none of these."""
    matches = sorted(glob.glob(pattern, recursive=True), key=natural_key)
    found: list[str] = []
    for match in matches:
        if not os.path.isdir(match):
            found += [match] * _is_checkpoint_name_or_index(os.path.basename(match))
        elif _candidates_or_none(match):
            found += _expand_directory(match)
    return _each_once(found) or [match for match in matches if not os.path.isdir(match)]


def _is_checkpoint_name_or_index(name: str) -> bool:
    return _is_checkpoint_name(name) or name.endswith(_INDEX_SUFFIXES)


def _each_once(paths: list[str]) -> list[str]:
    """Drop a file that stands for itself and for its directory (as `**` matches both), keeping the first."""
    seen: set[str] = set()
    kept = []
    for path in paths:
        names = _candidates_or_none(path) if os.path.isdir(path) else []
        file = os.path.normpath(os.path.join(path, *names[:1]))
        if file not in seen:
            seen.add(file)
            kept.append(path)
    return kept


# ------------------------------------------------------------------------------------------------ series of steps

_SaysStep = Callable[[str], bool]
