// Micro-kernels whose cost on hardware has been published. Every chain has a long and a short version; the cost of a
// step is the difference of their cycles, so that start, end and setting up cancel.

template <typename T, int N> __device__ T multiply_adds(T v, T a) {
#pragma unroll
  for (int i = 0; i < N; ++i) v = fma(v, a, T(1));
  return v;
}

extern "C" __global__ void fma_chain_long(float* y, float a) { y[threadIdx.x] = multiply_adds<float, 1024>(a, a); }
extern "C" __global__ void fma_chain_short(float* y, float a) { y[threadIdx.x] = multiply_adds<float, 512>(a, a); }
extern "C" __global__ void dfma_chain_long(double* y, double a) { y[threadIdx.x] = multiply_adds<double, 1024>(a, a); }
extern "C" __global__ void dfma_chain_short(double* y, double a) { y[threadIdx.x] = multiply_adds<double, 512>(a, a); }

extern "C" __global__ void fma_rate(float* y, float a, int times) {
  float v[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = a + k;
#pragma unroll 1
  for (int i = 0; i < times; ++i)
#pragma unroll
    for (int j = 0; j < 16; ++j)
#pragma unroll
      for (int k = 0; k < 8; ++k) v[k] = fmaf(v[k], a, 1.f);
  float sum = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) sum += v[k];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void mufu_rate(float* y, float a, int times) {
  float v[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = a + k;
#pragma unroll 1
  for (int i = 0; i < times; ++i)
#pragma unroll
    for (int j = 0; j < 16; ++j)
#pragma unroll
      for (int k = 0; k < 8; ++k) asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(v[k]));
  float sum = 0;
#pragma unroll
  for (int k = 0; k < 8; ++k) sum += v[k];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void chase(const int* next, int* y, int steps) {
  int at = 0;
#pragma unroll 1
  for (int i = 0; i < steps; i += 16)
#pragma unroll
    for (int j = 0; j < 16; ++j) at = next[at];
  y[threadIdx.x] = at;
}

extern "C" __global__ void chase_shared(int* y, int steps) {
  __shared__ int next[64];
  for (int i = threadIdx.x; i < 64; i += 32) next[i] = 4 * ((i + 1) & 63);
  __syncthreads();
  int at = 0;
#pragma unroll 1
  for (int i = 0; i < steps; i += 16)
#pragma unroll
    // Byte offsets: nothing but the load is on the chain.
    for (int j = 0; j < 16; ++j) at = *(volatile int*)((char*)next + at);
  y[threadIdx.x] = at;
}

extern "C" __global__ void barriers(int* y, int steps) {
#pragma unroll 1
  for (int i = 0; i < steps; i += 16)
#pragma unroll
    for (int j = 0; j < 16; ++j) asm volatile("bar.sync 0;" ::: "memory");
  y[threadIdx.x] = steps;
}
