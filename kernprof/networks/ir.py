"""The layer description that every network is turned into.

A network is a tuple of layers in execution order. Each layer has one typed operation (a frozen
dataclass below), the numbers of the layers it reads, and shapes worked out once by
``kernprof.networks.infer``. Shapes are per image (channels, height, width): the batch size is a
question of the run, not of the network.

The operations follow Caffe's layer types, because the counting rules and the launch lists that this
package reproduces are stated in them. Batch normalisation is therefore two layers: ``BatchNorm``
(statistics and division) and ``Scale`` (gamma and beta).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kernprof.errors import UnknownNameError

Pair = tuple[int, int]
"""(vertical, horizontal), in elements."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Extent of one image's tensor, in elements.

    Vectors are ``Shape(n)``: height and width are 1.
    """

    channels: int
    height: int = 1
    width: int = 1

    @property
    def pixels(self) -> int:
        """Elements of one channel: height x width."""
        return self.height * self.width

    @property
    def count(self) -> int:
        """Elements in all: channels x height x width."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


class Engine(StrEnum):
    """Which implementation Caffe takes for a convolution; DEFAULT leaves it to the build."""

    DEFAULT = "default"
    CAFFE = "caffe"
    CUDNN = "cudnn"


class PoolMethod(StrEnum):
    """What a pooling window is reduced to."""

    MAX = "max"
    AVE = "ave"


class Rounding(StrEnum):
    """How a pooling layer rounds an output size that doesn't divide."""

    CEIL = "ceil"
    FLOOR = "floor"


class ActivationKind(StrEnum):
    """Elementwise non-linearities."""

    RELU = "relu"
    RELU6 = "relu6"
    SIGMOID = "sigmoid"
    HSIGMOID = "hsigmoid"
    SWISH = "swish"
    HSWISH = "hswish"
    TANH = "tanh"


class EltwiseKind(StrEnum):
    """How equal-shaped tensors are combined."""

    SUM = "sum"
    PROD = "prod"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Input:
    """The image that enters the network."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Convolution:
    """A 2-D convolution; ``groups`` equal to the input channels makes it depthwise."""

    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    engine: Engine = Engine.DEFAULT


@dataclass(frozen=True, slots=True)
class InnerProduct:
    """A fully connected layer over all elements of its input."""

    out_features: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Normalisation by mean and variance per channel.

    ``global_stats`` says whether stored statistics are used; None leaves it to the phase (batch
    statistics in training, stored ones in testing).
    """

    global_stats: bool | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiplication by a factor per channel, and a bias per channel if ``bias``."""

    bias: bool = True


@dataclass(frozen=True, slots=True)
class LRN:
    """Local response normalisation across ``local_size`` channels."""

    local_size: int = 5


@dataclass(frozen=True, slots=True)
class Pooling:
    """Maximum or average over a window; the whole map if ``global_pooling``.

    With ``global_pooling`` the window is the input's height and width, whatever ``kernel`` says.
    """

    method: PoolMethod
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    global_pooling: bool = False
    rounding: Rounding = Rounding.CEIL


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise non-linearity. ``leaky`` is a ReLU with a slope below zero."""

    kind: ActivationKind = ActivationKind.RELU
    leaky: bool = False


@dataclass(frozen=True, slots=True)
class Dropout:
    """Random zeroing in training, nothing in testing."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax over channels; ``loss`` adds the logarithmic loss that training ends with."""

    loss: bool = False


@dataclass(frozen=True, slots=True)
class Concat:
    """Concatenation along the channels."""


@dataclass(frozen=True, slots=True)
class Eltwise:
    """Elementwise combination of two or more tensors.

    A product may take one value per channel as its second input (squeeze and excitation).
    """

    kind: EltwiseKind = EltwiseKind.SUM


@dataclass(frozen=True, slots=True)
class Pad:
    """Zero padding on its own, for convolutions padded differently on opposite sides."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements under another shape; moves no data."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Scoring of a result; counted nowhere."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """An operation that a file has and this package doesn't know; listed, never dropped."""

    type_name: str
    shape: Shape


Op = (
    Input
    | Convolution
    | InnerProduct
    | BatchNorm
    | Scale
    | LRN
    | Pooling
    | Activation
    | Dropout
    | Softmax
    | Concat
    | Eltwise
    | Pad
    | Reshape
    | Accuracy
    | Opaque
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation in its place.

    Parameters
    ----------
    name
        Unique within the network.
    op
        What it computes.
    inputs
        Positions in ``Network.layers`` of the layers it reads. A layer that reads an in-place
        layer names that layer, not the one whose buffer it overwrote.
    in_shapes, out_shape
        Per image, one input shape for each entry of ``inputs``.
    in_place
        Whether the output overwrites the first input's buffer.
    """

    name: str
    op: Op
    inputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    in_place: bool = False

    @property
    def kind(self) -> str:
        """Type of the operation ("Convolution", "BatchNorm"); an unknown one's own name."""
        return self.op.type_name if isinstance(self.op, Opaque) else type(self.op).__name__

    @property
    def in_shape(self) -> Shape:
        """Shape of the first input; an input layer's own shape."""
        return self.in_shapes[0] if self.in_shapes else self.out_shape


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Something in a network file that isn't modelled.

    Parameters
    ----------
    name
        The layer or node.
    type_name
        Its type in the file.
    where
        Its place ("line 42", "node 7").
    """

    name: str
    type_name: str
    where: str

    def __str__(self) -> str:
        return f"{self.type_name} ({self.name!r}, {self.where})"


@dataclass(frozen=True, slots=True)
class Network:
    """A network with all shapes known.

    Parameters
    ----------
    name
        What the user calls it.
    layers
        In execution order; a layer reads only earlier ones.
    source
        The public definition that it follows, or the file that it was read from.
    unsupported
        What a file holds and the layers don't model. Totals leave it out, and say so.
    """

    name: str
    layers: tuple[Layer, ...]
    source: str
    unsupported: tuple[Unsupported, ...] = ()

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input, per image."""
        return self.layers[0].out_shape

    def layer(self, name: str) -> Layer:
        """Return the layer called ``name``; case matters only where names differ by case alone.

        Raises
        ------
        UnknownNameError
            No layer has that name; carries near ones.
        """
        for candidate in self.layers:
            if candidate.name == name:
                return candidate
        folded = [candidate for candidate in self.layers if candidate.name.lower() == name.lower()]
        if len(folded) == 1:
            return folded[0]
        raise UnknownNameError(f"layer of {self.name}", name, [layer.name for layer in self.layers])

    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each layer, the positions of the layers that read its output."""
        readers: list[list[int]] = [[] for _ in self.layers]
        for position, layer in enumerate(self.layers):
            for source in layer.inputs:
                readers[source].append(position)
        return tuple(tuple(found) for found in readers)
