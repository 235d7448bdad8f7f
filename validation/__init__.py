"""Comparisons that need material which is not part of the project: public profiler reports."""
