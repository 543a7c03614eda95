"""Verifications of checkpoints as text."""
