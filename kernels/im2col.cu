// The two copies between an image and the matrix of its windows, as Caffe's lowering needs them.

// One thread a channel and output pixel; it copies the window of that pixel.
extern "C" __global__ void __launch_bounds__(256)
im2col(const float *__restrict__ im, float *__restrict__ col, int channels, int in_h, int in_w,
       int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h,
       int dilation_w, int out_h, int out_w) {
  const int index = blockIdx.x * 256 + threadIdx.x;
  const int pixels = out_h * out_w;
  if (index >= channels * pixels)
    return;
  const int channel = index / pixels, pixel = index % pixels;
  const int top = pixel / out_w * stride_h - pad_h, left = pixel % out_w * stride_w - pad_w;
  const float *image = im + (size_t)channel * in_h * in_w;
  float *target = col + (size_t)channel * kernel_h * kernel_w * pixels + pixel;
  for (int i = 0; i < kernel_h; ++i) {
    const int y = top + i * dilation_h;
    for (int j = 0; j < kernel_w; ++j) {
      const int x = left + j * dilation_w;
      const bool inside = y >= 0 && y < in_h && x >= 0 && x < in_w;
      *target = inside ? image[y * in_w + x] : 0.0f;
      target += pixels;
    }
  }
}

// One thread an image element; it gathers the windows that hold it, so no atomics are needed.
extern "C" __global__ void __launch_bounds__(256)
col2im(const float *__restrict__ col, float *__restrict__ im, int channels, int in_h, int in_w,
       int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h,
       int dilation_w, int out_h, int out_w) {
  const int index = blockIdx.x * 256 + threadIdx.x;
  if (index >= channels * in_h * in_w)
    return;
  const int x = index % in_w + pad_w, y = index / in_w % in_h + pad_h;
  const int channel = index / (in_w * in_h);
  const int pixels = out_h * out_w;
  const float *source = col + (size_t)channel * kernel_h * kernel_w * pixels;
  float sum = 0.0f;
  for (int i = 0; i < kernel_h; ++i) {
    const int down = y - i * dilation_h;
    if (down < 0 || down % stride_h != 0 || down / stride_h >= out_h)
      continue;
    for (int j = 0; j < kernel_w; ++j) {
      const int right = x - j * dilation_w;
      if (right < 0 || right % stride_w != 0 || right / stride_w >= out_w)
        continue;
      sum += source[(i * kernel_w + j) * pixels + down / stride_h * out_w + right / stride_w];
    }
  }
  im[index] = sum;
}
