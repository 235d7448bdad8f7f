// Bias, batch normalisation and per-channel scale, NCHW with pixels = height x width. Reductions over a
// channel take one block a channel: threads stride over images and pixels, then shuffles join them.

// Sums two values over a block of 256 threads; every thread of the first warp's lane 0 gets the totals.
__device__ __forceinline__ void block_sums(float &first, float &second) {
  __shared__ float partial[2][8];
  for (int offset = 16; offset > 0; offset >>= 1) {
    first += __shfl_down_sync(0xffffffffu, first, offset);
    second += __shfl_down_sync(0xffffffffu, second, offset);
  }
  if ((threadIdx.x & 31) == 0) {
    partial[0][threadIdx.x >> 5] = first;
    partial[1][threadIdx.x >> 5] = second;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    first = second = 0.0f;
    for (int warp = 0; warp < 8; ++warp) {
      first += partial[0][warp];
      second += partial[1][warp];
    }
  }
}

// Index in the tensor of the at-th element of a channel.
__device__ __forceinline__ size_t in_channel(int at, int channel, int channels, int pixels) {
  return ((size_t)(at / pixels) * channels + channel) * pixels + at % pixels;
}

extern "C" __global__ void __launch_bounds__(256)
bias_add(const float *__restrict__ b, float *__restrict__ y, int batch, int channels, int pixels) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < batch * channels * pixels)
    y[i] += b[i / pixels % channels];
}

extern "C" __global__ void __launch_bounds__(256)
bias_backward(const float *__restrict__ dy, float *__restrict__ db, int batch, int channels,
              int pixels) {
  const int channel = blockIdx.x;
  float sum = 0.0f, unused = 0.0f;
  for (int at = threadIdx.x; at < batch * pixels; at += 256)
    sum += dy[in_channel(at, channel, channels, pixels)];
  block_sums(sum, unused);
  if (threadIdx.x == 0)
    db[channel] = sum;
}

// Mean and variance of each channel. Differences from the channel's first element are summed, so that a
// large mean does not swallow a small variance.
extern "C" __global__ void __launch_bounds__(256)
bn_stats(const float *__restrict__ x, float *__restrict__ mean, float *__restrict__ var, int batch,
         int channels, int pixels) {
  const int channel = blockIdx.x, count = batch * pixels;
  const float origin = x[(size_t)channel * pixels];
  float sum = 0.0f, squares = 0.0f;
  for (int at = threadIdx.x; at < count; at += 256) {
    const float v = x[in_channel(at, channel, channels, pixels)] - origin;
    sum += v;
    squares = fmaf(v, v, squares);
  }
  block_sums(sum, squares);
  if (threadIdx.x == 0) {
    const float shift = sum / count;
    mean[channel] = origin + shift;
    var[channel] = fmaxf(squares / count - shift * shift, 0.0f);
  }
}

extern "C" __global__ void __launch_bounds__(256)
bn_normalize(const float *__restrict__ x, const float *__restrict__ mean, const float *__restrict__ var,
             float *__restrict__ y, int batch, int channels, int pixels, float eps) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * pixels)
    return;
  const int channel = i / pixels % channels;
  y[i] = (x[i] - mean[channel]) * rsqrtf(var[channel] + eps);
}

extern "C" __global__ void __launch_bounds__(256)
bn_backward_reduce(const float *__restrict__ dy, const float *__restrict__ y, float *__restrict__ sum_dy,
                   float *__restrict__ sum_dy_y, int batch, int channels, int pixels) {
  const int channel = blockIdx.x;
  float plain = 0.0f, weighted = 0.0f;
  for (int at = threadIdx.x; at < batch * pixels; at += 256) {
    const size_t i = in_channel(at, channel, channels, pixels);
    plain += dy[i];
    weighted = fmaf(dy[i], y[i], weighted);
  }
  block_sums(plain, weighted);
  if (threadIdx.x == 0) {
    sum_dy[channel] = plain;
    sum_dy_y[channel] = weighted;
  }
}

extern "C" __global__ void __launch_bounds__(256)
bn_backward_apply(const float *__restrict__ dy, const float *__restrict__ y,
                  const float *__restrict__ var, const float *__restrict__ sum_dy,
                  const float *__restrict__ sum_dy_y, float *__restrict__ dx, int batch, int channels,
                  int pixels, float eps) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * pixels)
    return;
  const int channel = i / pixels % channels;
  const float count = (float)(batch * pixels);
  dx[i] = (dy[i] - sum_dy[channel] / count - y[i] * sum_dy_y[channel] / count) *
          rsqrtf(var[channel] + eps);
}

extern "C" __global__ void __launch_bounds__(256)
scale_forward(const float *__restrict__ x, const float *__restrict__ gamma,
              const float *__restrict__ beta, float *__restrict__ y, int batch, int channels, int pixels,
              int bias) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * pixels)
    return;
  const int channel = i / pixels % channels;
  y[i] = fmaf(x[i], gamma[channel], bias ? beta[channel] : 0.0f);
}

extern "C" __global__ void __launch_bounds__(256)
scale_backward_data(const float *__restrict__ dy, const float *__restrict__ gamma,
                    float *__restrict__ dx, int batch, int channels, int pixels) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < batch * channels * pixels)
    dx[i] = dy[i] * gamma[i / pixels % channels];
}

extern "C" __global__ void __launch_bounds__(256)
scale_backward_reduce(const float *__restrict__ x, const float *__restrict__ dy,
                      float *__restrict__ dgamma, float *__restrict__ dbeta, int batch, int channels,
                      int pixels) {
  const int channel = blockIdx.x;
  float weighted = 0.0f, plain = 0.0f;
  for (int at = threadIdx.x; at < batch * pixels; at += 256) {
    const size_t i = in_channel(at, channel, channels, pixels);
    weighted = fmaf(x[i], dy[i], weighted);
    plain += dy[i];
  }
  block_sums(weighted, plain);
  if (threadIdx.x == 0) {
    dgamma[channel] = weighted;
    dbeta[channel] = plain;
  }
}
