// Lets the host compiler run a CUDA kernel: the threads of a block are fibers that take turns, blocks run
// one after the other. A barrier waits for the block's live threads, a shuffle for the lanes of the warp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static
using std::max;
using std::min;

struct uint3_ { unsigned x, y, z; };
struct float4 { float x, y, z, w; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static uint3_ threadIdx, blockIdx, blockDim, gridDim;

namespace host {
struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  uint3_ thread;
  int warp, lane;
  bool done = false;
  long barriers = 0; // barriers reached
  long shuffles = 0; // shuffles reached
};
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static int current;
static std::function<void()> body;
static std::vector<float> exchange; // a slot a thread
static float dynamic_shared[1 << 16];

inline void yield() { swapcontext(&fibers[current].context, &scheduler); }

template <class Same, class Reached> void wait(long goal, Same same, Reached reached) {
  for (;;) {
    bool all = true;
    for (auto &other : fibers)
      if (!other.done && same(other) && reached(other) < goal)
        all = false;
    if (all)
      return;
    yield();
  }
}

inline void entry() {
  body();
  fibers[current].done = true;
  for (;;)
    yield();
}

inline void run_block(unsigned dx, unsigned dy, unsigned dz) {
  const int count = dx * dy * dz;
  fibers.resize(count);
  exchange.assign(2 * count, 0.0f);
  for (int t = 0; t < count; ++t) {
    Fiber &f = fibers[t];
    f.stack.resize(64 * 1024);
    f.thread = {t % dx, t / dx % dy, t / (dx * dy)};
    f.warp = t / 32;
    f.lane = t % 32;
    f.done = false;
    f.barriers = f.shuffles = 0;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = nullptr;
    makecontext(&f.context, entry, 0);
  }
  for (int live = count; live > 0;) {
    live = 0;
    for (current = 0; current < count; ++current) {
      if (fibers[current].done)
        continue;
      threadIdx = fibers[current].thread;
      swapcontext(&scheduler, &fibers[current].context);
      live += !fibers[current].done;
    }
  }
}
} // namespace host

inline void resume() { threadIdx = host::fibers[host::current].thread; }

inline void __syncthreads() {
  auto &me = host::fibers[host::current];
  const long goal = ++me.barriers;
  host::wait(goal, [](auto &) { return true; }, [](auto &f) { return f.barriers; });
  resume();
}

inline float exchange_with(float value, int source) {
  auto &me = host::fibers[host::current];
  const int warp = me.warp, slot = me.shuffles & 1;
  const int first = warp * 32, count = (int)host::fibers.size();
  host::exchange[2 * (first + me.lane) + slot] = value;
  const long goal = ++me.shuffles;
  host::wait(goal, [warp](auto &f) { return f.warp == warp; }, [](auto &f) { return f.shuffles; });
  resume();
  const bool inside = source >= 0 && source < 32 && first + source < count;
  return inside ? host::exchange[2 * (first + source) + slot] : value;
}

inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline float __shfl_down_sync(unsigned, float value, int offset) {
  return exchange_with(value, host::fibers[host::current].lane + offset);
}
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  return exchange_with(value, host::fibers[host::current].lane ^ mask);
}
inline float atomicAdd(float *at, float value) {
  const float old = *at;
  *at += value;
  return old;
}

template <class Kernel> void launch_host(const unsigned *geometry, Kernel kernel) {
  gridDim = {geometry[0], geometry[1], geometry[2]};
  blockDim = {geometry[3], geometry[4], geometry[5]};
  host::body = kernel;
  for (unsigned z = 0; z < gridDim.z; ++z)
    for (unsigned y = 0; y < gridDim.y; ++y)
      for (unsigned x = 0; x < gridDim.x; ++x) {
        blockIdx = {x, y, z};
        host::run_block(blockDim.x, blockDim.y, blockDim.z);
      }
}
