"""The layout of PyTorch before 1.6: pickles and storages in a row; and a pickle alone.

Source: _legacy_save in torch/serialization.py of PyTorch 2.13.
"""

from __future__ import annotations

from wcx.formats.pytorch.inert import Dict
from wcx.formats.pytorch.pickle_file import PickleFile
from wcx.formats.pytorch.pickles import Pickle
from wcx.formats.pytorch.storages import LegacyStorages
from wcx.formats.pytorch.visit import Contents

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001


def read_pickles(source: PickleFile) -> tuple[Contents, str]:
    """Return the contents of a file that begins with a pickle, and the layout and version of its format.

    The pickles are: magic number, version, system, the object, the storages' keys; then the storages follow.
    """
    first = source.pickle(0)
    if first.value != MAGIC_NUMBER:
        return _read_bare(source, first), "pickle"
    position = first.nbytes
    version = source.pickle(position)
    if version.value != _PROTOCOL_VERSION:
        raise source.error(f"an unknown version of PyTorch's format: expected {_PROTOCOL_VERSION}", position)
    position += version.nbytes
    system = source.pickle(position)
    if not isinstance(system.value, Dict):
        raise source.error("damaged: no description of the system that wrote it", position)
    position += system.nbytes
    content = source.pickle(position)
    position += content.nbytes
    keys = source.pickle(position)
    if not isinstance(keys.value, list) or not all(isinstance(key, (str, int)) for key in keys.value):
        raise source.error("damaged: no list of storages after the pickle", position)
    position += keys.nbytes
    storages = LegacyStorages(source.file, keys.value, content.persistent, position)
    return source.visit(content.value, storages), f"legacy {_PROTOCOL_VERSION}"


def _read_bare(source: PickleFile, content: Pickle) -> Contents:
    """Read a pickle alone, which has no storages; NumPy arrays may be in it."""
    follow = source.file.nbytes - content.nbytes
    if follow:
        reason = f"{follow} bytes follow the end of the pickle: it is not a file of torch.save"
        raise source.error(reason, content.nbytes)
    return source.visit(content.value, LegacyStorages(source.file, [], (), content.nbytes))
