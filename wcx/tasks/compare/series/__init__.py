"""Find, order and match the checkpoints of a series."""
