"""Networks from Caffe's prototxt files.

Reads the current ``layer`` syntax and the older ``layers`` with upper-case types. Fields that say
nothing about shapes (fillers, learning rates, data sources) are skipped. Layers of a type that
isn't known are listed in ``Network.unsupported``; when a known layer reads one, its shape can't be
told and the file is refused, with all unknown layers named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from kernprof.errors import NetworkFileError, ShapeError
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.caffe_ops import (
    KNOWN_TYPES,
    UnknownVariantError,
    data_shape,
    declared_shapes,
    operation,
)
from kernprof.networks.ir import (
    Accuracy,
    Eltwise,
    EltwiseKind,
    Input,
    Network,
    Op,
    Reshape,
    Scale,
    Shape,
    Softmax,
    Unsupported,
)
from kernprof.networks.limits import LIMITS, NetworkLimits
from kernprof.networks.prototext import Message, parse_prototext
from kernprof.text import clean

# Upper-case names of the older syntax (V1LayerParameter.LayerType in caffe.proto).
_OLD_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "ACCURACY": "Accuracy",
        "CONCAT": "Concat",
        "CONVOLUTION": "Convolution",
        "DATA": "Data",
        "DROPOUT": "Dropout",
        "DUMMY_DATA": "DummyData",
        "ELTWISE": "Eltwise",
        "FLATTEN": "Flatten",
        "IMAGE_DATA": "ImageData",
        "INNER_PRODUCT": "InnerProduct",
        "LRN": "LRN",
        "MEMORY_DATA": "MemoryData",
        "POOLING": "Pooling",
        "RELU": "ReLU",
        "SIGMOID": "Sigmoid",
        "SILENCE": "Silence",
        "SOFTMAX": "Softmax",
        "SOFTMAX_LOSS": "SoftmaxWithLoss",
        "SPLIT": "Split",
        "TANH": "TanH",
    }
)
_DATA_TYPES = frozenset({"Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData"})


_SHOWN = 10
"""Unknown layers that a message names."""


class NetPhase(StrEnum):
    """Which of a file's layers are taken: those of training or of testing."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class CaffeReaderOptions:
    """How a prototxt is read.

    Parameters
    ----------
    input_shape
        Shape of one image, over what the file says; needed where data come from a database.
    phase
        Which layers take part.
    ignore_ceil_mode
        Whether ``ceil_mode: false`` in a pooling layer is passed over. Stock Caffe doesn't know
        the field and Netscope ignores it; forks round down.
    limits
        Bounds on the file.
    """

    input_shape: Shape | None = None
    phase: NetPhase = NetPhase.TRAIN
    ignore_ceil_mode: bool = False
    limits: NetworkLimits = LIMITS


def read_prototxt(path: str | Path, options: CaffeReaderOptions | None = None) -> Network:
    """Read a network from a prototxt file.

    Raises
    ------
    NetworkFileError
        The file can't be read, is no prototxt, breaks a shape rule or a limit, or needs a layer
        type that isn't known.
    """
    options = options or CaffeReaderOptions()
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(options.limits.prototxt_bytes + 1)
    except OSError as error:
        raise NetworkFileError(f"{path}: {error.strerror or error}") from error
    if len(content) > options.limits.prototxt_bytes:
        raise NetworkFileError(
            f"{path}: larger than {options.limits.prototxt_bytes} bytes, the most of a prototxt"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NetworkFileError(
            f"{path}: byte {error.start} is no UTF-8 text; a Caffe prototxt is expected (weights "
            "in a .caffemodel aren't needed)"
        ) from error
    return network_from_prototxt(text, str(path), options)


def network_from_prototxt(
    text: str, origin: str, options: CaffeReaderOptions | None = None
) -> Network:
    """Build a network from the text of a prototxt.

    Parameters
    ----------
    text
        The file's content.
    origin
        What messages call it, usually its path.
    options
        How it is read.

    Raises
    ------
    NetworkFileError
        As ``read_prototxt``.
    """
    options = options or CaffeReaderOptions()
    try:
        return _Reader(parse_prototext(text, options.limits), origin, options).read()
    except NetworkFileError as error:
        if str(error).startswith(f"{origin}: "):
            raise
        raise NetworkFileError(f"{origin}: {error}") from error


class _Reader:
    """Adds the layers of a parsed file to a builder."""

    def __init__(self, root: Message, origin: str, options: CaffeReaderOptions) -> None:
        self._root = root
        self._options = options
        name = root.text("name") or Path(origin).stem
        self._net = NetworkBuilder(name, None, origin, options.limits)
        self._blobs: dict[str, int] = {}
        # Blobs without a shape: labels, and whatever comes out of an unknown layer.
        self._labels: set[str] = set()
        self._unshaped: set[str] = set()
        self._unknown: list[Unsupported] = []
        self._blocked: list[str] = []
        self._has_input = False

    def read(self) -> Network:
        """Return the network."""
        layers = self._layers()
        for blob, shape in declared_shapes(self._root):
            self._input(blob, blob, shape)
        for layer, type_name in layers:
            self._layer(layer, type_name)
        if self._blocked:
            shown = ", ".join(str(item) for item in self._unknown[:_SHOWN])
            if len(self._unknown) > _SHOWN:
                shown += f" and {len(self._unknown) - _SHOWN} more"
            raise NetworkFileError(
                f"unknown layers: {shown}; {', '.join(self._blocked[:3])} can't be shaped after "
                f"them. Known types: {', '.join(sorted(KNOWN_TYPES | _DATA_TYPES))}"
            )
        if not self._has_input:
            raise NetworkFileError(
                "there is no input; expected 'input:' fields or an Input or Data layer"
            )
        return self._net.build(self._unknown)

    def _layers(self) -> list[tuple[Message, str]]:
        old, new = self._root.messages("layers"), self._root.messages("layer")
        if old and new:
            raise NetworkFileError("both 'layer' and 'layers' are used; Caffe takes one of them")
        if not old and not new:
            raise NetworkFileError(
                "there is no layer; expected 'layer { ... }' (a solver file has none: give the "
                "network file that it names)"
            )
        found = []
        for layer in new or old:
            if layer.messages("layer"):
                raise NetworkFileError(
                    f"line {layer.line}: the oldest syntax (layers {{ layer {{ ... }} }}) isn't "
                    "read; upgrade the file with Caffe's upgrade_net_proto_text"
                )
            if self._included(layer):
                type_name = clean(layer.text("type"))
                found.append((layer, _OLD_TYPES.get(type_name, type_name) if old else type_name))
        if len(found) > self._options.limits.layers:
            raise NetworkFileError(
                f"{len(found)} layers; at most {self._options.limits.layers} are read"
            )
        return found

    def _included(self, layer: Message) -> bool:
        include, exclude = layer.messages("include"), layer.messages("exclude")
        if include:
            return any(self._meets(rule) for rule in include)
        return not any(self._meets(rule) for rule in exclude)

    def _meets(self, rule: Message) -> bool:
        """Whether the state (phase, level 0, no stages) meets a rule, as ``Net::FilterNet``."""
        phase = rule.text("phase").upper()
        # In the text format an enumerator may be given by its number.
        phase = {"0": "TRAIN", "1": "TEST"}.get(phase, phase)
        if phase and phase != self._options.phase.upper():
            return False
        if rule.integer("min_level", 0) > 0 or rule.integer("max_level", 0) < 0:
            return False
        return not rule.texts("stage")

    def _layer(self, layer: Message, type_name: str) -> None:
        name = clean(layer.text("name")) or type_name
        tops = layer.texts("top")
        if type_name in _DATA_TYPES:
            self._data(layer, type_name, name, tops)
            return
        bottoms = layer.texts("bottom")
        try:
            op = operation(layer, type_name, ignore_ceil_mode=self._options.ignore_ceil_mode)
        except UnknownVariantError as error:
            self._unknown.append(Unsupported(name, error.variant, f"line {layer.line}"))
            self._unshaped.update(tops)
            return
        if type_name == "Silence":
            return
        if isinstance(op, Softmax | Accuracy):
            # The second input is the label.
            bottoms = bottoms[:1]
        if any(blob in self._unshaped for blob in bottoms):
            self._blocked.append(f"{name!r} (line {layer.line})")
            self._unshaped.update(tops)
            return
        sources = [self._source(blob, name, layer.line) for blob in bottoms]
        if not sources:
            raise NetworkFileError(f"line {layer.line}: {type_name} layer {name!r} has no bottom")
        if type_name == "Split":
            self._blobs.update(dict.fromkeys(tops, sources[0]))
            return
        self._add(layer, name, op, sources, bottoms, tops)

    def _add(
        self,
        layer: Message,
        name: str,
        op: Op | None,
        sources: list[int],
        bottoms: list[str],
        tops: list[str],
    ) -> None:
        in_place = bool(tops) and tops[0] == bottoms[0]
        if isinstance(op, Scale) and len(sources) == 2:
            op = Eltwise(EltwiseKind.PROD)
        if op is None:
            op = Reshape(data_shape(layer, self._net.shape(sources[0])))
        try:
            position = self._net.add(self._net.free_name(name), op, sources, in_place=in_place)
        except ShapeError as error:
            raise NetworkFileError(f"line {layer.line}: {error}") from error
        for top in tops[:1]:
            self._blobs[top] = position
            self._unshaped.discard(top)
        # A second top is a loss, a mask or a copy of the probabilities: no tensor to go on from.
        self._unshaped.update(tops[1:])

    def _data(self, layer: Message, type_name: str, name: str, tops: list[str]) -> None:
        if not tops:
            raise NetworkFileError(f"line {layer.line}: {type_name} layer {name!r} has no top")
        shapes = declared_shapes(layer, type_name)
        if len(shapes) == len(tops):
            for top, (_, shape) in zip(tops, shapes, strict=True):
                self._input(top if len(tops) > 1 else name, top, shape)
            return
        shape = shapes[0][1] if shapes else None
        if self._has_input or (shape is None and self._options.input_shape is None):
            crop = layer.message("transform_param").integer("crop_size", 0)
            hint = f" (its crop_size is {crop})" if crop else ""
            raise NetworkFileError(
                f"line {layer.line}: {type_name} layer {name!r} doesn't say the shape of its "
                f"images{hint}; give the input shape, for example 3x{crop or 224}x{crop or 224}"
            )
        self._input(name, tops[0], shape)
        self._labels.update(tops[1:])

    def _input(self, name: str, blob: str, shape: Shape | None) -> None:
        if not self._has_input:
            shape = self._options.input_shape or shape
        if shape is None:
            raise NetworkFileError(f"input {blob!r} has no shape; give the input shape")
        try:
            position = self._net.add(self._net.free_name(name), Input(shape), ())
        except ShapeError as error:
            raise NetworkFileError(str(error)) from error
        self._blobs[blob] = position
        self._has_input = True

    def _source(self, blob: str, name: str, line: int) -> int:
        if blob in self._blobs:
            return self._blobs[blob]
        if blob in self._labels:
            raise NetworkFileError(
                f"line {line}: layer {name!r} reads {blob!r}, the labels of a data layer, whose "
                "shape isn't known; only losses and accuracies can take it"
            )
        raise NetworkFileError(
            f"line {line}: layer {name!r} reads {blob!r}, which no earlier layer produces"
        )
