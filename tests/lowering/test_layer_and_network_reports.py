"""The records that the command line shows."""

import pickle
from dataclasses import asdict
from decimal import Decimal

import pytest

from kernprof.errors import UnknownNameError
from kernprof.lowering import (
    LoweringOptions,
    layer_report,
    lower_layer,
    lower_network,
    network_report,
)
from kernprof.networks import Counter, load_network, single_layer
from kernprof.networks.build import NetworkBuilder
from kernprof.networks.ir import Shape


def test_network_with_published_figures():
    report = network_report(load_network("mobilenet"), lowering=LoweringOptions())
    assert report.counts.macs == 573_783_040
    assert report.figures == report.published.figures
    assert report.published_shares_pct["gemv2T"] == Decimal("55.47")
    assert report.launches["gemv2T"] == 5014
    assert list(report.launches)[:2] == ["gemv2T", "gemv2N"]
    # What Caffe stores, four bytes each.
    assert report.weights_bytes == 4 * 4_253_891
    assert report.activations_bytes == 4 * 20_324_304
    assert report.unsupported == ()


def test_network_without_them():
    report = network_report(load_network("resnet50"), counter=Counter.BLOBS, dtype="float16")
    assert report.published is None
    assert report.published_shares_pct is None
    assert report.launches is None
    assert report.weights_bytes == 2 * report.counts.params


def test_a_name_alone_brings_no_published_figures():
    net = NetworkBuilder("AlexNet", Shape(3, 224, 224), "mine.prototxt")
    net.fc("fc", 10)
    assert network_report(net.build()).published is None


def test_layer_of_a_network():
    network = load_network("mobilenet")
    layer = network.layer("conv5_1/dw")
    report = layer_report(layer, LoweringOptions(batch=2), network=network.name)
    assert (report.kind, report.kernel, report.stride, report.groups) == (
        "Convolution",
        (3, 3),
        (1, 1),
        512,
    )
    assert (report.in_shape, report.out_shape) == (Shape(512, 14, 14), Shape(512, 14, 14))
    assert report.params == 9 * 512
    assert report.macs == 2 * 9 * 512 * 196
    assert report.activations == 2 * 512 * 196
    assert report.launches == lower_layer(layer, LoweringOptions(batch=2))
    assert report.traffic_bytes == 4 * (2 * 2 * 512 * 196 + 9 * 512)
    assert report.intensity_flop_per_byte == pytest.approx(2 * report.macs / report.traffic_bytes)


def test_layer_by_shape():
    report = layer_report(single_layer("fc", in_channels=10, out_channels=4))
    assert (report.network, report.kernel, report.groups) == (None, None, 1)
    pool = layer_report(load_network("mobilenet").layer("pool6"))
    assert (pool.kernel, pool.groups, pool.macs) == ((7, 7), None, 0)


def test_unknown_data_type():
    with pytest.raises(UnknownNameError, match="did you mean float64"):
        network_report(load_network("alexnet"), dtype="float61")


def test_records_can_be_sent_to_other_processes_and_taken_apart():
    network = load_network("squeezenet")
    lowered = lower_network(network)
    report = network_report(network, lowering=LoweringOptions())
    for record in (network, lowered, report):
        assert pickle.loads(pickle.dumps(record)) == record
    assert asdict(report)["published"]["run"]["images_per_s"] == 1479
