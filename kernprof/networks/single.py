"""One layer without a network, from the numbers a user gives."""

from __future__ import annotations

from enum import StrEnum

from kernprof.errors import ShapeError, UnknownNameError
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Engine, Layer, Pair, Shape


class LayerType(StrEnum):
    """Kinds of layer that can be asked for by shape."""

    CONV = "conv"
    GROUPED = "grouped"
    DEPTHWISE = "depthwise"
    POINTWISE = "pointwise"
    FC = "fc"
    BATCHNORM = "batchnorm"
    SCALE = "scale"


def single_layer(
    kind: LayerType | str,
    *,
    in_channels: int,
    out_channels: int | None = None,
    size: int | Pair = 1,
    kernel: int | Pair | None = None,
    stride: int | Pair = 1,
    pad: int | Pair | None = None,
    groups: int | None = None,
    bias: bool = False,
    engine: Engine = Engine.DEFAULT,
) -> Layer:
    """Describe one layer; what its kind already fixes needn't be given.

    Parameters
    ----------
    kind
        The kind of layer.
    in_channels
        Input channels (input features for ``fc`` with size 1).
    out_channels
        Output channels or features; the input's where it is left out (not for ``fc``).
    size
        Height and width of the input, one number for both.
    kernel
        Window; 3 where it is left out, always 1 for ``pointwise``.
    stride
        Step of the window.
    pad
        Zero padding on every side; half the kernel, rounded down, where it is left out.
    groups
        Groups of a ``grouped`` convolution (needed there); ``depthwise`` has one a channel.
    bias
        Whether a bias is added (convolutions, ``fc`` and ``scale``).
    engine
        Caffe's engine for a convolution.

    Raises
    ------
    UnknownNameError
        There is no such kind.
    ShapeError
        An option contradicts the kind, or the shapes break a rule.
    """
    if kind not in list(LayerType):
        raise UnknownNameError("kind of layer", kind, list(LayerType))
    kind = LayerType(kind)
    height, width = (size, size) if isinstance(size, int) else size
    if in_channels < 1 or height < 1 or width < 1:
        raise ShapeError(f"input {in_channels}x{height}x{width}: every extent must be at least 1")
    net = NetworkBuilder(str(kind), Shape(in_channels, height, width), "given by shape")
    name = str(kind)
    if kind in (LayerType.BATCHNORM, LayerType.SCALE):
        _reject(kind, out_channels not in (None, in_channels), "other output than input channels")
        _reject(kind, kernel is not None or pad is not None or stride != 1, "kernel, stride or pad")
        _reject(kind, groups is not None, "groups")
        if kind is LayerType.BATCHNORM:
            net.batch_norm(name)
        else:
            net.scale(name, bias=bias)
    elif kind is LayerType.FC:
        _reject(kind, kernel is not None or pad is not None or stride != 1, "kernel, stride or pad")
        _reject(kind, groups is not None, "groups")
        if out_channels is None:
            raise ShapeError("an fc layer needs its output features; give out_channels")
        net.fc(name, out_channels, bias=bias)
    else:
        kernel, groups = _window_of(kind, kernel, groups, in_channels)
        if kind is LayerType.POINTWISE:
            _reject(kind, stride != 1 or pad not in (None, 0), "stride or pad")
        if pad is None:
            pad = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
        net.conv(
            name,
            in_channels if out_channels is None else out_channels,
            kernel,
            stride=stride,
            pad=pad,
            groups=groups,
            bias=bias,
            engine=engine,
        )
    return net.build().layers[-1]


def _window_of(
    kind: LayerType, kernel: int | Pair | None, groups: int | None, channels: int
) -> tuple[int | Pair, int]:
    if kind is LayerType.POINTWISE:
        _reject(kind, kernel not in (None, 1, (1, 1)), "a kernel other than 1")
        _reject(kind, groups not in (None, 1), "groups")
        return 1, 1
    if kind is LayerType.DEPTHWISE:
        _reject(kind, groups not in (None, channels), "groups other than its channels")
        return 3 if kernel is None else kernel, channels
    if kind is LayerType.GROUPED and groups is None:
        raise ShapeError("a grouped layer needs its number of groups; give groups")
    return 3 if kernel is None else kernel, 1 if groups is None else groups


def _reject(kind: LayerType, broken: bool, what: str) -> None:
    if broken:
        raise ShapeError(f"a {kind} layer takes no {what}; leave it out, or use --type conv")
