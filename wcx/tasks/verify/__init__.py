"""Recompute values independently and compare them."""
