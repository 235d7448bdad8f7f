// Pooling as Caffe defines it, NCHW. One thread an output forward, one an input element backward.

// The maximum of the window clipped to the image; mask keeps where in its plane it stood.
extern "C" __global__ void __launch_bounds__(256)
maxpool_forward(const float *__restrict__ x, float *__restrict__ y, int *__restrict__ mask, int batch,
                int channels, int in_h, int in_w, int out_h, int out_w, int kernel_h, int kernel_w,
                int stride_h, int stride_w, int pad_h, int pad_w) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * out_h * out_w)
    return;
  const int column = i % out_w, row = i / out_w % out_h;
  const float *plane = x + (size_t)(i / (out_w * out_h)) * in_h * in_w;
  const int top = row * stride_h - pad_h, left = column * stride_w - pad_w;
  const int bottom = min(top + kernel_h, in_h), right = min(left + kernel_w, in_w);
  float best = -3.402823466e+38f;
  int where = -1;
  for (int h = max(top, 0); h < bottom; ++h)
    for (int w = max(left, 0); w < right; ++w)
      if (plane[h * in_w + w] > best) {
        best = plane[h * in_w + w];
        where = h * in_w + w;
      }
  y[i] = best;
  mask[i] = where;
}

extern "C" __global__ void __launch_bounds__(256)
maxpool_backward(const float *__restrict__ dy, const int *__restrict__ mask, float *__restrict__ dx,
                 int batch, int channels, int in_h, int in_w, int out_h, int out_w, int kernel_h,
                 int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * in_h * in_w)
    return;
  const int here = i % (in_h * in_w);
  const int row = here / in_w + pad_h, column = here % in_w + pad_w;
  const size_t plane = (size_t)(i / (in_h * in_w)) * out_h * out_w;
  const int first_row = row < kernel_h ? 0 : (row - kernel_h) / stride_h + 1;
  const int first_column = column < kernel_w ? 0 : (column - kernel_w) / stride_w + 1;
  const int last_row = min(row / stride_h + 1, out_h), last_column = min(column / stride_w + 1, out_w);
  float sum = 0.0f;
  for (int h = first_row; h < last_row; ++h)
    for (int w = first_column; w < last_column; ++w)
      if (mask[plane + h * out_w + w] == here)
        sum += dy[plane + h * out_w + w];
  dx[i] = sum;
}

// The divisor counts padding (the window clipped to the padded image), the sum does not.
extern "C" __global__ void __launch_bounds__(256)
avepool_forward(const float *__restrict__ x, float *__restrict__ y, int batch, int channels, int in_h,
                int in_w, int out_h, int out_w, int kernel_h, int kernel_w, int stride_h, int stride_w,
                int pad_h, int pad_w) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * out_h * out_w)
    return;
  const int top = i / out_w % out_h * stride_h - pad_h, left = i % out_w * stride_w - pad_w;
  const float *plane = x + (size_t)(i / (out_w * out_h)) * in_h * in_w;
  const int bottom = min(top + kernel_h, in_h + pad_h), right = min(left + kernel_w, in_w + pad_w);
  const int area = (bottom - top) * (right - left);
  float sum = 0.0f;
  for (int h = max(top, 0); h < min(bottom, in_h); ++h)
    for (int w = max(left, 0); w < min(right, in_w); ++w)
      sum += plane[h * in_w + w];
  y[i] = sum / area;
}

extern "C" __global__ void __launch_bounds__(256)
avepool_backward(const float *__restrict__ dy, float *__restrict__ dx, int batch, int channels, int in_h,
                 int in_w, int out_h, int out_w, int kernel_h, int kernel_w, int stride_h, int stride_w,
                 int pad_h, int pad_w) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= batch * channels * in_h * in_w)
    return;
  const int row = i / in_w % in_h + pad_h, column = i % in_w + pad_w;
  const float *plane = dy + (size_t)(i / (in_h * in_w)) * out_h * out_w;
  const int first_row = row < kernel_h ? 0 : (row - kernel_h) / stride_h + 1;
  const int first_column = column < kernel_w ? 0 : (column - kernel_w) / stride_w + 1;
  const int last_row = min(row / stride_h + 1, out_h), last_column = min(column / stride_w + 1, out_w);
  float sum = 0.0f;
  for (int h = first_row; h < last_row; ++h)
    for (int w = first_column; w < last_column; ++w) {
      const int top = h * stride_h - pad_h, left = w * stride_w - pad_w;
      const int bottom = min(top + kernel_h, in_h + pad_h), right = min(left + kernel_w, in_w + pad_w);
      sum += plane[h * out_w + w] / ((bottom - top) * (right - left));
    }
  dx[i] = sum;
}
