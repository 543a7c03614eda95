"""Planes of bits to counts of blocks."""
