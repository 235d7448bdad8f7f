// C = op(A) op(B) + beta C, column-major with packed leading dimensions, in four steps of tuning.

__device__ __forceinline__ float element(const float *__restrict__ matrix, int row, int column,
                                         int rows, int columns, int transposed) {
  // op(matrix) is rows x columns; a transposed one is stored columns x rows.
  return transposed ? matrix[(size_t)row * columns + column] : matrix[(size_t)column * rows + row];
}

__device__ __forceinline__ void store(float *C, int row, int column, int m, int n, int beta,
                                      float value) {
  if (row < m && column < n) {
    const size_t at = (size_t)column * m + row;
    C[at] = beta ? C[at] + value : value;
  }
}

// Step 1: one thread an output, everything from global memory.
extern "C" __global__ void __launch_bounds__(256)
sgemm_naive(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C, int m,
            int n, int k, int trans_a, int trans_b, int beta) {
  const int row = blockIdx.x * 16 + threadIdx.x;
  const int column = blockIdx.y * 16 + threadIdx.y;
  if (row >= m || column >= n)
    return;
  float sum = 0.0f;
  for (int p = 0; p < k; ++p)
    sum = fmaf(element(A, row, p, m, k, trans_a), element(B, p, column, k, n, trans_b), sum);
  store(C, row, column, m, n, beta, sum);
}

// Step 2: tiles of both factors in shared memory, so each element is read once per tile.
extern "C" __global__ void __launch_bounds__(256)
sgemm_tiled(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C, int m,
            int n, int k, int trans_a, int trans_b, int beta) {
  __shared__ float a[16][17]; // [p][row]; the odd width keeps columns in different banks
  __shared__ float b[16][17]; // [p][column]
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int row = blockIdx.x * 16, column = blockIdx.y * 16;
  float sum = 0.0f;
  for (int start = 0; start < k; start += 16) {
    const int pa = start + ty, pb = start + ty;
    a[ty][tx] = (row + tx < m && pa < k) ? element(A, row + tx, pa, m, k, trans_a) : 0.0f;
    b[ty][tx] = (column + tx < n && pb < k) ? element(B, pb, column + tx, k, n, trans_b) : 0.0f;
    __syncthreads();
#pragma unroll
    for (int p = 0; p < 16; ++p)
      sum = fmaf(a[p][tx], b[p][ty], sum);
    __syncthreads();
  }
  store(C, row + tx, column + ty, m, n, beta, sum);
}

// Step 3: 64 x 64 outputs a block, 4 x 4 in the registers of each thread: sixteen products for eight
// shared-memory reads.
extern "C" __global__ void __launch_bounds__(256)
sgemm_register(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C, int m,
               int n, int k, int trans_a, int trans_b, int beta) {
  __shared__ float a[16][64];
  __shared__ float b[16][64];
  const int thread = threadIdx.x;
  const int tx = thread & 15, ty = thread >> 4;
  const int row0 = blockIdx.x * 64, column0 = blockIdx.y * 64;
  float sum[4][4] = {};
  for (int start = 0; start < k; start += 16) {
#pragma unroll
    for (int load = 0; load < 4; ++load) {
      const int at = thread + load * 256;
      const int p = at >> 6, i = at & 63;
      const bool inside = start + p < k;
      a[p][i] = (inside && row0 + i < m) ? element(A, row0 + i, start + p, m, k, trans_a) : 0.0f;
      b[p][i] = (inside && column0 + i < n) ? element(B, start + p, column0 + i, k, n, trans_b) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int p = 0; p < 16; ++p) {
      float left[4], right[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        left[i] = a[p][tx + 16 * i];
        right[i] = b[p][ty * 4 + i];
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      store(C, row0 + tx + 16 * i, column0 + ty * 4 + j, m, n, beta, sum[i][j]);
}

// Four neighbouring elements of a factor along its outer extent, at one depth.
__device__ __forceinline__ float4 four(const float *__restrict__ matrix, int first, int p, int extent,
                                       int k, int contiguous) {
  // Contiguous: element (i, p) at p * extent + i, so four are one aligned access when extent is a
  // multiple of four; otherwise element (i, p) at i * k + p.
  if (p >= k)
    return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if (contiguous && (extent & 3) == 0 && first + 3 < extent)
    return *reinterpret_cast<const float4 *>(matrix + (size_t)p * extent + first);
  float4 value = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  const size_t step = contiguous ? 1 : (size_t)k;
  const float *at = contiguous ? matrix + (size_t)p * extent + first : matrix + (size_t)first * k + p;
  if (first < extent)
    value.x = at[0];
  if (first + 1 < extent)
    value.y = at[step];
  if (first + 2 < extent)
    value.z = at[2 * step];
  if (first + 3 < extent)
    value.w = at[3 * step];
  return value;
}

// Step 4: 16-byte loads and two shared-memory buffers: the next tiles are on their way while the present
// ones are multiplied, and one barrier a tile is enough.
extern "C" __global__ void __launch_bounds__(256)
sgemm_vector(const float *__restrict__ A, const float *__restrict__ B, float *__restrict__ C, int m,
             int n, int k, int trans_a, int trans_b, int beta) {
  __shared__ float4 a[2][16][16];
  __shared__ float4 b[2][16][16];
  const int thread = threadIdx.x;
  const int tx = thread & 15, ty = thread >> 4;
  const int row0 = blockIdx.x * 64, column0 = blockIdx.y * 64;
  float sum[4][4] = {};
  a[0][ty][tx] = four(A, row0 + 4 * tx, ty, m, k, !trans_a);
  b[0][ty][tx] = four(B, column0 + 4 * tx, ty, n, k, trans_b);
  __syncthreads();
  int buffer = 0;
  for (int start = 0; start < k; start += 16) {
    const int next = start + 16;
    float4 next_a, next_b;
    if (next < k) {
      next_a = four(A, row0 + 4 * tx, next + ty, m, k, !trans_a);
      next_b = four(B, column0 + 4 * tx, next + ty, n, k, trans_b);
    }
#pragma unroll
    for (int p = 0; p < 16; ++p) {
      const float4 l = a[buffer][p][tx], r = b[buffer][p][ty];
      const float left[4] = {l.x, l.y, l.z, l.w}, right[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sum[i][j] = fmaf(left[i], right[j], sum[i][j]);
    }
    if (next < k) {
      buffer ^= 1;
      a[buffer][ty][tx] = next_a;
      b[buffer][ty][tx] = next_b;
      __syncthreads();
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      store(C, row0 + 4 * tx + i, column0 + 4 * ty + j, m, n, beta, sum[i][j]);
}
