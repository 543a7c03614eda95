"""The analysis of one checkpoint."""
