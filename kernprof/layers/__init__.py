"""A layer's launches on a GPU: what can be told of them without running them."""

from kernprof.layers.static import StaticLaunch, profile_of, static_launches

__all__ = ["StaticLaunch", "profile_of", "static_launches"]
