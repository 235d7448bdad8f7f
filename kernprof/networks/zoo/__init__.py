"""Definitions of the known networks, one family a module."""
