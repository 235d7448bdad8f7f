"""CUDA sources, installed as data; nothing here is imported."""
