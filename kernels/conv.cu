// Any convolution in one launch (implicit matrix product), NCHW, with groups, and its two gradients. A
// block makes a 16 x 16 tile of the product; the matrix of windows is never stored, its elements are
// gathered into shared memory as they are needed.

struct Window {
  int in_h, in_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, out_h, out_w;
};

// Element (tap, pixel) of the matrix of windows of one image's group: tap counts channel, row, column.
__device__ __forceinline__ float window_element(const float *__restrict__ image, int tap, int pixel,
                                                const Window &s) {
  const int area = s.kernel_h * s.kernel_w;
  const int channel = tap / area, inside = tap % area;
  const int row = pixel / s.out_w * s.stride_h - s.pad_h + inside / s.kernel_w;
  const int column = pixel % s.out_w * s.stride_w - s.pad_w + inside % s.kernel_w;
  if (row < 0 || row >= s.in_h || column < 0 || column >= s.in_w)
    return 0.0f;
  return image[((size_t)channel * s.in_h + row) * s.in_w + column];
}

extern "C" __global__ void __launch_bounds__(256)
conv_implicit_gemm(const float *__restrict__ x, const float *__restrict__ w,
                   const float *__restrict__ b, float *__restrict__ y, int batch, int in_channels,
                   int in_h, int in_w, int out_channels, int kernel_h, int kernel_w, int stride_h,
                   int stride_w, int pad_h, int pad_w, int groups, int bias, int out_h, int out_w) {
  __shared__ float weights[16][17];
  __shared__ float values[16][16];
  const Window s = {in_h, in_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, out_h, out_w};
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int in_group = in_channels / groups, out_group = out_channels / groups;
  const int image = blockIdx.z / groups, group = blockIdx.z % groups;
  const int taps = in_group * kernel_h * kernel_w, pixels = out_h * out_w;
  const int pixel = blockIdx.x * 16 + tx, output = blockIdx.y * 16 + ty;
  const float *source = x + ((size_t)image * in_channels + group * in_group) * in_h * in_w;
  const float *filter = w + (size_t)group * out_group * taps;
  float sum = 0.0f;
  for (int start = 0; start < taps; start += 16) {
    weights[ty][tx] = (output < out_group && start + tx < taps)
                          ? filter[(size_t)output * taps + start + tx] : 0.0f;
    values[ty][tx] = (start + ty < taps && pixel < pixels)
                         ? window_element(source, start + ty, pixel, s) : 0.0f;
    __syncthreads();
#pragma unroll
    for (int t = 0; t < 16; ++t)
      sum = fmaf(weights[ty][t], values[t][tx], sum);
    __syncthreads();
  }
  if (output < out_group && pixel < pixels) {
    const int channel = group * out_group + output;
    y[((size_t)image * out_channels + channel) * pixels + pixel] = sum + (bias ? b[channel] : 0.0f);
  }
}

// Gradient of the input: the product of the transposed filters with the gradients that reach an element.
extern "C" __global__ void __launch_bounds__(256)
conv_implicit_gemm_backward_data(const float *__restrict__ dy, const float *__restrict__ w,
                                 float *__restrict__ dx, int batch, int in_channels, int in_h, int in_w,
                                 int out_channels, int kernel_h, int kernel_w, int stride_h,
                                 int stride_w, int pad_h, int pad_w, int groups, int out_h, int out_w) {
  __shared__ float weights[16][17];
  __shared__ float values[16][16];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int in_group = in_channels / groups, out_group = out_channels / groups;
  const int image = blockIdx.z / groups, group = blockIdx.z % groups;
  const int area = kernel_h * kernel_w, depth = out_group * area, elements = in_h * in_w;
  const int element = blockIdx.x * 16 + tx, input = blockIdx.y * 16 + ty;
  const float *source = dy + ((size_t)image * out_channels + group * out_group) * out_h * out_w;
  const float *filter = w + (size_t)group * out_group * in_group * area;
  const int row = element / in_w + pad_h, column = element % in_w + pad_w;
  float sum = 0.0f;
  for (int start = 0; start < depth; start += 16) {
    const int d = start + tx; // depth counts output channel, row, column of the filter
    weights[ty][tx] = (input < in_group && d < depth)
                          ? filter[((size_t)(d / area) * in_group + input) * area + d % area] : 0.0f;
    const int e = start + ty;
    float value = 0.0f;
    if (e < depth && element < elements) {
      const int down = row - e % area / kernel_w, right = column - e % kernel_w;
      if (down >= 0 && right >= 0 && down % stride_h == 0 && right % stride_w == 0 &&
          down / stride_h < out_h && right / stride_w < out_w)
        value = source[((size_t)(e / area) * out_h + down / stride_h) * out_w + right / stride_w];
    }
    values[ty][tx] = value;
    __syncthreads();
#pragma unroll
    for (int t = 0; t < 16; ++t)
      sum = fmaf(weights[ty][t], values[t][tx], sum);
    __syncthreads();
  }
  if (input < in_group && element < elements)
    dx[((size_t)image * in_channels + group * in_group + input) * elements + element] = sum;
}

// Gradient of the filters: the product of gradients and windows over all images and pixels.
extern "C" __global__ void __launch_bounds__(256)
conv_implicit_gemm_backward_weight(const float *__restrict__ x, const float *__restrict__ dy,
                                   float *__restrict__ dw, int batch, int in_channels, int in_h,
                                   int in_w, int out_channels, int kernel_h, int kernel_w, int stride_h,
                                   int stride_w, int pad_h, int pad_w, int groups, int out_h,
                                   int out_w) {
  __shared__ float gradients[16][17];
  __shared__ float values[16][17];
  const Window s = {in_h, in_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, out_h, out_w};
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int in_group = in_channels / groups, out_group = out_channels / groups, group = blockIdx.z;
  const int taps = in_group * kernel_h * kernel_w, pixels = out_h * out_w, total = batch * pixels;
  const int output = blockIdx.y * 16 + ty, tap0 = blockIdx.x * 16;
  float sum = 0.0f;
  for (int start = 0; start < total; start += 16) {
    const int at = start + tx, image = at / pixels, pixel = at % pixels;
    const float *source = x + ((size_t)image * in_channels + group * in_group) * in_h * in_w;
    const size_t channel = (size_t)image * out_channels + group * out_group + output;
    gradients[ty][tx] = (at < total && output < out_group) ? dy[channel * pixels + pixel] : 0.0f;
    values[ty][tx] = (at < total && tap0 + ty < taps)
                         ? window_element(source, tap0 + ty, pixel, s) : 0.0f;
    __syncthreads();
#pragma unroll
    for (int p = 0; p < 16; ++p)
      sum = fmaf(gradients[ty][p], values[tx][p], sum);
    __syncthreads();
  }
  if (output < out_group && tap0 + tx < taps)
    dw[((size_t)group * out_group + output) * taps + tap0 + tx] = sum;
}
