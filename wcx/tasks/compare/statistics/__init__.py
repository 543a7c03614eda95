"""What series of measures and a training log's columns say of each other, and what of it survives the common trend.

transforms, smoothing (series to series) <- weighted (coefficients of points with weights) <- resampling (moving blocks)
significance (effective points, p, q) <- pairs (one run's correlations and their differences) <- runs (Fisher's z)
<- conclusions (sentences) <- correlate. No number here depends on threads: what BLAS multiplies are whole numbers.
"""
