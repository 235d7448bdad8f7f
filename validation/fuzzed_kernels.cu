// Kernels whose machine code is damaged by validation/machine_code.py: small, and between them with
// every kind of index that an instruction can hold. COPIES of each are made, one a variant.
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

__constant__ float weights[64] = {1.f, 2.f, 3.f};
__device__ int total;

__device__ __noinline__ int steps(int x, int depth) {
  if (depth <= 0 || x < 2) return x;
  return steps(x - 1, depth - 1) + steps(x / 2, depth - 2);
}

#define KERNEL(name) extern "C" __global__ void JOIN(name##_, NUMBER)(float *x, int *y, int n)

// Global memory.
KERNEL(copy) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = x[63 - i] + y[i & 63];
}

// Constants at a register's address.
KERNEL(constants) {
  int i = threadIdx.x;
  x[i & 63] = weights[(i * n) & 63];
}

// Shared memory and a barrier.
KERNEL(tile) {
  __shared__ float tile[64];
  tile[threadIdx.x & 63] = x[threadIdx.x & 63];
  __syncthreads();
  x[threadIdx.x & 63] = tile[63 - (threadIdx.x & 63)];
}

// Local memory.
KERNEL(local) {
  int own[4];
  for (int k = 0; k < 4; ++k) own[(k * 3 + n) & 3] = k;
  y[threadIdx.x & 63] = own[threadIdx.x & 3];
}

// A divergent loop with two ways out.
KERNEL(loop) {
  int v = 0;
  for (int k = 0; k < (threadIdx.x & 7); ++k) {
    v += y[(threadIdx.x + k) & 63];
    if (v > n) break;
  }
  y[threadIdx.x & 63] = v;
}

// A switch: an indirect branch, or a chain of them.
KERNEL(choice) {
  int v = n;
  switch (threadIdx.x & 7) {
    case 0: v += 1; break;
    case 1: v *= 3; break;
    case 2: v ^= 5; break;
    case 3: v -= 7; break;
    case 4: v <<= 2; break;
    case 5: v = ~v; break;
    case 6: v /= 3; break;
  }
  y[threadIdx.x & 63] = v;
}

// Calls that call themselves.
KERNEL(calls) { y[threadIdx.x & 63] = steps(threadIdx.x & 3, 3); }

// Votes and shuffles.
KERNEL(lanes) {
  float v = x[threadIdx.x & 63];
  v += __shfl_down_sync(~0u, v, 16);
  v += __shfl_sync(~0u, v, n & 31);
  unsigned mask = __ballot_sync(~0u, v > 2.f);
  y[threadIdx.x & 63] = __popc(mask);
}

// Atomics, in shared and in global memory.
KERNEL(atomics) {
  __shared__ int counts[32];
  counts[threadIdx.x & 31] = 0;
  atomicAdd(&counts[n & 31], 1);
  atomicAdd(&total, counts[threadIdx.x & 31]);
  y[threadIdx.x & 63] = atomicMax(&y[threadIdx.x & 31], n);
}

// Named barriers.
KERNEL(barriers) {
  asm volatile("bar.sync 1, 64;");
  y[threadIdx.x & 63] = __syncthreads_count(threadIdx.x & 1);
  asm volatile("bar.sync 2, 64;");
}

// 64-bit and floating-point arithmetic, conversions.
KERNEL(numbers) {
  int i = threadIdx.x;
  long long wide = (long long)y[i & 63] * n + i;
  double d = (double)wide * 0.5;
  float f = __expf(x[i & 63]) + (float)d;
  y[i & 63] = (int)(wide >> 3) + (f > 1.f ? __float2int_rn(f) : (int)d) + __clz(n ^ i);
}

#if __CUDA_ARCH__ >= 800
// Asynchronous copies.
KERNEL(copies) {
  __shared__ __align__(16) float tile[64];
  unsigned at = (unsigned)__cvta_generic_to_shared(&tile[(threadIdx.x & 15) * 4]);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(at),
               "l"(x + (threadIdx.x & 15) * 4));
  asm volatile("cp.async.commit_group; cp.async.wait_group 0;");
  __syncthreads();
  x[threadIdx.x & 63] = tile[threadIdx.x & 63];
}

// Tensor cores.
KERNEL(tensor) {
  __shared__ __align__(16) float tile[64];
  unsigned a = n, b = threadIdx.x;
  float c0 = x[0], c1 = 0, c2 = 0, c3 = 0;
  unsigned at = (unsigned)__cvta_generic_to_shared(&tile[(threadIdx.x & 15) * 4]);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(a), "=r"(b) : "r"(at));
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%4,%5}, {%4,%5}, {%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3) : "r"(a), "r"(b));
  x[threadIdx.x & 63] = c0 + c1 + c2 + c3;
}
#endif
