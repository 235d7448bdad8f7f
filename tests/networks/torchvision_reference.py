"""Count torchvision's own models; maintainers run it, tests read its result.

    pip install "torch==2.13.0" "torchvision==0.28.0" onnx     (in an environment of its own)
    python tests/networks/torchvision_reference.py [--onnx DIR]

It writes data/torchvision.json beside this file. Two counters that share no code have to agree, or
nothing is written: forward hooks (shapes of the tensors that each Conv2d and Linear really gets and
gives) and torch.utils.flop_counter.FlopCounterMode (operators dispatched, two operations a MAC).
Parameters are the numel() of all parameters. With --onnx, it also exports each model in training
mode (batch normalisation kept) and notes which operators the export has.

kernprof isn't imported: the counts are independent of it.
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

import torch

if not torch.cuda.is_available():
    # torchvision's operators are compiled for one torch build. Without them (a CPU torch) its
    # import wants two of them declared; the models counted here use none.
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        try:
            _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:
            break

import torchvision
from torch.utils.flop_counter import FlopCounterMode

MODELS = {
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3-large": "mobilenet_v3_large",
    "EfficientNet-B0": "efficientnet_b0",
    "ResNet-50": "resnet50",
}
IMAGE = (1, 3, 224, 224)
HERE = Path(__file__).parent


def hooked_rows(model: torch.nn.Module) -> list[list[object]]:
    """Run the model once; one row a Conv2d or Linear: path, MACs, parameters, output shape."""
    rows = []

    def hook(path):
        def record(module, inputs, output):
            shape = list(output.shape[1:])
            per_output = module.weight[0].numel()
            params = sum(p.numel() for p in module.parameters())
            rows.append([path, output[0].numel() * per_output, params, shape])

        return record

    handles = [
        module.register_forward_hook(hook(path))
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    ]
    with torch.no_grad():
        model(torch.zeros(IMAGE))
    for handle in handles:
        handle.remove()
    return rows


def flop_counter_macs(model: torch.nn.Module) -> int:
    """MACs by torch's own operator counter."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(IMAGE))
    operations = counter.get_total_flops()
    if operations % 2:
        raise SystemExit(f"an odd number of operations ({operations}) can't be MACs")
    return operations // 2


def exported_operators(model: torch.nn.Module, path: Path) -> dict[str, int]:
    """Export in training mode and count the operators."""
    import onnx

    model.train()
    torch.onnx.export(
        model,
        (torch.zeros(IMAGE),),
        str(path),
        dynamo=False,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
    )
    graph = onnx.load(str(path)).graph
    return dict(sorted(Counter(node.op_type for node in graph.node).items()))


def main() -> None:
    """Count all models and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onnx", type=Path, help="folder for ONNX exports")
    arguments = parser.parse_args()
    result = {
        "made_by": "tests/networks/torchvision_reference.py",
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "image": list(IMAGE[1:]),
        "columns": ["module", "macs", "params", "out_shape"],
        "counted": (
            "products: every Conv2d and Linear in order of execution, by forward hooks, biases in "
            "params; product_macs agrees with torch.utils.flop_counter; params: all parameters "
            "(batch normalisation has gamma and beta); buffers: batch normalisation's running mean "
            "and variance, without its counter of batches"
        ),
        "models": {},
    }
    for name, builder in MODELS.items():
        model = getattr(torchvision.models, builder)(weights=None).eval()
        rows = hooked_rows(model)
        macs = sum(row[1] for row in rows)
        other = flop_counter_macs(model)
        if macs != other:
            raise SystemExit(f"{name}: hooks count {macs} MACs, FlopCounterMode {other}")
        entry = {
            "builder": builder,
            "params": sum(p.numel() for p in model.parameters()),
            "buffers": sum(b.numel() for b in model.buffers() if b.dim()),
            "product_macs": macs,
            "product_params": sum(row[2] for row in rows),
            "batch_norms": sum(
                isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()
            ),
            "products": rows,
        }
        if arguments.onnx:
            path = arguments.onnx / f"{builder}.onnx"
            entry["onnx_operators"] = exported_operators(model, path)
        result["models"][name] = entry
    text = json.dumps(result, indent=1)
    # One row a line keeps the file readable and its diffs small.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    text = re.sub(
        r"\[\s+(\"[^\[\]{}]*\[[^\[\]]*\])\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text
    )
    json.loads(text)
    (HERE / "data" / "torchvision.json").write_text(text + "\n", encoding="utf-8")
    for name, entry in result["models"].items():
        sys.stdout.write(f"{name}: {entry['product_macs']} MACs, {entry['params']} parameters\n")


if __name__ == "__main__":
    main()
