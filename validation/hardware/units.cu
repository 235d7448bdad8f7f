// Arithmetic units, branches, barriers, fences and atomics.

enum Unit { FFMA, DFMA, IADD, IMAD, LOP, SHIFT, MUFU, F2I, I2F, POPC, SHUFFLE, VOTE, DADD };

template <int U> struct Operand { typedef int type; };
template <> struct Operand<FFMA> { typedef float type; };
template <> struct Operand<MUFU> { typedef float type; };
template <> struct Operand<DFMA> { typedef double type; };
template <> struct Operand<DADD> { typedef double type; };

__device__ __forceinline__ float step(float v, float a, int u) {
  if (u == FFMA) return fmaf(v, a, 1.f);
  asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(v));
  return v;
}
__device__ __forceinline__ double step(double v, double a, int u) { return u == DFMA ? fma(v, a, 1.0) : v + a; }
__device__ __forceinline__ int step(int v, int a, int u) {
  switch (u) {
    case IADD: asm volatile("add.s32 %0, %0, %1;" : "+r"(v) : "r"(a)); return v;
    case IMAD: asm volatile("mad.lo.s32 %0, %0, %1, %0;" : "+r"(v) : "r"(a)); return v;
    case LOP: asm volatile("lop3.b32 %0, %0, %1, %1, 0x96;" : "+r"(v) : "r"(a)); return v;
    case SHIFT: asm volatile("shf.l.wrap.b32 %0, %0, %0, %1;" : "+r"(v) : "r"(a)); return v;
    case F2I: asm volatile("cvt.rni.s32.f32 %0, %1;" : "=r"(v) : "f"(__int_as_float(v))); return v;
    case I2F: { float f; asm volatile("cvt.rn.f32.s32 %0, %1;" : "=f"(f) : "r"(v)); return __float_as_int(f); }
    case POPC: asm volatile("popc.b32 %0, %0;" : "+r"(v)); return v;
    case SHUFFLE: return __shfl_xor_sync(~0u, v, 1);
    case VOTE: return __ballot_sync(~0u, v != a);
  }
  return v;
}

// LANES chains of the same operation, `steps` turns of 16 operations on each.
template <int U, int LANES>
__device__ __forceinline__ void unit(int* y, int a, int steps, long long* t) {
  typedef typename Operand<U>::type T;
  T v[LANES];
#pragma unroll
  for (int k = 0; k < LANES; ++k) v[k] = T(a + k) + T(threadIdx.x);
  const T b = T(a);
#pragma unroll 1
  for (int warm = 0; warm < 2; ++warm) {
#ifdef CLOCKED
    if (threadIdx.x == 0) t[2 * warm] = now();
#endif
#pragma unroll 1
    for (int i = 0; i < steps; ++i) {
#pragma unroll
      for (int j = 0; j < 16; ++j)
#pragma unroll
        for (int k = 0; k < LANES; ++k) v[k] = step(v[k], b, U);
    }
#ifdef CLOCKED
    await(v[0]);
    if (threadIdx.x == 0) t[2 * warm + 1] = now();
#endif
  }
  T sum = v[0];
#pragma unroll
  for (int k = 1; k < LANES; ++k) sum += v[k];
  y[blockIdx.x * blockDim.x + threadIdx.x] = int(sum);
}

// An outer product of 8 and 8 values: 64 sums, operands from all register banks.
__device__ __forceinline__ void outer(const float* x, float* y, int steps) {
  float a[8], b[8], c[8][8] = {};
#pragma unroll
  for (int i = 0; i < 8; ++i) a[i] = x[threadIdx.x + i], b[i] = x[threadIdx.x + 8 + i];
#pragma unroll 1
  for (int s = 0; s < steps; ++s) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j) c[i][j] = fmaf(a[i], b[j], c[i][j]);
  }
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += c[i][j];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// A loop of nothing but its branch and counter.
__device__ __forceinline__ void branches(int* y, int steps, long long* t) {
  int v = threadIdx.x;
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) asm volatile("add.s32 %0, %0, 1;" : "+r"(v));
  TICK_AFTER(1, v);
  y[threadIdx.x] = v;
  REPORT(2);
}

// Lanes take WAYS different ways in every turn (1: all the same).
template <int WAYS>
__device__ __forceinline__ void diverge(float* y, float a, int steps, long long* t) {
  float v = a;
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
    const int way = (threadIdx.x + i) % WAYS;
#pragma unroll 1
    for (int w = 0; w < WAYS; ++w) {
      if (way == w) {
#pragma unroll
        for (int j = 0; j < 8; ++j) asm volatile("fma.rn.f32 %0, %0, %1, %1;" : "+f"(v) : "f"(a));
        __syncwarp(__activemask());
      }
    }
  }
  TICK_AFTER(1, v);
  y[threadIdx.x] = v;
  REPORT(2);
}

// One instruction under a predicate that half of the lanes have.
__device__ __forceinline__ void predicated(float* y, float a, int steps, long long* t) {
  float v = a;
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      if ((threadIdx.x + i) & (1 << (j & 3))) v = fmaf(v, a, 1.f);
    }
  }
  TICK_AFTER(1, v);
  y[threadIdx.x] = v;
  REPORT(2);
}

// `steps` barriers, nothing between them.
__device__ __forceinline__ void barriers(int* y, int steps, long long* t) {
  TICKS(3);
  TICK(0);
  __syncthreads();
  TICK(1);
#pragma unroll 1
  for (int i = 1; i < steps; i += 4) {
    __syncthreads();
    __syncthreads();
    __syncthreads();
    __syncthreads();
  }
  TICK(2);
  y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
  REPORT(3);
}

// Fences, with a store before each or without.
template <bool STORES>
__device__ __forceinline__ void fences(volatile int* y, int steps, long long* t) {
  TICKS(3);
  TICK(0);
  if (STORES) y[threadIdx.x] = 1;
  __threadfence();
  TICK(1);
#pragma unroll 1
  for (int i = 1; i < steps; ++i) {
    if (STORES) y[threadIdx.x + 1024 * i] = i;
    __threadfence();
  }
  TICK(2);
  y[threadIdx.x] = 2;
  REPORT(3);
}

enum Atomic { RED_INT, RED_FLOAT, ATOM_INT, ATOM_FLOAT };

// Additions to global memory: thread n goes to word ((n >> shift) & mask) * apart.
template <int KIND>
__device__ __forceinline__ void atomics(int* y, int shift, int mask, int apart, int steps, long long* t) {
  const int n = blockIdx.x * blockDim.x + threadIdx.x;
  int* to = y + ((n >> shift) & mask) * apart;
  int seen = 0;
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
    if (KIND == RED_INT) asm volatile("red.global.add.s32 [%0], %1;" ::"l"(to), "r"(1) : "memory");
    if (KIND == RED_FLOAT) asm volatile("red.global.add.f32 [%0], %1;" ::"l"(to), "f"(1.f) : "memory");
    if (KIND == ATOM_INT) {
      int old;
      asm volatile("atom.global.add.s32 %0, [%1], %2;" : "=r"(old) : "l"(to), "r"(1 + (seen & 1)) : "memory");
      seen += old;
    }
    if (KIND == ATOM_FLOAT) {
      float old;
      asm volatile("atom.global.add.f32 %0, [%1], %2;" : "=f"(old) : "l"(to), "f"(1.f + (seen & 1)) : "memory");
      seen += __float_as_int(old);
    }
  }
  TICK_AFTER(1, seen);
  if (seen == 0x7ffffff1) y[0] = seen;
  REPORT(2);
}

// Additions to shared memory at word (lane & mask) of the block.
__device__ __forceinline__ void atomics_shared(int* y, int mask, int steps, long long* t) {
  __shared__ int sums[1024];
  sums[threadIdx.x] = 0;
  __syncthreads();
  int* to = sums + (threadIdx.x & mask);
  int seen = 0;
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) seen += atomicAdd(to, 1 + (seen & 1));
  TICK_AFTER(1, seen);
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = sums[threadIdx.x] + seen;
  REPORT(2);
}
