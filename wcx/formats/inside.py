"""Files that another file names: they must lie in its own directory, whatever the name says.

A symbolic link is followed only within that directory or within the same repository of the Hugging Face cache, whose
snapshots/ are links into its blobs/.
"""

from __future__ import annotations

import os


def check_relative(name: str) -> None:
    """Raise ValueError, saying why, for a name that is no plain path below a directory."""
    if not name:
        raise ValueError("an empty path")
    if "\0" in name or "\\" in name:
        raise ValueError("a path with a NUL or a backslash")
    if name.startswith("/") or name[1:2] == ":":
        raise ValueError("an absolute path")
    if not set(name.split("/")).isdisjoint({"..", ".", ""}):
        raise ValueError("a path that leaves its directory or is not plain")


def check_inside(directory: str, name: str) -> None:
    """Raise ValueError where links lead `name` out of `directory` (and of its repository in the cache)."""
    home = _repository(os.path.realpath(directory))
    target = os.path.realpath(os.path.join(directory, name))
    if os.path.commonpath([home, target]) != home:
        raise ValueError(f"a link that leads out of its directory, to {target}: copy the file here")


def _repository(directory: str) -> str:
    """The directory itself, or the repository of the Hugging Face cache of which it is a snapshot."""
    head, _, _tail = directory.rpartition(f"{os.sep}snapshots{os.sep}")
    return head if head and os.path.isdir(os.path.join(head, "blobs")) else directory
