"""Golden files: what an output wrote is what it writes. WCX_UPDATE_GOLDEN=1 writes them anew, to be read as a diff."""

from __future__ import annotations

import os
from pathlib import Path


def check_golden(path: Path, text: str) -> None:
    """The file has exactly this text; a file that is missing is never made silently."""
    if os.environ.get("WCX_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    assert path.is_file(), f"{path.name} is missing: see the top of the test"
    assert text.encode() == path.read_bytes()
