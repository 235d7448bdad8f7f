"""Launches of the paper's twelve networks, by kernel family."""

import time

import pytest

from kernprof.lowering import (
    Api,
    Direction,
    Lowering,
    LoweringOptions,
    Phase,
    kernel_specs,
    lower_network,
)
from kernprof.networks import PAPER_NETWORKS, Engine, load_network, network_names

FAMILIES = ("gemv2T", "gemv2N", "gemmk1")

# gemv2T, gemv2N, gemmk1: forward and backward, and forward only, as Caffe's sources give them for
# `caffe time` on a deploy file (training phase, batch size 1, cuDNN, no data gradients).
EXPECTED = {
    "AlexNet": ((3, 3, 3), (3, 0, 0)),
    "SqueezeNet-V1.0": ((0, 0, 0), (0, 0, 0)),
    "SqueezeNet-V1.1": ((0, 0, 0), (0, 0, 0)),
    "1.0-G-SqNxt-23": ((667, 444, 889), (223, 222, 444)),
    "1.0-SqNxt-23": ((667, 444, 889), (223, 222, 444)),
    "1.0-SqNxt-23v5": ((667, 444, 889), (223, 222, 444)),
    "2.0-SqNxt-23": ((667, 444, 889), (223, 222, 444)),
    "2.0-SqNxt-23v5": ((667, 444, 889), (223, 222, 444)),
    "1.0-MobileNet-224": ((5014, 4960, 108), (0, 4960, 108)),
    "DenseNet-121": ((242, 0, 484), (0, 0, 484)),
    "GoogLeNet": ((1, 1, 1), (1, 0, 0)),
    "Inception-V2": ((137, 1, 273), (1, 0, 272)),
}


def families(network, **options):
    found = lower_network(network, LoweringOptions(**options)).by_family()
    return tuple(found.get(family, 0) for family in FAMILIES)


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_table(name):
    network = load_network(name)
    found = (families(network), families(network, direction=Direction.FORWARD))
    assert found == EXPECTED[name]


def test_kernels_of_published_shares_are_launched():
    """Where the paper prints a share above 0, launches exist, and the other way round."""
    from kernprof.networks import published_for

    for name in PAPER_NETWORKS:
        shares = published_for(name).run.shares_pct
        launched = dict(zip(FAMILIES, families(load_network(name)), strict=True))
        assert {f: share > 0 for f, share in shares.items()} == {
            f: count > 0 for f, count in launched.items()
        }


class TestOtherHypothesesContradictThePaper:
    """Why the defaults are what they are: each other setting misses a printed share."""

    def test_data_gradients_would_double_mobilenets_outer_products(self):
        network = load_network("mobilenet")
        assert families(network, data_gradients=True)[2] == 108 + 4960

    def test_caffes_engine_would_give_squeezenet_shares(self):
        assert families(load_network("squeezenet"), engine=Engine.CAFFE) == (26, 0, 26)

    def test_testing_phase_would_leave_squeezenext_without_gemv2n(self):
        assert families(load_network("1.0-SqNxt-23"), phase=Phase.TEST)[1] == 0

    def test_batch_statistics_would_give_densenet_gemv2n(self):
        assert families(load_network("densenet"), batch_statistics=True)[1] == 484

    def test_forward_only_would_leave_alexnet_without_outer_products(self):
        assert families(load_network("alexnet"), direction=Direction.FORWARD)[1:] == (0, 0)


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize("lowering", Lowering)
@pytest.mark.parametrize("batch", [1, 3])
def test_launches_keep_the_kernels_contract(name, lowering, batch):
    """Every launch names a known kernel with exactly its parameters, as integers of at least 0."""
    network = load_network(name)
    specs = kernel_specs()
    for data_gradients in (None, True):
        options = LoweringOptions(lowering, batch=batch, data_gradients=data_gradients)
        for launch in lower_network(network, options).launches:
            assert tuple(launch.shape) == specs[launch.kernel].parameters
            assert all(type(size) is int and size >= 0 for size in launch.shape.values())
            assert launch.count >= 1
            if launch.api is Api.KERNEL:
                assert launch.family == specs[launch.kernel].family
            else:
                assert launch.family == launch.api
                assert launch.kernel in ("ew_copy", "ew_set")


@pytest.mark.parametrize("name", network_names())
def test_forward_work_is_the_networks_macs(name):
    """Products of the forward launches add up to the MACs of convolutions and FC layers."""
    from kernprof.lowering import Purpose
    from kernprof.networks import Counter, count_network

    network = load_network(name)
    expected = count_network(network, Counter.EQ2).macs
    for lowering in Lowering:
        for engine in (Engine.CUDNN, Engine.CAFFE):
            options = LoweringOptions(lowering, Direction.FORWARD, batch=2, engine=engine)
            launches = lower_network(network, options).launches
            found = sum(item.macs for item in launches if item.purpose is Purpose.PRODUCT)
            assert found == 2 * expected


def test_order_and_merging():
    lowered = lower_network(load_network("mobilenet"))
    directions = [launch.direction for launch in lowered.launches]
    assert directions == sorted(directions, reverse=True)  # "forward" before "backward"
    names = [layer.name for layer in load_network("mobilenet").layers]
    forward = [x.layer for x in lowered.launches if x.direction is Direction.FORWARD]
    backward = [x.layer for x in lowered.launches if x.direction is Direction.BACKWARD]
    assert forward == sorted(forward, key=names.index)
    assert backward == sorted(backward, key=names.index, reverse=True)
    assert lowered.total == sum(lowered.by_family().values()) == 10550
    depthwise = [x for x in lowered.launches if x.layer == "conv5_1/dw" and x.family == "gemv2N"]
    assert [x.count for x in depthwise] == [512]


def test_big_networks_are_quick():
    network = load_network("mobilenet")
    start = time.perf_counter()
    lower_network(network)
    assert time.perf_counter() - start < 1
