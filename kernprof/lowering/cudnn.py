"""Which of the stand-ins for cuDNN's convolutions a shape gets.

cuDNN chooses by a heuristic that is not published. Here the tile is taken that keeps the fullest SM
busy for the least time, by a plain estimate; it looks at nothing but the extents of the matrix
product and the number of SMs. 3 x 3 filters of stride 1 go by Winograd's method where the same
estimate finds that faster, forward and for the gradient of the input.

An SM that holds w warps of the tile does ``w / (w + 4)`` of its peak of products, times a factor
that says what the tile's shared-memory traffic leaves. Blocks go in rounds of as many as fit, and
each round starts cold. The constants were fitted to predictions for a Tesla P100.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kernprof.lowering.emit import Emitter
from kernprof.lowering.launch import Launch, Library, Purpose
from kernprof.networks.ir import Convolution, Shape

MAX_KERNEL = 15
"""Rows and columns of a filter at most: the tiled kernels keep 15 bits for each."""

MAX_ELEMENTS = 2**29 - 1
"""Elements of an array that is read at most: offsets are signed bytes, of 32 bits."""

_WARPS_OF_HALF_RATE = 4
_ROUND = 150_000
"""What starting a round of blocks costs, in products that an SM could have done."""
_BLOCK_DEPTH = 16
"""What beginning and end of a block cost, in steps along the depth."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of the product.

    Parameters
    ----------
    columns, rows
        Its extents: pixels or filter taps, and channels.
    warps
        Of a block.
    resident
        Blocks that an SM holds at once.
    quality
        Share of the peak that enough warps reach, relative to the largest tile.
    """

    columns: int
    rows: int
    warps: int
    resident: int
    quality: float

    @property
    def name(self) -> str:
        """As kernels are named: "128x64"."""
        return f"{self.columns}x{self.rows}"


TILES = (
    Tile(128, 128, 8, 2, 1.0),
    Tile(128, 64, 4, 4, 0.95),
    Tile(128, 32, 2, 6, 0.7),
    Tile(32, 32, 2, 6, 0.7),
)

WINOGRAD = Tile(32, 32, 8, 2, 0.78)
"""Tiles of 2 x 2 outputs by channels of F(2 x 2, 3 x 3); 16 products for each and channel."""

_PLACES = 16
_FILTER_BYTES = 100
"""Of a 3 x 3 filter and of its 16 transformed elements."""
_PRODUCTS_A_BYTE = 11.2
"""Products that all SMs could do while a byte of the filters' transformation is moved."""


def forward(emit: Emitter, op: Convolution) -> Iterator[Launch]:
    """Yield the launches of a convolution; each once a group."""
    outputs, pixels, taps = _extents(emit, op)
    product = (emit.batch * pixels, outputs, taps)
    if max(op.pad) <= 2 and _winograd_wins(emit, op, emit.layer.out_shape, product):
        yield from _winograd(emit, op, Purpose.PRODUCT)
        return
    tile = choose(*product, emit.options.sm_count)
    yield _launch(emit, op, tile, "", Purpose.PRODUCT)


def weight_gradient(emit: Emitter, op: Convolution) -> Iterator[Launch]:
    """Yield the launches that add the gradient of the filters to what is there."""
    outputs, pixels, taps = _extents(emit, op)
    tile, parts = choose_split(taps, outputs, emit.batch * pixels, emit.options.sm_count)
    yield _launch(emit, op, tile, "_backward_weight", Purpose.WEIGHT_GRADIENT, splits=parts)


def data_gradient(emit: Emitter, op: Convolution) -> Iterator[Launch]:
    """Yield the launches of the gradient of the input."""
    shape = emit.layer.in_shape
    inputs, outputs = shape.channels // op.groups, op.out_channels // op.groups
    product = (emit.batch * shape.pixels, inputs, outputs * op.kernel[0] * op.kernel[1])
    # With a padding of 1 it is a convolution of the same extents.
    if op.pad == (1, 1) and _winograd_wins(emit, op, shape, product):
        yield from _winograd(emit, op, Purpose.DATA_GRADIENT)
        return
    tile = choose(*product, emit.options.sm_count)
    yield _launch(emit, op, tile, "_backward_data", Purpose.DATA_GRADIENT)


def _winograd_wins(
    emit: Emitter, op: Convolution, made: Shape, product: tuple[int, int, int]
) -> bool:
    """Whether Winograd's method covers a convolution that makes such an image, and takes less."""
    if op.kernel != (3, 3) or op.stride != (1, 1):
        return False
    sm_count = emit.options.sm_count
    tiles = emit.batch * -(-made.height // 2) * -(-made.width // 2)
    _, rows, depth = product
    best = min(_cost(tile, *product, 1, sm_count) for tile in TILES)
    return winograd_cost(tiles, depth // 9, rows, sm_count) < best


def winograd_cost(tiles: int, channels: int, rows: int, sm_count: int) -> float:
    """Estimate the transformation of the filters and the convolution, as tiles are estimated."""
    filters = _ROUND + _PRODUCTS_A_BYTE * _FILTER_BYTES * channels * rows / sm_count
    return filters + _cost(WINOGRAD, tiles, rows, channels, 1, sm_count, _PLACES)


def _winograd(emit: Emitter, op: Convolution, purpose: Purpose) -> Iterator[Launch]:
    turned = purpose is Purpose.DATA_GRADIENT
    all_sizes = emit.convolution_sizes(op, op.groups)
    channels = {name: all_sizes[name] for name in ("in_channels", "out_channels")}
    yield emit.launch_sized(
        "winograd_filters",
        purpose,
        Library.CUDNN,
        channels | {"turned": int(turned)},
        times=op.groups,
    )
    names = ("batch", "in_channels", "in_h", "in_w", "out_channels", "pad_h", "pad_w")
    sizes = {name: all_sizes[name] for name in names}
    if turned:
        sizes["in_channels"], sizes["out_channels"] = (
            channels["out_channels"],
            channels["in_channels"],
        )
    yield emit.launch_sized("conv_winograd", purpose, Library.CUDNN, sizes, times=op.groups)


def _extents(emit: Emitter, op: Convolution) -> tuple[int, int, int]:
    """Output channels of a group, output pixels of an image, filter taps of an output channel."""
    inputs = emit.layer.in_shape.channels // op.groups
    taps = inputs * op.kernel[0] * op.kernel[1]
    return op.out_channels // op.groups, emit.layer.out_shape.pixels, taps


def _launch(
    emit: Emitter, op: Convolution, tile: Tile, suffix: str, purpose: Purpose, **more: int
) -> Launch:
    outputs, _, taps = _extents(emit, op)
    read = {
        Purpose.PRODUCT: (emit.in_count, outputs * taps),
        Purpose.DATA_GRADIENT: (emit.out_count, outputs * taps),
        Purpose.WEIGHT_GRADIENT: (emit.in_count, emit.out_count),
    }
    if max(op.kernel) > MAX_KERNEL or max(read[purpose]) > MAX_ELEMENTS:
        # Nothing in cuDNN's tiles covers it: the plain kernel does.
        return emit.implicit_gemm(
            suffix, op, purpose, Library.CUDNN, groups=1, bias=False, times=op.groups
        )
    kernel = f"conv_tiled_{tile.name}{suffix}"
    sizes = emit.convolution_sizes(op, op.groups) | more
    return emit.launch_sized(kernel, purpose, Library.CUDNN, sizes, times=op.groups)


def choose(columns: int, rows: int, depth: int, sm_count: int) -> Tile:
    """Return the tile for a product of ``rows`` x ``depth`` by ``depth`` x ``columns``."""
    return min(TILES, key=lambda tile: _cost(tile, columns, rows, depth, 1, sm_count))


def choose_split(columns: int, rows: int, depth: int, sm_count: int) -> tuple[Tile, int]:
    """Return the tile, and among how many blocks its depth is shared."""
    found = ((tile, parts) for tile in TILES for parts in _parts(depth))
    return min(found, key=lambda pair: _cost(pair[0], columns, rows, depth, pair[1], sm_count))


def _parts(depth: int) -> Iterator[int]:
    parts, most = 1, -(-depth // 64)
    while parts < most:
        yield parts
        parts *= 2
    yield most


def _cost(
    tile: Tile,
    columns: int,
    rows: int,
    depth: int,
    parts: int,
    sm_count: int,
    products: int = 1,
) -> float:
    blocks = -(-columns // tile.columns) * -(-rows // tile.rows) * parts
    most = -(-blocks // sm_count)
    rounds, rest = divmod(most, tile.resident)
    work = products * tile.columns * tile.rows * (-(-depth // parts) + _BLOCK_DEPTH)
    cost = rounds * _round(tile, tile.resident, work)
    return cost + (_round(tile, rest, work) if rest else 0.0)


def _round(tile: Tile, blocks: int, work: int) -> float:
    warps = blocks * tile.warps
    rate = tile.quality * warps / (warps + _WARPS_OF_HALF_RATE)
    return blocks * work / rate + _ROUND
