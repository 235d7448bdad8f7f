"""Writes docs/kernels.md: what every kernel needs on every architecture.

``python -m kernprof.library.document > docs/kernels.md``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from kernprof.compile import Cubin, compile_source, compiler_version
from kernprof.compile.compiler import SOURCE_ROOT
from kernprof.devices import architecture
from kernprof.devices.occupancy import occupancy
from kernprof.library.model import KernelEntry
from kernprof.library.registry import entries, source

ARCHES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90")

# Block size and dynamic shared memory of most kernels are the same for all shapes; where they
# depend on the shape, this one stands for the table.
_EXAMPLE = {
    "batch": 1,
    "channels": 64,
    "in_h": 56,
    "in_w": 56,
    "kernel_h": 3,
    "kernel_w": 3,
    "stride_h": 1,
    "stride_w": 1,
    "pad_h": 1,
    "pad_w": 1,
    "bias": 0,
    "in_channels": 64,
    "out_channels": 64,
    "groups": 1,
    "pixels": 3136,
    "out_h": 56,
    "out_w": 56,
    "dilation_h": 1,
    "dilation_w": 1,
    "m": 256,
    "n": 256,
    "k": 256,
    "beta": 0,
    "trans_a": 0,
    "trans_b": 0,
    "count": 4096,
    "kind": 0,
    "inputs": 2,
    "index": 0,
    "local_size": 5,
    "outer": 1,
    "inner": 1,
    "count_copied": 4096,
    "concat_size": 8192,
    "top_offset": 0,
    "backward": 0,
}


def document() -> str:
    """Return the page.

    Raises
    ------
    UnavailableError
        The compiler is not installed.
    """
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Kernels"
    yield ""
    yield (
        f"Registers per thread and theoretical occupancy in percent, compiled from `kernels/` by "
        f"{compiler_version()}. Made by `python -m kernprof.library.document`; every kernel is "
        "checked against a numpy reference by the tests."
    )
    cubins = {
        (arch, file): compile_source(text, arch=arch, name=f"{SOURCE_ROOT}/{file}")
        for file, text in _sources().items()
        for arch in ARCHES
    }
    spilling = [
        f"{item.name} ({arch})"
        for item in entries().values()
        for arch in ARCHES
        if cubins[arch, item.file].spills[item.name].store_bytes
    ]
    yield ""
    yield (
        f"Kernels that spill registers: {', '.join(spilling)}."
        if spilling
        else "No kernel spills registers to local memory on any of these architectures."
    )
    for file in _sources():
        yield ""
        yield f"## {file}"
        yield ""
        yield "| kernel | family | how | block | shared B | " + " | ".join(ARCHES) + " |"
        yield "| --- " * (5 + len(ARCHES)) + "|"
        for item in entries().values():
            if item.file == file:
                yield _row(item, {arch: cubins[arch, file] for arch in ARCHES})


def _row(item: KernelEntry, cubins: dict[str, Cubin]) -> str:
    shape = {name: _EXAMPLE[name] for name in item.parameters}
    geometry = item.launch_geometry(shape)
    cells = []
    static = 0
    for arch, cubin in cubins.items():
        needs = cubin.kernels[item.name]
        static = needs.static_shared_bytes
        resident = occupancy(
            architecture(arch),
            threads_per_block=geometry.block.total,
            registers=needs.registers,
            static_shared_bytes=static,
            dynamic_shared_bytes=geometry.dynamic_shared_bytes,
        )
        cells.append(f"{needs.registers}, {resident.occupancy_pct:.0f} %")
    shared = static + geometry.dynamic_shared_bytes
    start = f"| {item.name} | {item.family} | {item.summary} | {geometry.block} | {shared} | "
    return start + " | ".join(cells) + " |"


def _sources() -> dict[str, str]:
    return {item.file: source(item) for item in entries().values()}


if __name__ == "__main__":
    sys.stdout.write(document())
