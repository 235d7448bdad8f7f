"""What an ONNX node means as layers.

Operators and attribute defaults follow the ONNX operator specification (onnx/onnx,
``docs/Operators.md``), for two-dimensional images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isclose
from types import MappingProxyType
from typing import Any

from kernprof.errors import ShapeError
from kernprof.networks.ir import (
    LRN,
    Activation,
    ActivationKind,
    BatchNorm,
    Concat,
    Convolution,
    Dropout,
    Eltwise,
    EltwiseKind,
    InnerProduct,
    Op,
    Pad,
    Pair,
    Pooling,
    PoolMethod,
    Reshape,
    Rounding,
    Scale,
    Shape,
    Softmax,
)


class UnknownNodeError(Exception):
    """A node, or a mode of one, that isn't modelled; never leaves the reader."""

    def __init__(self, variant: str) -> None:
        super().__init__(variant)
        self.variant = variant


@dataclass(frozen=True, slots=True)
class Step:
    """A layer that a node becomes; ``swap`` reads the node's two inputs in the other order."""

    op: Op
    suffix: str = ""
    in_place: bool = False
    swap: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """What a translation may look at.

    Parameters
    ----------
    op_type
        The operator.
    attributes
        By name; numbers, tuples of numbers and strings only.
    constants
        For each input the values of a small constant, else None.
    dims
        For each input its dimensions with the batch, as far as they are known.
    images
        For each input whether it is computed from the network's input.
    output_dims
        Dimensions of the first output.
    """

    op_type: str
    attributes: Mapping[str, Any]
    constants: tuple[tuple[float, ...] | None, ...]
    dims: tuple[tuple[int | None, ...] | None, ...]
    images: tuple[bool, ...]
    output_dims: tuple[int | None, ...] | None

    def fail(self, why: str) -> UnknownNodeError:
        """Make the error for a mode that isn't modelled."""
        return UnknownNodeError(f"{self.op_type} ({why})")

    def sizes(self, index: int) -> tuple[int, ...]:
        """Dimensions of an input, all known.

        Raises
        ------
        UnknownNodeError
            They aren't.
        """
        dims = self.dims[index] if index < len(self.dims) else None
        known = tuple(dim for dim in dims or () if dim is not None)
        if dims is None or len(known) != len(dims):
            raise self.fail(f"input {index} of unknown shape")
        return known

    def rank(self, index: int = 0) -> int:
        """Count the dimensions of an input."""
        return len(self.sizes(index))

    def image_inputs(self) -> list[int]:
        """List the inputs that are computed from the network's input."""
        return [index for index, image in enumerate(self.images) if image]

    def constant(self, index: int) -> tuple[float, ...] | None:
        """Values of a constant input; None where it is absent or not known."""
        return self.constants[index] if index < len(self.constants) else None

    def pair(self, name: str, default: int) -> Pair:
        """Read an attribute of two numbers.

        Raises
        ------
        UnknownNodeError
            It has another number of them.
        """
        values = self.attributes.get(name, (default, default))
        if len(values) != 2:
            raise self.fail(f"{len(values)} values of {name}")
        return values[0], values[1]


def translate(node: Node) -> list[Step]:
    """Turn a node into the layers that it stands for, each reading the one before.

    Raises
    ------
    UnknownNodeError
        The operator, or the mode it is used in, isn't modelled.
    ShapeError
        Its weights don't fit the image.
    """
    if node.op_type not in _TRANSLATORS:
        raise UnknownNodeError(node.op_type)
    return _TRANSLATORS[node.op_type](node)


def _conv(node: Node) -> list[Step]:
    weights = node.sizes(1)
    if len(weights) != 4 or node.images[1]:
        raise node.fail(f"weights of {len(weights)} dimensions, or computed ones")
    groups = node.attributes.get("group", 1)
    image = node.sizes(0)
    if len(image) != 4:
        raise node.fail(f"an image of {len(image)} dimensions")
    if weights[1] * groups != image[1]:
        raise ShapeError(
            f"weights for {weights[1]} x {groups} input channels meet an image of {image[1]}; the "
            "weights' second dimension times the groups must be the image's channels"
        )
    kernel = (weights[2], weights[3])
    stride, dilation = node.pair("strides", 1), node.pair("dilations", 1)
    pads = _pads(node, kernel, stride, dilation)
    padding, pad = _symmetric(pads)
    bias = len(node.images) > 2
    op = Convolution(weights[0], kernel, stride, pad, dilation, groups, bias)
    return [*padding, Step(op)]


def _pool(node: Node) -> list[Step]:
    method = PoolMethod.MAX if node.op_type == "MaxPool" else PoolMethod.AVE
    if node.rank() != 4:
        raise node.fail(f"{node.rank()} dimensions")
    kernel, stride = node.pair("kernel_shape", 1), node.pair("strides", 1)
    if node.pair("dilations", 1) != (1, 1):
        raise node.fail("dilation")
    padding, pad = _symmetric(_pads(node, kernel, stride, (1, 1)))
    rounding = Rounding.CEIL if node.attributes.get("ceil_mode", 0) else Rounding.FLOOR
    return [*padding, Step(Pooling(method, kernel, stride, pad, rounding=rounding))]


def _global_pool(node: Node) -> list[Step]:
    if node.rank() != 4:
        raise node.fail(f"{node.rank()} dimensions")
    method = PoolMethod.MAX if node.op_type == "GlobalMaxPool" else PoolMethod.AVE
    return [Step(Pooling(method, global_pooling=True))]


def _reduce_mean(node: Node) -> list[Step]:
    axes = node.attributes.get("axes", node.constant(1)) or ()
    if node.rank() != 4 or {int(axis) % 4 for axis in axes} != {2, 3}:
        raise node.fail("axes other than height and width")
    return [Step(Pooling(PoolMethod.AVE, global_pooling=True))]


def _gemm(node: Node) -> list[Step]:
    weights = node.sizes(1)
    if len(weights) != 2 or node.images[1] or node.attributes.get("transA", 0):
        raise node.fail("computed weights, or a transposed image")
    features, inputs = weights if node.attributes.get("transB", 0) else weights[::-1]
    _check_features(node, inputs)
    return [Step(InnerProduct(features, bias=len(node.images) > 2))]


def _matmul(node: Node) -> list[Step]:
    if node.image_inputs() != [0] or node.rank(0) != 2 or node.rank(1) != 2:
        raise node.fail("other than image times weights")
    _check_features(node, node.sizes(1)[0])
    return [Step(InnerProduct(node.sizes(1)[1], bias=False))]


def _check_features(node: Node, inputs: int) -> None:
    image = node.sizes(0)
    if len(image) != 2 or image[1] != inputs:
        raise ShapeError(
            f"weights for {inputs} inputs meet a matrix of {' x '.join(map(str, image))}; the "
            "matrix must have as many columns as the weights have inputs"
        )


def _batch_norm(node: Node) -> list[Step]:
    training = bool(node.attributes.get("training_mode", 0))
    return [
        Step(BatchNorm(global_stats=not training)),
        Step(Scale(bias=True), ".affine", in_place=True),
    ]


def _clip(node: Node) -> list[Step]:
    low = node.attributes.get("min", (node.constant(1) or (None,))[0])
    high = node.attributes.get("max", (node.constant(2) or (None,))[0])
    if (low, high) != (0, 6):
        raise node.fail(f"limits {low} and {high}")
    return [Step(Activation(ActivationKind.RELU6))]


def _hard_sigmoid(node: Node) -> list[Step]:
    alpha = node.attributes.get("alpha", 0.2)
    beta = node.attributes.get("beta", 0.5)
    if not (isclose(alpha, 1 / 6, rel_tol=1e-5) and beta == 0.5):
        raise node.fail(f"alpha {alpha:g}, beta {beta:g}")
    return [Step(Activation(ActivationKind.HSIGMOID))]


def _eltwise(kind: EltwiseKind) -> Callable[[Node], list[Step]]:
    def translation(node: Node) -> list[Step]:
        images = node.image_inputs()
        if len(images) != len(node.images) or len(images) < 2:
            raise node.fail("with a constant")
        shapes = [node.sizes(index) for index in images]
        if all(shape == shapes[0] for shape in shapes):
            return [Step(Eltwise(kind))]
        if kind is EltwiseKind.PROD and len(shapes) == 2:
            for swap, (whole, factors) in enumerate((shapes, shapes[::-1])):
                if len(whole) == 4 and factors == (*whole[:2], 1, 1):
                    return [Step(Eltwise(kind), swap=bool(swap))]
        raise node.fail(f"broadcast of {' and '.join(map(str, shapes))}")

    return translation


def _concat(node: Node) -> list[Step]:
    axis = node.attributes.get("axis", 1)
    if not all(node.images) or axis not in (1, 1 - node.rank()):
        raise node.fail(f"axis {axis}")
    return [Step(Concat())]


def _softmax(node: Node) -> list[Step]:
    rank = node.rank()
    axis = node.attributes.get("axis", -1)
    if axis not in (1, 1 - rank):
        raise node.fail(f"axis {axis} of {rank}")
    return [Step(Softmax())]


def _reshape(node: Node) -> list[Step]:
    dims = node.output_dims
    if dims is None or None in dims or len(dims) < 2 or dims[0] != node.sizes(0)[0]:
        raise node.fail("batch not kept, or shape unknown")
    extents = [dim for dim in dims[1:] if dim is not None]
    if len(extents) > 3:
        raise node.fail(f"{len(dims)} dimensions")
    return [Step(Reshape(Shape(*extents)))]


def _same(node: Node) -> list[Step]:
    return []


def _pad(node: Node) -> list[Step]:
    pads = node.attributes.get("pads", node.constant(1))
    if node.attributes.get("mode", "constant") != "constant" or pads is None or len(pads) != 8:
        raise node.fail("mode, axes or unknown amounts")
    amounts = [int(amount) for amount in pads]
    if any(amounts[index] for index in (0, 1, 4, 5)) or min(amounts) < 0:
        raise node.fail("batch, channels or cropping")
    top, left, bottom, right = amounts[2], amounts[3], amounts[6], amounts[7]
    return [Step(Pad(top, left, bottom, right))]


def _pads(node: Node, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[int, int, int, int]:
    """Work out the padding at the top, left, bottom and right."""
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        sizes = node.sizes(0)
        before, after = [], []
        for axis in (0, 1):
            size, reach = sizes[2 + axis], dilation[axis] * (kernel[axis] - 1) + 1
            total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach - size, 0)
            small, large = total // 2, total - total // 2
            before.append(small if mode == "SAME_UPPER" else large)
            after.append(large if mode == "SAME_UPPER" else small)
        return before[0], before[1], after[0], after[1]
    pads = node.attributes.get("pads", (0, 0, 0, 0))
    if mode not in ("NOTSET", "") or len(pads) != 4:
        raise node.fail(f"auto_pad {mode}, {len(pads)} pads")
    return pads[0], pads[1], pads[2], pads[3]


def _symmetric(pads: tuple[int, int, int, int]) -> tuple[list[Step], Pair]:
    """Split padding into a layer of its own where opposite sides differ, and the window's pad."""
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return [], (top, left)
    return [Step(Pad(top, left, bottom, right), ".pad")], (0, 0)


def _activation(kind: ActivationKind, *, leaky: bool = False) -> Callable[[Node], list[Step]]:
    return lambda node: [Step(Activation(kind, leaky=leaky))]


_TRANSLATORS: Mapping[str, Callable[[Node], list[Step]]] = MappingProxyType(
    {
        "Add": _eltwise(EltwiseKind.SUM),
        "AveragePool": _pool,
        "BatchNormalization": _batch_norm,
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "Dropout": lambda node: [Step(Dropout(), in_place=True)],
        "Flatten": _reshape,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_pool,
        "GlobalMaxPool": _global_pool,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _activation(ActivationKind.HSWISH),
        "Identity": _same,
        "LRN": lambda node: [Step(LRN(node.attributes.get("size", 1)))],
        "LeakyRelu": _activation(ActivationKind.RELU, leaky=True),
        "MatMul": _matmul,
        "Max": _eltwise(EltwiseKind.MAX),
        "MaxPool": _pool,
        "Mul": _eltwise(EltwiseKind.PROD),
        "Pad": _pad,
        "ReduceMean": _reduce_mean,
        "Relu": _activation(ActivationKind.RELU),
        "Reshape": _reshape,
        "Sigmoid": _activation(ActivationKind.SIGMOID),
        "Softmax": _softmax,
        "Squeeze": _reshape,
        "Sum": _eltwise(EltwiseKind.SUM),
        "Tanh": _activation(ActivationKind.TANH),
        "Unsqueeze": _reshape,
    }
)

KNOWN_OPERATORS = frozenset(_TRANSLATORS)
"""Operators that become layers."""
