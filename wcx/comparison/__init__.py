"""Checkpoints of one network set side by side: their series, what changed between them, and the training log.

One file an idea: which checkpoints and in which order (discovery), which layers belong together (matching), what is
kept of files that were counted before (store, identity), the changed bits (changes), the log (training_log), what the
two say of each other (statistics), and the walk that makes one Comparison of it all (run). The changed bits are counted
in wcx.changes, beside wcx.count.
"""
