"""Find checkpoints by the arguments of a command: globs that the shell did not expand, and directories.

Nothing is opened here and nothing raises: an argument that can't be resolved is passed on as it is, so that opening it
says why and the other arguments are still done.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from wcx.core.errors import CheckpointError
from wcx.core.text import natural_key
from wcx.formats.sources import source_of

_INDEXES = (
    (".safetensors.index.json", "model.safetensors.index.json"),
    (".bin.index.json", "pytorch_model.bin.index.json"),
)  # by suffix, and the name that is taken before others
INDEX_SUFFIXES = tuple(suffix for suffix, _name in _INDEXES)
_PREFERRED = ("model.safetensors", "pytorch_model.bin")
FIXED_NAMES = (*_PREFERRED, *(name for _suffix, name in _INDEXES))
_SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar", ".bin", ".ckpt", ".onnx")
_NEVER = (
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin"),
    *("optimizer_[0-9]*.bin", "scheduler.bin", "scheduler_[0-9]*.bin", "sampler*.bin"),  # Accelerate
    "*_optim_states.pt",  # DeepSpeed
)


def find_checkpoints(arguments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the paths of all checkpoints that the arguments name, in their order, each to be opened on its own.

    A file is itself; a directory that holds one checkpoint is itself, one that holds several gives each; a pattern,
    unless a file has that name, gives its matches in natural order. Names that lead nowhere are kept: opening them
    raises.
    """
    return [path for argument in arguments for path in _expand(os.fspath(argument))]


def can_give_several(arguments: Sequence[str | os.PathLike[str]]) -> bool:
    """Return True for arguments that can name several checkpoints, now or later: then reports are one per line."""
    paths = [os.fspath(argument) for argument in arguments]
    return len(paths) != 1 or is_pattern(paths[0]) or (_is_directory(paths[0]) and not has_fixed_name(paths[0]))


def has_wildcard(path: str) -> bool:
    """Return True for a path with a wildcard."""
    return glob.has_magic(path)


def candidates_of(directory: str) -> list[str]:
    """Return the names of the checkpoints of a directory; CheckpointError where it can't be listed.

    Its index if there is one (of safetensors before that of PyTorch), else model.safetensors, the only *.safetensors,
    pytorch_model.bin, in this order; else all checkpoint files. Files next to a model, such as optimizer.pt, are never
    taken for it.
    """
    source = source_of(directory)
    names = sorted(source.list(directory), key=natural_key)
    for suffix, preferred in _INDEXES:
        indexes = [name for name in names if name.endswith(suffix)]
        if indexes:
            return [preferred] if preferred in indexes else indexes
    files = [name for name in names if _is_file_name(name) and source.kind(source.join(directory, name)) == "file"]
    tensors = [name for name in files if name.endswith(".safetensors")]
    if "model.safetensors" not in files and len(tensors) == 1:
        return tensors
    return next(([name] for name in _PREFERRED if name in files), files)


def _is_file_name(name: str) -> bool:
    never = name.startswith(".") or any(fnmatchcase(name, pattern) for pattern in _NEVER)
    return not never and name.endswith(_SUFFIXES)


def _expand(argument: str) -> list[str]:
    if is_pattern(argument):
        return _expand_pattern(argument) or [argument]
    return expand_directory(argument) if _is_directory(argument) else [argument]


def _is_directory(path: str) -> bool:
    return source_of(path).kind(path) == "directory"


def is_pattern(argument: str) -> bool:
    """Return True for a path with wildcards that nothing has as its name."""
    return has_wildcard(argument) and source_of(argument).kind(argument) is None


def expand_directory(directory: str) -> list[str]:
    """Return the directory itself where it has one checkpoint, else the paths of all of them."""
    names = checkpoint_names(directory)
    return [directory] if len(names) <= 1 else [source_of(directory).join(directory, name) for name in names]


def checkpoint_names(directory: str) -> list[str]:
    """Return the names of the checkpoints of a directory; none where it can't be listed."""
    try:
        return candidates_of(directory)
    except CheckpointError:
        return []


def has_fixed_name(directory: str) -> bool:
    """Return True for a directory whose checkpoint has a name that only one file can have."""
    names = checkpoint_names(directory)
    return len(names) == 1 and (names[0] in _PREFERRED or names[0].endswith(INDEX_SUFFIXES))


def _expand_pattern(pattern: str) -> list[str]:
    """Return the checkpoint files and directories that a pattern matches; all files if there are none of these."""
    matches = sorted(glob.glob(pattern, recursive=True), key=natural_key)
    found: list[str] = []
    for match in matches:
        if not _is_directory(match):
            found += [match] * is_checkpoint_name(os.path.basename(match))
        elif checkpoint_names(match):
            found += expand_directory(match)
    return each_once(found) or [match for match in matches if not _is_directory(match)]


def is_checkpoint_name(name: str) -> bool:
    """Return True for the name of a checkpoint file or of an index."""
    return _is_file_name(name) or name.endswith(INDEX_SUFFIXES)


def each_once(paths: list[str]) -> list[str]:
    """Drop a file that is named both by itself and by its directory (as `**` matches both), keeping the first."""
    seen: set[str] = set()
    kept = []
    for path in paths:
        names = checkpoint_names(path) if _is_directory(path) else []
        file = os.path.normpath(os.path.join(path, *names[:1]))
        if file not in seen:
            seen.add(file)
            kept.append(path)
    return kept
