"""NVRTC's shared library: found, loaded and called through ctypes.

Not through ``cuda.bindings``: one environment holds one version of that package, and frameworks of
CUDA 13 ask for its 13, whose NVRTC knows neither sm_60 nor sm_70. The libraries of both versions
can be installed side by side, and the dozen functions used here have been the same since CUDA 11.1
(NVRTC manual, "API Reference").
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kernprof.errors import UnavailableError

VARIABLE = "KERNPROF_NVRTC"
REMEDY = "pip install 'nvidia-cuda-nvrtc-cu12>=12.9,<12.10' 'nvidia-cuda-runtime-cu12>=12.9,<12.10'"

# Below site-packages/nvidia: the wheels of CUDA 12, then those of CUDA 13.
_WHEELS = (("cuda_nvrtc/lib", "cuda_runtime/include"), ("cu13/lib", "cu13/include"))
_TOOLKITS = ("/usr/local/cuda", "/opt/cuda", "/usr")
_SYSTEM_FOLDERS = ("lib64", "lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu")
_NAME = re.compile(r"libnvrtc\.so\.(\d+)(?:\.(\d+))?")
_OLDEST = (11, 1)
"""The first that makes machine code (``nvrtcGetCUBIN``) instead of PTX alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a library is, and the CUDA headers that belong to it (None: not found beside it)."""

    library: Path
    headers: Path | None


def places() -> Iterator[Place]:
    """Yield the libraries that are here, the one to prefer first.

    In this order: ``$KERNPROF_NVRTC`` (alone, where it is set), the wheels of CUDA 12 and 13, the
    CUDA toolkit.
    """
    named = os.environ.get(VARIABLE)
    if named:
        library = Path(named)
        yield Place(library, _headers_beside(library))
        return
    spec = find_spec("nvidia")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    for folder, headers in _WHEELS:
        for root in roots:
            include = root / headers
            for library in _libraries(root / folder):
                yield Place(library, include if include.is_dir() else None)
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    for home in dict.fromkeys([*(h for h in homes if h), *_TOOLKITS]):
        for name in _SYSTEM_FOLDERS:
            for library in _libraries(Path(home) / name):
                yield Place(library, _headers_beside(library))


def _libraries(folder: Path) -> list[Path]:
    """Return the libraries of a folder, the newest first; of one's several names the shortest."""
    try:
        found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name)]
    except OSError:
        return []
    found.sort(key=lambda p: (-int(p.name.split(".")[2]), len(p.name), p.name))
    distinct: dict[Path, Path] = {}
    for path in found:
        distinct.setdefault(path.resolve(), path)
    return list(distinct.values())


def _builtins(library: Path) -> list[Path]:
    return sorted(library.resolve().parent.glob("libnvrtc-builtins.so.*"))[:1]


def _headers_beside(library: Path) -> Path | None:
    # As the name says, and as what it links to: .../lib/libnvrtc.so.13 may point elsewhere.
    for path in (library, library.resolve()):
        for parent in list(path.parents)[:4]:
            if (parent / "include" / "cuda_fp16.h").is_file():
                return parent / "include"
    return None


class Nvrtc:
    """One loaded library.

    Parameters
    ----------
    place
        Where it is.

    Raises
    ------
    OSError
        It can't be loaded, or is too old to make machine code.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        # NVRTC opens this one by its bare name, which the wheel of CUDA 13 leaves to its caller.
        self._builtins = [ctypes.CDLL(str(path)) for path in _builtins(place.library)]
        self._library = ctypes.CDLL(str(place.library))
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        self.version = self._version()
        if self.version < _OLDEST:
            raise OSError(
                f"{place.library} is NVRTC {self.version[0]}.{self.version[1]}; 11.1 is the first "
                "that makes machine code"
            )
        self.targets = self._targets()

    def call(self, function: str, *arguments: Any) -> int:
        """Call a function and return its status, 0 for success."""
        return int(getattr(self._library, function)(*arguments))

    def status_text(self, status: int) -> str:
        """Return NVRTC's own name of a status."""
        text = self._library.nvrtcGetErrorString(ctypes.c_int(status))
        return text.decode("ascii", "replace") if text else str(status)

    def _version(self) -> tuple[int, int]:
        major, minor = ctypes.c_int(), ctypes.c_int()
        status = self.call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        if status != 0:
            raise OSError(f"{self.place.library} tells no version ({self.status_text(status)})")
        return major.value, minor.value

    def _targets(self) -> tuple[int, ...]:
        count = ctypes.c_int()
        status = self.call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * max(0, count.value))()
        if status == 0:
            status = self.call("nvrtcGetSupportedArchs", numbers)
        if status != 0:
            raise OSError(f"{self.place.library} lists no targets ({self.status_text(status)})")
        return tuple(numbers)


@cache
def library() -> Nvrtc:
    """Load the first library that can be.

    Raises
    ------
    UnavailableError
        There is none, or none can be loaded; carries the command that installs one.
    """
    failed = ""
    for place in places():
        try:
            return Nvrtc(place)
        except (OSError, AttributeError) as error:
            failed = failed or f" ({error})"
    raise UnavailableError(f"NVRTC, NVIDIA's compiler, can't be loaded{failed}", REMEDY)
