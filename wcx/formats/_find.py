"""From what stands on the command line to checkpoints: globs that the shell did not expand, and directories.

Nothing is opened here and nothing raises: what can't be resolved is passed on as it is, so that opening it says why
and the other arguments are still done.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from wcx.formats._natural import natural_key
from wcx.formats._series import series_of

__all__ = ["Steps", "can_give_several", "candidates_of", "find_checkpoints", "find_steps", "has_wildcard"]

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


@dataclass(slots=True)
class Steps:
    """What a directory holds, or a pattern matches, as steps of a training.

    paths: each to be opened on its own. numbered: whether a name on the way says a step. aside: checkpoints that stand
    beside the steps and are none of them. empty: directories that are called like a step and hold no checkpoint.
    """

    paths: list[str] = field(default_factory=list)
    numbered: bool = False
    aside: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def add(self, other: Steps) -> None:
        """Take over what another directory holds."""
        self.paths += other.paths
        self.numbered |= other.numbered
        self.aside += other.aside
        self.empty += other.empty


def find_steps(argument: str, says_step: _SaysStep) -> Steps:
    """Return the checkpoints that an argument names as steps of a training; says_step tells a step by its name.

    Otherwise than with `find_checkpoints`, sub-directories and files that are called like steps win over the one model
    beside them, and a directory of such directories gives them all. What is no directory and no pattern is itself; a
    directory without a checkpoint and a pattern without a match give none.
    """
    if _is_pattern(argument):
        return _steps_of_pattern(argument, says_step)
    if os.path.isdir(argument):
        return _steps_of_directory(argument, says_step, _DEEPEST)
    return Steps([argument])


def _steps_of_pattern(pattern: str, says_step: _SaysStep) -> Steps:
    """As for any pattern, but each directory gives its steps."""
    matches = sorted(glob.glob(pattern, recursive=True), key=natural_key)
    found = Steps()
    for match in matches:
        if os.path.isdir(match):
            found.add(_steps_of_directory(match, says_step, _DEEPEST))
        elif _is_checkpoint_name_or_index(os.path.basename(match)):
            found.paths.append(match)
    found.paths = _each_once(found.paths) or [match for match in matches if not os.path.isdir(match)]
    return found


def _steps_of_directory(directory: str, says_step: _SaysStep, depth: int) -> Steps:
    """Steps in files and sub-directories, where names say them; otherwise what else there is."""
    names = _files_of(directory)
    below = _directories_of(directory) if depth else []
    if any(says_step(name) for name in names if name not in _FIXED) or any(map(_says_at_end(says_step), below)):
        numbered = _numbered_steps(directory, names, below, says_step, depth)
        if numbered.paths:
            return numbered
    else:
        numbered = Steps()
    found = _other_steps(directory, below, says_step, depth)
    found.empty += [path for path in numbered.empty if path not in found.empty]
    return found


def _other_steps(directory: str, below: list[str], says_step: _SaysStep, depth: int) -> Steps:
    """The one model or all checkpoints of a directory; else what its sub-directories hold."""
    own = Steps(_expand_directory(directory) if _candidates_or_none(directory) else [])
    if _has_fixed_name(directory):
        return own
    found = Steps()
    for sub in below:
        found.add(_steps_of_directory(sub, says_step, depth - 1))
    if own.paths and not found.numbered:
        return own
    found.add(own)
    return found


def _numbered_steps(directory: str, names: list[str], below: list[str], says_step: _SaysStep, depth: int) -> Steps:
    """The steps of a directory whose files or sub-directories are called so, and what has no number beside them.

    A model beside step directories that is called as in them is left out, and one with the fixed name, as
    Trainer.save_model writes it (it repeats the last or the best step); so are several checkpoints of a sub-directory
    that is not called like a step.
    """
    found = Steps(numbered=True)
    numbered = _says_at_end(says_step)
    beside_directories = any(map(numbered, below))
    for sub in below:
        inner = _steps_of_directory(sub, says_step, depth - 1)
        if numbered(sub):
            found.add(_one_step(sub, inner))
        elif len(inner.paths) == 1 and beside_directories:
            found.add(inner)
        elif inner.paths:
            found.aside.append(sub)
    final = {*_FIXED, *(name for path in found.paths for name in _names_of_checkpoint(path))}
    for name in names:
        (found.aside if name in final else found.paths).append(os.path.join(directory, name))
    return found


def _names_of_checkpoint(path: str) -> list[str]:
    """What the file of a checkpoint is called, or the files of its directory."""
    return _candidates_or_none(path) if os.path.isdir(path) else [os.path.basename(path)]


def _one_step(directory: str, inner: Steps) -> Steps:
    """What a directory that is called like a step gives: its checkpoint, or the steps of a run that is called so."""
    if not inner.paths:
        return Steps(empty=[directory])
    if inner.numbered or not _candidates_or_none(directory):
        return inner
    return Steps([directory])  # opening it says that there are several


def _says_at_end(says_step: _SaysStep) -> _SaysStep:
    """The same question for the last part of a path."""
    return lambda path: says_step(os.path.basename(path))


def _names_in(directory: str) -> list[str]:
    try:
        return sorted((name for name in os.listdir(directory) if not name.startswith(".")), key=natural_key)
    except OSError:
        return []


def _directories_of(directory: str) -> list[str]:
    paths = [os.path.join(directory, name) for name in _names_in(directory)]
    return [path for path in paths if os.path.isdir(path)]


def _files_of(directory: str) -> list[str]:
    """All names of checkpoints in a directory: indexes for the shards that they name, and other files."""
    names = [name for name in _names_in(directory) if _is_checkpoint_name_or_index(name)]
    names = [name for name in names if os.path.isfile(os.path.join(directory, name))]
    kind = next((suffix for suffix in _INDEX_SUFFIXES if any(name.endswith(suffix) for name in names)), None)
    if kind is None:
        return names
    return [
        name for name in names if name.endswith(kind) or (not name.endswith(_INDEX_SUFFIXES) and not series_of(name))
    ]
