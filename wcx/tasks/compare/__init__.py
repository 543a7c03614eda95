"""Checkpoints of one network set side by side: their series, what changed between them, and the training log.

In the order in which run.py calls them, one idea a file:

    settings                                    what was asked for
    discovery <- places, runs, labels, steps, remarks   which checkpoints, in which order
    survey <- identity                          what their headers tell, and which of them are the same
    matching <- layer_names                     which layers belong together
    logs <- log_join <- training_log <- log_files       what was logged for each checkpoint
    walk <- reading, remembered, codec, store   each checkpoint read once, or its counts taken from the cache
    numbers -> collected                        reports to rows, rows to series
    statistics/                                 what series and log say of each other

The changed bits are counted in wcx.scan.changes, beside wcx.scan.count; what comes out is in wcx.core.comparison.
"""
