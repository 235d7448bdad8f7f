// CUDA kernels on the CPU, to check what they compute.
//
// A block's threads are fibers. Each runs until it ends or waits for the others (a barrier or a
// warp's exchange), in an order that the caller picks, so that a missing barrier shows as a result
// that depends on the order. Blocks run one after the other. What a GPU leaves undefined is made to
// show: shared memory starts as NaN, a barrier that not all threads reach is an error, and so are
// exchanges without a whole warp. Array bounds, alignment, integer overflow and divisions by zero
// trap (the compiler's sanitizers), and memory behind an array is not accessible.
#pragma once

#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

// ---- the language

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// One copy is enough, as blocks run one after the other; the section lets all of it be reset.
#define __shared__ static __attribute__((section("kp_shared"), used))

struct dim3 {
  unsigned x, y, z;
};
typedef dim3 uint3;
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

namespace kp {

constexpr unsigned MAX_THREADS = 1024, LANES = 32;
constexpr size_t STACK_BYTES = 64 * 1024;
constexpr size_t DYNAMIC_LIMIT = 256 * 1024;
constexpr unsigned TIME_LIMIT_S = 10;

enum class State { UNSTARTED, READY, AT_BARRIER, AT_EXCHANGE, DONE };

struct Thread {
  State state;
  int line;         // of the barrier or exchange that it waits at
  unsigned parity;  // of its number of exchanges: picks one of two slots
  int fiber;
};

struct Fiber {
  ucontext_t context;
  char *stack;
  bool made;
};

static Thread threads[MAX_THREADS];
static Fiber fibers[MAX_THREADS];
static int idle[MAX_THREADS], idle_count;
static uint64_t slots[2][MAX_THREADS];
static ucontext_t scheduler;
static unsigned current, thread_count;
static void (*body)(void **);
static void **body_arguments;
static sigjmp_buf escape;
static char failure[512];
static char *dynamic_end;
static size_t dynamic_bytes;

extern "C" char __start_kp_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_kp_shared[] __attribute__((weak, visibility("hidden")));

[[noreturn]] static void fail(const char *what, int line) {
  snprintf(failure, sizeof failure, "%s, line %d, block (%u, %u, %u), thread (%u, %u, %u)", what,
           line, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  siglongjmp(escape, 1);
}

static void enter(unsigned thread) {
  current = thread;
  threadIdx.x = thread % blockDim.x;
  threadIdx.y = thread / blockDim.x % blockDim.y;
  threadIdx.z = thread / (blockDim.x * blockDim.y);
}

static void wait(State state, int line) {
  const unsigned me = current;
  threads[me].state = state;
  threads[me].line = line;
  swapcontext(&fibers[threads[me].fiber].context, &scheduler);
}

static void fiber_main() {
  for (;;) {
    body(body_arguments);
    Thread &mine = threads[current];
    mine.state = State::DONE;
    idle[idle_count++] = mine.fiber;
    swapcontext(&fibers[mine.fiber].context, &scheduler);
  }
}

static void resume(unsigned thread) {
  Thread &t = threads[thread];
  if (t.state == State::UNSTARTED) {
    t.fiber = idle[--idle_count];
    Fiber &f = fibers[t.fiber];
    if (!f.made) {
      if (f.stack == nullptr)
        f.stack = static_cast<char *>(mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      getcontext(&f.context);
      f.context.uc_stack.ss_sp = f.stack;
      f.context.uc_stack.ss_size = STACK_BYTES;
      f.context.uc_link = nullptr;
      makecontext(&f.context, fiber_main, 0);
      f.made = true;
    }
  }
  t.state = State::READY;
  enter(thread);
  swapcontext(&scheduler, &fibers[t.fiber].context);
}

// Let go those threads of [first, last) that wait in `state`; all of them must, at one line.
static bool release(State state, unsigned first, unsigned last) {
  int line = -1;
  for (unsigned t = first; t < last; ++t) {
    if (threads[t].state != state)
      return false;
    if (line >= 0 && threads[t].line != line) {
      enter(t);
      fail("threads wait at different barriers", line);
    }
    line = threads[t].line;
  }
  for (unsigned t = first; t < last; ++t)
    threads[t].state = State::READY;
  return true;
}

static void run_block(const unsigned *order) {
  if (__start_kp_shared != nullptr)
    memset(__start_kp_shared, 0xff, __stop_kp_shared - __start_kp_shared);
  memset(dynamic_end - DYNAMIC_LIMIT, 0xff, DYNAMIC_LIMIT);
  for (unsigned t = 0; t < thread_count; ++t)
    threads[t] = {State::UNSTARTED, 0, 0, -1};
  for (;;) {
    unsigned waiting = 0;
    for (unsigned i = 0; i < thread_count; ++i) {
      Thread &t = threads[order[i]];
      if (t.state == State::UNSTARTED || t.state == State::READY)
        resume(order[i]);
      waiting += t.state != State::DONE;
    }
    if (waiting == 0)
      return;
    bool moved = release(State::AT_BARRIER, 0, thread_count);
    for (unsigned first = 0; first < thread_count; first += LANES)
      moved |= release(State::AT_EXCHANGE, first, std::min(first + LANES, thread_count));
    if (moved)
      continue;
    for (unsigned t = 0; t < thread_count; ++t)
      if (threads[t].state != State::DONE) {
        enter(t);
        fail("waits for threads that have ended or wait elsewhere", threads[t].line);
      }
  }
}

// ---- what kernels call

inline void *dynamic_shared() {
  return dynamic_end - (dynamic_bytes + 15) / 16 * 16;
}

template <class T> T exchange(unsigned mask, T value, int source, int line) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "an exchange moves 4 or 8 bytes");
  if (mask != 0xffffffffu)
    fail("exchange with a mask that is not the whole warp", line);
  const unsigned me = current, first = me / LANES * LANES;
  const unsigned parity = threads[me].parity++ & 1;
  slots[parity][me] = 0;
  memcpy(&slots[parity][me], &value, sizeof value);
  wait(State::AT_EXCHANGE, line);
  T got;
  if (first + source < thread_count)
    memcpy(&got, &slots[parity][first + source], sizeof got);
  else
    memset(&got, 0xff, sizeof got);  // undefined on a GPU
  return got;
}

inline int lane() { return current % LANES; }

template <class T> T shuffle(unsigned mask, T value, int source, int width, int line) {
  const int base = lane() / width * width;
  return exchange(mask, value, base + (source & (width - 1)), line);
}
template <class T> T shuffle_down(unsigned mask, T value, unsigned by, int width, int line) {
  const int to = lane() % width + static_cast<int>(by);
  return exchange(mask, value, to < width ? lane() + static_cast<int>(by) : lane(), line);
}
template <class T> T shuffle_up(unsigned mask, T value, unsigned by, int width, int line) {
  const int to = lane() % width - static_cast<int>(by);
  return exchange(mask, value, to >= 0 ? lane() - static_cast<int>(by) : lane(), line);
}
template <class T> T shuffle_xor(unsigned mask, T value, int with, int width, int line) {
  const int to = lane() ^ with;
  return exchange(mask, value, to / width <= lane() / width ? to : lane(), line);
}

template <class T> T atomic_add(T *at, T value) {
  const T old = *at;
  *at = old + value;
  return old;
}

}  // namespace kp

#define __syncthreads() kp::wait(kp::State::AT_BARRIER, __LINE__)
#define __syncwarp(...) kp::wait(kp::State::AT_EXCHANGE, __LINE__)
#define __shfl_sync(m, v, ...) KP_SHUFFLE(kp::shuffle, m, v, __VA_ARGS__, 32)
#define __shfl_down_sync(m, v, ...) KP_SHUFFLE(kp::shuffle_down, m, v, __VA_ARGS__, 32)
#define __shfl_up_sync(m, v, ...) KP_SHUFFLE(kp::shuffle_up, m, v, __VA_ARGS__, 32)
#define __shfl_xor_sync(m, v, ...) KP_SHUFFLE(kp::shuffle_xor, m, v, __VA_ARGS__, 32)
// The width is optional in CUDA; the appended 32 is dropped where it was given.
#define KP_SHUFFLE(f, m, v, by, width, ...) f(m, v, by, width, __LINE__)

static inline float atomicAdd(float *at, float value) { return kp::atomic_add(at, value); }
static inline int atomicAdd(int *at, int value) { return kp::atomic_add(at, value); }
static inline unsigned atomicAdd(unsigned *at, unsigned value) {
  return kp::atomic_add(at, value);
}
template <class T> static inline T __ldg(const T *at) { return *at; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline float reciprocal_root(float x) { return 1.0f / std::sqrt(x); }
// The C library has other functions of these names, of the first since glibc 2.42.
#define rsqrtf(x) reciprocal_root(x)
#define __expf(x) expf(x)
#define __logf(x) logf(x)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
static inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
}
static inline int __float_as_int(float x) {
  int bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static inline float __int_as_float(int bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
using std::max;
using std::min;
static inline unsigned min(unsigned a, int b) { return min(a, static_cast<unsigned>(b)); }
static inline unsigned max(unsigned a, int b) { return max(a, static_cast<unsigned>(b)); }
static inline unsigned min(int a, unsigned b) { return min(static_cast<unsigned>(a), b); }
static inline unsigned max(int a, unsigned b) { return max(static_cast<unsigned>(a), b); }

// ---- launches

namespace kp {

template <class T> struct TypeName;
template <> struct TypeName<int> { static constexpr const char *text = "int"; };
template <> struct TypeName<unsigned> { static constexpr const char *text = "unsigned"; };
template <> struct TypeName<float> { static constexpr const char *text = "float"; };
template <class T> struct TypeName<T *> {
  static constexpr const char *text = TypeName<T>::text;
};

template <auto F> struct Call;
template <class... A, void (*F)(A...)> struct Call<F> {
  static void run(void **arguments) { unpack(arguments, std::index_sequence_for<A...>{}); }
  template <size_t... I> static void unpack(void **arguments, std::index_sequence<I...>) {
    (void)arguments;
    F(*static_cast<std::remove_cv_t<A> *>(arguments[I])...);
  }
  template <class T> static void append(char *text, size_t size) {
    using Element = std::remove_pointer_t<T>;
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s%s%s", used ? "," : "",
             std::is_pointer_v<T> && std::is_const_v<Element> ? "const " : "",
             TypeName<std::remove_cv_t<Element>>::text, std::is_pointer_v<T> ? "*" : "");
  }
  static void signature(char *text, size_t size) {
    text[0] = 0;
    (append<std::remove_cv_t<A>>(text, size), ...);
  }
};

struct Kernel {
  const char *name;
  void (*run)(void **);
  void (*signature)(char *, size_t);
};

static const char *cause(int signal) {
  switch (signal) {
  case SIGSEGV:
  case SIGBUS:
    return "access outside an array";
  case SIGILL:
  case SIGTRAP:
    return "array index, alignment or integer overflow";
  case SIGFPE:
    return "integer division by zero";
  default:
    return "no end within the time limit";
  }
}

static void on_signal(int signal, siginfo_t *, void *raw) {
  const ucontext_t *where = static_cast<ucontext_t *>(raw);
#if defined(__x86_64__)
  void *pc = reinterpret_cast<void *>(where->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  void *pc = reinterpret_cast<void *>(where->uc_mcontext.pc);
#else
  void *pc = (void)where, nullptr;
#endif
  Dl_info info{};
  const bool known = pc != nullptr && dladdr(pc, &info) != 0;
  const size_t offset = known ? static_cast<char *>(pc) - static_cast<char *>(info.dli_fbase) : 0;
  snprintf(failure, sizeof failure, "%s, block (%u, %u, %u), thread (%u, %u, %u), code 0x%zx",
           cause(signal), blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y,
           threadIdx.z, offset);
  siglongjmp(escape, 1);
}

static uint64_t next_random(uint64_t &state) {  // xorshift64*, Vigna 2016
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 2685821657736338717ull;
}

// order: 0 ascending, 1 descending, others seed a shuffle.
static void make_order(int order, unsigned *out, unsigned count) {
  uint64_t state = 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(order);
  for (unsigned i = 0; i < count; ++i)
    out[i] = order == 1 ? count - 1 - i : i;
  for (unsigned i = count; order > 1 && i > 1; --i)
    std::swap(out[i - 1], out[next_random(state) % i]);
}

static int launch(const Kernel &kernel, const unsigned *grid, const unsigned *block,
                  size_t dynamic, void **arguments, int order, char *message, size_t size) {
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGALRM};
  constexpr int SIGNALS = sizeof signals / sizeof *signals;
  static char signal_stack[64 * 1024];
  static unsigned permutation[MAX_THREADS];
  struct sigaction earlier[SIGNALS];
  stack_t earlier_stack;

  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  thread_count = block[0] * block[1] * block[2];
  if (thread_count < 1 || thread_count > MAX_THREADS || dynamic > DYNAMIC_LIMIT) {
    snprintf(message, size, "%u threads per block or %zu bytes of dynamic shared memory",
             thread_count, dynamic);
    return 1;
  }
  if (dynamic_end == nullptr) {
    char *area = static_cast<char *>(mmap(nullptr, DYNAMIC_LIMIT + STACK_BYTES, PROT_NONE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(area, DYNAMIC_LIMIT, PROT_READ | PROT_WRITE);
    dynamic_end = area + DYNAMIC_LIMIT;
  }
  dynamic_bytes = dynamic;
  body = kernel.run;
  body_arguments = arguments;
  make_order(order, permutation, thread_count);
  idle_count = MAX_THREADS;
  for (unsigned i = 0; i < MAX_THREADS; ++i)
    idle[i] = static_cast<int>(MAX_THREADS - 1 - i);

  stack_t own{};
  own.ss_sp = signal_stack;
  own.ss_size = sizeof signal_stack;
  sigaltstack(&own, &earlier_stack);
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (int i = 0; i < SIGNALS; ++i)
    sigaction(signals[i], &action, &earlier[i]);
  alarm(TIME_LIMIT_S);
  const bool failed = sigsetjmp(escape, 1) != 0;
  if (failed) {
    // The fibers that were under way are given up; new ones are made on their stacks.
    for (Fiber &fiber : fibers)
      fiber.made = false;
  } else {
    const uint64_t blocks = static_cast<uint64_t>(grid[0]) * grid[1] * grid[2];
    for (uint64_t i = 0; i < blocks; ++i) {
      const uint64_t b = order == 0 ? i : blocks - 1 - i;
      blockIdx.x = static_cast<unsigned>(b % grid[0]);
      blockIdx.y = static_cast<unsigned>(b / grid[0] % grid[1]);
      blockIdx.z = static_cast<unsigned>(b / (static_cast<uint64_t>(grid[0]) * grid[1]));
      run_block(permutation);
    }
  }
  alarm(0);
  for (int i = 0; i < SIGNALS; ++i)
    sigaction(signals[i], &earlier[i], nullptr);
  sigaltstack(&earlier_stack, nullptr);
  snprintf(message, size, "%s", failed ? failure : "");
  return failed;
}

}  // namespace kp

extern const kp::Kernel kp_kernels[];

static const kp::Kernel *kp_find(const char *name) {
  for (const kp::Kernel *k = kp_kernels; k->name != nullptr; ++k)
    if (strcmp(k->name, name) == 0)
      return k;
  return nullptr;
}

extern "C" int kp_launch(const char *name, const unsigned *grid, const unsigned *block,
                         size_t dynamic, void **arguments, int order, char *message, size_t size) {
  return kp::launch(*kp_find(name), grid, block, dynamic, arguments, order, message, size);
}

extern "C" void kp_signature(const char *name, char *text, size_t size) {
  kp_find(name)->signature(text, size);
}

namespace kp {

// What is accessible around an array: signalling NaNs, which arithmetic turns into other NaNs, so
// that writing what was read there shows as well.
constexpr uint32_t AROUND = 0x7fa5a5a5u;

struct Area {
  char *accessible;
  size_t accessible_bytes, array_offset, page;
};

static Area area_of(char *array, size_t bytes, int at_start) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t room = (bytes + 15) / 16 * 16;
  const size_t size = (room + page - 1) / page * page + page;
  const size_t offset = at_start ? 0 : size - room;
  return {array - offset, size, offset, page};
}

}  // namespace kp

// An array beside inaccessible memory: it starts behind it, or ends in front of it up to 16-byte
// alignment.
extern "C" void *kp_allocate(size_t bytes, int at_start) {
  kp::Area area = kp::area_of(nullptr, bytes, at_start);
  const size_t size = area.accessible_bytes, page = area.page;
  void *mapped = mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return nullptr;
  char *accessible = static_cast<char *>(mapped) + page;
  if (mprotect(accessible, size, PROT_READ | PROT_WRITE) != 0)
    return nullptr;
  for (size_t at = 0; at < size; at += sizeof kp::AROUND)
    memcpy(accessible + at, &kp::AROUND, sizeof kp::AROUND);
  // Not yet written elements are NaN, or -1.
  memset(accessible + area.array_offset, 0xff, bytes);
  return accessible + area.array_offset;
}

// Unmap an array; returns whether the memory around it is untouched.
extern "C" int kp_release(void *array, size_t bytes, int at_start) {
  const kp::Area area = kp::area_of(static_cast<char *>(array), bytes, at_start);
  bool intact = true;
  for (size_t at = 0; at < area.accessible_bytes; at += sizeof kp::AROUND)
    if (at + sizeof kp::AROUND <= area.array_offset || at >= area.array_offset + bytes)
      intact &= memcmp(area.accessible + at, &kp::AROUND, sizeof kp::AROUND) == 0;
  munmap(area.accessible - area.page, area.accessible_bytes + 2 * area.page);
  return intact;
}
