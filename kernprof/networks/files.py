"""A network by name or by file, whichever the user gave."""

from __future__ import annotations

from pathlib import Path

from kernprof.errors import NetworkFileError, UnknownNameError
from kernprof.networks.caffe_reader import CaffeReaderOptions, NetPhase, read_prototxt
from kernprof.networks.ir import Network, Shape
from kernprof.networks.onnx_reader import OnnxReaderOptions, read_onnx
from kernprof.networks.registry import load_network

_ONNX_SUFFIXES = frozenset({".onnx"})
_TEXT_SUFFIXES = frozenset({".prototxt", ".pbtxt", ".txt"})


def resolve_network(
    spec: str, *, input_shape: Shape | None = None, phase: NetPhase = NetPhase.TRAIN
) -> Network:
    """Load a known network, or read the file that ``spec`` names.

    Parameters
    ----------
    spec
        A name of ``network_names``, an alias, or the path of an ONNX file or prototxt. A known
        name goes before a file in the working directory; write ``./NAME`` for the file.
    input_shape
        Shape of one image, for files that leave it open.
    phase
        Which layers of a prototxt take part.

    Raises
    ------
    UnknownNameError
        Neither a known network nor a file.
    NetworkFileError
        The file can't be used.
    """
    try:
        return load_network(spec)
    except UnknownNameError:
        path = Path(spec)
        looks_like_path = len(path.parts) > 1 or path.suffix in _ONNX_SUFFIXES | _TEXT_SUFFIXES
        if not looks_like_path and not path.is_file():
            raise
    return read_network(path, input_shape=input_shape, phase=phase)


def read_network(
    path: str | Path, *, input_shape: Shape | None = None, phase: NetPhase = NetPhase.TRAIN
) -> Network:
    """Read a network from an ONNX file or a Caffe prototxt, told apart by the suffix.

    Raises
    ------
    NetworkFileError
        The file can't be used, or its suffix is neither's.
    UnavailableError
        The ``onnx`` package is needed and isn't installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix in _ONNX_SUFFIXES:
        return read_onnx(path, OnnxReaderOptions(input_shape=input_shape))
    if suffix in _TEXT_SUFFIXES:
        return read_prototxt(path, CaffeReaderOptions(input_shape=input_shape, phase=phase))
    raise NetworkFileError(
        f"{path}: neither .onnx nor .prototxt; name the file by what it holds, or give one of the "
        "known networks"
    )
