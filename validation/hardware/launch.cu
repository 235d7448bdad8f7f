// Launching, scheduling of blocks, code and constants that are read for the first time.

__device__ __forceinline__ void empty() {}

__device__ __forceinline__ void store_only(int* y) { y[blockIdx.x * blockDim.x + threadIdx.x] = 7; }

// Blocks that last a while: what a wave more costs.
__device__ __forceinline__ void spin(float* y, int steps) {
  float v = threadIdx.x;
#pragma unroll 1
  for (int i = 0; i < steps; ++i) v = fmaf(v, 0.5f, 1.f);
  y[blockIdx.x * blockDim.x + threadIdx.x] = v;
}

// When and where each block began: SM, its clock, the GPU's timer in ns.
__device__ __forceinline__ void starts(int* y, long long* t) {
#ifdef CLOCKED
  if (threadIdx.x == 0) {
    long long ns;
    int sm;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
    asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
    t[3 * blockIdx.x] = sm;
    t[3 * blockIdx.x + 1] = now();
    t[3 * blockIdx.x + 2] = ns;
  }
#endif
  if (threadIdx.x == 0) y[blockIdx.x] = 1;
}

// N multiply-adds in a row, four independent chains, `passes` times over: the first pass fetches cold code.
template <int N>
__device__ __forceinline__ void straight(float* y, float a, int passes, long long* t) {
  float v[4] = {a, a + 1, a + 2, a + 3};
#ifdef CLOCKED
  if (threadIdx.x == 0) t[0] = now();
#endif
#pragma unroll 1
  for (int p = 0; p < passes; ++p) {
#pragma unroll
    for (int i = 0; i < N; ++i) v[i & 3] = fmaf(v[i & 3], a, 1.f);
#ifdef CLOCKED
    await(v[0] + v[1] + v[2] + v[3]);
    if (threadIdx.x == 0) t[p + 1] = now();
#endif
  }
  y[threadIdx.x] = v[0] + v[1] + v[2] + v[3];
}

__constant__ float table[4096];
__constant__ int ring[4096];

// Immediate constants, one in each 256 bytes: the first pass misses, the second hits.
template <int N>
__device__ __forceinline__ void constant_immediate(float* y, int passes, long long* t) {
  float v = threadIdx.x;
#ifdef CLOCKED
  if (threadIdx.x == 0) t[0] = now();
#endif
#pragma unroll 1
  for (int p = 0; p < passes; ++p) {
#pragma unroll
    for (int i = 0; i < N; ++i) v = fmaf(v, table[64 * i], table[64 * i + 1]);
#ifdef CLOCKED
    await(v);
    if (threadIdx.x == 0) t[p + 1] = now();
#endif
  }
  y[threadIdx.x] = v;
}

// Constants at computed places, each address waits for the constant before (the array holds zeros).
__device__ __forceinline__ void constant_chain(int* y, int steps, int stride, long long* t) {
  int at = 0;
#ifdef CLOCKED
  if (threadIdx.x == 0) t[0] = now();
#endif
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
    at = ring[at & 4095] + i * stride + stride;
#ifdef CLOCKED
    await(at);
    if (threadIdx.x == 0) t[i + 1] = now();
#endif
  }
  y[threadIdx.x] = at;
}

struct Many {
  float v[256];
};

// A kilobyte of parameters, one word out of each 64 bytes.
__device__ __forceinline__ void parameters(float* y, Many many, long long* t) {
  TICKS(2);
  TICK(0);
  float v = threadIdx.x;
#pragma unroll
  for (int i = 0; i < 256; i += 16) v = fmaf(v, many.v[i], many.v[i + 1]);
  TICK_AFTER(1, v);
  y[threadIdx.x] = v;
  REPORT(2);
}
