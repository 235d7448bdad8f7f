"""The library as a Markdown page: ``python -m kernprof.library.document > docs/kernels.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

from kernprof.compile import SOURCE_ROOT, Cubin, compile_source, compiler_version
from kernprof.devices import Device, find, occupancy
from kernprof.library.model import KernelEntry, Shape
from kernprof.library.registry import entries, source

DEVICES = ("p100", "v100", "t4", "a100", "rtx3090", "rtx4090", "h100")

# One layer's sizes by parameter name: the depthwise and pointwise layers conv5_1 to conv5_5 of
# MobileNet, 512 channels of 14 x 14 and 3 x 3 windows, and the matrices they become.
_LAYER: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("batch", "groups", "splits", "outer", "inner", "stride_h", "stride_w"), 1),
        **dict.fromkeys(("dilation_h", "dilation_w", "pad_h", "pad_w"), 1),
        **dict.fromkeys(("channels", "in_channels", "out_channels", "m", "k"), 512),
        **dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), 14),
        **dict.fromkeys(("kernel_h", "kernel_w"), 3),
        **dict.fromkeys(("bias", "beta", "trans_a", "trans_b", "backward", "turned"), 0),
        **dict.fromkeys(("kind", "index", "top_offset"), 0),
        **dict.fromkeys(("count", "count_copied"), 512 * 14 * 14),
        **dict.fromkeys(("pixels", "n"), 14 * 14),
        "concat_size": 2 * 512 * 14 * 14,
        "inputs": 2,
        "local_size": 5,
    }
)

_INTRODUCTION = """# Kernels

Made by `python -m kernprof.library.document > docs/kernels.md`; a test compares this page with what
the compiler says today. Compiled by {compiler}.

A kernel's arrays and scalars, its launch geometry, work and rules are in its entry in
`kernprof/library/families`; what it must compute is in `kernprof/library/reference`, and the tests
run every kernel thread by thread on the CPU against it. Data are float32, tensors NCHW, matrices
column-major.

Columns of architectures: registers per thread, and theoretical occupancy in percent of the warps
that an SM can hold. What keeps an occupancy below 100: R registers, S shared memory, B the number
of blocks, N named barriers, W the SM's warps being no multiple of the block's. The GPUs are
{boards}.

Shared memory is static + dynamic, in bytes per block. It and the occupancy are those of the launch
for one layer: 512 channels of 14 x 14, 3 x 3 windows, one image (MobileNet's conv5_1 to conv5_5),
and for the matrices of 512 x 196 x 512 that it becomes.

{spills}
"""
_CHOICES = (
    (
        "gemv2T",
        "128 threads a block, 16 of them a column, four elements a thread and step",
        "the name `gemv2T_kernel_val<..., 128, 16, 4, 4>` in public profiles; that 16 is the "
        "threads of a column is inferred: the reference paper's shares of time grow with the "
        "length of the products and not with their number, at a pace that 16 threads with four "
        "loads each explain",
    ),
    (
        "gemv2T",
        "what a whole step is too long for goes element by element, lanes leaving as it ends",
        "in print (Table V) a quarter of its branches diverge and 80.7 % of the lanes are active",
    ),
    ("gemv2T", "the reduction in shared memory", "8.8 % of the stalls at barriers in print"),
    (
        "gemv2N",
        "128 threads a block, 4, 8, 16 or 32 an output; with 32 a grid of outputs / 4",
        "the names `gemv2N_kernel<..., 128, L, 4, 4, 1>` and a grid in public profiles",
    ),
    (
        "gemv2N",
        "which of the four: the most threads that leave the grid at 256 blocks",
        "this project's own; cuBLAS's rule is not known",
    ),
    (
        "gemv2N",
        "loads unrolled four times and predicated",
        "the name's 4; in print 99.3 % of the lanes are active and nothing diverges, although a "
        "depthwise product has 9 columns for 32 threads",
    ),
    (
        "gemv2N",
        "x staged in shared memory, the reduction there with a barrier a step",
        "a quarter of the stalls at barriers and 3.6 % on memory in print",
    ),
    (
        "gemmk1",
        "256 threads a block, five outputs a thread",
        "the name `gemmk1_kernel<float, 256, 5, ...>`; that 5 is the outputs is inferred",
    ),
    (
        "gemmk1",
        "tiles of 64 rows and 20 columns",
        "this project's own: whole warps along a column",
    ),
    (
        "gemmk1",
        "both vectors staged in shared memory, edges predicated",
        "in print 9.1 % of the stalls at barriers, 98.4 % of the lanes active, 4 % divergence",
    ),
)
_STAND_INS = """
These three stand for cuBLAS's kernels of the same names, whose source is not public. Where their
structure comes from:

{choices}
`kernprof paper table5` shows what they come to beside the printed table. No size was chosen to make
a number match.
"""
_LETTERS = {"registers": "R", "shared_mem": "S", "blocks": "B", "barriers": "N", "warps": "W"}


def example_shape(item: KernelEntry) -> Shape:
    """Return the sizes of a kernel for the layer that this page is about."""
    return {name: _LAYER[name] for name in item.parameters}


def compile_library(architectures: Sequence[str]) -> Mapping[tuple[str, str], Cubin]:
    """Compile every file for every architecture.

    Parameters
    ----------
    architectures
        Real ones ("sm_80").

    Returns
    -------
    Mapping
        The machine code by file and architecture.

    Raises
    ------
    UnavailableError, CompileError
        The compiler is missing, or refuses a source.
    """
    texts = {item.file: source(item) for item in entries().values()}
    wanted = [(file, arch) for file in texts for arch in architectures]

    def build(key: tuple[str, str]) -> Cubin:
        file, arch = key
        return compile_source(texts[file], arch=arch, name=f"{SOURCE_ROOT}/{file}")

    with ThreadPoolExecutor() as pool:
        return MappingProxyType(dict(zip(wanted, pool.map(build, wanted), strict=True)))


def page() -> str:
    """Return the page.

    Raises
    ------
    UnavailableError, CompileError
        The compiler is missing, or refuses a source.
    """
    devices = [find(name) for name in DEVICES]
    architectures = list(dict.fromkeys(device.arch.name for device in devices))
    cubins = compile_library(architectures)
    kernels = list(entries().values())
    introduction = _INTRODUCTION.format(
        # The kernels include no header but their own.
        compiler=compiler_version().partition(";")[0],
        boards=",\n".join(f"{d.name} ({d.arch.name})" for d in devices),
        spills=_spills(kernels, cubins),
    )
    columns = ("kernel", "family", "what it does", "block", "shared", *architectures)
    sections = []
    for file in dict.fromkeys(item.file for item in kernels):
        rows = (_row(item, devices, cubins) for item in kernels if item.file == file)
        sections.append(f"\n## {file}\n\n{_table(columns, rows)}")
        if file == "gemv.cu":
            choices = _table(("kernel", "choice", "from"), _CHOICES)
            sections.append(_STAND_INS.format(choices=choices))
    return introduction + "".join(sections)


def _spills(kernels: Sequence[KernelEntry], cubins: Mapping[tuple[str, str], Cubin]) -> str:
    found = [
        f"- `{item.name}` on {cubin.arch}: {spills.store_bytes} bytes stored and "
        f"{spills.load_bytes} loaded per thread. {item.spills or ''}".rstrip()
        for item in kernels
        for (file, _), cubin in cubins.items()
        if file == item.file
        for spills in (cubin.spills[item.name],)
        if spills.store_bytes or spills.load_bytes
    ]
    if not found:
        return "No kernel spills registers to local memory on any of these architectures."
    return "\n".join(("Kernels that spill registers to local memory:", "", *found))


def _row(
    item: KernelEntry, devices: Sequence[Device], cubins: Mapping[tuple[str, str], Cubin]
) -> Iterator[str]:
    geometry = item.launch_geometry(example_shape(item))
    needs = [cubins[item.file, device.arch.name].kernel(item.name) for device in devices]
    static = " / ".join(dict.fromkeys(str(n.static_shared_bytes) for n in needs))
    block = geometry.block
    yield f"`{item.name}`"
    yield item.family
    yield item.summary
    yield f"{block.x} x {block.y}" if block.y > 1 else f"{block.x}"
    yield f"{static} + {geometry.dynamic_shared_bytes}"
    for device, need in zip(devices, needs, strict=True):
        found = occupancy(
            device,
            threads_per_block=block.total,
            registers=need.registers,
            static_shared_bytes=need.static_shared_bytes,
            dynamic_shared_bytes=geometry.dynamic_shared_bytes,
            barriers=need.barriers,
        )
        full = found.warps_per_sm == device.arch.max_warps_per_sm
        limiters = "" if full else " " + "".join(_LETTERS[name] for name in found.limiters)
        yield f"{need.registers}, {found.occupancy_pct:.3g}{limiters}"


def _table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
