"""CUDA source to machine code: NVRTC, its cache, and what the machine code needs on a GPU."""

from kernprof.compile.cache import DiskCache, cache_directory, open_cache
from kernprof.compile.compiler import SOURCE_ROOT, Cubin, compile_file, compile_source
from kernprof.compile.cubin import KernelResources
from kernprof.compile.nvrtc import compiler_version, targets
from kernprof.compile.ptxas import Spills

__all__ = [
    "SOURCE_ROOT",
    "Cubin",
    "DiskCache",
    "KernelResources",
    "Spills",
    "cache_directory",
    "compile_file",
    "compile_source",
    "compiler_version",
    "open_cache",
    "targets",
]
