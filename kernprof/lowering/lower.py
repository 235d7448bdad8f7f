"""From layers and networks to launches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernprof.errors import UsageError
from kernprof.lowering.caffe import caffe_launches
from kernprof.lowering.direct import direct_launches
from kernprof.lowering.emit import Emitter
from kernprof.lowering.launch import (
    Direction,
    Launch,
    Library,
    Lowering,
    Purpose,
    launches_by_family,
    merge,
)
from kernprof.lowering.options import LoweringOptions
from kernprof.networks.infer import check_index
from kernprof.networks.ir import (
    Accuracy,
    Convolution,
    InnerProduct,
    Layer,
    Network,
    Opaque,
    Scale,
    Softmax,
    Unsupported,
)

DEFAULTS = LoweringOptions()
"""Caffe, both passes, batch size 1, training phase, cuDNN, no data gradients."""


@dataclass(frozen=True, slots=True)
class LoweredNetwork:
    """All launches of a network.

    Parameters
    ----------
    network
        Its name.
    options
        How it was lowered.
    launches
        In order of execution (the backward pass from the last layer to the first); identical
        launches of a layer in a pass are merged, their ``count`` says how many.
    unsupported
        What has no launches here because it isn't modelled.
    """

    network: str
    options: LoweringOptions
    launches: tuple[Launch, ...]
    unsupported: tuple[Unsupported, ...]

    def by_family(self) -> dict[str, int]:
        """Count the launches of each family, most frequent first."""
        return launches_by_family(self.launches)

    @property
    def total(self) -> int:
        """Number of launches in all."""
        return sum(launch.count for launch in self.launches)


def lower_layer(
    layer: Layer,
    options: LoweringOptions = DEFAULTS,
    *,
    needs: Sequence[bool] | None = None,
) -> tuple[Launch, ...]:
    """List the launches of one layer, identical ones merged.

    Parameters
    ----------
    layer
        The layer.
    options
        How to lower it.
    needs
        For each input, whether its gradient is wanted; without it, ``options.data_gradients``
        decides for all inputs.

    Raises
    ------
    ShapeError
        A tensor is too large for 32-bit indices, or the lowering's kernels don't cover the layer.
    UsageError
        The layer's type is unknown, so that its launches are too.
    """
    if isinstance(layer.op, Opaque | Accuracy):
        raise UsageError(
            f"layer {layer.name!r} is of type {layer.kind}, whose kernels aren't modelled; "
            "choose another layer"
        )
    if needs is None:
        needs = (options.wants_data_gradients,) * len(layer.inputs)
    return merge(_layer_launches(layer, options, needs, options.directions))


def lower_network(network: Network, options: LoweringOptions = DEFAULTS) -> LoweredNetwork:
    """List the launches of a whole network.

    Raises
    ------
    ShapeError
        A tensor is too large for 32-bit indices, or the lowering's kernels don't cover a layer.
    """
    needs = _gradient_needs(network, options)
    readers = _gradient_readers(network, needs, options)
    launches: list[Launch] = []
    for direction in options.directions:
        backward = direction is Direction.BACKWARD
        order = range(len(network.layers))
        for position in reversed(order) if backward else order:
            layer = network.layers[position]
            if isinstance(layer.op, Opaque | Accuracy):
                continue
            if backward:
                launches.extend(_split(layer, options, readers[position]))
            launches.extend(merge(_layer_launches(layer, options, needs[position], (direction,))))
    scored = tuple(
        Unsupported(layer.name, layer.kind, "its kernels aren't modelled")
        for layer in network.layers
        if isinstance(layer.op, Accuracy)
    )
    return LoweredNetwork(network.name, options, tuple(launches), network.unsupported + scored)


def _layer_launches(
    layer: Layer,
    options: LoweringOptions,
    needs: Sequence[bool],
    directions: Sequence[Direction],
) -> Iterator[Launch]:
    batch = options.batch
    for what, shape in (
        *(("input", shape) for shape in layer.in_shapes),
        ("output", layer.out_shape),
    ):
        check_index(layer.name, f"the {what} of {batch} x {shape}", batch * shape.count)
    lower = caffe_launches if options.lowering is Lowering.CAFFE else direct_launches
    for direction in directions:
        yield from lower(Emitter(layer, direction, options), needs)


def _gradient_needs(network: Network, options: LoweringOptions) -> list[tuple[bool, ...]]:
    """For each layer and input, whether the gradient of that input is computed.

    An input needs one when a parameter that is learned lies before it: statistics of BatchNorm
    don't count (their learning rate is 0). Left to itself, Caffe computes them only for layers that
    lead to a loss.
    """
    if options.data_gradients is None and options.lowering is Lowering.CAFFE:
        taking_part = _before_a_loss(network)
    else:
        taking_part = [options.wants_data_gradients] * len(network.layers)
    depends: list[bool] = []
    needs: list[tuple[bool, ...]] = []
    for layer, takes_part in zip(network.layers, taking_part, strict=True):
        inputs = tuple(depends[source] for source in layer.inputs)
        learned = isinstance(layer.op, Convolution | InnerProduct | Scale)
        depends.append(learned or any(inputs))
        needs.append(inputs if takes_part else (False,) * len(inputs))
    return needs


def _before_a_loss(network: Network) -> list[bool]:
    """For each layer, whether it is a loss or its output reaches one."""
    found = [isinstance(layer.op, Softmax) and layer.op.loss for layer in network.layers]
    for position in reversed(range(len(network.layers))):
        if found[position]:
            for source in network.layers[position].inputs:
                found[source] = True
    return found


def _gradient_readers(
    network: Network, needs: Sequence[tuple[bool, ...]], options: LoweringOptions
) -> list[int]:
    """For each layer, how many gradients of its output are added up.

    Caffe's Split adds those of all readers as soon as one is wanted, also a score's, which is 0.
    """
    wanted = [0] * len(network.layers)
    for layer, needed in zip(network.layers, needs, strict=True):
        for source, need in zip(layer.inputs, needed, strict=True):
            wanted[source] += need
    if options.lowering is not Lowering.CAFFE:
        return wanted
    readers = [len(found) for found in network.consumers()]
    return [count if some else 0 for count, some in zip(readers, wanted, strict=True)]


def _split(layer: Layer, options: LoweringOptions, readers: int) -> Iterator[Launch]:
    """Sum the gradients of an output that several layers read (Caffe's Split layers)."""
    if readers < 2:
        return
    emit = Emitter(layer, Direction.BACKWARD, options)
    caffe = options.lowering is Lowering.CAFFE
    own = Library.CAFFE if caffe else Library.KERNPROF
    yield emit.elementwise("ew_add", emit.out_count, own, Purpose.SPLIT)
    if readers > 2:
        kernel, library = ("ew_axpy", Library.CUBLAS) if caffe else ("ew_add", Library.KERNPROF)
        yield emit.launch(kernel, Purpose.SPLIT, library, times=readers - 2, count=emit.out_count)
