"""Codes of fewer than 8 bits, spread to a byte each.

F4, I4, U4: two codes a byte, the low nibble first (as PyTorch's float4_e2m1fn_x2, and ONNX); I2, U2: four, the lowest
bits first (ONNX). F6: no library fixes how four codes share three bytes; they are taken as a little-endian stream of
bits, the first code in the lowest bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack"]


def unpack(packed: NDArray[np.uint8], bits: int, skipped: int, number: int) -> NDArray[np.uint8]:
    """Return `number` codes of 2, 4 or 6 bits as uint8, `skipped` bits after the beginning of `packed`.

    >>> unpack(np.array([0x21, 0x43], np.uint8), 4, 4, 3).tolist()
    [2, 3, 4]
    """
    if bits == 4:
        codes = np.empty((packed.size, 2), np.uint8)
        codes[:, 0] = packed & 15
        codes[:, 1] = packed >> 4
        start = skipped // 4
        return codes.reshape(-1)[start : start + number]
    stream = np.unpackbits(packed, bitorder="little")[skipped : skipped + number * bits]
    spread = np.zeros((number, 8), np.uint8)
    spread[:, :bits] = stream.reshape(number, bits)
    return np.packbits(spread, axis=1, bitorder="little").reshape(-1)
