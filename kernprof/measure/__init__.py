"""Measuring on a GPU: under NVIDIA's profilers, by events, and with the power sensor."""
