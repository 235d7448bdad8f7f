"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kernprof.errors import UnknownNameError
from kernprof.networks.ir import Network
from kernprof.networks.zoo.alexnet import alexnet
from kernprof.networks.zoo.densenet import densenet121
from kernprof.networks.zoo.inception import googlenet, inception_v2
from kernprof.networks.zoo.mobilenet import mobilenet_v1
from kernprof.networks.zoo.residual import (
    efficientnet_b0,
    mobilenet_v2,
    mobilenet_v3_large,
    resnet50,
)
from kernprof.networks.zoo.squeezenet import squeezenet_v1_0, squeezenet_v1_1
from kernprof.networks.zoo.squeezenext import squeezenext

_BUILDERS: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "AlexNet": alexnet,
        "SqueezeNet-V1.0": squeezenet_v1_0,
        "SqueezeNet-V1.1": squeezenet_v1_1,
        "1.0-G-SqNxt-23": lambda: squeezenext("1.0-G-SqNxt-23", groups=2),
        "1.0-SqNxt-23": lambda: squeezenext("1.0-SqNxt-23"),
        "1.0-SqNxt-23v5": lambda: squeezenext("1.0-SqNxt-23v5", v5=True),
        "2.0-SqNxt-23": lambda: squeezenext("2.0-SqNxt-23", width=2),
        "2.0-SqNxt-23v5": lambda: squeezenext("2.0-SqNxt-23v5", width=2, v5=True),
        "1.0-MobileNet-224": mobilenet_v1,
        "DenseNet-121": densenet121,
        "GoogLeNet": googlenet,
        "Inception-V2": inception_v2,
        "MobileNetV2": mobilenet_v2,
        "MobileNetV3-large": mobilenet_v3_large,
        "EfficientNet-B0": efficientnet_b0,
        "ResNet-50": resnet50,
    }
)

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "squeezenet": "SqueezeNet-V1.0",
        "squeezenet1.0": "SqueezeNet-V1.0",
        "squeezenet1.1": "SqueezeNet-V1.1",
        "squeezenext": "1.0-SqNxt-23",
        "sqnxt": "1.0-SqNxt-23",
        "sqnxt-23": "1.0-SqNxt-23",
        "sqnxt-23v5": "1.0-SqNxt-23v5",
        "g-sqnxt-23": "1.0-G-SqNxt-23",
        "mobilenet": "1.0-MobileNet-224",
        "mobilenetv1": "1.0-MobileNet-224",
        "densenet": "DenseNet-121",
        "inception": "Inception-V2",
        "inceptionv1": "GoogLeNet",
        "bn-inception": "Inception-V2",
        "mobilenetv3": "MobileNetV3-large",
        "efficientnet": "EfficientNet-B0",
        "resnet": "ResNet-50",
    }
)

PAPER_NETWORKS: tuple[str, ...] = tuple(_BUILDERS)[:12]
"""The networks of the reference paper's tables, in its order."""


def network_names() -> tuple[str, ...]:
    """Names of all known networks."""
    return tuple(_BUILDERS)


def canonical_name(name: str) -> str:
    """Return the full name for a name or an alias; case, hyphens, dots and underscores are free.

    Raises
    ------
    UnknownNameError
        There is no such network; carries near names.
    """
    wanted = _fold(name)
    for known in _BUILDERS:
        if _fold(known) == wanted:
            return known
    for alias, known in _ALIASES.items():
        if _fold(alias) == wanted:
            return known
    raise UnknownNameError("network", name, [*_BUILDERS, *_ALIASES])


def load_network(name: str) -> Network:
    """Build a known network.

    Parameters
    ----------
    name
        A name of ``network_names`` or an alias ("mobilenet", "resnet50").

    Raises
    ------
    UnknownNameError
        There is no such network; carries near names.
    """
    return _BUILDERS[canonical_name(name)]()


def is_known(network: Network) -> bool:
    """Whether a network has the name and the very layers of a known one."""
    return network.name in _BUILDERS and _BUILDERS[network.name]().layers == network.layers


def _fold(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
