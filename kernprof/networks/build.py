"""Building a network layer by layer, with every shape checked as it is added."""

from __future__ import annotations

from collections.abc import Sequence

from kernprof.errors import ShapeError
from kernprof.networks.infer import output_shape
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
    Engine,
    InnerProduct,
    Input,
    Layer,
    Network,
    Op,
    Pair,
    Pooling,
    PoolMethod,
    Rounding,
    Scale,
    Shape,
    Softmax,
    Unsupported,
)
from kernprof.networks.limits import LIMITS, NetworkLimits
from kernprof.text import clean


def pair(value: int | Pair) -> Pair:
    """Take one number for both axes, or (vertical, horizontal)."""
    return (value, value) if isinstance(value, int) else value


class NetworkBuilder:
    """Adds layers one after the other; ``build`` gives the finished network.

    Every method that adds a layer returns its position. ``after`` names the position it reads;
    without it, it reads the layer added last.

    Parameters
    ----------
    name
        Name of the network.
    input_shape
        Shape of one image; None for a network whose inputs are added as layers.
    source
        The definition that is followed.
    limits
        Bounds on layers, names and inputs.
    """

    def __init__(
        self,
        name: str,
        input_shape: Shape | None,
        source: str,
        limits: NetworkLimits = LIMITS,
    ) -> None:
        self.name = clean(name)
        self.source = source
        self._limits = limits
        self._layers: list[Layer] = []
        self._names: set[str] = set()
        self._free_numbers: dict[str, int] = {}
        self._connections = 0
        if input_shape is not None:
            self.add("data", Input(input_shape), ())

    @property
    def last(self) -> int:
        """Position of the layer added last."""
        return len(self._layers) - 1

    def shape(self, position: int | None = None) -> Shape:
        """Output shape of the layer at ``position`` (of the last one without it)."""
        return self._layers[self.last if position is None else position].out_shape

    def free_name(self, wanted: str) -> str:
        """Return ``wanted``, or ``wanted#2``, ``wanted#3``, ... where that name is taken.

        Control characters are dropped first: the name is shown, and typed by whoever asks for it.
        """
        wanted = clean(wanted)
        if wanted not in self._names:
            return wanted
        # Numbers below were found taken before; names never become free again.
        number = self._free_numbers.get(wanted, 2)
        while f"{wanted}#{number}" in self._names:
            number += 1
        self._free_numbers[wanted] = number
        return f"{wanted}#{number}"

    def add(self, name: str, op: Op, inputs: Sequence[int], *, in_place: bool = False) -> int:
        """Add any layer.

        Raises
        ------
        ShapeError
            The shapes break a rule of the operation, the name is taken, or a limit is broken.
        """
        self._check_limits(name, len(inputs))
        if name in self._names:
            raise ShapeError(f"network {self.name!r} has two layers {name!r}; names must differ")
        in_shapes = tuple(self._layers[position].out_shape for position in inputs)
        out_shape = output_shape(name, op, in_shapes)
        self._layers.append(Layer(name, op, tuple(inputs), in_shapes, out_shape, in_place))
        self._names.add(name)
        return self.last

    def conv(
        self,
        name: str,
        out_channels: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        engine: Engine = Engine.DEFAULT,
        after: int | None = None,
    ) -> int:
        """Add a convolution."""
        op = Convolution(
            out_channels,
            pair(kernel),
            pair(stride),
            pair(pad),
            groups=groups,
            bias=bias,
            engine=engine,
        )
        return self.add(name, op, [self._source(after)])

    def fc(self, name: str, out_features: int, *, bias: bool = True) -> int:
        """Add a fully connected layer."""
        return self.add(name, InnerProduct(out_features, bias), [self.last])

    def batch_norm(
        self,
        name: str,
        *,
        global_stats: bool | None = None,
        in_place: bool = True,
        after: int | None = None,
    ) -> int:
        """Add a normalisation by mean and variance."""
        return self.add(name, BatchNorm(global_stats), [self._source(after)], in_place=in_place)

    def scale(self, name: str, *, bias: bool = True) -> int:
        """Add factors and biases per channel, in place."""
        return self.add(name, Scale(bias), [self.last], in_place=True)

    def act(
        self, name: str, kind: ActivationKind = ActivationKind.RELU, *, in_place: bool = True
    ) -> int:
        """Add a non-linearity."""
        return self.add(name, Activation(kind), [self.last], in_place=in_place)

    def lrn(self, name: str, local_size: int = 5) -> int:
        """Add a local response normalisation."""
        return self.add(name, LRN(local_size), [self.last])

    def pool(
        self,
        name: str,
        method: PoolMethod,
        kernel: int | Pair,
        stride: int | Pair = 1,
        *,
        pad: int | Pair = 0,
        rounding: Rounding = Rounding.CEIL,
        after: int | None = None,
    ) -> int:
        """Add a pooling layer."""
        op = Pooling(method, pair(kernel), pair(stride), pair(pad), rounding=rounding)
        return self.add(name, op, [self._source(after)])

    def global_pool(self, name: str, after: int | None = None) -> int:
        """Add an average over the whole map."""
        return self.add(name, Pooling(PoolMethod.AVE, global_pooling=True), [self._source(after)])

    def dropout(self, name: str) -> int:
        """Add a dropout, in place."""
        return self.add(name, Dropout(), [self.last], in_place=True)

    def softmax(self, name: str) -> int:
        """Add a softmax."""
        return self.add(name, Softmax(), [self.last])

    def concat(self, name: str, parts: Sequence[int]) -> int:
        """Concatenate along the channels."""
        return self.add(name, Concat(), parts)

    def eltwise(self, name: str, parts: Sequence[int], kind: EltwiseKind = EltwiseKind.SUM) -> int:
        """Combine element by element."""
        return self.add(name, Eltwise(kind), parts)

    def build(self, unsupported: Sequence[Unsupported] = ()) -> Network:
        """Return the finished network."""
        return Network(self.name, tuple(self._layers), self.source, tuple(unsupported))

    def _check_limits(self, name: str, inputs: int) -> None:
        limits = self._limits
        self._connections += inputs
        for what, found, most in (
            ("layers", len(self._layers) + 1, limits.layers),
            (f"characters in the name {name[:20]!r}...", len(name), limits.name_chars),
            (f"inputs of layer {name[:60]!r}", inputs, limits.inputs),
            ("inputs of all layers", self._connections, limits.connections),
        ):
            if found > most:
                raise ShapeError(f"{found} {what}; at most {most} are taken")

    def _source(self, after: int | None) -> int:
        return self.last if after is None else after
