"""Benchmarks: ``python -m benchmarks [NAME...]``; timings live here and never in tests."""
