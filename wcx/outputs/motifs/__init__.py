"""Reports of motifs as text for people."""
