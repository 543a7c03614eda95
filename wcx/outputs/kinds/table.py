"""Write what an installation has as lists for people."""

from __future__ import annotations

from dataclasses import fields
from typing import TextIO

from wcx.core.kinds import Kinds


def write(kinds: Kinds, stream: TextIO) -> None:
    """Write a list of names and summaries for each kind."""
    for kind in fields(kinds):
        entries = getattr(kinds, kind.name)
        if not isinstance(entries, tuple):
            continue
        stream.write(f"{kind.name}:\n")
        width = max(len(entry.name) for entry in entries)
        stream.writelines(f"  {entry.name:{width}}  {entry.summary}".rstrip() + "\n" for entry in entries)
