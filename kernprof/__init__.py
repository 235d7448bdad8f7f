"""kernprof: which GPU kernel eats the time of a convolution layer, and why."""

from kernprof._version import __version__

__all__ = ["__version__"]
