"""Where the bytes of checkpoints come from, below every format."""
