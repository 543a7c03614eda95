"""Comparison of the checkpoints of one network: their series, the changes between them, and the training log.

In the order in which compare.py calls them, one idea a file:

    settings                                              options of the command, checked
    series/  discover <- find, paths, runs, labels, steps, notes    the checkpoints, in their order
             header_scan <- identity                      layers and identity of each checkpoint
             matching <- layer_names                      the layers that belong together
    logs/    logs <- notes <- join <- nearest <- columns <- files/    the logged values of each checkpoint
    visit <- counting, rows                               each checkpoint read once, or its counts from the cache
    collect                                               rows to series
    statistics/                                           correlations of series and logs

The changed bits are counted in wcx.scan; the results are in wcx.core.comparison.
"""
