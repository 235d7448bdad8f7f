"""Kernels in Python, compiled by Numba for the tests of predictions."""

import math

from numba import cuda, float32


@cuda.jit
def saxpy(n, a, x, y):
    i = cuda.grid(1)
    if i < n:
        y[i] = a * x[i] + y[i]


@cuda.jit(fastmath=True)
def block_sums(x, out):
    s = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    s[t] = math.sqrt(x[cuda.grid(1)])
    cuda.syncthreads()
    half = 64
    while half:
        if t < half:
            s[t] += s[t + half]
        cuda.syncthreads()
        half >>= 1
    if t == 0:
        cuda.atomic.add(out, 0, s[0])


@cuda.jit
def transpose(x, y, flip):
    i, j = cuda.grid(2)
    if i < x.shape[0] and j < x.shape[1]:
        y[j, i] = -x[i, j] if flip else x[i, j]


@cuda.jit(device=True)
def helper(x):
    return x + 1


def plain(x):
    return x
