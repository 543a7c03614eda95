"""Values, errors and small tools that every other folder uses."""
