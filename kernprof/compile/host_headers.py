"""The host's standard headers as device code may use them: our own short texts for NVRTC."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

FIRST = "kernprof/first.h"
"""Name of the header that stands for what nvcc includes before anything else."""

_GUARDED = "#pragma once\n{text}"
# A program that never names std pays for none of NVIDIA's library.
_OF_CUDA = (
    "#pragma once\n#if __has_include(<cuda/std/{name}>)\n#include <cuda/std/{name}>\n"
    "namespace std {{ using namespace cuda::std; }}\n#endif\n"
)


@cache
def host_headers(*, with_std: bool) -> Mapping[str, str]:
    """Return texts by header name ("cstdint", "math.h", "vector").

    Parameters
    ----------
    with_std
        Whether headers that NVIDIA's C++ library has in a form for devices are taken from there,
        where it is installed; else they are empty.
    """
    table = tomllib.loads(
        files("kernprof.compile").joinpath("data/host_headers.toml").read_text("utf-8")
    )
    texts = {name: _GUARDED.format(text=text) for name, text in table["text"].items()}
    texts |= {name: f"#include <{other}>\n" for name, other in table["same"].items()}
    texts |= dict.fromkeys(table["empty"], "")
    texts |= {name: _OF_CUDA.format(name=name) if with_std else "" for name in table["cuda_std"]}
    first = table["first"] + (table["first_with_std"] if with_std else "")
    texts[FIRST] = _GUARDED.format(text=first)
    return MappingProxyType(texts)
