"""Prints what NVIDIA's ``ncu_report`` finds in a report, as JSON.

Used as ``python official_reader.py FOLDER REPORT < NAMES``, FOLDER being where ``ncu_report`` lies
and NAMES a JSON list of metric names per launch (its own lists of names hold some that it crashes
on): in a process of its own, since that reader ends with a signal rather than with an error.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def _value(metric: Any, number: int | None = None) -> Any:
    at = () if number is None else (number,)
    kind = metric.kind(*at)
    if kind == metric.ValueKind_STRING:
        return metric.as_string(*at)
    if kind in (metric.ValueKind_UINT32, metric.ValueKind_UINT64):
        return metric.as_uint64(*at)
    return metric.as_double(*at) if kind != metric.ValueKind_UNKNOWN else None


def _action(action: Any, names: list[str]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    instances: dict[str, Any] = {}
    code: dict[str, Any] = {}
    for name in names:
        metric = action.metric_by_name(name)
        if metric is None:
            continue
        metrics[name] = _value(metric)
        ids = metric.correlation_ids() if metric.num_instances() else None
        if ids is not None and ids.kind() == ids.ValueKind_UINT64:
            instances[name] = {
                str(ids.as_uint64(i)): _value(metric, i) for i in range(metric.num_instances())
            }
    for address in instances.get("inst_executed", {}):
        info = action.source_info(int(address))
        line = [info.file_name(), info.line()] if info is not None else None
        code[address] = [action.sass_by_pc(int(address)), line]
    return {"name": action.name(), "metrics": metrics, "instances": instances, "code": code}


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    import ncu_report

    # The context must stay alive: what it gives out points into it.
    context = ncu_report.load_report(sys.argv[2])
    actions = []
    for at in range(context.num_ranges()):
        part = context.range_by_idx(at)
        actions += [part.action_by_idx(i) for i in range(part.num_actions())]
    names = json.load(sys.stdin)
    print(json.dumps([_action(a, wanted) for a, wanted in zip(actions, names, strict=False)]))


if __name__ == "__main__":
    main()
