"""Entries of the registry, one module per source file or subject."""
