// Matrix-vector products and the rank-1 update, column-major, built as the template arguments that
// cuBLAS's kernels of these names have in public profiles suggest. What those names leave open was
// chosen by what profiles of them show; docs/kernels.md says which choice came from where.

// y = A^T x + beta y: n dot products of length m, of which a block of 128 threads makes eight, 16
// threads each (gemv2T_kernel_val<..., 128, 16, 4, 4>). A thread takes four elements a step, 16 apart,
// so that its loads go out together; what a whole step is too long for goes one by one, and lanes
// leave as the column ends. Threads behind the last column work on it too, and keep the result to
// themselves: idle ones would wait at the barriers for the others' loads.
extern "C" __global__ void __launch_bounds__(128)
gemv2T(const float *__restrict__ A, const float *__restrict__ x, float *__restrict__ y, int m, int n,
       int beta) {
  __shared__ float partial[128];
  const int thread = threadIdx.x;
  const int lane = thread & 15;
  const int wanted = blockIdx.x * 8 + (thread >> 4);
  const int column = min(wanted, n - 1);
  const float *a = A + (unsigned)column * (unsigned)m;
  float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
  int i = lane;
  for (int step = m >> 6; step > 0; --step, i += 64) {
    s0 = fmaf(a[i], x[i], s0);
    s1 = fmaf(a[i + 16], x[i + 16], s1);
    s2 = fmaf(a[i + 32], x[i + 32], s2);
    s3 = fmaf(a[i + 48], x[i + 48], s3);
  }
#pragma unroll 1
  for (; i < m; i += 16)
    s0 = fmaf(a[i], x[i], s0);
  partial[thread] = (s0 + s1) + (s2 + s3);
  for (int half = 8; half > 0; half >>= 1) {
    __syncthreads();
    if (lane < half)
      partial[thread] += partial[thread + half];
  }
  if (lane == 0 && wanted < n)
    y[column] = beta ? y[column] + partial[thread] : partial[thread];
}

// A block's share of y = A x + beta y: 128 / L outputs, L threads each. Neighbouring threads have
// neighbouring outputs. A step takes 4 L columns, whose part of x all outputs need: it is staged in
// shared memory, in two buffers in turn, so that one barrier a step will do. What lies outside the
// matrix is predicated away, so that no lane leaves its warp. The reduction goes through shared
// memory, a barrier a step.
template <int L>
__device__ __forceinline__ void gemv2N_block(const float *__restrict__ A, const float *__restrict__ x,
                                             float *__restrict__ y, int m, int n, int beta,
                                             float *staged, float *partial) {
  const unsigned outputs = 128 / L;
  const unsigned thread = threadIdx.x;
  const int lane = thread / outputs;
  const int row = blockIdx.x * outputs + thread % outputs;
  const bool inside = row < m;
  const unsigned apart = L * (unsigned)m;
  unsigned index = lane * (unsigned)m + row;
  float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  int buffer = 0;
#pragma unroll 1
  for (int first = 0; first < n; first += 4 * L) {
    const float part = thread < 4 * L && first + (int)thread < n ? x[first + thread] : 0.0f;
    float a[4];
#pragma unroll
    for (int k = 0; k < 4; ++k, index += apart)
      a[k] = inside && first + lane + k * L < n ? A[index] : 0.0f;
    float *now = staged + buffer;
    if (thread < 4 * L)
      now[thread] = part;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 4; ++k)
      sum[k] = fmaf(a[k], now[lane + k * L], sum[k]);
    buffer ^= 128;
  }
  partial[thread] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
#pragma unroll
  for (int half = L / 2; half > 0; half >>= 1) {
    __syncthreads();
    if (lane < half)
      partial[thread] += partial[thread + half * outputs];
  }
  const bool writes = lane == 0 && inside;
  const float before = writes && beta ? y[row] : 0.0f;
  if (writes)
    y[row] = before + partial[thread];
}

// y = A x + beta y: m outputs of length n, `lanes` threads an output (4, 8, 16 or 32):
// gemv2N_kernel_val<..., 128, lanes, 4, 4, 1>, of which public profiles show these four.
extern "C" __global__ void __launch_bounds__(128)
gemv2N(const float *__restrict__ A, const float *__restrict__ x, float *__restrict__ y, int m, int n,
       int beta, int lanes) {
  __shared__ float staged[256], partial[128];
  if (lanes == 32)
    gemv2N_block<32>(A, x, y, m, n, beta, staged, partial);
  else if (lanes == 16)
    gemv2N_block<16>(A, x, y, m, n, beta, staged, partial);
  else if (lanes == 8)
    gemv2N_block<8>(A, x, y, m, n, beta, staged, partial);
  else
    gemv2N_block<4>(A, x, y, m, n, beta, staged, partial);
}

// C = a b^T + beta C (a matrix product with k = 1): 256 threads and five outputs each
// (gemmk1_kernel<float, 256, 5, ...>), a tile of 64 rows and 20 columns. Both vectors' parts are
// staged in shared memory.
extern "C" __global__ void __launch_bounds__(256)
gemmk1(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ C, int m, int n,
       int beta) {
  __shared__ float rows[64];
  __shared__ float columns[20];
  const int thread = threadIdx.x;
  const int row = blockIdx.x * 64 + (thread & 63);
  const int first = blockIdx.y * 20;
  if (thread < 64)
    rows[thread] = row < m ? a[row] : 0.0f;
  else if (thread < 84)
    columns[thread - 64] = first + thread - 64 < n ? b[first + thread - 64] : 0.0f;
  __syncthreads();
  // What lies outside is predicated away, as in gemv2N.
  const bool inside = row < m;
  const float factor = rows[thread & 63];
  int part = thread >> 6;
  unsigned index = (unsigned)(first + part) * (unsigned)m + row;
#pragma unroll
  for (int k = 0; k < 5; ++k, part += 4, index += 4 * (unsigned)m) {
    if (inside && first + part < n) {
      const float product = factor * columns[part];
      C[index] = beta ? C[index] + product : product;
    }
  }
}
