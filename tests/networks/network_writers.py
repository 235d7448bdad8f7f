"""Write our networks as prototxt and ONNX, for tests of the readers."""

import onnx
from onnx import TensorProto, helper

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
    Network,
    Pooling,
    Rounding,
    Scale,
    Softmax,
)

_CAFFE_ACTIVATIONS = {
    ActivationKind.RELU: "ReLU",
    ActivationKind.RELU6: "ReLU6",
    ActivationKind.SIGMOID: "Sigmoid",
    ActivationKind.SWISH: "Swish",
    ActivationKind.TANH: "TanH",
}


def prototxt(network: Network, *, batch: int = 10) -> str:
    """The network in Caffe's current syntax."""
    lines = [f'name: "{network.name}"']
    blobs: list[str] = []
    for layer in network.layers:
        top = blobs[layer.inputs[0]] if layer.in_place else layer.name
        blobs.append(top)
        bottoms = "".join(f' bottom: "{blobs[i]}"' for i in layer.inputs)
        type_name, param = _caffe_param(layer.op, layer.out_shape, batch)
        lines.append(
            f'layer {{ name: "{layer.name}" type: "{type_name}"{bottoms} top: "{top}" {param}}}'
        )
    return "\n".join(lines) + "\n"


def _caffe_param(op, shape, batch):
    match op:
        case Input():
            dims = f"dim: {batch} dim: {shape.channels} dim: {shape.height} dim: {shape.width}"
            return "Input", f"input_param {{ shape: {{ {dims} }} }} "
        case Convolution():
            engine = "" if op.engine is Engine.DEFAULT else f" engine: {op.engine.upper()}"
            return "Convolution", (
                f"convolution_param {{ num_output: {op.out_channels} {_caffe_window(op)}"
                f" group: {op.groups} bias_term: {str(op.bias).lower()}{engine} }} "
            )
        case InnerProduct():
            return "InnerProduct", (
                f"inner_product_param {{ num_output: {op.out_features} "
                f"bias_term: {str(op.bias).lower()} }} "
            )
        case BatchNorm(global_stats=None):
            return "BatchNorm", ""
        case BatchNorm(global_stats=value):
            return "BatchNorm", f"batch_norm_param {{ use_global_stats: {str(value).lower()} }} "
        case Scale(bias=bias):
            return "Scale", f"scale_param {{ bias_term: {str(bias).lower()} }} "
        case LRN(local_size=size):
            return "LRN", f"lrn_param {{ local_size: {size} }} "
        case Pooling(global_pooling=True):
            return "Pooling", f"pooling_param {{ pool: {op.method.upper()} global_pooling: true }} "
        case Pooling():
            return "Pooling", (
                f"pooling_param {{ pool: {op.method.upper()} {_caffe_window(op)} "
                f"round_mode: {op.rounding.upper()} }} "
            )
        case Activation(kind=kind):
            return _CAFFE_ACTIVATIONS[kind], ""
        case Eltwise(kind=kind):
            return "Eltwise", f"eltwise_param {{ operation: {kind.upper()} }} "
        case _:
            return type(op).__name__, ""


def _caffe_window(op):
    sizes = (("kernel", op.kernel), ("stride", op.stride), ("pad", op.pad))
    return " ".join(f"{name}_h: {pair[0]} {name}_w: {pair[1]}" for name, pair in sizes)


def onnx_model(network: Network, *, batch: int | str = 1) -> onnx.ModelProto:
    """The network as torch exports it in training mode, weights all zero.

    A BatchNorm and the Scale after it become one BatchNormalization, relu6 a Clip.
    """
    nodes, values = [], []
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, (), [value])
        for name, value in (("zero", 0.0), ("six", 6.0))
    ]

    def weight(name, *dims):
        count = 1
        for dim in dims:
            count *= dim
        weights.append(
            helper.make_tensor(name, TensorProto.FLOAT, dims, bytes(4 * count), raw=True)
        )
        return name

    inputs, layers = [], network.layers
    for position, layer in enumerate(layers):
        op, name = layer.op, layer.name
        sources = [values[i] for i in layer.inputs]
        if isinstance(op, Input):
            shape = layer.out_shape
            dims = [batch, shape.channels, shape.height, shape.width]
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
            values.append(name)
            continue
        if isinstance(op, Scale) and isinstance(layers[position - 1].op, BatchNorm):
            values.append(sources[0])
            continue
        if isinstance(op, InnerProduct):
            nodes.append(helper.make_node("Flatten", sources, [f"{name}_flat"], axis=1))
            sources = [f"{name}_flat"]
        kind, extra, attributes = _onnx_node(layer, weight)
        outputs = [name]
        if "training_mode" in attributes:
            outputs += [f"{name}.mean", f"{name}.var"]
        nodes.append(helper.make_node(kind, [*sources, *extra], outputs, name=name, **attributes))
        values.append(name)
    output = helper.make_tensor_value_info(values[-1], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, network.name, inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _onnx_node(layer, weight):
    op, name, channels = layer.op, layer.name, layer.in_shape.channels
    match op:
        case Convolution():
            extra = [weight(f"{name}.w", op.out_channels, channels // op.groups, *op.kernel)]
            if op.bias:
                extra.append(weight(f"{name}.b", op.out_channels))
            return (
                "Conv",
                extra,
                _onnx_window(op) | {"group": op.groups, "dilations": list(op.dilation)},
            )
        case InnerProduct():
            extra = [weight(f"{name}.w", op.out_features, layer.in_shape.count)]
            if op.bias:
                extra.append(weight(f"{name}.b", op.out_features))
            return "Gemm", extra, {"transB": 1}
        case BatchNorm(global_stats=stored):
            extra = [weight(f"{name}.{part}", channels) for part in ("g", "b", "m", "v")]
            return "BatchNormalization", extra, {} if stored else {"training_mode": 1}
        case Pooling(global_pooling=True):
            return "GlobalAveragePool", [], {}
        case Pooling():
            kind = "MaxPool" if op.method == "max" else "AveragePool"
            return kind, [], _onnx_window(op) | {"ceil_mode": int(op.rounding is Rounding.CEIL)}
        case Activation(kind=ActivationKind.RELU6):
            return "Clip", ["zero", "six"], {}
        case Activation(kind=ActivationKind.HSIGMOID):
            return "HardSigmoid", [], {"alpha": 1 / 6, "beta": 0.5}
        case Activation(kind=kind):
            names = {"relu": "Relu", "hswish": "HardSwish", "sigmoid": "Sigmoid", "tanh": "Tanh"}
            return names[kind], [], {}
        case Eltwise(kind=kind):
            names = {EltwiseKind.SUM: "Add", EltwiseKind.PROD: "Mul", EltwiseKind.MAX: "Max"}
            return names[kind], [], {}
        case Concat():
            return "Concat", [], {"axis": 1}
        case Softmax():
            return "Softmax", [], {"axis": 1}
        case LRN(local_size=size):
            return "LRN", [], {"size": size}
        case Dropout():
            return "Dropout", [], {}
    raise NotImplementedError(type(op).__name__)


def _onnx_window(op):
    return {
        "kernel_shape": list(op.kernel),
        "strides": list(op.stride),
        "pads": [*op.pad, *op.pad],
    }
