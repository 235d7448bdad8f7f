"""``python -m validation.conv_standins --data FOLDER``: the stand-ins for cuDNN beside cuDNN.

FOLDER holds ``pytorch-conv.csv.gz`` (or ``.csv``): forward convolutions that PyTorch ran on real
GPUs, with the kernels that cuDNN took and the time of all of them, as NeuSight's repository
(sitar-lab/NeuSight, train/collect) publishes them. The shapes are ``BxCxMxKxHxSxP``: images, input
and output channels, extent of filter and image, stride, padding. A seeded sample of a GPU's rows is
lowered as Caffe with cuDNN would run it, and predicted launch by launch; the table sets both times
beside each other. The predicted ones are for the base clock and cold caches.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernprof.devices import Device, find
from kernprof.errors import InputError, KernprofError
from kernprof.layers import predict_launches, static_launches
from kernprof.layers.network import TIMED_INSTRUCTIONS
from kernprof.library import entry
from kernprof.lowering.cudnn import TILES
from kernprof.lowering.launch import Direction, Launch
from kernprof.lowering.lower import lower_layer
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.single import single_layer

FILES = ("pytorch-conv.csv.gz", "pytorch-conv.csv")

# What tells cuDNN's kernels apart; those that only prepare are left out where another is there.
_MAIN = re.compile(
    r"scudnn_(?:winograd_)?\d+x\d+|winograd_nonfused|im(?:plicit|2col)\w*|fft2d|\w*convolve_sgemm"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A convolution that cuDNN ran.

    Parameters
    ----------
    shape
        ``BxCxMxKxHxSxP``.
    time_us
        All of its kernels.
    kernel
        The kernel that tells the method.
    grid
        Blocks of the longest kernel.
    """

    shape: str
    time_us: float
    kernel: str
    grid: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """A row and what stands in for it.

    Parameters
    ----------
    row
        Measured.
    kernels
        Names of the stand-ins, in order.
    time_us
        Predicted time of all of them.
    """

    row: Row
    kernels: tuple[str, ...]
    time_us: float

    @property
    def ratio(self) -> float:
        """Speed of the stand-in relative to cuDNN's: 1 is as fast."""
        return self.row.time_us / self.time_us


def read(folder: Path, gpu: str) -> list[Row]:
    """Read the rows of a GPU.

    Raises
    ------
    InputError
        There is no such file, it lacks a column, or it has no row of the GPU.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder} has no {' or '.join(FILES)}; give the folder that has it")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        table = csv.DictReader(stream)
        needed = {"gpu", "shape", "latency_ms", "kernels", "grid_x", "grid_y", "grid_z"}
        missing = needed - set(table.fieldnames or ())
        if missing:
            raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
        rows = [
            Row(
                shape=line["shape"],
                time_us=1e3 * float(line["latency_ms"]),
                kernel=main_kernel(line["kernels"]),
                grid=(int(line["grid_x"]), int(line["grid_y"]), int(line["grid_z"])),
            )
            for line in table
            if line["gpu"] == gpu
        ]
    if not rows:
        raise InputError(f"{path} has no row of the GPU {gpu!r}")
    return rows


def main_kernel(kernels: str) -> str:
    """Return the name that tells the method of a list of kernels, or the first one's."""
    found = _MAIN.search(kernels)
    return found.group(0) if found else kernels.split("(")[0][:40]


def _numbers(shape: str) -> list[int]:
    parts = shape.split("x")
    if len(parts) != 7 or not all(part.isdecimal() for part in parts):
        raise InputError(f"shape {shape!r}: expected BxCxMxKxHxSxP, seven numbers")
    return [int(part) for part in parts]


def _sizes(shape: str) -> dict[str, int]:
    batch, inputs, outputs, kernel, size, stride, pad = _numbers(shape)
    sizes = {"batch": batch, "in_channels": inputs, "out_channels": outputs}
    for name, value in (("in", size), ("kernel", kernel), ("stride", stride), ("pad", pad)):
        sizes |= {f"{name}_h": value, f"{name}_w": value}
    return sizes


def launches(shape: str, device: Device) -> tuple[Launch, ...]:
    """Return the stand-ins' launches of a forward convolution.

    Raises
    ------
    InputError
        The shape isn't seven numbers.
    """
    batch, inputs, outputs, kernel, size, stride, pad = _numbers(shape)
    layer = single_layer(
        "conv",
        in_channels=inputs,
        out_channels=outputs,
        size=size,
        kernel=kernel,
        stride=stride,
        pad=pad,
    )
    options = LoweringOptions(direction=Direction.FORWARD, batch=batch, sm_count=device.sm_count)
    return tuple(launch for launch in lower_layer(layer, options) if launch.family == "conv")


def same_grids(rows: Iterable[Row]) -> tuple[int, int]:
    """Count the rows whose grid is that of our tile of the same size, and the rows of such tiles.

    cuDNN's ``scudnn_128x64`` and its like tell the tile by name, ``*_convolve_sgemm`` is 32 x 32.
    """
    equal = known = 0
    for row in rows:
        tile = row.kernel.removeprefix("scudnn_")
        if row.kernel.endswith("convolve_sgemm"):
            tile = "32x32"
        if tile not in {t.name for t in TILES}:
            continue
        known += 1
        geometry = entry(f"conv_tiled_{tile}").launch_geometry(_sizes(row.shape))
        equal += tuple(geometry.grid) == row.grid
    return equal, known


def compare(
    rows: Iterable[Row], device: Device, instructions: int = TIMED_INSTRUCTIONS
) -> Iterable[Compared]:
    """Predict the stand-ins of rows, one after the other."""
    for row in rows:
        statics = static_launches(launches(row.shape, device), device)
        done = predict_launches(statics, device, instructions=instructions)
        names = tuple(p.static.kernel.name for p in done)
        yield Compared(row, names, sum(p.time_ns or 0.0 for p in done) / 1e3)


def page(compared: Sequence[Compared], gpu: str, total: int, seed: int) -> str:
    """Write the table as Markdown; the speeds' median comes last."""
    lines = [
        "| Shape | cuDNN, us | Kernel | Stand-in, us | Kernel | cuDNN / stand-in |",
        "| --- | ---: | --- | ---: | --- | ---: |",
    ]
    lines += [
        f"| {c.row.shape} | {c.row.time_us:,.0f} | {c.row.kernel} | {c.time_us:,.0f} | "
        f"{' + '.join(c.kernels)} | {c.ratio:.2f} |"
        for c in compared
    ]
    lines.append("")
    ratios = sorted(c.ratio for c in compared)
    by_kernel: dict[str, list[float]] = {}
    for c in compared:
        by_kernel.setdefault(c.row.kernel, []).append(c.ratio)
    parts = (
        f"{kernel} {statistics.median(found):.2f} ({len(found)})"
        for kernel, found in sorted(by_kernel.items(), key=lambda item: -len(item[1]))
    )
    lines += [
        f"Speed relative to cuDNN's, {len(ratios)} of {total} rows of {gpu}, seed {seed}: median "
        f"{statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}; at least half "
        f"of cuDNN's in {sum(r >= 0.5 for r in ratios)} of {len(ratios)}.",
        f"By cuDNN's kernel, medians (rows): {', '.join(parts)}.",
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m validation.conv_standins", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the measured rows")
    parser.add_argument("--sample", type=int, default=40, help="rows to predict")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--gpu", default="p100", help="whose rows: p100, v100, t4")
    options = parser.parse_args(argv)
    if options.sample < 1:
        parser.error(f"--sample {options.sample}: at least 1 row")
    try:
        rows = read(options.data, options.gpu)
        device = find(options.gpu)
        chosen = random.Random(options.seed).sample(rows, min(options.sample, len(rows)))
        found = []
        for one in compare(chosen, device):
            found.append(one)
            print(f"{len(found)} of {len(chosen)}: {one.row.shape}", file=sys.stderr)
    except KernprofError as error:
        print(f"conv_standins: {error}", file=sys.stderr)
        return 2
    print(page(found, device.name, len(rows), options.seed), end="")
    equal, known = same_grids(rows)
    if known:
        print(
            f"Grids: {equal} of all {known} rows of cuDNN's tiles of 128 x 128, 128 x 64, 128 x 32 "
            "and 32 x 32 are those of our tiles."
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
