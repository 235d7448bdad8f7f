"""Micro-benchmarks for one GPU: what each number of the timing model is on real hardware."""
