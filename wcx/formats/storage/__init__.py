"""Storages of tensors: strided, compressed, encoded, checksummed."""
