"""Find the checkpoints of a series in directories and by patterns.

Unlike in `find_checkpoints`, sub-directories and files with the name of a step have priority over a single model next
to them, and a directory of such directories gives them all.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field

from wcx.core.text import natural_key
from wcx.formats.file_names import series_of
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
from wcx.tasks.compare.series.steps import says_step

_DEEPEST = 3  # levels of directories below one that is named: runs/run_a/iter_0001000/mp_rank_00


@dataclass(slots=True)
class FoundPaths:
    """The checkpoints of a directory or a pattern, as steps of a training.

    paths: each to be opened on its own. numbered: whether a name on the way says a step. aside: checkpoints next to
    the steps that are not steps. empty: directories that have the name of a step and hold no checkpoint.
    """

    paths: list[str] = field(default_factory=list)
    numbered: bool = False
    aside: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def add(self, other: FoundPaths) -> None:
        """Add the checkpoints of another directory."""
        self.paths += other.paths
        self.numbered |= other.numbered
        self.aside += other.aside
        self.empty += other.empty


def find_steps(argument: str) -> FoundPaths:
    """Return the checkpoints that an argument names as steps of a training.

    An argument that is neither a directory nor a pattern names itself; a directory without a checkpoint and a pattern
    without a match give none.
    """
    if is_pattern(argument):
        return _find_in_pattern(argument)
    if os.path.isdir(argument):
        return _find_in_directory(argument, _DEEPEST)
    return FoundPaths([argument])


def _find_in_pattern(pattern: str) -> FoundPaths:
    """Return the matching files, and the steps of each matching directory."""
    matches = sorted(glob.glob(pattern, recursive=True), key=natural_key)
    found = FoundPaths()
    for match in matches:
        if os.path.isdir(match):
            found.add(_find_in_directory(match, _DEEPEST))
        elif is_checkpoint_name(os.path.basename(match)):
            found.paths.append(match)
    found.paths = each_once(found.paths) or [match for match in matches if not os.path.isdir(match)]
    return found


def _find_in_directory(directory: str, depth: int) -> FoundPaths:
    """Return the steps in files and sub-directories, where names say them; otherwise all other checkpoints."""
    names = _names_in(directory)
    files = _checkpoint_files(directory, names)
    below = [path for name in names if os.path.isdir(path := os.path.join(directory, name))] if depth else []
    numbered = FoundPaths()
    if any(says_step(name) for name in files if name not in FIXED_NAMES) or any(map(_says_step, below)):
        numbered = _numbered_steps(directory, files, below, depth)
        if numbered.paths:
            return numbered
    found = _other_steps(directory, below, depth)
    found.empty += [path for path in numbered.empty if path not in found.empty]
    return found


def _other_steps(directory: str, below: list[str], depth: int) -> FoundPaths:
    """Return the one model or all checkpoints of a directory; else those of its sub-directories."""
    own = FoundPaths(expand_directory(directory) if checkpoint_names(directory) else [])
    if has_fixed_name(directory):
        return own
    found = FoundPaths()
    for sub in below:
        found.add(_find_in_directory(sub, depth - 1))
    if own.paths and not found.numbered:
        return own
    found.add(own)
    return found


def _numbered_steps(directory: str, files: list[str], below: list[str], depth: int) -> FoundPaths:
    """Return the steps of a directory whose files or sub-directories say steps, and the files without a number.

    A model next to step directories that has the name of the model in them is left out, and one with the fixed name,
    as Trainer.save_model writes it (it repeats the last or the best step); so are several checkpoints of a
    sub-directory that does not have the name of a step.
    """
    found = FoundPaths(numbered=True)
    has_step_directories = any(map(_says_step, below))
    for sub in below:
        inner = _find_in_directory(sub, depth - 1)
        if _says_step(sub):
            found.add(_one_step(sub, inner))
        elif len(inner.paths) == 1 and has_step_directories:
            found.add(inner)
        elif inner.paths:
            found.aside.append(sub)
    final = {*FIXED_NAMES, *(name for path in found.paths for name in _names_of_checkpoint(path))}
    for name in files:
        (found.aside if name in final else found.paths).append(os.path.join(directory, name))
    return found


def _names_of_checkpoint(path: str) -> list[str]:
    """Return the name of a checkpoint's file, or those of the files in its directory."""
    return checkpoint_names(path) if os.path.isdir(path) else [os.path.basename(path)]


def _one_step(directory: str, inner: FoundPaths) -> FoundPaths:
    """Return the checkpoint of a directory with the name of a step, or the steps of a run with such a name."""
    if not inner.paths:
        return FoundPaths(empty=[directory])
    if inner.numbered or not checkpoint_names(directory):
        return inner
    return FoundPaths([directory])  # opening it reports that there are several


def _says_step(path: str) -> bool:
    return says_step(os.path.basename(path))


def _names_in(directory: str) -> list[str]:
    try:
        return sorted((name for name in os.listdir(directory) if not name.startswith(".")), key=natural_key)
    except OSError:
        return []


def _checkpoint_files(directory: str, names: list[str]) -> list[str]:
    """Return the names of checkpoints in a directory: indexes instead of the shards that they name, and other files."""
    files = [name for name in names if is_checkpoint_name(name) and os.path.isfile(os.path.join(directory, name))]
    suffix = next((suffix for suffix in INDEX_SUFFIXES if any(name.endswith(suffix) for name in files)), None)
    if suffix is None:
        return files
    return [name for name in files if name.endswith(suffix) or not (name.endswith(INDEX_SUFFIXES) or series_of(name))]
