"""Small, odd shapes for every kernel, by the names of their parameters."""

from __future__ import annotations

from kernprof.library import entries

WINDOWS = [
    # in_h, in_w, kernel, stride, pad (height x width each)
    (7, 9, (3, 3), (1, 1), (1, 1)),
    (11, 10, (3, 3), (2, 2), (1, 1)),
    (9, 37, (5, 3), (2, 1), (2, 0)),
    (1, 13, (1, 5), (1, 3), (0, 2)),
    (6, 6, (6, 6), (1, 1), (0, 0)),
]


def _window(index: int) -> dict[str, int]:
    in_h, in_w, kernel, stride, pad = WINDOWS[index]
    names = ("kernel", "stride", "pad")
    values = {"in_h": in_h, "in_w": in_w}
    for name, (high, wide) in zip(names, (kernel, stride, pad), strict=True):
        values |= {f"{name}_h": high, f"{name}_w": wide}
    return values


def _pooled(window: dict[str, int], axis: str) -> int:
    reach = window[f"in_{axis}"] + 2 * window[f"pad_{axis}"] - window[f"kernel_{axis}"]
    size = -(-reach // window[f"stride_{axis}"]) + 1
    if (size - 1) * window[f"stride_{axis}"] >= window[f"in_{axis}"] + window[f"pad_{axis}"]:
        size -= 1  # as Caffe clips windows that start in the padding
    return size


def shapes(name: str) -> list[dict[str, int]]:
    """The shapes on which a kernel is checked."""
    item = entries()[name]
    parameters = item.parameters
    if not parameters:
        return [{}]
    if parameters[:2] == ("m", "n"):
        sizes = [(1, 1, 1), (5, 3, 7), (130, 67, 33), (64, 128, 16), (4, 70, 19)]
        flags = [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1), (0, 1, 1)]
        found = []
        for (m, n, k), (trans_a, trans_b, beta) in zip(sizes, flags, strict=True):
            whole = {"m": m, "n": n, "k": k, "trans_a": trans_a, "trans_b": trans_b, "beta": beta}
            found.append({p: whole[p] for p in parameters})
        return found
    if "in_h" in parameters and "kernel_h" in parameters:
        found = []
        for index in range(len(WINDOWS)):
            window = _window(index)
            groups = (1, 2, 3, 1, 6)[index]
            whole = {
                **window,
                "batch": 1 + index % 2,
                "channels": 3 + index,
                "in_channels": 2 * groups,
                "out_channels": 3 * groups,
                "groups": groups,
                "bias": index % 2,
                "dilation_h": 1,
                "dilation_w": 2 if window["in_w"] > 9 else 1,
                "out_h": _pooled(window, "h"),
                "out_w": _pooled(window, "w"),
            }
            shape = {p: whole[p] for p in parameters}
            if item.family == "pooling" and (
                window["pad_h"] >= window["kernel_h"] or window["pad_w"] >= window["kernel_w"]
            ):
                continue
            found.append(shape)
        return found
    table = {
        ("batch", "in_channels", "out_channels", "pixels", "bias"): [
            (1, 1, 1, 1, 0),
            (2, 5, 7, 9, 1),
            (1, 33, 66, 70, 0),
            (2, 16, 65, 64, 1),
            (1, 70, 3, 132, 1),
        ],
        ("batch", "channels", "pixels"): [(1, 1, 1), (2, 5, 9), (3, 2, 300)],
        ("batch", "channels", "pixels", "bias"): [(1, 1, 1, 0), (2, 5, 9, 1), (3, 2, 300, 1)],
        ("count",): [(1,), (255,), (1025,)],
        ("count", "kind"): [(300, kind) for kind in range(6)],
        ("count", "inputs"): [(1, 2), (300, 2)],
        ("count", "index"): [(300, 0), (300, 1), (300, 2)],
        ("count_copied", "outer", "concat_size", "top_offset", "backward"): [
            (12, 3, 10, 2, 0),
            (12, 3, 10, 6, 1),
            (300, 1, 300, 0, 0),
        ],
        ("outer", "channels", "inner"): [(1, 1, 1), (2, 10, 3), (3, 70, 1), (1, 33, 20)],
        ("batch", "channels", "in_h", "in_w", "local_size"): [
            (1, 1, 1, 1, 5),
            (2, 9, 3, 5, 5),
            (1, 4, 17, 17, 3),
        ],
    }
    return [dict(zip(parameters, values, strict=True)) for values in table[parameters]]
