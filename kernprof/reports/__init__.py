"""Readers of profiler reports: one interface, chosen by content (``load``)."""
