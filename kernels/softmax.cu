// Softmax over the channels of an (outer, channels, inner) tensor: Caffe's steps one by one, a fused
// kernel, and the loss. Steps that reduce take one thread a (outer, inner) pair.

#define PAIR                                                                                           \
  const int i = blockIdx.x * 256 + threadIdx.x;                                                        \
  if (i >= outer * inner)                                                                              \
    return;                                                                                            \
  const size_t start = (size_t)(i / inner) * channels * inner + i % inner

extern "C" __global__ void __launch_bounds__(256)
softmax_max(const float *__restrict__ x, float *__restrict__ m, int outer, int channels, int inner) {
  PAIR;
  float best = -3.402823466e+38f;
  for (int c = 0; c < channels; ++c)
    best = fmaxf(best, x[start + (size_t)c * inner]);
  m[i] = best;
}

extern "C" __global__ void __launch_bounds__(256)
softmax_subtract(const float *__restrict__ m, float *__restrict__ y, int outer, int channels,
                 int inner) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < outer * channels * inner)
    y[i] -= m[i / (channels * inner) * inner + i % inner];
}

extern "C" __global__ void __launch_bounds__(256)
softmax_exp(float *__restrict__ y, int outer, int channels, int inner) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < outer * channels * inner)
    y[i] = expf(y[i]);
}

extern "C" __global__ void __launch_bounds__(256)
softmax_sum(const float *__restrict__ y, float *__restrict__ s, int outer, int channels, int inner) {
  PAIR;
  float sum = 0.0f;
  for (int c = 0; c < channels; ++c)
    sum += y[start + (size_t)c * inner];
  s[i] = sum;
}

extern "C" __global__ void __launch_bounds__(256)
softmax_divide(const float *__restrict__ s, float *__restrict__ y, int outer, int channels, int inner) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < outer * channels * inner)
    y[i] /= s[i / (channels * inner) * inner + i % inner];
}

extern "C" __global__ void __launch_bounds__(256)
softmax_dot(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ d, int outer,
            int channels, int inner) {
  PAIR;
  float sum = 0.0f;
  for (int c = 0; c < channels; ++c)
    sum = fmaf(a[start + (size_t)c * inner], b[start + (size_t)c * inner], sum);
  d[i] = sum;
}

__device__ __forceinline__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset >>= 1)
    v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

// Fused: one warp a pair keeps maximum and sum in registers; eight warps a block.
extern "C" __global__ void __launch_bounds__(256)
softmax_forward(const float *__restrict__ x, float *__restrict__ y, int outer, int channels, int inner) {
  const int i = blockIdx.x * 8 + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (i >= outer * inner)
    return; // whole warps leave, so the shuffles below see all lanes
  const size_t start = (size_t)(i / inner) * channels * inner + i % inner;
  float best = -3.402823466e+38f;
  for (int c = lane; c < channels; c += 32)
    best = fmaxf(best, x[start + (size_t)c * inner]);
  for (int offset = 16; offset > 0; offset >>= 1)
    best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, offset));
  float sum = 0.0f;
  for (int c = lane; c < channels; c += 32)
    sum += expf(x[start + (size_t)c * inner] - best);
  sum = warp_sum(sum);
  for (int c = lane; c < channels; c += 32)
    y[start + (size_t)c * inner] = expf(x[start + (size_t)c * inner] - best) / sum;
}

extern "C" __global__ void __launch_bounds__(256)
softmax_backward(const float *__restrict__ dy, const float *__restrict__ y, float *__restrict__ dx,
                 int outer, int channels, int inner) {
  const int i = blockIdx.x * 8 + (threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (i >= outer * inner)
    return;
  const size_t start = (size_t)(i / inner) * channels * inner + i % inner;
  float sum = 0.0f;
  for (int c = lane; c < channels; c += 32) {
    const size_t at = start + (size_t)c * inner;
    sum = fmaf(dy[at], y[at], sum);
  }
  sum = warp_sum(sum);
  for (int c = lane; c < channels; c += 32) {
    const size_t at = start + (size_t)c * inner;
    dx[at] = (dy[at] - sum) * y[at];
  }
}

// Labels are class indices in [0, channels).
extern "C" __global__ void __launch_bounds__(256)
softmax_loss_forward(const float *__restrict__ p, const int *__restrict__ label,
                     float *__restrict__ loss, int outer, int channels, int inner) {
  PAIR;
  loss[i] = -logf(fmaxf(p[start + (size_t)label[i] * inner], 1.175494351e-38f));
}

extern "C" __global__ void __launch_bounds__(256)
softmax_loss_backward(const int *__restrict__ label, float *__restrict__ dx, int outer, int channels,
                      int inner) {
  PAIR;
  dx[start + (size_t)label[i] * inner] -= 1.0f;
}
