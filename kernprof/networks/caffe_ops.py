"""What a Caffe layer message means as an operation: defaults and fields as in ``caffe.proto``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

from kernprof.errors import NetworkFileError
from kernprof.networks.ir import (
    LRN,
    Accuracy,
    Activation,
    ActivationKind,
    BatchNorm,
    Concat,
    Convolution,
    Dropout,
    Eltwise,
    EltwiseKind,
    Engine,
    InnerProduct,
    Op,
    Pair,
    Pooling,
    PoolMethod,
    Rounding,
    Scale,
    Shape,
    Softmax,
)
from kernprof.networks.prototext import Message


class UnknownVariantError(Exception):
    """A layer type, or a mode of one, that isn't modelled; never leaves the reader."""

    def __init__(self, variant: str) -> None:
        super().__init__(variant)
        self.variant = variant


def operation(layer: Message, type_name: str, *, ignore_ceil_mode: bool = False) -> Op | None:
    """Translate a layer message.

    Returns
    -------
    Op or None
        None for layers that only rename or reshape (Flatten, Reshape, Split, Silence).

    Raises
    ------
    UnknownVariantError
        The type, or the mode that the layer asks for, isn't modelled.
    NetworkFileError
        A field has a value that Caffe wouldn't take.
    """
    if type_name in _SHAPERS:
        return None
    if type_name not in _TRANSLATORS:
        raise UnknownVariantError(type_name or "(no type)")
    op = _TRANSLATORS[type_name](layer)
    if isinstance(op, Pooling) and ignore_ceil_mode:
        return _pooling(layer, ignore_ceil_mode=True)
    return op


def declared_shapes(
    message: Message, type_name: str | None = None
) -> list[tuple[str, Shape | None]]:
    """Shapes that a file (without ``type_name``) or a data layer declares, batch size dropped.

    Raises
    ------
    NetworkFileError
        Names and shapes don't match, or a shape has no extent besides the batch.
    """
    match type_name:
        case None:
            names = message.texts("input")
            dims = message.integers("input_dim")
            shapes = [_image(shape) for shape in message.messages("input_shape")]
            if dims:
                if len(dims) != 4 * len(names):
                    raise NetworkFileError(
                        f"{len(names)} inputs and {len(dims)} input_dim values; four an input are "
                        "expected"
                    )
                shapes = [Shape(*dims[i + 1 : i + 4]) for i in range(0, len(dims), 4)]
            if not shapes:
                return [(name, None) for name in names]
            if len(shapes) != len(names):
                raise NetworkFileError(f"{len(names)} inputs and {len(shapes)} input shapes")
            return list(zip(names, shapes, strict=True))
        case "Input":
            shapes = [_image(s) for s in message.message("input_param").messages("shape")]
        case "DummyData":
            shapes = [_image(s) for s in message.message("dummy_data_param").messages("shape")]
        case "MemoryData":
            param = message.message("memory_data_param")
            extents = [param.integer(key, 0) for key in ("channels", "height", "width")]
            shapes = [Shape(*extents)]
        case _:
            shapes = []
    tops = message.texts("top")
    if len(shapes) == 1 and len(tops) > 1 and type_name != "MemoryData":
        shapes = shapes * len(tops)
    return [("", shape) for shape in shapes]


def data_shape(layer: Message, before: Shape) -> Shape:
    """Shape after a Flatten or Reshape layer.

    Raises
    ------
    NetworkFileError
        The reshape reaches beyond the image, or its -1 doesn't come out whole.
    """
    param = layer.message("reshape_param")
    if not layer.messages("reshape_param"):
        return Shape(before.count)
    if param.integer("axis", 0) != 0 or param.integer("num_axes", -1) != -1:
        raise NetworkFileError(
            f"line {layer.line}: a reshape of part of the axes; only whole reshapes are read"
        )
    dims = param.message("shape").integers("dim")
    old = [before.channels, before.height, before.width]
    # dims[0] is the batch: 0 (kept), -1 (what is left over) or its size.
    extents = dims[1:]
    kept = [old[i] if extent == 0 and i < 3 else extent for i, extent in enumerate(extents)]
    if kept.count(-1) == 1:
        rest = prod(extent for extent in kept if extent != -1)
        if rest < 1 or before.count % rest:
            raise NetworkFileError(
                f"line {layer.line}: {before} can't be reshaped to {dims}; the -1 must come out "
                "whole"
            )
        kept[kept.index(-1)] = before.count // rest
    if not kept or len(kept) > 3:
        kept = [prod(kept[: len(kept) - 2]), *kept[-2:]] if kept else [before.count]
    return Shape(*kept)


def _image(shape: Message) -> Shape:
    dims = shape.integers("dim")
    if len(dims) == 1:
        return Shape(1)
    if not 2 <= len(dims) <= 4:
        raise NetworkFileError(
            f"line {shape.line}: a shape of {len(dims)} dimensions; batch, channels, height and "
            "width are expected"
        )
    return Shape(*dims[1:])


def _convolution(layer: Message) -> Op:
    param = layer.message("convolution_param")
    if param.integer("axis", 1) != 1 or param.flag("force_nd_im2col"):
        raise UnknownVariantError("Convolution (axis or force_nd_im2col)")
    engine = _enumerator(param, "engine", "DEFAULT", ("DEFAULT", "CAFFE", "CUDNN"), layer.line)
    return Convolution(
        _required(param, "num_output", layer.line),
        _window(param, "kernel_size", "kernel", None, layer.line),
        _window(param, "stride", "stride", 1, layer.line),
        _window(param, "pad", "pad", 0, layer.line),
        _window(param, "dilation", "dilation", 1, layer.line),
        param.integer("group", 1),
        param.flag("bias_term") is not False,
        Engine(engine.lower()),
    )


def _pooling(layer: Message, *, ignore_ceil_mode: bool = False) -> Op:
    param = layer.message("pooling_param")
    method = _enumerator(param, "pool", "MAX", ("MAX", "AVE", "STOCHASTIC"), layer.line)
    if method == "STOCHASTIC":
        raise UnknownVariantError("Pooling (STOCHASTIC)")
    rounding = Rounding(
        _enumerator(param, "round_mode", "CEIL", ("CEIL", "FLOOR"), layer.line).lower()
    )
    if param.flag("ceil_mode") is False and not ignore_ceil_mode:
        rounding = Rounding.FLOOR
    if param.flag("global_pooling"):
        return Pooling(PoolMethod(method.lower()), global_pooling=True, rounding=rounding)
    return Pooling(
        PoolMethod(method.lower()),
        _window(param, "kernel_size", "kernel", None, layer.line),
        _window(param, "stride", "stride", 1, layer.line),
        _window(param, "pad", "pad", 0, layer.line),
        rounding=rounding,
    )


def _inner_product(layer: Message) -> Op:
    param = layer.message("inner_product_param")
    if param.integer("axis", 1) != 1:
        raise UnknownVariantError("InnerProduct (axis)")
    return InnerProduct(
        _required(param, "num_output", layer.line), param.flag("bias_term") is not False
    )


def _scale(layer: Message) -> Op:
    param = layer.message("scale_param")
    two_inputs = len(layer.texts("bottom")) == 2
    if param.integer("num_axes", 1) != 1 or param.integer("axis", 1) != (0 if two_inputs else 1):
        raise UnknownVariantError("Scale (axis or num_axes)")
    if two_inputs and param.flag("bias_term"):
        raise UnknownVariantError("Scale (two inputs and a bias)")
    return Scale(bool(param.flag("bias_term")))


def _lrn(layer: Message) -> Op:
    param = layer.message("lrn_param")
    if param.text("norm_region", "ACROSS_CHANNELS") not in ("ACROSS_CHANNELS", "0"):
        raise UnknownVariantError("LRN (WITHIN_CHANNEL)")
    return LRN(param.integer("local_size", 5))


def _concat(layer: Message) -> Op:
    param = layer.message("concat_param")
    if param.integer("axis", param.integer("concat_dim", 1)) not in (1, -3):
        raise UnknownVariantError("Concat (axis)")
    return Concat()


def _eltwise(layer: Message) -> Op:
    param = layer.message("eltwise_param")
    kind = _enumerator(param, "operation", "SUM", ("PROD", "SUM", "MAX"), layer.line)
    if any(coefficient != 1 for coefficient in param.numbers("coeff")):
        raise UnknownVariantError("Eltwise (coefficients)")
    return Eltwise(EltwiseKind(kind.lower()))


def _softmax(layer: Message) -> Op:
    if layer.message("softmax_param").integer("axis", 1) != 1:
        raise UnknownVariantError("Softmax (axis)")
    return Softmax()


def _relu(layer: Message) -> Op:
    slopes = layer.message("relu_param").numbers("negative_slope")
    return Activation(ActivationKind.RELU, leaky=bool(slopes) and slopes[-1] != 0)


def _batch_norm(layer: Message) -> Op:
    return BatchNorm(layer.message("batch_norm_param").flag("use_global_stats"))


_TRANSLATORS: Mapping[str, Callable[[Message], Op]] = MappingProxyType(
    {
        "Accuracy": lambda layer: Accuracy(),
        "BatchNorm": _batch_norm,
        "Concat": _concat,
        "Convolution": _convolution,
        "Dropout": lambda layer: Dropout(),
        "Eltwise": _eltwise,
        "InnerProduct": _inner_product,
        "LRN": _lrn,
        "Pooling": _pooling,
        "ReLU": _relu,
        "ReLU6": lambda layer: Activation(ActivationKind.RELU6),
        "Scale": _scale,
        "Sigmoid": lambda layer: Activation(ActivationKind.SIGMOID),
        "Softmax": _softmax,
        "SoftmaxWithLoss": lambda layer: Softmax(loss=True),
        "Swish": lambda layer: Activation(ActivationKind.SWISH),
        "TanH": lambda layer: Activation(ActivationKind.TANH),
    }
)
_SHAPERS = frozenset({"Flatten", "Reshape", "Silence", "Split"})

KNOWN_TYPES = frozenset(_TRANSLATORS) | _SHAPERS
"""Layer types that are read, besides those that bring data."""


def _window(param: Message, repeated: str, prefix: str, default: int | None, line: int) -> Pair:
    """Read both extents: ``kernel_size`` once or twice, or ``kernel_h`` and ``kernel_w``."""
    values = param.integers(repeated)
    split = (param.integers(f"{prefix}_h"), param.integers(f"{prefix}_w"))
    if any(split):
        if values:
            raise NetworkFileError(
                f"line {line}: {repeated} and {prefix}_h or {prefix}_w are both given; Caffe takes "
                "one form"
            )
        vertical = split[0][-1] if split[0] else default
        horizontal = split[1][-1] if split[1] else default
    elif values:
        if len(values) > 2:
            raise NetworkFileError(
                f"line {line}: {repeated} has {len(values)} values; one or two are expected"
            )
        vertical, horizontal = values[0], values[-1]
    else:
        vertical = horizontal = default
    if vertical is None or horizontal is None:
        raise NetworkFileError(
            f"line {line}: no {repeated}; expected it once, or {prefix}_h and {prefix}_w"
        )
    return vertical, horizontal


def _required(param: Message, name: str, line: int) -> int:
    values = param.integers(name)
    if not values:
        raise NetworkFileError(f"line {line}: no {name}; the layer needs it")
    return values[-1]


def _enumerator(param: Message, name: str, default: str, known: tuple[str, ...], line: int) -> str:
    """Read an enumerator, given by name or by number."""
    text = param.text(name, default)
    if text.isdecimal() and len(text) < 3 and int(text) < len(known):
        return known[int(text)]
    if text not in known:
        raise NetworkFileError(
            f"line {line}: {name} is {text!r}; expected one of {', '.join(known)}"
        )
    return text
