"""Counts and rows in the cache: counts files of a bounded size for the layers of a checkpoint, and JSON texts."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from wcx.scan.cache import Store
from wcx.scan.counts_file import LayerCounts, decode_counts, encode_counts
from wcx.scan.keys import cache_key

_FILE_CODES = 1 << 19
_FILE_LAYERS = 1 << 12
_MOST_JSON = 128 << 20


class LostError(Exception):
    """Counts that were kept are damaged or gone: count anew."""


class CountsWriter:
    """Keep the counts of layers, one after the other; recall finds them only after `finish`."""

    def __init__(self, store: Store, key: str, settings: Mapping[str, object]) -> None:
        self._store = store
        self._key = key
        self._settings = settings
        self._layers: list[LayerCounts] = []
        self._codes = 0
        self._files = 0
        self._whole = True

    def add(self, layer: LayerCounts) -> None:
        """Take the counts of the next layer."""
        self._layers.append(layer)
        self._codes += layer.codes
        if self._codes >= _FILE_CODES or len(self._layers) == _FILE_LAYERS:
            self._write()

    def finish(self) -> None:
        """Write the last layers, and the number of files."""
        if self._layers:
            self._write()
        if self._whole:
            self._store.put(cache_key(self._key, "files"), b"%d" % self._files)

    def _write(self) -> None:
        try:
            self._store.put(cache_key(self._key, self._files), encode_counts(self._layers, self._settings))
        except ValueError:  # names of megabytes: keep nothing of this checkpoint
            self._whole = False
        self._layers, self._codes = [], 0
        self._files += 1


def recall(store: Store, key: str, settings: Mapping[str, object]) -> Iterator[LayerCounts] | None:
    """Return the counts that a writer of that key took, or None; raises LostError on reaching a file that is lost."""
    files = store.get(cache_key(key, "files"))
    if files is None or not files.isdigit() or len(files) > 9:
        return None
    return _recalled(store, key, int(files), settings)


def _recalled(store: Store, key: str, files: int, settings: Mapping[str, object]) -> Iterator[LayerCounts]:
    for index in range(files):
        try:
            found, layers = decode_counts(store.get(cache_key(key, index)) or b"")
            if found != settings:
                raise LostError
            yield from layers
        except ValueError:
            raise LostError from None


def put_json(store: Store, key: str, value: object) -> None:
    """Keep numbers, texts and None, in lists and in dicts by text; raises ValueError for NaN and infinities."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    store.put(key, zlib.compress(text.encode(), 1))


def get_json(store: Store, key: str) -> Any:  # noqa: ANN401
    """Return the value that put_json kept under the key, with lists for tuples, or None."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(store.get(key) or b"", _MOST_JSON)
        return json.loads(text) if unpacker.eof else None
    except (zlib.error, ValueError, RecursionError):
        return None
