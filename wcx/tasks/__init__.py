"""One folder or file for each command: from paths and settings to a report."""
