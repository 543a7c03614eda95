"""Statistics of series of measures and a training log's columns, and of what survives their common trend.

transforms, smoothing (series to series) <- coefficients (of points with weights) <- bootstrap (moving blocks)
significance (effective points, p, q) <- pairs (one run's correlations and their differences) <- across_runs (Fisher's
z) <- conclusions (sentences) <- correlate. No number depends on threads: BLAS multiplies whole numbers only.
"""
