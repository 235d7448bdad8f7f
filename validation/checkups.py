"""The library's own kernels on real GPUs, as the GPU check-up measured them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def section(files: Sequence[Path]) -> list[str]:
    """Write the part of the page about check-ups; nothing without files.

    Raises
    ------
    ValueError
        A file is no check-up.
    """
    if not files:
        return []
    lines = [
        "## Own kernels on a GPU",
        "",
        "From `kernprof doctor --gpu -o FILE.json`: one kernel of each family, its median time by",
        "events at the SM clock that NVML told, beside the prediction.",
        "",
        "| GPU | Family | Kernel | Result | Measured cycles | Predicted | Difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in files:
        document = json.loads(path.read_text("utf-8"))
        if "kernels" not in document or "healthy" not in document:
            raise ValueError(
                f"{path}: no check-up; make it with kernprof doctor --gpu -o FILE.json"
            )
        for kernel in document["kernels"]:
            shown = [
                "n/a" if kernel[key] is None else f"{kernel[key]:,.0f}"
                for key in ("measured_cycles", "predicted_cycles")
            ]
            off = kernel["difference_pct"]
            lines.append(
                f"| {document['gpu']} | {kernel['family']} | `{kernel['kernel']}` | "
                f"{'right' if kernel['right'] else 'WRONG'} | {shown[0]} | {shown[1]} | "
                f"{'n/a' if off is None else f'{off:+.1f} %'} |"
            )
    return [*lines, ""]
