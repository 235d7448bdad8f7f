"""Rendering: the same rows as a terminal table, JSON, CSV or Markdown."""
