"""The cost of a set of motifs and of their use, in bits: the arithmetic of MoMos, on counts alone.

Source: Bakhtiarifard et al., arXiv 2602.14896: k motifs of s values of q bits, and for each of m blocks the number of
its motif: k s q + m ceil(log2 k) bits. `k_of_capacity` is `k_from_capacity` of the authors' src/quantizers.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import fsum, log, log1p, log2
from typing import Any

from wcx.core.motifs import DtypeMotifs, DtypeProjection, UsageClass


def k_of_capacity(capacity: Fraction, blocks: int) -> int:
    """Return the number of motifs at a capacity (a share of the blocks): rounded down, at least 1, at most all.

    The authors multiply in floating point; here the share is exact, so that 0.29 of 100 is 29 and not 28.

    >>> k_of_capacity(Fraction(5, 100), 2_763_173)
    138158
    """
    return max(1, min(int(capacity * blocks), blocks))


def description_length(distinct: int, blocks: int, size: int, bits: int) -> int:
    """Return the bits of the motifs and of one number of equal length for each block: k s q + m ceil(log2 k).

    >>> round(5_526_346 * 32 / description_length(138_158, 2_763_173, 2, 32), 4)
    3.0189
    """
    return distinct * size * bits + blocks * (distinct - 1).bit_length() if distinct else 0


def entropy_length(usage: Mapping[int, int], size: int, bits: int) -> float:
    """Return the length with an ideal code for the numbers: k s q + m H, H the entropy of the use of the motifs.

    usage: number of motifs by how often they are used.

    >>> entropy_length({2: 1, 1: 2}, 1, 8)  # 3 motifs of 8 bits; 4 blocks of 1.5 bits
    30.0
    """
    blocks = sum(count * number for count, number in usage.items())
    spent = fsum(number * count * _log2_of_ratio(blocks, count) for count, number in sorted(usage.items()) if count)
    return sum(usage.values()) * size * bits + spent


def _log2_of_ratio(whole: int, part: int) -> float:
    """Return log2 of whole / part, with all its digits where that is nearly 1."""
    return log1p((whole - part) / part) / log(2) if 2 * part > whole else log2(whole / part)


def usage_classes(usage: Mapping[int, int]) -> list[tuple[int, int, int, int]]:
    """Return the use of motifs in powers of two: from, to, number of such motifs, and of their blocks.

    >>> usage_classes({1: 5, 2: 1, 3: 1})
    [(1, 1, 5, 5), (2, 3, 2, 5)]
    """
    classes: dict[int, tuple[int, int]] = {}
    for count, number in usage.items():
        motifs, blocks = classes.get(count.bit_length(), (0, 0))
        classes[count.bit_length()] = motifs + number, blocks + number * count
    return [((1 << bits) >> 1, (1 << bits) - 1, *classes[bits]) for bits in sorted(classes)]


def costs(usage: Mapping[int, int], size: int, bits: int, weights: int) -> dict[str, Any]:
    """Return the fields of a report that follow from the use of motifs of `size` values of `bits` bits."""
    distinct, blocks = sum(usage.values()), sum(count * number for count, number in usage.items())
    length, length_entropy = description_length(distinct, blocks, size, bits), entropy_length(usage, size, bits)
    classes = tuple(UsageClass(*item) for item in usage_classes(usage))
    return {**_lengths(length, length_entropy, weights * bits), "usage": classes}


def total_costs(dtypes: Sequence[DtypeMotifs | DtypeProjection], stored: int) -> dict[str, Any]:
    """Return the lengths of all dtypes together, and their ratios to the stored bits; None where there are none."""
    return _lengths(sum(item.length for item in dtypes), fsum(item.length_entropy for item in dtypes), stored)


def _lengths(length: int, length_entropy: float, stored: int) -> dict[str, Any]:
    return {
        "length": length,
        "length_entropy": length_entropy,
        "ratio": stored / length if length else None,
        "ratio_entropy": stored / length_entropy if length else None,
    }
