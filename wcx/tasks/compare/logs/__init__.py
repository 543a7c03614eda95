"""Read training logs and join them to the checkpoints of a series."""
