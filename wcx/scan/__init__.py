"""Layers of a checkpoint to integers: one reading, many accumulators."""
