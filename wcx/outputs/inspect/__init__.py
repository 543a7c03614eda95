"""Inspections of checkpoints as text."""
