// Latencies, rates and queues of caches and DRAM.

// One thread follows a ring of places; all threads of the block read `warm` 16-byte words before, past the first level.
__device__ __forceinline__ void chase(const int* next, int* y, int steps, int warm, long long* t) {
  int at = 0, sum = 0;
#pragma unroll 1
  for (int i = threadIdx.x; i < warm; i += blockDim.x) sum += load_far(next + 4 * i);
  if (sum == 0x7ffffff1) y[1] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
#ifdef CLOCKED
    t[0] = now();
#endif
#pragma unroll 1
    for (int i = 0; i < steps; ++i) {
      at = next[at];
#ifdef CLOCKED
      await(at);
      t[i + 1] = now();
#endif
    }
    y[0] = at;
  }
}

// The same in shared memory.
__device__ __forceinline__ void chase_shared(int* y, int steps, long long* t) {
  __shared__ int next[1024];
  for (int i = threadIdx.x; i < 1024; i += blockDim.x) next[i] = (i + 33) & 1023;
  __syncthreads();
  TICKS(2);
  TICK(0);
  int at = threadIdx.x;
#pragma unroll 1
  for (int i = 0; i < steps; i += 8) {
#pragma unroll
    for (int j = 0; j < 8; ++j) at = next[at];
  }
  TICK_AFTER(1, at);
  y[threadIdx.x] = at;
  REPORT(2);
}

// The whole grid reads `chunks` times `span` 16-byte words `rounds` times, every round another SM.
__device__ __forceinline__ void l2_rounds(const int4* x, int* y, int span, int rounds) {
  int sum = 0;
#pragma unroll 1
  for (int r = 0; r < rounds; ++r) {
    const int chunk = (blockIdx.x + 37 * r) % gridDim.x;
    const int4* from = x + (long long)chunk * span;
#pragma unroll 4
    for (int i = threadIdx.x; i < span; i += blockDim.x) {
      const int4 v = from[i];
      sum += v.x + v.y + v.z + v.w;
    }
  }
  if (sum == 0x7ffffff1) y[0] = sum;
}

// Streams: READS arrays in, WRITES arrays out (a 0 or 1), n elements each. The arrays lie behind each other in x.
template <typename T> struct Sum;
template <> struct Sum<float> {
  static __device__ __forceinline__ float zero() { return 0.f; }
  static __device__ __forceinline__ float add(float a, float b) { return a + b; }
  static __device__ __forceinline__ float flat(float a) { return a; }
};
template <> struct Sum<float4> {
  static __device__ __forceinline__ float4 zero() { return make_float4(0.f, 0.f, 0.f, 0.f); }
  static __device__ __forceinline__ float4 add(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
  }
  static __device__ __forceinline__ float flat(float4 a) { return a.x + a.y + a.z + a.w; }
};

template <typename T, int READS, bool WRITES>
__device__ __forceinline__ void stream(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  T sum = Sum<T>::zero();
#pragma unroll
  for (int r = 0; r < READS; ++r) sum = Sum<T>::add(sum, ((const T*)x)[(long long)r * n + i]);
  if (WRITES) {
    ((T*)y)[i] = sum;
  } else if (Sum<T>::flat(sum) == -1e30f) {
    y[0] = 1.f;
  }
}

// Read, add, write back to the same place.
template <typename T>
__device__ __forceinline__ void in_place(float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) ((T*)x)[i] = Sum<T>::add(((T*)x)[i], ((T*)x)[i]);
}

// Each row of the array is read twice by its block, then written: as a normalisation does.
__device__ __forceinline__ void row_twice(const float* x, float* y, int columns) {
  const float* from = x + (long long)blockIdx.x * columns;
  float* to = y + (long long)blockIdx.x * columns;
  float sum = 0.f;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += from[i] * from[i];
  sum = __shfl_xor_sync(~0u, sum, 16) + sum;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) to[i] = from[i] * sum;
}

// Every warp writes rows of its own, one behind the other; a lane's words lie STRIDE words apart.
template <typename T, int STRIDE>
__device__ __forceinline__ void stores(float* y, int steps, long long* t) {
  const int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x & 31;
  T* to = (T*)y + (long long)warp * steps * 32 * STRIDE + lane * STRIDE;
  const T v = T();
  TICKS(2);
  TICK(0);
#pragma unroll 8
  for (int i = 0; i < steps; ++i) to[(long long)i * 32 * STRIDE] = v;
  TICK(1);
  REPORT(2);
}

// Each warp reads rows of its own, one under way at a time: how latency is hidden by warps.
__device__ __forceinline__ void one_under_way(const int* x, int* y, int steps, int warm, long long* t) {
  int sum = 0;
#pragma unroll 1
  for (int i = threadIdx.x; i < warm; i += blockDim.x) sum += load_far(x + 4 * i);
  __syncthreads();
  const int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x & 31;
  const int* from = x + warp * steps * 32 + lane;
  TICKS(2);
  TICK_AFTER(0, sum);
  int at = 0;
#pragma unroll 1
  for (int i = 0; i < steps; ++i) at += from[at + 32 * i];
  TICK_AFTER(1, at);
  y[blockIdx.x * blockDim.x + threadIdx.x] = at + sum;
  REPORT(2);
}

// N loads behind each other, lanes STRIDE words apart; the clock after each tells when the queue was full.
template <int N, int STRIDE>
__device__ __forceinline__ void burst(const float* x, float* y, long long* t) {
  const float* from = x + threadIdx.x * STRIDE;
  float v[N];
  TICKS(N + 2);
  TICK(0);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    v[i] = __ldcg(from + i * STRIDE * 1024);
    TICK(i + 1);
  }
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < N; ++i) sum += v[i];
  TICK_AFTER(N + 1, sum);
  y[threadIdx.x] = sum;
  REPORT(N + 2);
}

// The same in shared memory: lanes STRIDE words apart.
template <int N, int STRIDE>
__device__ __forceinline__ void burst_shared(float* y, long long* t) {
  __shared__ float x[8192];
  for (int i = threadIdx.x; i < 8192; i += blockDim.x) x[i] = i;
  __syncthreads();
  volatile float* from = x + (threadIdx.x & 31) * STRIDE;
  float v[N];
  TICKS(N + 2);
  TICK(0);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    v[i] = from[i];
    TICK(i + 1);
  }
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < N; ++i) sum += v[i];
  TICK_AFTER(N + 1, sum);
  y[threadIdx.x] = sum;
  REPORT(N + 2);
}

// Lanes `stride` words apart; every block walks through a part of its own.
__device__ __forceinline__ void strided(const float* x, float* y, int stride, int steps) {
  const float* from = x + (long long)blockIdx.x * blockDim.x * stride * steps + threadIdx.x * stride;
  float sum = 0.f;
#pragma unroll 4
  for (int i = 0; i < steps; ++i) sum += from[(long long)i * blockDim.x * stride];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Loads of shared memory whose width no compiler may narrow.
__device__ __forceinline__ float load_shared(unsigned at, float) {
  float v;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(at));
  return v;
}
__device__ __forceinline__ float load_shared(unsigned at, float2) {
  float v, w;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v), "=f"(w) : "r"(at));
  return v + w;
}
__device__ __forceinline__ float load_shared(unsigned at, float4) {
  float v, w, x, z;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v), "=f"(w), "=f"(x), "=f"(z) : "r"(at));
  return v + w + x + z;
}

// Shared memory, all warps, lanes `stride` elements apart.
template <typename T>
__device__ __forceinline__ void bank_loads(float* y, int stride, int steps, long long* t) {
  __shared__ float4 store[1024];
  for (int i = threadIdx.x; i < 1024; i += blockDim.x) store[i] = make_float4(i, i, i, i);
  __syncthreads();
  const unsigned at = (unsigned)__cvta_generic_to_shared(store) + (threadIdx.x & 31) * stride * (unsigned)sizeof(T) % 16384u;
  float sum = 0.f;
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += load_shared(at, T());
  }
  TICK_AFTER(1, sum);
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
  REPORT(2);
}

__device__ __forceinline__ void bank_stores(float* y, int stride, int steps, long long* t) {
  __shared__ float store[4096];
  volatile float* to = store + ((threadIdx.x & 31) * stride & 4095);
  TICKS(2);
  TICK(0);
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) *to = i + j;
  }
  TICK(1);
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = *to;
  REPORT(2);
}

// An array that has no place in registers: its element is known at run time only.
__device__ __forceinline__ void local_array(int* y, int steps, int mask, long long* t) {
  int v[64];
#pragma unroll 1
  for (int i = 0; i < 64; ++i) v[i] = i * 7 + threadIdx.x;
  TICKS(2);
  TICK(0);
  int at = threadIdx.x & mask;
#pragma unroll 1
  for (int i = 0; i < steps; ++i) {
    const int seen = v[at & 63];
    v[(at + 5) & 63] = seen + i;
    at = at + 1 + (seen & 0 & mask);
  }
  TICK_AFTER(1, at);
  y[blockIdx.x * blockDim.x + threadIdx.x] = v[at & 63];
  REPORT(2);
}
