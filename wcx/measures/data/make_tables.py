"""Make ctm.npz from the data that pybdm 0.1.0 ships, and print the checksums that wcx/measures/tables.py states.

    pip install pybdm==0.1.0 numpy && python wcx/measures/data/make_tables.py

pybdm keeps one value for a block and its complement, under the one that begins with 0, as {shape: {bits: value}}. Here
each shape is one array of doubles, indexed by the block's code, both of a pair written out: 2-D, cell (r, c) of an
n x n block is bit n r + c of the code; 1-D, the first symbol is the highest bit. The values are not touched.
"""

from __future__ import annotations

import gzip
import hashlib
import pickle
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOURCES = {"CTM-B2-D4x4": "pybdm/ctmdata/ctm-b2-d4x4.pkl.gz", "CTM-B2-D12": "pybdm/ctmdata/ctm-b2-d12.pkl.gz"}


def read_source(name: str) -> dict[tuple[int, ...], dict[str, float]]:
    """Return pybdm's table of that name; the pickle is the installed package's own."""
    path = Path(str(distribution("pybdm").locate_file(SOURCES[name])))
    compressed = path.read_bytes()
    print(f"{name}: {path.name} sha256 {hashlib.sha256(compressed).hexdigest()}")
    tables: dict[tuple[int, ...], dict[str, float]] = pickle.loads(gzip.decompress(compressed))
    return tables


def spread(shape: tuple[int, ...], table: dict[str, float]) -> NDArray[np.float64]:
    """Write one shape's values into an array by code."""
    cells = int(np.prod(shape))
    values = np.full(1 << cells, np.nan)
    for bits, value in table.items():
        code = int(bits if len(shape) == 1 else bits[::-1], 2)
        values[code] = value
        values[code ^ ((1 << cells) - 1)] = value
    if np.isnan(values).any():
        raise SystemExit(f"blocks of shape {shape} are missing")
    return values


def main() -> None:
    """Write ctm.npz next to this file and print each array's checksum."""
    arrays: dict[str, NDArray[np.float64]] = {}
    for name in SOURCES:
        for shape, table in read_source(name).items():
            key = "x".join(map(str, shape)) if len(shape) == 2 else f"1x{shape[0]}"
            arrays[key if len(shape) == 2 else f"s{shape[0]}"] = values = spread(shape, table)
            print(f'    ("{name}", "{key}", "{hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()}"),')
    np.savez_compressed(Path(__file__).with_name("ctm.npz"), **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
