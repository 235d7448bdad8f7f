// Local response normalisation across channels, NCHW, as Caffe defines it (k = 1). One thread a pixel of an
// image; it slides a window of local_size channels, so each element is read twice and not local_size times.

// Sum of squares of the channels around c, given the sum around c - 1.
__device__ __forceinline__ float slide(const float *__restrict__ x, float sum, int c, int channels,
                                       int half, size_t step) {
  const int enters = c + half, leaves = c - half - 1;
  if (enters < channels)
    sum = fmaf(x[enters * step], x[enters * step], sum);
  if (leaves >= 0)
    sum = fmaf(-x[leaves * step], x[leaves * step], sum);
  return sum;
}

__device__ __forceinline__ float first_sum(const float *__restrict__ x, int channels, int half,
                                           size_t step) {
  float sum = 0.0f;
  for (int c = 0; c < half && c < channels; ++c)
    sum = fmaf(x[c * step], x[c * step], sum);
  return sum;
}

extern "C" __global__ void __launch_bounds__(256)
lrn_fill_scale(const float *__restrict__ x, float *__restrict__ scale, int batch, int channels, int in_h,
               int in_w, int local_size, float alpha) {
  const int i = blockIdx.x * 256 + threadIdx.x, pixels = in_h * in_w;
  if (i >= batch * pixels)
    return;
  const size_t start = (size_t)(i / pixels) * channels * pixels + i % pixels;
  const int half = (local_size - 1) / 2;
  float sum = first_sum(x + start, channels, half, pixels);
  for (int c = 0; c < channels; ++c) {
    sum = slide(x + start, sum, c, channels, half, pixels);
    scale[start + (size_t)c * pixels] = fmaf(alpha / local_size, sum, 1.0f);
  }
}

extern "C" __global__ void __launch_bounds__(256)
lrn_output(const float *__restrict__ x, const float *__restrict__ scale, float *__restrict__ y,
           int batch, int channels, int in_h, int in_w, float beta) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < batch * channels * in_h * in_w)
    y[i] = x[i] * powf(scale[i], -beta);
}

extern "C" __global__ void __launch_bounds__(256)
lrn_forward(const float *__restrict__ x, float *__restrict__ scale, float *__restrict__ y, int batch,
            int channels, int in_h, int in_w, int local_size, float alpha, float beta) {
  const int i = blockIdx.x * 256 + threadIdx.x, pixels = in_h * in_w;
  if (i >= batch * pixels)
    return;
  const size_t start = (size_t)(i / pixels) * channels * pixels + i % pixels;
  const int half = (local_size - 1) / 2;
  float sum = first_sum(x + start, channels, half, pixels);
  for (int c = 0; c < channels; ++c) {
    sum = slide(x + start, sum, c, channels, half, pixels);
    const size_t at = start + (size_t)c * pixels;
    const float factor = fmaf(alpha / local_size, sum, 1.0f);
    scale[at] = factor;
    y[at] = x[at] * powf(factor, -beta);
  }
}

// dx = dy scale^-beta - 2 alpha beta / local_size x sum over the window of dy y / scale.
extern "C" __global__ void __launch_bounds__(256)
lrn_backward(const float *__restrict__ x, const float *__restrict__ y, const float *__restrict__ scale,
             const float *__restrict__ dy, float *__restrict__ dx, int batch, int channels, int in_h,
             int in_w, int local_size, float alpha, float beta) {
  const int i = blockIdx.x * 256 + threadIdx.x, pixels = in_h * in_w;
  if (i >= batch * pixels)
    return;
  const size_t start = (size_t)(i / pixels) * channels * pixels + i % pixels, step = pixels;
  const int half = (local_size - 1) / 2;
  const float factor = 2.0f * alpha * beta / local_size;
  float sum = 0.0f;
  for (int c = 0; c < half && c < channels; ++c)
    sum += dy[start + c * step] * y[start + c * step] / scale[start + c * step];
  for (int c = 0; c < channels; ++c) {
    if (c + half < channels) {
      const size_t at = start + (c + half) * step;
      sum += dy[at] * y[at] / scale[at];
    }
    if (c - half - 1 >= 0) {
      const size_t at = start + (c - half - 1) * step;
      sum -= dy[at] * y[at] / scale[at];
    }
    const size_t at = start + c * step;
    dx[at] = dy[at] * powf(scale[at], -beta) - factor * x[at] * sum;
  }
}
