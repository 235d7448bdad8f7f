"""Networks from ONNX files.

Shapes come from ONNX's own shape inference and are checked against ours. Weights are never read:
their dimensions are enough, so a file's own are passed over and its external data stay untouched,
wherever they point.

Operators without a counterpart here become ``Opaque`` layers with the shape that ONNX infers, and
are listed in ``Network.unsupported``. Nodes that only compute with shapes or constants (``Shape``,
``Gather`` of a shape, ...) launch nothing on the GPU and make no layer.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernprof.errors import NetworkFileError, ShapeError, UnavailableError
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Input, Network, Op, Opaque, Shape, Unsupported
from kernprof.networks.limits import LIMITS, NetworkLimits
from kernprof.networks.onnx_bounds import check, structure
from kernprof.networks.onnx_ops import Node, Step, UnknownNodeError, translate
from kernprof.text import clean

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

Dims = tuple[int | None, ...]
"""Dimensions of a tensor with its batch; None where one isn't known."""

_TOLD = 500
"""Characters of another library's message that are passed on: they repeat the file's names."""

_SMALL = 1024
"""Constants of up to this many elements are kept: they may be shapes, axes or limits."""


@dataclass(frozen=True, slots=True)
class OnnxReaderOptions:
    """How an ONNX file is read.

    Parameters
    ----------
    input_shape
        Shape of one image, where the file leaves it open.
    limits
        Bounds on the file.
    """

    input_shape: Shape | None = None
    limits: NetworkLimits = LIMITS


def read_onnx(path: str | Path, options: OnnxReaderOptions | None = None) -> Network:
    """Read a network from an ONNX file; the weights in it are passed over.

    Raises
    ------
    NetworkFileError
        The file can't be read, is no ONNX model, leaves shapes open, contradicts itself, or breaks
        a limit.
    UnavailableError
        The ``onnx`` package isn't installed.
    """
    options = options or OnnxReaderOptions()
    limits = options.limits
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise NetworkFileError(f"{path}: not an ordinary file")
        if found.st_size > limits.onnx_bytes:
            raise NetworkFileError(
                f"{path}: {found.st_size} bytes; at most {limits.onnx_bytes} are read (large "
                "weights belong in external data, which isn't needed)"
            )
        with Path(path).open("rb") as stream:
            content = structure(stream, found.st_size, limits)
    except OSError as error:
        raise NetworkFileError(f"{path}: {error.strerror or error}") from error
    except NetworkFileError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise NetworkFileError(f"{path}: {error}") from error
    return _network(content, str(path), options)


def network_from_onnx(
    content: bytes, origin: str, options: OnnxReaderOptions | None = None
) -> Network:
    """Build a network from a serialised ONNX model.

    Parameters
    ----------
    content
        The model.
    origin
        What messages call it, usually its path.
    options
        How it is read.

    Raises
    ------
    NetworkFileError, UnavailableError
        As ``read_onnx``.
    """
    options = options or OnnxReaderOptions()
    try:
        bare = structure(BytesIO(content), len(content), options.limits)
    except NetworkFileError as error:
        raise NetworkFileError(f"{origin}: {error}") from error
    return _network(bare, origin, options)


def _network(content: bytes, origin: str, options: OnnxReaderOptions) -> Network:
    """Build a network from a serialised model without its weights' values."""
    model = _parse(content, origin)
    try:
        return _Reader(_infer(model, options), origin, options.limits).read()
    except (NetworkFileError, ShapeError) as error:
        raise NetworkFileError(f"{origin}: {error}") from error


def _parse(content: bytes, origin: str) -> ModelProto:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UnavailableError(
            "the onnx package, which reads ONNX files, is not installed",
            "pip install 'gpu-kernprof[onnx]'",
        ) from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError) as error:
        raise NetworkFileError(f"{origin}: not an ONNX model ({error})") from error
    if not model.graph.node:
        raise NetworkFileError(f"{origin}: no nodes; a serialised ONNX model is expected")
    return model


def _infer(model: ModelProto, options: OnnxReaderOptions) -> ModelProto:
    """Fix the input shapes, drop the weights' values and run ONNX's shape inference."""
    import onnx

    graph = model.graph
    check(model, options.limits)
    for tensor in graph.initializer:
        if _elements(tensor.dims) > _SMALL:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data"):
                tensor.ClearField(field)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
    weights = {tensor.name for tensor in graph.initializer}
    first = True
    for value in graph.input:
        if value.name not in weights:
            _fix_input(value, options.input_shape if first else None)
            first = False
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        ValueError,
        RuntimeError,
        MemoryError,
    ) as error:
        told = str(error)[:_TOLD]
        raise NetworkFileError(f"ONNX's shape inference refuses the model: {told}") from error


def _fix_input(value: ValueInfoProto, shape: Shape | None) -> None:
    """Give an input definite dimensions: one image where the batch size is open."""
    dims = value.type.tensor_type.shape.dim
    if dims and not dims[0].dim_value:
        dims[0].dim_value = 1
    if shape is not None and len(dims) == 4:
        for dim, extent in zip(dims[1:], (shape.channels, shape.height, shape.width), strict=True):
            dim.dim_value = extent
    open_dims = [str(index) for index, dim in enumerate(dims) if not dim.dim_value > 0]
    if not dims or open_dims:
        raise NetworkFileError(
            f"input {value.name!r} leaves dimensions {', '.join(open_dims) or 'and rank'} open; "
            "give the input shape, for example 3x224x224"
        )


class _Reader:
    """Adds the nodes of an inferred graph to a builder."""

    def __init__(self, model: ModelProto, origin: str, limits: NetworkLimits) -> None:
        graph = model.graph
        self._graph: GraphProto = graph
        self._net = NetworkBuilder(Path(origin).stem, None, origin, limits)
        self._dims = _known_dims(graph)
        self._constants = _constants(graph)
        self._layers: dict[str, int] = {}
        self._unknown: list[Unsupported] = []

    def read(self) -> Network:
        """Return the network."""
        for value in self._graph.input:
            if value.name not in self._constants:
                position = self._net.add(
                    self._net.free_name(_text(value.name)), Input(self._shape(value.name)), ()
                )
                self._layers[value.name] = position
        if not self._layers:
            raise NetworkFileError("the graph has no input; expected an image")
        for index, proto in enumerate(self._graph.node):
            self._node(proto, index)
        return self._net.build(self._unknown)

    def _node(self, proto: NodeProto, index: int) -> None:
        where = f"node {index}"
        names = [name for name in proto.input if name]
        for name in names:
            if name not in self._layers and name not in self._constants:
                raise NetworkFileError(
                    f"{where} ({proto.op_type}) reads {name!r}, which no earlier node produces"
                )
        sources = [name for name in names if name in self._layers]
        if not sources or proto.op_type in ("Shape", "Size"):
            # Host arithmetic on shapes and constants. Values are found by ONNX's data propagation
            # where they matter; here it is enough that they aren't images.
            value = self._constants.get(names[0]) if proto.op_type == "Identity" else None
            for output in proto.output:
                self._constants.setdefault(output, value)
            return
        node = Node(
            _text(proto.op_type),
            _attributes(proto),
            tuple(self._constants.get(name) for name in proto.input),
            tuple(self._dims.get(name) for name in proto.input),
            tuple(name in self._layers for name in proto.input),
            self._output_dims(proto),
        )
        label = _text(proto.name or (proto.output[0] if proto.output else proto.op_type))
        try:
            steps = translate(node)
        except UnknownNodeError as error:
            self._opaque(proto, label, error.variant, sources, where)
            return
        except ShapeError as error:
            raise NetworkFileError(f"{where} ({proto.op_type} {label!r}): {error}") from error
        self._chain(proto, label, steps, sources, where)

    def _chain(
        self,
        proto: NodeProto,
        label: str,
        steps: Sequence[Step],
        sources: Sequence[str],
        where: str,
    ) -> None:
        """Add the layers that a node becomes, each reading the one before."""
        positions = [self._layers[name] for name in sources]
        if steps and steps[0].swap:
            positions.reverse()
        for step in steps:
            name = self._net.free_name(label + step.suffix)
            positions = [self._net.add(name, step.op, positions, in_place=step.in_place)]
        self._layers[proto.output[0]] = positions[0]
        inferred = self._dims.get(proto.output[0])
        if inferred is not None and None not in inferred:
            expected, found = _image(inferred), self._net.shape(positions[0])
            if expected.count != found.count:
                raise NetworkFileError(
                    f"{where} ({proto.op_type} {label!r}): the output is {found}, but ONNX's shape "
                    f"inference says {expected}"
                )

    def _opaque(
        self, proto: NodeProto, label: str, variant: str, sources: Sequence[str], where: str
    ) -> None:
        self._unknown.append(Unsupported(label, variant, where))
        for output in proto.output:
            if not output:
                continue
            op: Op = Opaque(variant, self._shape(output, where))
            positions = [self._layers[name] for name in sources]
            self._layers[output] = self._net.add(self._net.free_name(label), op, positions)

    def _output_dims(self, proto: NodeProto) -> Dims | None:
        return self._dims.get(proto.output[0]) if proto.output else None

    def _shape(self, name: str, where: str = "input") -> Shape:
        dims = self._dims.get(name)
        if dims is None or None in dims:
            raise NetworkFileError(
                f"{where}: the shape of {name!r} can't be inferred (found "
                f"{'nothing' if dims is None else dims}); give the input shape, or export the "
                "model with fixed sizes"
            )
        return _image(dims)


def _known_dims(graph: GraphProto) -> dict[str, Dims]:
    found: dict[str, Dims] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
            found[value.name] = tuple(
                dim.dim_value if dim.dim_value > 0 else None
                for dim in value.type.tensor_type.shape.dim
            )
    for tensor in graph.initializer:
        found[tensor.name] = tuple(tensor.dims)
    return found


def _constants(graph: GraphProto) -> dict[str, tuple[float, ...] | None]:
    """Values of the small constants; None for weights."""
    found: dict[str, tuple[float, ...] | None] = {}
    for tensor in graph.initializer:
        found[tensor.name] = _values(tensor)
    for proto in graph.node:
        if proto.op_type == "Constant" and proto.output:
            values = [item.t for item in proto.attribute if item.name == "value"]
            found[proto.output[0]] = _values(values[0]) if values else None
    return found


def _values(tensor: Any) -> tuple[float, ...] | None:
    from onnx import numpy_helper

    if _elements(tensor.dims) > _SMALL:
        return None
    try:
        flat = numpy_helper.to_array(tensor).ravel().tolist()
    except (ValueError, TypeError, OverflowError, KeyError):
        # Values that can't be decoded are as good as unknown: they come from external data, or
        # the file is damaged there; a layer that needs them says so.
        return None
    return tuple(value for value in flat if isinstance(value, int | float))


def _attributes(proto: NodeProto) -> dict[str, Any]:
    from onnx import AttributeProto

    readers: dict[int, Callable[[AttributeProto], Any]] = {
        AttributeProto.INT: lambda item: item.i,
        AttributeProto.INTS: lambda item: tuple(item.ints),
        AttributeProto.FLOAT: lambda item: item.f,
        AttributeProto.STRING: lambda item: item.s.decode("utf-8", "replace"),
    }
    return {item.name: readers[item.type](item) for item in proto.attribute if item.type in readers}


def _text(value: str | bytes) -> str:
    """Return a name as clean text: protobuf leaves it as bytes where it isn't valid UTF-8."""
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)


def _elements(dims: Sequence[int]) -> int:
    count = 1
    for dim in dims:
        count *= dim
    return count


def _image(dims: Sequence[int | None]) -> Shape:
    """Shape of one image from dimensions with a batch; more than three are folded."""
    extents = [dim or 0 for dim in dims[1:]]
    if not extents:
        return Shape(1)
    if len(extents) > 3:
        extents = [*extents[:2], _elements(extents[2:])]
    return Shape(*extents)
