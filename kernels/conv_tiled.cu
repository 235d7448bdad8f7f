// Convolutions as cuDNN made them in 2018: implicit matrix products in large tiles, NCHW, one group, and
// both gradients. A block makes TILE_N columns (pixels of all images, or filter taps) by TILE_M rows
// (channels) of the product in steps of STEP along the depth. Each thread keeps a square of the tile in
// registers and reads its factors from shared memory by fours; the tiles of the next step are on their
// way from global memory while the present ones are multiplied.
//
// An element of the matrix of windows is at (offset of its pixel) + (offset of its tap), and lies inside
// the image where the pixel allows the tap's row and column: 15 + 15 bits of a mask. So pixel and tap are
// taken apart once, and an element costs one test and one addition.

struct Conv {
  int batch, in_channels, in_h, in_w, out_channels, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w,
      out_h, out_w;
};

enum Pass { FORWARD, DATA, WEIGHT };

constexpr unsigned NEVER = 1u << 15; // a bit that no pixel's mask has

// Taps lo to hi - 1 as bits.
__device__ __forceinline__ unsigned range_bits(int lo, int hi, int taps) {
  lo = lo < 0 ? 0 : lo;
  hi = hi > taps ? taps : hi;
  return lo < hi ? (1u << hi) - (1u << lo) : 0u;
}

// Taps of one axis that reach place q of the padded input from an output.
__device__ __forceinline__ unsigned reaching_bits(int q, int stride, int taps, int out) {
  unsigned bits = 0;
  for (int tap = q % stride; tap < taps; tap += stride)
    if (q >= tap && (q - tap) / stride < out)
      bits |= 1u << tap;
  return bits;
}

// A tap is an input or output channel, row and column of the filter; a pixel is an image, row and column.
struct __align__(16) Place {
  int outer, row, column;
};

__device__ __forceinline__ Place place_of(int k, int height, int width) {
  const int area = height * width, outer = k / area, inside = k - outer * area, row = inside / width;
  return {outer, row, inside - row * width};
}

// The place as many elements further as `by` is from the first one: an addition instead of divisions.
__device__ __forceinline__ Place advanced(Place at, const Place &by, int height, int width) {
  at.column += by.column;
  at.row += by.row;
  at.outer += by.outer;
  if (at.column >= width) {
    at.column -= width;
    ++at.row;
  }
  if (at.row >= height) {
    at.row -= height;
    ++at.outer;
  }
  return at;
}

__device__ __forceinline__ int over(int value, int stride) { return stride == 1 ? value : value / stride; }

// Offset and mask of a pixel: of an output in the input (FORWARD, WEIGHT), of an input in the output.
template <Pass P> __device__ __forceinline__ int2 pixel_of(const Conv &s, const Place &at) {
  if (P == DATA) {
    const int q = at.row + s.pad_h, r = at.column + s.pad_w;
    const unsigned mask = reaching_bits(q, s.stride_h, s.kernel_h, s.out_h) |
                          reaching_bits(r, s.stride_w, s.kernel_w, s.out_w) << 16;
    return make_int2(
        4 * ((at.outer * s.out_channels * s.out_h + over(q, s.stride_h)) * s.out_w + over(r, s.stride_w)),
        (int)mask);
  }
  const int top = at.row * s.stride_h - s.pad_h, left = at.column * s.stride_w - s.pad_w;
  const unsigned mask = range_bits(-top, s.in_h - top, s.kernel_h) |
                        range_bits(-left, s.in_w - left, s.kernel_w) << 16;
  return make_int2(4 * ((at.outer * s.in_channels * s.in_h + top) * s.in_w + left), (int)mask);
}

// Offset and bits of a tap.
template <Pass P> __device__ __forceinline__ int2 tap_of(const Conv &s, const Place &at) {
  const int bits = (int)(1u << at.row | 1u << (16 + at.column));
  if (P == DATA)
    return make_int2(4 * ((at.outer * s.out_h - over(at.row, s.stride_h)) * s.out_w -
                          over(at.column, s.stride_w)),
                     bits);
  return make_int2(4 * ((at.outer * s.in_h + at.row) * s.in_w + at.column), bits);
}

// What a step along the depth needs: offset and bits for the windows, offset for the other factor.
template <Pass P> __device__ __forceinline__ int4 depth_of(const Conv &s, const Place &at, int k, int end) {
  if (k >= end)
    return make_int4(0, P == WEIGHT ? 0 : (int)NEVER, 0, 0);
  const int2 found = P == WEIGHT ? pixel_of<P>(s, at) : tap_of<P>(s, at);
  int other = k;
  if (P == WEIGHT)
    other += at.outer * (s.out_channels - 1) * s.out_h * s.out_w;
  if (P == DATA)
    other += at.outer * (s.in_channels - 1) * s.kernel_h * s.kernel_w;
  return make_int4(found.x, found.y, 4 * other, 0);
}

template <Pass P> __device__ __forceinline__ int2 column_of(const Conv &s, int n, int columns) {
  if (n >= columns)
    return make_int2(0, P == WEIGHT ? (int)NEVER : 0);
  if (P == WEIGHT)
    return tap_of<P>(s, place_of(n, s.kernel_h, s.kernel_w));
  return pixel_of<P>(s, P == DATA ? place_of(n, s.in_h, s.in_w) : place_of(n, s.out_h, s.out_w));
}

// The element so many bytes further: one addition of 64 bits, where an index would be extended first.
__device__ __forceinline__ const float *at_byte(const float *base, int bytes) {
  return reinterpret_cast<const float *>(reinterpret_cast<const char *>(base) + (unsigned)bytes);
}

template <Pass P> __device__ __forceinline__ bool inside(const int2 &column, const int4 &depth) {
  return P == WEIGHT ? (depth.y & column.y) == column.y : (column.y & depth.y) == depth.y;
}

// Four steps of a row of the other factor; fours: they are one aligned access. Steps beyond the end have
// offset 0: what is read there meets windows that are 0.
__device__ __forceinline__ float4 row_values(const float *__restrict__ row, const int4 *table, bool fours) {
  if (fours)
    return *reinterpret_cast<const float4 *>(at_byte(row, table[0].z));
  return make_float4(*at_byte(row, table[0].z), *at_byte(row, table[1].z), *at_byte(row, table[2].z),
                     *at_byte(row, table[3].z));
}

template <Pass P, int TILE_N, int TILE_M, int EDGE, int STEP, int THREADS>
__device__ __forceinline__ void tile(const float *__restrict__ windows, const float *__restrict__ rows,
                                     float *__restrict__ out, const Conv &s, int splits) {
  constexpr int LOADS = TILE_N * STEP / THREADS, FOURS = EDGE / 4;
  constexpr int PAD = 4; // keeps 16-byte alignment and spreads a column's steps over the banks
  constexpr int ROWS = TILE_M * STEP / (4 * THREADS); // fours of the rows that a thread fetches
  static_assert(ROWS >= 1, "at least one four of the rows a thread");
  static_assert(TILE_N / EDGE * (TILE_M / EDGE) == THREADS && TILE_N / EDGE % 8 == 0, "8 x 4 warps");
  __shared__ __align__(16) float left[2][STEP][TILE_M + PAD];
  __shared__ __align__(16) float right[2][STEP][TILE_N + PAD];
  __shared__ __align__(16) int4 table[2][STEP];
  __shared__ Place places[STEP], turn;
  __shared__ int2 taps_here[P == WEIGHT ? TILE_N : 1];

  const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
  constexpr int WIDE = TILE_N / EDGE / 8; // warps across the tile, each of 8 x 4 threads
  const int tx = warp % WIDE * 8 + (lane & 7), ty = warp / WIDE * 4 + (lane >> 3);
  const int area = s.kernel_h * s.kernel_w, pixels = s.out_h * s.out_w;
  const int plane = P == DATA ? s.in_h * s.in_w : pixels; // of what is written, if that is an image
  const int columns = P == WEIGHT ? s.in_channels * area : s.batch * plane;
  const int height = P == DATA ? s.in_channels : s.out_channels;
  const int depth = P == WEIGHT ? s.batch * pixels : (P == DATA ? s.out_channels : s.in_channels) * area;
  const int n0 = blockIdx.x * TILE_N, m0 = blockIdx.y * TILE_M;

  int start = 0, end = depth;
  if (P == WEIGHT) {
    const int steps = (depth + STEP - 1) / STEP, part = (steps + splits - 1) / splits * STEP;
    start = blockIdx.z * part;
    end = start + part < depth ? start + part : depth;
    if (start >= end)
      return;
  }

  // Windows: in WEIGHT a thread keeps to one step and goes through the taps, so that neighbours read
  // neighbouring pixels; else it keeps to one or two pixels and goes through the steps.
  constexpr int OWN = P == WEIGHT ? 1 : (TILE_N > THREADS ? TILE_N / THREADS : 1);
  constexpr int APART = P == WEIGHT ? THREADS / STEP : (THREADS > TILE_N ? THREADS / TILE_N : 1);
  const int first_k = P == WEIGHT ? thread % STEP : thread / TILE_N;
  const int first_n = P == WEIGHT ? thread / STEP : thread % TILE_N;
  int2 own[OWN];
  if (P == WEIGHT) {
    for (int n = thread; n < TILE_N; n += THREADS)
      taps_here[n] = column_of<P>(s, n0 + n, columns);
  } else {
#pragma unroll
    for (int i = 0; i < OWN; ++i)
      own[i] = column_of<P>(s, n0 + first_n + i * THREADS, columns);
  }
  // Rows: four steps of one row.
  const int row_m = thread / (STEP / 4), row_k = thread % (STEP / 4) * 4;
  const int row_length = P == WEIGHT ? pixels : (P == DATA ? area : depth);
  const bool fours = P != DATA && (row_length & 3) == 0;
  constexpr int ROW_APART = 4 * THREADS / STEP;
  const float *row[ROWS]; // beyond the last row the last one again: it is not written
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    const int m = m0 + row_m + i * ROW_APART;
    row[i] = rows + (size_t)(m < height ? m : height - 1) * row_length;
  }

  float next_right[LOADS];
  float4 next_left[ROWS];
  auto fetch = [&](int half) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
      next_left[i] = row_values(row[i], &table[half][row_k], fours);
    if (P == WEIGHT) {
      const int4 step = table[half][first_k];
#pragma unroll
      for (int i = 0; i < LOADS; ++i) {
        const int2 tap = taps_here[first_n + i * APART];
        next_right[i] = inside<P>(tap, step) ? *at_byte(windows, step.x + tap.x) : 0.0f;
      }
    } else {
#pragma unroll
      for (int i = 0; i < LOADS / OWN; ++i) {
        const int4 step = table[half][first_k + i * APART];
#pragma unroll
        for (int j = 0; j < OWN; ++j)
          next_right[i * OWN + j] = inside<P>(own[j], step) ? *at_byte(windows, own[j].x + step.x) : 0.0f;
      }
    }
  };
  auto put = [&](int half) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      left[half][row_k][row_m + i * ROW_APART] = next_left[i].x;
      left[half][row_k + 1][row_m + i * ROW_APART] = next_left[i].y;
      left[half][row_k + 2][row_m + i * ROW_APART] = next_left[i].z;
      left[half][row_k + 3][row_m + i * ROW_APART] = next_left[i].w;
    }
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
      if (P == WEIGHT)
        right[half][first_k][first_n + i * APART] = next_right[i];
      else
        right[half][first_k + i / OWN * APART][first_n + i % OWN * THREADS] = next_right[i];
    }
  };

  float sum[EDGE][EDGE] = {};
  // One thread a step keeps the table; its place waits in shared memory for the next turn.
  const int wide = P == WEIGHT ? s.out_w : s.kernel_w, tall = P == WEIGHT ? s.out_h : s.kernel_h;
  if (thread < STEP) {
    const Place by = place_of(STEP, tall, wide);
    if (thread == 0)
      turn = by;
    Place at = place_of(start + thread, tall, wide);
    table[0][thread] = depth_of<P>(s, at, start + thread, end);
    at = advanced(at, by, tall, wide);
    table[1][thread] = depth_of<P>(s, at, start + STEP + thread, end);
    places[thread] = at;
  }
  __syncthreads();
  fetch(0);
  put(0);
  __syncthreads();
  int half = 0;
  for (int k0 = start; k0 < end; k0 += STEP) {
    const bool more = k0 + STEP < end;
    if (more)
      fetch(half ^ 1);
    // The step after the next: the present one's entries are not needed any more.
    if (thread < STEP) {
      const Place at = advanced(places[thread], turn, tall, wide);
      places[thread] = at;
      table[half][thread] = depth_of<P>(s, at, k0 + 2 * STEP + thread, end);
    }
#pragma unroll
    for (int k = 0; k < STEP; ++k) {
      float a[EDGE], b[EDGE];
#pragma unroll
      for (int i = 0; i < FOURS; ++i) {
        *reinterpret_cast<float4 *>(a + 4 * i) =
            *reinterpret_cast<const float4 *>(&left[half][k][ty * 4 + i * (TILE_M / FOURS)]);
        *reinterpret_cast<float4 *>(b + 4 * i) =
            *reinterpret_cast<const float4 *>(&right[half][k][tx * 4 + i * (TILE_N / FOURS)]);
      }
#pragma unroll
      for (int i = 0; i < EDGE; ++i)
#pragma unroll
        for (int j = 0; j < EDGE; ++j)
          sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
    }
    if (more)
      put(half ^ 1);
    __syncthreads();
    half ^= 1;
  }

#pragma unroll
  for (int j = 0; j < FOURS; ++j) {
    const int n = n0 + tx * 4 + j * (TILE_N / FOURS);
    if (P != WEIGHT && (plane & 3) == 0) { // four pixels of one image, aligned
      const int image = n / plane;
      float *to = out + (size_t)image * (height - 1) * plane + n;
#pragma unroll
      for (int i = 0; i < EDGE; ++i) {
        const int m = m0 + ty * 4 + i / 4 * (TILE_M / FOURS) + i % 4;
        if (m < height && n < columns)
          *reinterpret_cast<float4 *>(to + (size_t)m * plane) =
              make_float4(sum[i][4 * j], sum[i][4 * j + 1], sum[i][4 * j + 2], sum[i][4 * j + 3]);
      }
      continue;
    }
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const int image = P == WEIGHT ? 0 : (n + q) / plane;
      const int length = P == WEIGHT ? columns : plane;
      float *to = out + (size_t)image * (height - 1) * plane + n + q;
#pragma unroll
      for (int i = 0; i < EDGE; ++i) {
        const int m = m0 + ty * 4 + i / 4 * (TILE_M / FOURS) + i % 4;
        if (m < height && n + q < columns) {
          if (P == WEIGHT)
            atomicAdd(to + (size_t)m * length, sum[i][4 * j + q]);
          else
            to[(size_t)m * length] = sum[i][4 * j + q];
        }
      }
    }
  }
}

#define SIZES                                                                                           \
  int batch, int in_channels, int in_h, int in_w, int out_channels, int kernel_h, int kernel_w,         \
      int stride_h, int stride_w, int pad_h, int pad_w
#define CONV                                                                                            \
  {batch,    in_channels, in_h,  in_w,  out_channels, kernel_h, kernel_w,                               \
   stride_h, stride_w,    pad_h, pad_w, out_h,        out_w}

#define TILED(N, M, EDGE, STEP, THREADS, BLOCKS, GRADIENT_BLOCKS)                                       \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                         \
  conv_tiled_##N##x##M(const float *__restrict__ x, const float *__restrict__ w, float *__restrict__ y, \
                       SIZES, int out_h, int out_w) {                                                   \
    const Conv s = CONV;                                                                                \
    tile<FORWARD, N, M, EDGE, STEP, THREADS>(x, w, y, s, 1);                                            \
  }                                                                                                     \
  extern "C" __global__ void __launch_bounds__(THREADS, GRADIENT_BLOCKS)                                \
  conv_tiled_##N##x##M##_backward_data(const float *__restrict__ dy, const float *__restrict__ w,       \
                                       float *__restrict__ dx, SIZES, int out_h, int out_w) {           \
    const Conv s = CONV;                                                                                \
    tile<DATA, N, M, EDGE, STEP, THREADS>(dy, w, dx, s, 1);                                             \
  }                                                                                                     \
  extern "C" __global__ void __launch_bounds__(THREADS, GRADIENT_BLOCKS)                                \
  conv_tiled_##N##x##M##_backward_weight(const float *__restrict__ x, const float *__restrict__ dy,     \
                                         float *__restrict__ dw, SIZES, int splits, int out_h,          \
                                         int out_w) {                                                   \
    const Conv s = CONV;                                                                                \
    tile<WEIGHT, N, M, EDGE, STEP, THREADS>(x, dy, dw, s, splits);                                      \
  }

// The fourth block an SM of the gradients costs spilled registers where the instructions are Volta's and
// later ones.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 700
constexpr int GRADIENTS = 3;
#else
constexpr int GRADIENTS = 4;
#endif

TILED(128, 128, 8, 8, 256, 2, 2)
TILED(128, 64, 8, 8, 128, 4, GRADIENTS)
TILED(128, 32, 8, 8, 64, 6, 6)
TILED(32, 32, 4, 16, 64, 8, 8)
