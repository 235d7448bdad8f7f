from __future__ import annotations

import struct

import pytest

from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Shape
from kernprof.networks.registry import load_network
from kernprof.paper.weight_file import auxiliary_heads, blob_bytes, weight_file_bytes


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def data(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def flag(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def real(number: int) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", 0.0)


def blob(*shape: int) -> bytes:
    count = 1
    for extent in shape:
        count *= extent
    dims = data(1, b"".join(varint(extent) for extent in shape))
    return data(7, data(5, bytes(4 * count)) + data(7, dims))


def layer(name: str, kind: str, bottoms: list[str], tops: list[str], rest: bytes = b"") -> bytes:
    text = data(1, name.encode()) + data(2, kind.encode())
    text += b"".join(data(3, x.encode()) for x in bottoms)
    text += b"".join(data(4, x.encode()) for x in tops)
    return data(100, text + flag(10, 0) + rest)


def test_the_size_is_that_of_the_encoded_network() -> None:
    net = NetworkBuilder("two", Shape(3, 8, 8), "")
    net.conv("c1", 200, 3, bias=False)
    net.batch_norm("bn")
    net.scale("sc")
    first = net.act("relu")
    second = net.conv("c2", 200, 1, after=first)
    net.eltwise("sum", [first, second])
    built = net.build()
    fill = data(7, data(1, b"xavier")) + data(8, data(1, b"constant"))
    common = flag(3, 0) + flag(5, 1) + flag(6, 1) + fill + flag(18, 1)
    rates = b"".join(data(6, real(3) + real(4)) for _ in range(3))
    scale = data(142, data(3, real(3)) + flag(4, 1) + data(5, real(3)))
    conv1 = data(106, flag(1, 200) + flag(2, 0) + flag(4, 3) + common)
    conv2 = data(106, flag(1, 200) + flag(4, 1) + common)
    split = "c1_relu_0_split"
    # The layers of NetParameter have a key of two bytes (layer = 100).
    encoded = data(1, b"two") + b"".join(
        (
            layer("data", "Input", [], ["data"]),
            layer("c1", "Convolution", ["data"], ["c1"], conv1 + blob(200, 3, 3, 3)),
            layer("bn", "BatchNorm", ["c1"], ["c1"], rates + blob(200) + blob(200) + blob(1)),
            layer("sc", "Scale", ["c1"], ["c1"], scale + blob(200) + blob(200)),
            layer("relu", "ReLU", ["c1"], ["c1"]),
            layer(split, "Split", ["c1"], [f"{split}_0", f"{split}_1"]),
            layer(
                "c2",
                "Convolution",
                [f"{split}_0"],
                ["c2"],
                conv2 + blob(200, 200, 1, 1) + blob(200),
            ),
            layer("sum", "Eltwise", [f"{split}_1", "c2"], ["sum"]),
        )
    )
    assert weight_file_bytes(built) == len(encoded)


@pytest.mark.parametrize(("name", "megabytes"), [("1.0-G-SqNxt-23", 2.3), ("AlexNet", 243.9)])
def test_sizes_round_to_what_file_lists_show(name: str, megabytes: float) -> None:
    network = load_network(name)
    assert blob_bytes(network) < weight_file_bytes(network) < 1.03 * blob_bytes(network)
    assert round(weight_file_bytes(network) / 1e6, 1) == megabytes


def test_googlenets_heads_bring_it_to_its_trained_size() -> None:
    floats = blob_bytes(load_network("GoogLeNet")) // 4
    # 13.38 M floats with the heads, 7.00 M without (train_val.prototxt and deploy.prototxt).
    assert floats == 6_998_552
    assert floats + sum(map(blob_bytes, auxiliary_heads())) // 4 == 13_378_280
