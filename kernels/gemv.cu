// Matrix-vector products and the rank-1 update, column-major, with the block shapes that cuBLAS's
// kernels of these names have in public profiles (128, 128 and 256 threads).

// y = A^T x + beta y: n dot products of length m, one block each. The block strides over the column, so
// neighbouring threads read neighbouring elements; with few outputs only few SMs get a block, which
// is what makes this launch slow for depthwise weight gradients.
extern "C" __global__ void __launch_bounds__(128)
gemv2T(const float *__restrict__ A, const float *__restrict__ x, float *__restrict__ y, int m, int n,
       int beta) {
  __shared__ float partial[4];
  const int column = blockIdx.x;
  const float *a = A + (size_t)column * m;
  float sum = 0.0f;
  for (int i = threadIdx.x; i < m; i += 128)
    sum = fmaf(a[i], x[i], sum);
  for (int offset = 16; offset > 0; offset >>= 1)
    sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if ((threadIdx.x & 31) == 0)
    partial[threadIdx.x >> 5] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    const float total = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    y[column] = beta ? y[column] + total : total;
  }
}

// y = A x + beta y: m outputs of length n. A warp works on one output, so a block of 128 threads has
// four, and the grid is ceil(m / 4): the shape known of gemv2N_kernel_val<..., 128, 32, 4, 4, 1>.
extern "C" __global__ void __launch_bounds__(128)
gemv2N(const float *__restrict__ A, const float *__restrict__ x, float *__restrict__ y, int m, int n,
       int beta) {
  const int row = blockIdx.x * 4 + (threadIdx.x >> 5);
  const int lane = threadIdx.x & 31;
  float sum = 0.0f;
  // Whole warps leave the loop together, so the shuffles below see all lanes.
  if (row < m)
    for (int j = lane; j < n; j += 32)
      sum = fmaf(A[(size_t)j * m + row], x[j], sum);
  for (int offset = 16; offset > 0; offset >>= 1)
    sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (row < m && lane == 0)
    y[row] = beta ? y[row] + sum : sum;
}

// C = a b^T + beta C (a matrix product with k = 1): five elements a thread, a block apart, so that every
// access of a warp is to neighbouring elements.
extern "C" __global__ void __launch_bounds__(256)
gemmk1(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ C, int m, int n,
       int beta) {
  const int count = m * n;
  int index = blockIdx.x * 1280 + threadIdx.x;
#pragma unroll
  for (int step = 0; step < 5; ++step, index += 256) {
    if (index >= count)
      return;
    const int column = index / m;
    const float product = a[index - column * m] * b[column];
    C[index] = beta ? C[index] + product : product;
  }
}
