// 1x1 convolution, NCHW: y[n][o][p] = sum over c of w[o][c] x[n][c][p] + b[o], in five steps of tuning,
// and its two gradients. w is out_channels x in_channels, row-major.

// Step 1: neighbouring threads take neighbouring output channels, so what a warp reads and writes lies a
// plane apart: 32 transactions where one would do.
extern "C" __global__ void __launch_bounds__(256)
pointwise_naive(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                float *__restrict__ y, int batch, int in_channels, int out_channels, int pixels,
                int bias) {
  const int index = blockIdx.x * 256 + threadIdx.x;
  if (index >= batch * out_channels * pixels)
    return;
  const int output = index % out_channels, pixel = index / out_channels % pixels;
  const int image = index / (out_channels * pixels);
  const float *source = x + (size_t)image * in_channels * pixels + pixel;
  float sum = bias ? b[output] : 0.0f;
  for (int c = 0; c < in_channels; ++c)
    sum = fmaf(w[output * in_channels + c], source[(size_t)c * pixels], sum);
  y[((size_t)image * out_channels + output) * pixels + pixel] = sum;
}

// Step 2: neighbouring threads take neighbouring pixels: reads and writes of a warp are contiguous, and
// the weight is the same for all lanes.
extern "C" __global__ void __launch_bounds__(256)
pointwise_coalesced(const float *__restrict__ x, const float *__restrict__ w,
                    const float *__restrict__ b, float *__restrict__ y, int batch, int in_channels,
                    int out_channels, int pixels, int bias) {
  const int index = blockIdx.x * 256 + threadIdx.x;
  if (index >= batch * out_channels * pixels)
    return;
  const int pixel = index % pixels, output = index / pixels % out_channels;
  const int image = index / (out_channels * pixels);
  const float *source = x + (size_t)image * in_channels * pixels + pixel;
  float sum = bias ? b[output] : 0.0f;
  for (int c = 0; c < in_channels; ++c)
    sum = fmaf(w[output * in_channels + c], source[(size_t)c * pixels], sum);
  y[index] = sum;
}

// Step 3: 16 x 16 tiles of weights and pixels in shared memory: each is read once a tile.
extern "C" __global__ void __launch_bounds__(256)
pointwise_tiled(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                float *__restrict__ y, int batch, int in_channels, int out_channels, int pixels,
                int bias) {
  __shared__ float weights[16][17];
  __shared__ float values[16][16];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int pixel = blockIdx.x * 16 + tx, output = blockIdx.y * 16 + ty;
  const float *source = x + (size_t)blockIdx.z * in_channels * pixels;
  float sum = 0.0f;
  for (int start = 0; start < in_channels; start += 16) {
    weights[ty][tx] = (output < out_channels && start + tx < in_channels)
                          ? w[output * in_channels + start + tx] : 0.0f;
    values[ty][tx] = (start + ty < in_channels && pixel < pixels)
                         ? source[(size_t)(start + ty) * pixels + pixel] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int c = 0; c < 16; ++c)
      sum = fmaf(weights[ty][c], values[c][tx], sum);
    __syncthreads();
  }
  if (output < out_channels && pixel < pixels)
    y[((size_t)blockIdx.z * out_channels + output) * pixels + pixel] =
        sum + (bias ? b[output] : 0.0f);
}

// Step 4: 64 x 64 outputs a block, 4 x 4 in each thread's registers.
extern "C" __global__ void __launch_bounds__(256)
pointwise_register(const float *__restrict__ x, const float *__restrict__ w,
                   const float *__restrict__ b, float *__restrict__ y, int batch, int in_channels,
                   int out_channels, int pixels, int bias) {
  __shared__ float weights[16][65];
  __shared__ float values[16][64];
  const int thread = threadIdx.x, tx = thread & 15, ty = thread >> 4;
  const int pixel0 = blockIdx.x * 64, output0 = blockIdx.y * 64;
  const float *source = x + (size_t)blockIdx.z * in_channels * pixels;
  float sum[4][4] = {};
  for (int start = 0; start < in_channels; start += 16) {
#pragma unroll
    for (int load = 0; load < 4; ++load) {
      const int at = thread + load * 256;
      const int c = at & 15, o = at >> 4; // weights: neighbouring threads along the input channels
      weights[c][o] = (start + c < in_channels && output0 + o < out_channels)
                          ? w[(output0 + o) * in_channels + start + c] : 0.0f;
      const int d = at >> 6, p = at & 63; // values: along the pixels
      values[d][p] = (start + d < in_channels && pixel0 + p < pixels)
                         ? source[(size_t)(start + d) * pixels + pixel0 + p] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int c = 0; c < 16; ++c) {
      float left[4], right[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        left[i] = weights[c][ty * 4 + i];
        right[i] = values[c][tx + 16 * i];
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
  for (int i = 0; i < 4; ++i) {
    const int output = output0 + ty * 4 + i;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int pixel = pixel0 + tx + 16 * j;
      if (output < out_channels && pixel < pixels)
        y[((size_t)blockIdx.z * out_channels + output) * pixels + pixel] =
            sum[i][j] + (bias ? b[output] : 0.0f);
    }
  }
}

// Four neighbouring pixels of a channel: one 16-byte load where the row of pixels allows it.
__device__ __forceinline__ float4 four_pixels(const float *__restrict__ source, int channel, int pixel,
                                              int channels, int pixels) {
  float4 value = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if (channel >= channels)
    return value;
  const float *at = source + (size_t)channel * pixels + pixel;
  if ((pixels & 3) == 0 && pixel < pixels)
    return *reinterpret_cast<const float4 *>(at);
  if (pixel < pixels)
    value.x = at[0];
  if (pixel + 1 < pixels)
    value.y = at[1];
  if (pixel + 2 < pixels)
    value.z = at[2];
  if (pixel + 3 < pixels)
    value.w = at[3];
  return value;
}

// Step 5: 16-byte loads, and two shared-memory buffers so that the next tile loads while this one is used.
extern "C" __global__ void __launch_bounds__(256)
pointwise_vector(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                 float *__restrict__ y, int batch, int in_channels, int out_channels, int pixels,
                 int bias) {
  __shared__ float weights[2][16][65];
  __shared__ float4 values[2][16][16];
  const int thread = threadIdx.x, tx = thread & 15, ty = thread >> 4;
  const int pixel0 = blockIdx.x * 64, output0 = blockIdx.y * 64;
  const float *source = x + (size_t)blockIdx.z * in_channels * pixels;
  float sum[4][4] = {};
  float next_weights[4];
  float4 next_values = four_pixels(source, ty, pixel0 + 4 * tx, in_channels, pixels);
#pragma unroll
  for (int load = 0; load < 4; ++load) {
    const int o = output0 + ty + 16 * load;
    next_weights[load] = (tx < in_channels && o < out_channels) ? w[o * in_channels + tx] : 0.0f;
  }
  int buffer = 0;
  for (int start = 0; start < in_channels; start += 16) {
    values[buffer][ty][tx] = next_values;
#pragma unroll
    for (int load = 0; load < 4; ++load)
      weights[buffer][tx][ty + 16 * load] = next_weights[load];
    // One barrier a tile: the buffer written next was last read before the barrier of the tile between.
    __syncthreads();
    const int next = start + 16;
    if (next < in_channels) {
      next_values = four_pixels(source, next + ty, pixel0 + 4 * tx, in_channels, pixels);
#pragma unroll
      for (int load = 0; load < 4; ++load) {
        const int o = output0 + ty + 16 * load, c = next + tx;
        next_weights[load] = (c < in_channels && o < out_channels) ? w[o * in_channels + c] : 0.0f;
      }
    }
#pragma unroll
    for (int c = 0; c < 16; ++c) {
      const float4 right = values[buffer][c][tx];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float left = weights[buffer][c][ty * 4 + i];
        sum[i][0] = fmaf(left, right.x, sum[i][0]);
        sum[i][1] = fmaf(left, right.y, sum[i][1]);
        sum[i][2] = fmaf(left, right.z, sum[i][2]);
        sum[i][3] = fmaf(left, right.w, sum[i][3]);
      }
    }
    buffer ^= 1;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int output = output0 + ty * 4 + i, pixel = pixel0 + 4 * tx;
    if (output >= out_channels || pixel >= pixels)
      continue;
    const float offset = bias ? b[output] : 0.0f;
    float *target = y + ((size_t)blockIdx.z * out_channels + output) * pixels + pixel;
    if ((pixels & 3) == 0) {
      *reinterpret_cast<float4 *>(target) = make_float4(sum[i][0] + offset, sum[i][1] + offset,
                                                        sum[i][2] + offset, sum[i][3] + offset);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (pixel + j < pixels)
          target[j] = sum[i][j] + offset;
    }
  }
}

// Gradient of the input: a 1x1 convolution with the transposed weights, in 16 x 16 shared tiles.
extern "C" __global__ void __launch_bounds__(256)
pointwise_backward_data(const float *__restrict__ dy, const float *__restrict__ w,
                        float *__restrict__ dx, int batch, int in_channels, int out_channels,
                        int pixels) {
  __shared__ float weights[16][16];
  __shared__ float values[16][16];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int pixel = blockIdx.x * 16 + tx, input0 = blockIdx.y * 16;
  const float *source = dy + (size_t)blockIdx.z * out_channels * pixels;
  float sum = 0.0f;
  for (int start = 0; start < out_channels; start += 16) {
    const int output = start + ty;
    weights[ty][tx] = (output < out_channels && input0 + tx < in_channels)
                          ? w[output * in_channels + input0 + tx] : 0.0f;
    values[ty][tx] = (output < out_channels && pixel < pixels)
                         ? source[(size_t)output * pixels + pixel] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int o = 0; o < 16; ++o)
      sum = fmaf(weights[o][ty], values[o][tx], sum);
    __syncthreads();
  }
  if (input0 + ty < in_channels && pixel < pixels)
    dx[((size_t)blockIdx.z * in_channels + input0 + ty) * pixels + pixel] = sum;
}

// Gradient of the weights (and of the bias): a matrix product over images and pixels in shared tiles.
extern "C" __global__ void __launch_bounds__(256)
pointwise_backward_weight(const float *__restrict__ x, const float *__restrict__ dy,
                          float *__restrict__ dw, float *__restrict__ db, int batch, int in_channels,
                          int out_channels, int pixels, int bias) {
  __shared__ float gradients[16][17];
  __shared__ float values[16][17];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int input = blockIdx.x * 16 + tx, output = blockIdx.y * 16 + ty;
  const int total = batch * pixels;
  float sum = 0.0f, bias_sum = 0.0f;
  for (int start = 0; start < total; start += 16) {
    const int at = start + tx, image = at / pixels, pixel = at % pixels;
    const int row = blockIdx.x * 16 + ty;
    gradients[ty][tx] = (at < total && output < out_channels)
                            ? dy[((size_t)image * out_channels + output) * pixels + pixel] : 0.0f;
    values[ty][tx] = (at < total && row < in_channels)
                         ? x[((size_t)image * in_channels + row) * pixels + pixel] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int p = 0; p < 16; ++p) {
      sum = fmaf(gradients[ty][p], values[tx][p], sum);
      bias_sum += gradients[ty][p];
    }
    __syncthreads();
  }
  if (output < out_channels && input < in_channels)
    dw[output * in_channels + input] = sum;
  if (bias && output < out_channels && input == 0)
    db[output] = bias_sum;
}
