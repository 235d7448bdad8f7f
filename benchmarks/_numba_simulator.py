"""The benchmark's kernels in Numba's CUDA simulator.

Started by :mod:`benchmarks.sim_speed` with NUMBA_ENABLE_CUDASIM=1, which Numba reads when it is
imported. Prints processor seconds and sizes by kernel as JSON, or why there are none. The
algorithms are those of the CUDA kernels, thread by thread; Numba's simulator has no shuffles, so
gemv2N adds up its 32 partial sums in shared memory instead.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

try:
    # The simulator puts its own module in place of this name in the kernels' globals.
    import numpy as np
    from numba import cuda
except ImportError as error:
    print(json.dumps({"missing": str(error)}))
    raise SystemExit(0) from None

GEMV = {"m": 16, "n": 512}
POINTWISE = {"in_channels": 64, "out_channels": 8, "pixels": 64}
COLLATZ = 256
SIZES = {
    "gemv2N": GEMV,
    "pointwise_coalesced": {"batch": 1, **POINTWISE},
    "collatz": {"n": COLLATZ},
}


def _kernels() -> dict[str, Callable[[], None]]:
    @cuda.jit
    def gemv2n(a, x, y, m, n):
        partial = cuda.shared.array(128, np.float32)
        row = cuda.blockIdx.x * 4 + cuda.threadIdx.x // 32
        lane = cuda.threadIdx.x % 32
        total = np.float32(0)
        if row < m:
            for j in range(lane, n, 32):
                total += a[j * m + row] * x[j]
        partial[cuda.threadIdx.x] = total
        cuda.syncthreads()
        if row < m and lane == 0:
            for j in range(1, 32):
                total += partial[cuda.threadIdx.x + j]
            y[row] = total

    @cuda.jit
    def pointwise(x, w, y, channels, outputs, pixels):
        index = cuda.blockIdx.x * 256 + cuda.threadIdx.x
        if index < outputs * pixels:
            pixel = index % pixels
            output = index // pixels
            total = np.float32(0)
            for c in range(channels):
                total += w[output * channels + c] * x[c * pixels + pixel]
            y[index] = total

    @cuda.jit
    def collatz(n, steps):
        i = cuda.blockIdx.x * 256 + cuda.threadIdx.x
        if i < n:
            v = i + 1
            count = 0
            while v != 1:
                v = 3 * v + 1 if v & 1 else v >> 1
                count += 1
            steps[i] = count

    def ones(count: int) -> np.ndarray:
        return np.ones(count, np.float32)

    m, n = GEMV["m"], GEMV["n"]
    channels, outputs, pixels = POINTWISE.values()
    return {
        "gemv2N": lambda: gemv2n[m // 4, 128](ones(m * n), ones(n), ones(m), m, n),
        "pointwise_coalesced": lambda: pointwise[outputs * pixels // 256, 256](
            ones(channels * pixels),
            ones(outputs * channels),
            ones(outputs * pixels),
            channels,
            outputs,
            pixels,
        ),
        "collatz": lambda: collatz[COLLATZ // 256, 256](COLLATZ, np.zeros(COLLATZ, np.int32)),
    }


def main() -> None:
    """Time each kernel once and print the times."""
    spent = {}
    for name, run in _kernels().items():
        started = time.process_time()
        run()
        spent[name] = time.process_time() - started
    print(json.dumps({"seconds": spent, "sizes": SIZES}))


if __name__ == "__main__":
    sys.exit(main())
