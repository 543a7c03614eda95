"""Analyses as tables, JSON, CSV, Markdown and HTML."""
