"""Find the checkpoints of a series in directories and by patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from wcx.core.text import natural_key
from wcx.formats.find import (
    FIXED_NAMES,
    INDEX_SUFFIXES,
    checkpoint_names,
    each_once,
    expand_directory,
    has_fixed_name,
    is_checkpoint_name,
    is_pattern,
)
from wcx.formats.shards import series_of

_DEEPEST = 3  # levels of directories below one that is named: runs/run_a/iter_0001000/mp_rank_00

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
    if is_pattern(argument):
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
        elif is_checkpoint_name(os.path.basename(match)):
            found.paths.append(match)
    found.paths = each_once(found.paths) or [match for match in matches if not os.path.isdir(match)]
    return found


def _steps_of_directory(directory: str, says_step: _SaysStep, depth: int) -> Steps:
    """Steps in files and sub-directories, where names say them; otherwise what else there is."""
    names = _files_of(directory)
    below = _directories_of(directory) if depth else []
    if any(says_step(name) for name in names if name not in FIXED_NAMES) or any(map(_says_at_end(says_step), below)):
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
    own = Steps(expand_directory(directory) if checkpoint_names(directory) else [])
    if has_fixed_name(directory):
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
    final = {*FIXED_NAMES, *(name for path in found.paths for name in _names_of_checkpoint(path))}
    for name in names:
        (found.aside if name in final else found.paths).append(os.path.join(directory, name))
    return found


def _names_of_checkpoint(path: str) -> list[str]:
    """What the file of a checkpoint is called, or the files of its directory."""
    return checkpoint_names(path) if os.path.isdir(path) else [os.path.basename(path)]


def _one_step(directory: str, inner: Steps) -> Steps:
    """What a directory that is called like a step gives: its checkpoint, or the steps of a run that is called so."""
    if not inner.paths:
        return Steps(empty=[directory])
    if inner.numbered or not checkpoint_names(directory):
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
    names = [name for name in _names_in(directory) if is_checkpoint_name(name)]
    names = [name for name in names if os.path.isfile(os.path.join(directory, name))]
    kind = next((suffix for suffix in INDEX_SUFFIXES if any(name.endswith(suffix) for name in names)), None)
    if kind is None:
        return names
    return [
        name for name in names if name.endswith(kind) or (not name.endswith(INDEX_SUFFIXES) and not series_of(name))
    ]
