// Kernels that touch each element once: activations, element-wise arithmetic, copies, dropout, and the
// small helpers that a framework launches around its layers. One thread an element throughout.

#define ELEMENT(count)                                                                                 \
  const int i = blockIdx.x * 256 + threadIdx.x;                                                        \
  if (i >= (count))                                                                                    \
    return

extern "C" __global__ void __launch_bounds__(256)
relu_forward(const float *__restrict__ x, float *__restrict__ y, int count) {
  ELEMENT(count);
  y[i] = fmaxf(x[i], 0.0f);
}

extern "C" __global__ void __launch_bounds__(256)
relu_backward(const float *__restrict__ dy, const float *__restrict__ x, float *__restrict__ dx,
              int count) {
  ELEMENT(count);
  dx[i] = x[i] > 0.0f ? dy[i] : 0.0f;
}

__device__ __forceinline__ float sigmoid(float v) { return 1.0f / (1.0f + expf(-v)); }
__device__ __forceinline__ float clipped6(float v) { return fminf(fmaxf(v, 0.0f), 6.0f); }

// kind: 0 sigmoid, 1 tanh, 2 relu6, 3 hard sigmoid, 4 hard swish, 5 swish. The same for all threads.
extern "C" __global__ void __launch_bounds__(256)
activation_forward(const float *__restrict__ x, float *__restrict__ y, int count, int kind) {
  ELEMENT(count);
  const float v = x[i];
  float result;
  switch (kind) {
  case 0: result = sigmoid(v); break;
  case 1: result = tanhf(v); break;
  case 2: result = clipped6(v); break;
  case 3: result = clipped6(v + 3.0f) / 6.0f; break;
  case 4: result = v * clipped6(v + 3.0f) / 6.0f; break;
  default: result = v * sigmoid(v); break;
  }
  y[i] = result;
}

extern "C" __global__ void __launch_bounds__(256)
activation_backward(const float *__restrict__ dy, const float *__restrict__ x, float *__restrict__ dx,
                    int count, int kind) {
  ELEMENT(count);
  const float v = x[i];
  const bool inner = v > -3.0f && v < 3.0f;
  float slope;
  switch (kind) {
  case 0: slope = sigmoid(v) * (1.0f - sigmoid(v)); break;
  case 1: slope = 1.0f - tanhf(v) * tanhf(v); break;
  case 2: slope = v > 0.0f && v < 6.0f ? 1.0f : 0.0f; break;
  case 3: slope = inner ? 1.0f / 6.0f : 0.0f; break;
  case 4: slope = inner ? (2.0f * v + 3.0f) / 6.0f : (v >= 3.0f ? 1.0f : 0.0f); break;
  default: slope = sigmoid(v) * (1.0f + v * (1.0f - sigmoid(v))); break;
  }
  dx[i] = dy[i] * slope;
}

extern "C" __global__ void __launch_bounds__(256)
eltwise_sum(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ y, int count) {
  ELEMENT(count);
  y[i] = a[i] + b[i];
}

// The first launch compares two inputs, each later one the next input with the maximum so far.
extern "C" __global__ void __launch_bounds__(256)
eltwise_max_forward(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ y,
                    int *__restrict__ mask, int count, int index) {
  ELEMENT(count);
  const float best = index == 0 ? a[i] : y[i];
  const float other = b[i];
  if (index == 0) {
    y[i] = best > other ? best : other;
    mask[i] = best > other ? 0 : 1;
  } else if (other > best) {
    y[i] = other;
    mask[i] = index + 1;
  }
}

extern "C" __global__ void __launch_bounds__(256)
eltwise_max_backward(const float *__restrict__ dy, const int *__restrict__ mask, float *__restrict__ dx,
                     int count, int index) {
  ELEMENT(count);
  dx[i] = mask[i] == index ? dy[i] : 0.0f;
}

// A tensor into (or, backward, out of) its place in a concatenated one.
extern "C" __global__ void __launch_bounds__(256)
concat_copy(float *small, float *big, int count_copied, int outer, int concat_size, int top_offset,
            int backward) {
  ELEMENT(count_copied);
  const int chunk = count_copied / outer;
  const size_t at = (size_t)(i / chunk) * concat_size + top_offset + i % chunk;
  if (backward)
    small[i] = big[at];
  else
    big[at] = small[i];
}

extern "C" __global__ void __launch_bounds__(256)
dropout_forward(const float *__restrict__ x, const unsigned *__restrict__ mask, float *__restrict__ y,
                int count, unsigned threshold, float scale) {
  ELEMENT(count);
  y[i] = mask[i] > threshold ? x[i] * scale : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256)
dropout_backward(const float *__restrict__ dy, const unsigned *__restrict__ mask,
                 float *__restrict__ dx, int count, unsigned threshold, float scale) {
  ELEMENT(count);
  dx[i] = mask[i] > threshold ? dy[i] * scale : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256)
ew_copy(const float *__restrict__ x, float *__restrict__ y, int count) {
  ELEMENT(count);
  y[i] = x[i];
}

extern "C" __global__ void __launch_bounds__(256) ew_set(float *__restrict__ y, int count, float value) {
  ELEMENT(count);
  y[i] = value;
}

extern "C" __global__ void __launch_bounds__(256)
ew_scale(float *__restrict__ y, int count, float alpha) {
  ELEMENT(count);
  y[i] *= alpha;
}

extern "C" __global__ void __launch_bounds__(256)
ew_axpy(const float *__restrict__ x, float *__restrict__ y, int count, float alpha) {
  ELEMENT(count);
  y[i] = fmaf(alpha, x[i], y[i]);
}

extern "C" __global__ void __launch_bounds__(256)
ew_add_scalar(float *__restrict__ y, int count, float alpha) {
  ELEMENT(count);
  y[i] += alpha;
}

#define BINARY(name, expression)                                                                       \
  extern "C" __global__ void __launch_bounds__(256)                                                    \
  name(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ y, int count) {   \
    ELEMENT(count);                                                                                    \
    y[i] = expression;                                                                                 \
  }

BINARY(ew_mul, a[i] * b[i])
BINARY(ew_div, a[i] / b[i])
BINARY(ew_sub, a[i] - b[i])
BINARY(ew_add, a[i] + b[i])

extern "C" __global__ void __launch_bounds__(256)
ew_powx(const float *__restrict__ x, float *__restrict__ y, int count, float exponent) {
  ELEMENT(count);
  y[i] = powf(x[i], exponent);
}

extern "C" __global__ void __launch_bounds__(256)
ew_sqrt(const float *__restrict__ x, float *__restrict__ y, int count) {
  ELEMENT(count);
  y[i] = sqrtf(x[i]);
}

extern "C" __global__ void __launch_bounds__(256)
ew_square(const float *__restrict__ x, float *__restrict__ y, int count) {
  ELEMENT(count);
  y[i] = x[i] * x[i];
}

// result += sum of x[i] y[i]: blocks reduce by shuffles, and one atomic a block joins them.
extern "C" __global__ void __launch_bounds__(256)
dot_reduce(const float *__restrict__ x, const float *__restrict__ y, float *__restrict__ result,
           int count) {
  __shared__ float partial[8];
  float sum = 0.0f;
  for (int i = blockIdx.x * 256 + threadIdx.x; i < count; i += gridDim.x * 256)
    sum = fmaf(x[i], y[i], sum);
  for (int offset = 16; offset > 0; offset >>= 1)
    sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if ((threadIdx.x & 31) == 0)
    partial[threadIdx.x >> 5] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0.0f;
    for (int warp = 0; warp < 8; ++warp)
      total += partial[warp];
    atomicAdd(result, total);
  }
}

// Uniform 32-bit numbers from a hash of the index (the finaliser of MurmurHash3, public domain).
extern "C" __global__ void __launch_bounds__(256)
rng_uniform(unsigned *__restrict__ out, int count, unsigned seed) {
  ELEMENT(count);
  unsigned h = (unsigned)i + seed;
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  out[i] = h ^ (h >> 16);
}

// Frameworks launch an empty kernel to make one stream wait for others.
extern "C" __global__ void sync_empty() {}
