// 3 x 3 convolutions of stride 1 by Winograd's minimal filtering, F(2 x 2, 3 x 3), NCHW, one group: 16
// products for four outputs instead of 36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", CVPR 2016, section 4.1). First the filters are transformed, then one kernel transforms
// inputs, makes 16 matrix products, one a place of the 4 x 4 patches, and transforms them back.
//
// The gradient of the input is the same convolution of the gradient of the output, with filters turned
// by 180 degrees and input and output channels swapped.

constexpr int BLOCK_M = 32, BLOCK_T = 32, STEP = 4, PLACES = 16; // channels, tiles, depth, 4 x 4

// u[channel][place][row]: rows padded to a multiple of 32 and channels of 4, with zeros.
extern "C" __global__ void __launch_bounds__(256)
winograd_filters(const float *__restrict__ w, float *__restrict__ u, int in_channels, int out_channels,
                 int turned) {
  const int channels = turned ? out_channels : in_channels, rows = turned ? in_channels : out_channels;
  const int padded = (rows + BLOCK_M - 1) / BLOCK_M * BLOCK_M;
  const int all = (channels + STEP - 1) / STEP * STEP * padded;
  const int at = blockIdx.x * 256 + threadIdx.x;
  if (at >= all)
    return;
  const int channel = at / padded, row = at - channel * padded;
  float g[3][3] = {};
  if (channel < channels && row < rows) {
    const float *filter = w + (turned ? (size_t)channel * rows + row : (size_t)row * channels + channel) * 9;
#pragma unroll
    for (int i = 0; i < 9; ++i)
      g[i / 3][i % 3] = filter[turned ? 8 - i : i];
  }
  float half[4][3]; // G g
#pragma unroll
  for (int j = 0; j < 3; ++j) {
    const float outer = g[0][j] + g[2][j];
    half[0][j] = g[0][j];
    half[1][j] = 0.5f * (outer + g[1][j]);
    half[2][j] = 0.5f * (outer - g[1][j]);
    half[3][j] = g[2][j];
  }
  float *to = u + (size_t)channel * PLACES * padded + row;
#pragma unroll
  for (int i = 0; i < 4; ++i) { // G g G^T
    const float outer = half[i][0] + half[i][2];
    to[(size_t)(4 * i) * padded] = half[i][0];
    to[(size_t)(4 * i + 1) * padded] = 0.5f * (outer + half[i][1]);
    to[(size_t)(4 * i + 2) * padded] = 0.5f * (outer - half[i][1]);
    to[(size_t)(4 * i + 3) * padded] = half[i][2];
  }
}

// The first elements of odd places lie in the upper banks, so that the two places that a warp multiplies
// are read without a conflict.
__device__ __forceinline__ int swapped(int place, int i) { return i ^ (place & 1) << 4; }

extern "C" __global__ void __launch_bounds__(256, 2)
conv_winograd(const float *__restrict__ x, const float *__restrict__ u, float *__restrict__ y, int batch,
              int in_channels, int in_h, int in_w, int out_channels, int pad_h, int pad_w, int out_h,
              int out_w) {
  // Two buffers of both factors, [depth][place][row or tile]; later two halves of the products.
  __shared__ __align__(16) float room[2][2][STEP][PLACES][32];
  const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  const int down = (out_h + 1) / 2, across = (out_w + 1) / 2, tiles = batch * down * across;
  const int t0 = blockIdx.x * BLOCK_T, m0 = blockIdx.y * BLOCK_M;
  const int padded = (out_channels + BLOCK_M - 1) / BLOCK_M * BLOCK_M;

  // Half of the warps fetch and transform inputs, a warp a channel and a lane a tile; the others fetch
  // filters.
  const bool inputs = warp < STEP;
  const float *from;
  unsigned rows = 0, columns = 0; // of the patch, which of the four lie inside the image
  size_t stride;
  if (inputs) {
    const int tile = t0 + lane, image = tile / (down * across), inside = tile - image * (down * across);
    const int top = inside / across * 2 - pad_h, left = inside % across * 2 - pad_w;
    if (tile < tiles) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        rows |= (unsigned)(top + i >= 0 && top + i < in_h) << i;
        columns |= (unsigned)(left + i >= 0 && left + i < in_w) << i;
      }
    }
    from = x + ((ptrdiff_t)(image * in_channels + warp) * in_h + top) * in_w + left;
    stride = (size_t)STEP * in_h * in_w;
  } else {
    const int four = thread - 32 * STEP; // of 4 x 16 rows of 8 fours; 16 rows at a time
    from = u + (size_t)(four >> 3) * padded + m0 + 4 * (four & 7);
    stride = (size_t)STEP * PLACES * padded;
  }
  float next[16];
  auto fetch = [&](int channel) {
    if (inputs) {
      const unsigned here = channel + warp < in_channels ? rows : 0u;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const unsigned mask = here >> i & 1u ? columns : 0u;
#pragma unroll
        for (int j = 0; j < 4; ++j)
          next[4 * i + j] = mask >> j & 1u ? from[i * in_w + j] : 0.0f;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        *reinterpret_cast<float4 *>(next + 4 * i) =
            *reinterpret_cast<const float4 *>(from + (size_t)(PLACES * i) * padded);
    }
    from += stride;
  };
  auto put = [&](int half) {
    if (inputs) {
      float b[4][4]; // B^T d
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        b[0][j] = next[j] - next[8 + j];
        b[1][j] = next[4 + j] + next[8 + j];
        b[2][j] = next[8 + j] - next[4 + j];
        b[3][j] = next[4 + j] - next[12 + j];
      }
      float *even = &room[half][1][warp][0][lane], *odd = &room[half][1][warp][0][swapped(1, lane)];
#pragma unroll
      for (int i = 0; i < 4; ++i) { // B^T d B
        even[32 * (4 * i)] = b[i][0] - b[i][2];
        odd[32 * (4 * i + 1)] = b[i][1] + b[i][2];
        even[32 * (4 * i + 2)] = b[i][2] - b[i][1];
        odd[32 * (4 * i + 3)] = b[i][1] - b[i][3];
      }
    } else {
      const int four = thread - 32 * STEP, place = four >> 3;
#pragma unroll
      for (int i = 0; i < 4; ++i)
        *reinterpret_cast<float4 *>(&room[half][0][i][place][swapped(place, 4 * (four & 7))]) =
            *reinterpret_cast<const float4 *>(next + 4 * i);
    }
  };

  const int place = thread >> 4, ty = lane >> 2 & 3, tx = lane & 3;
  const int first_m = swapped(place, 4 * ty), first_t = swapped(place, 4 * tx);
  float sum[8][8] = {};
  fetch(0);
  put(0);
  __syncthreads();
  int half = 0;
  for (int channel = 0; channel < in_channels; channel += STEP) {
    const bool more = channel + STEP < in_channels;
    if (more)
      fetch(channel + STEP);
#pragma unroll
    for (int k = 0; k < STEP; ++k) {
      const float *filters = room[half][0][k][place], *values = room[half][1][k][place];
      float a[8], b[8];
      *reinterpret_cast<float4 *>(a) = *reinterpret_cast<const float4 *>(filters + first_m);
      *reinterpret_cast<float4 *>(a + 4) = *reinterpret_cast<const float4 *>(filters + (first_m ^ 16));
      *reinterpret_cast<float4 *>(b) = *reinterpret_cast<const float4 *>(values + first_t);
      *reinterpret_cast<float4 *>(b + 4) = *reinterpret_cast<const float4 *>(values + (first_t ^ 16));
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j)
          sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
    }
    if (more)
      put(half ^ 1);
    __syncthreads();
    half ^= 1;
  }

  // A thread has one place of 64 outputs; it needs all places of a few. Sixteen channels at a time.
  float *products = &room[0][0][0][0][0]; // [place][16][32]
  const int tile = t0 + lane, image = tile / (down * across), inside = tile - image * (down * across);
  const int row = inside / across * 2, column = inside % across * 2;
  const int area = out_h * out_w;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 2; ++j)
        *reinterpret_cast<float4 *>(products + (place * 16 + 4 * ty + i) * 32 + 16 * j + 4 * tx) =
            make_float4(sum[4 * part + i][4 * j], sum[4 * part + i][4 * j + 1],
                        sum[4 * part + i][4 * j + 2], sum[4 * part + i][4 * j + 3]);
    __syncthreads();
#pragma unroll
    for (int again = 0; again < 2; ++again) {
      const int of = warp + 8 * again, m = m0 + 16 * part + of;
      float c[2][4]; // A^T m
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float *at = products + (j * 16 + of) * 32 + lane;
        const float m0j = at[0], m1j = at[4 * 512], m2j = at[8 * 512], m3j = at[12 * 512];
        c[0][j] = m0j + m1j + m2j;
        c[1][j] = m1j - m2j - m3j;
      }
      if (tile < tiles && m < out_channels) {
        float *to = y + ((size_t)image * out_channels + m) * area + row * out_w + column;
#pragma unroll
        for (int i = 0; i < 2; ++i) { // A^T m A
          if (row + i < out_h) {
            to[i * out_w] = c[i][0] + c[i][1] + c[i][2];
            if (column + 1 < out_w)
              to[i * out_w + 1] = c[i][1] - c[i][2] - c[i][3];
          }
        }
      }
    }
    __syncthreads();
  }
}
