// Depthwise convolution (one filter a channel), NCHW: three forward kernels and the two gradients.

// Step 1: one thread an output, everything from global memory.
extern "C" __global__ void __launch_bounds__(256)
depthwise_naive(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                float *__restrict__ y, int batch, int channels, int in_h, int in_w, int kernel_h,
                int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w, int bias, int out_h,
                int out_w) {
  const int index = blockIdx.x * 256 + threadIdx.x;
  if (index >= batch * channels * out_h * out_w)
    return;
  const int column = index % out_w, row = index / out_w % out_h;
  const int plane = index / (out_w * out_h), channel = plane % channels;
  const float *image = x + (size_t)plane * in_h * in_w;
  const float *filter = w + channel * kernel_h * kernel_w;
  const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
  float sum = bias ? b[channel] : 0.0f;
  for (int i = 0; i < kernel_h; ++i) {
    if (top + i < 0 || top + i >= in_h)
      continue;
    for (int j = 0; j < kernel_w; ++j)
      if (left + j >= 0 && left + j < in_w)
        sum = fmaf(image[(top + i) * in_w + left + j], filter[i * kernel_w + j], sum);
  }
  y[index] = sum;
}

// Step 2: a block computes 8 x 32 outputs of one plane from a tile of the image with its halo, so an
// image element is read from global memory once a tile instead of once a filter tap.
extern "C" __global__ void __launch_bounds__(256)
depthwise_tiled(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                float *__restrict__ y, int batch, int channels, int in_h, int in_w, int kernel_h,
                int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w, int bias, int out_h,
                int out_w) {
  extern __shared__ float tile[];
  const int tile_w = 31 * stride_w + kernel_w, tile_h = 7 * stride_h + kernel_h;
  const int plane = blockIdx.z, channel = plane % channels;
  const int row = blockIdx.y * 8, column = blockIdx.x * 32;
  const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
  const float *image = x + (size_t)plane * in_h * in_w;
  const int thread = threadIdx.y * 32 + threadIdx.x;
  for (int at = thread; at < tile_h * tile_w; at += 256) {
    const int i = top + at / tile_w, j = left + at % tile_w;
    tile[at] = (i >= 0 && i < in_h && j >= 0 && j < in_w) ? image[i * in_w + j] : 0.0f;
  }
  __syncthreads();
  const int out_row = row + threadIdx.y, out_column = column + threadIdx.x;
  if (out_row >= out_h || out_column >= out_w)
    return;
  const float *filter = w + channel * kernel_h * kernel_w;
  const float *window = tile + threadIdx.y * stride_h * tile_w + threadIdx.x * stride_w;
  float sum = bias ? b[channel] : 0.0f;
  for (int i = 0; i < kernel_h; ++i)
    for (int j = 0; j < kernel_w; ++j)
      sum = fmaf(window[i * tile_w + j], filter[i * kernel_w + j], sum);
  y[((size_t)plane * out_h + out_row) * out_w + out_column] = sum;
}

// Step 3: four outputs of a row in one thread: each filter tap is loaded once for four products, and the
// four sums are independent, which hides the latency of the multiply-adds.
extern "C" __global__ void __launch_bounds__(128)
depthwise_multi(const float *__restrict__ x, const float *__restrict__ w, const float *__restrict__ b,
                float *__restrict__ y, int batch, int channels, int in_h, int in_w, int kernel_h,
                int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w, int bias, int out_h,
                int out_w) {
  const int quads = (out_w + 3) / 4;
  const int index = blockIdx.x * 128 + threadIdx.x;
  if (index >= batch * channels * out_h * quads)
    return;
  const int column = index % quads * 4, row = index / quads % out_h;
  const int plane = index / (quads * out_h), channel = plane % channels;
  const float *image = x + (size_t)plane * in_h * in_w;
  const float *filter = w + channel * kernel_h * kernel_w;
  const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
  const float start = bias ? b[channel] : 0.0f;
  float sum[4] = {start, start, start, start};
  for (int i = 0; i < kernel_h; ++i) {
    if (top + i < 0 || top + i >= in_h)
      continue;
    const float *line = image + (top + i) * in_w;
    for (int j = 0; j < kernel_w; ++j) {
      const float tap = filter[i * kernel_w + j];
#pragma unroll
      for (int o = 0; o < 4; ++o) {
        const int at = left + o * stride_w + j;
        if (at >= 0 && at < in_w)
          sum[o] = fmaf(line[at], tap, sum[o]);
      }
    }
  }
  float *target = y + ((size_t)plane * out_h + row) * out_w + column;
#pragma unroll
  for (int o = 0; o < 4; ++o)
    if (column + o < out_w)
      target[o] = sum[o];
}

// Gradient of the input: one thread an element, gathering from the outputs whose window holds it.
extern "C" __global__ void __launch_bounds__(256)
depthwise_backward_data(const float *__restrict__ dy, const float *__restrict__ w,
                        float *__restrict__ dx, int batch, int channels, int in_h, int in_w,
                        int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w,
                        int out_h, int out_w) {
  const int index = blockIdx.x * 256 + threadIdx.x;
  if (index >= batch * channels * in_h * in_w)
    return;
  const int column = index % in_w + pad_w, row = index / in_w % in_h + pad_h;
  const int plane = index / (in_w * in_h);
  const float *gradient = dy + (size_t)plane * out_h * out_w;
  const float *filter = w + plane % channels * kernel_h * kernel_w;
  float sum = 0.0f;
  for (int i = 0; i < kernel_h; ++i) {
    const int down = row - i;
    if (down < 0 || down % stride_h != 0 || down / stride_h >= out_h)
      continue;
    for (int j = 0; j < kernel_w; ++j) {
      const int right = column - j;
      if (right < 0 || right % stride_w != 0 || right / stride_w >= out_w)
        continue;
      sum = fmaf(gradient[down / stride_h * out_w + right / stride_w], filter[i * kernel_w + j], sum);
    }
  }
  dx[index] = sum;
}

// Gradient of the filters (and of the bias): one block a channel and filter tap, a tree over its sum.
extern "C" __global__ void __launch_bounds__(128)
depthwise_backward_weight(const float *__restrict__ x, const float *__restrict__ dy,
                          float *__restrict__ dw, float *__restrict__ db, int batch, int channels,
                          int in_h, int in_w, int kernel_h, int kernel_w, int stride_h, int stride_w,
                          int pad_h, int pad_w, int bias, int out_h, int out_w) {
  __shared__ float partial[4];
  const int taps = kernel_h * kernel_w + bias; // the bias is one more tap, whose input is always 1
  const int channel = blockIdx.x / taps, tap = blockIdx.x % taps;
  const bool is_bias = tap == kernel_h * kernel_w;
  const int i = tap / kernel_w, j = tap % kernel_w;
  const int pixels = out_h * out_w;
  float sum = 0.0f;
  for (int at = threadIdx.x; at < batch * pixels; at += 128) {
    const int image = at / pixels, pixel = at % pixels;
    const size_t plane = (size_t)image * channels + channel;
    const float gradient = dy[plane * pixels + pixel];
    const int row = pixel / out_w * stride_h - pad_h + i;
    const int column = pixel % out_w * stride_w - pad_w + j;
    if (is_bias)
      sum += gradient;
    else if (row >= 0 && row < in_h && column >= 0 && column < in_w)
      sum = fmaf(gradient, x[plane * in_h * in_w + row * in_w + column], sum);
  }
  for (int offset = 16; offset > 0; offset >>= 1)
    sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if ((threadIdx.x & 31) == 0)
    partial[threadIdx.x >> 5] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    const float total = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    if (is_bias)
      db[channel] = total;
    else
      dw[channel * kernel_h * kernel_w + tap] = total;
  }
}
