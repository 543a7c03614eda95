"""The machinery that the outputs of all commands share: cells, columns, encodings, escapes."""
