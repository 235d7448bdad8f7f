"""Run damaged machine code in a process of its own: ``fuzzed_worker.py SEED COUNT KERNEL``.

Prints a tally of outcomes as JSON. Anything but a result or one of the project's own errors ends
the process with a traceback.
"""

from __future__ import annotations

import json
import random
import resource
import sys

import numpy as np

from kernprof import sim
from kernprof.compile import compile_source
from kernprof.devices import find
from kernprof.errors import KernprofError
from kernprof.sim.recording import TraceBudget
from kernprof.timing import simulate

MEMORY_BYTES = 6 << 30
LIMIT_S = 2
SOURCES = {
    # Quickly translated, so that many damaged images can be tried.
    "short": """
extern "C" __global__ void k(const float* x, float* y, int n) {
  int i = blockIdx.x * 128 + threadIdx.x;
  if (i < n) y[i] = x[i];
}
""",
    "long": """
extern "C" __global__ void k(const float* x, float* y, int n) {
  __shared__ float s[128];
  int i = blockIdx.x * 128 + threadIdx.x;
  s[threadIdx.x] = i < n ? x[i] : 0;
  __syncthreads();
  float v = 0;
  for (int j = 0; j < (i & 7); ++j) v += s[(threadIdx.x + j) & 127];
  if (i < n) y[i] = v;
  if (v > 3) atomicAdd(y, 1.f);
}
""",
}


def damaged(rng: random.Random, image: bytes, code: range) -> bytes:
    """Flip one to eight bits, most of them in the code."""
    found = bytearray(image)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        inside = rng.random() < 0.7
        place = rng.randrange(code.start, code.stop) if inside else rng.randrange(len(found))
        found[place] ^= 1 << rng.randrange(8)
    return bytes(found)


def outcome(image: bytes) -> str:
    try:
        program = sim.load(image)
        x, y = np.ones(512, np.float32), np.zeros(512, np.float32)
        name = next(iter(program.kernels))
        budget = TraceBudget(100_000, 100)
        done = sim.run(
            program, name, 4, 128, [x, y, np.int32(500)], trace=budget, time_limit_s=LIMIT_S
        )
        simulate(done, find("a100"))
    except (KernprofError, StopIteration) as error:
        return type(error).__name__
    except MemoryError:
        return "MemoryError"
    return "ran"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    rng = random.Random(int(sys.argv[1]))
    image = compile_source(SOURCES[sys.argv[3]], arch="sm_80").image
    body = sim.load(image).kernel("k").image.code
    start = image.index(body)
    tally: dict[str, int] = {}
    for _ in range(int(sys.argv[2])):
        kind = outcome(damaged(rng, image, range(start, start + len(body))))
        tally[kind] = tally.get(kind, 0) + 1
    print(json.dumps(tally))


if __name__ == "__main__":
    main()
