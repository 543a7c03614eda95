"""Motifs (MoMos, arXiv 2602.14896): blocks of weights that repeat, what they cost, and projection onto k of them.

cut (tensors to blocks) <- tables <- counts (exact counts) <- motifs (the numbers of a checkpoint)
                        <- nearest, projection (blocks to motifs), writing (safetensors) <- project
"""
