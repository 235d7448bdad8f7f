// What every family uses. A source is compiled once for each experiment, with the kernel's wrapper behind it, and twice
// for ground truth: with CLOCKED, lane 0 of the first warp reads the SM's clock at the marked places.
#ifdef CLOCKED
#define TICKS(n) long long ticks[n]
#define TICK(k) ticks[k] = now()
// The clock is read after `value` is there: a branch that depends on it can't be passed. Costs some cycles itself.
#define TICK_AFTER(k, value) (await(value), ticks[k] = now())
#define REPORT(n)                                    \
  if (threadIdx.x == 0 && blockIdx.x == 0) {         \
    _Pragma("unroll") for (int k_ = 0; k_ < (n); ++k_) t[k_] = ticks[k_]; \
  }
__device__ __forceinline__ long long now() {
  long long c;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(c)::"memory");
  return c;
}
__device__ __forceinline__ void await(int v) {
  if (v == 0x7ffffff1) asm volatile("trap;");
}
__device__ __forceinline__ void await(float v) { await(__float_as_int(v)); }
__device__ __forceinline__ void await(double v) { await(__double2loint(v)); }
#else
#define TICKS(n)
#define TICK(k)
#define TICK_AFTER(k, value)
#define REPORT(n)
#endif

// Plain, and passing the first level by.
__device__ __forceinline__ int load_far(const int* p) {
  int v;
  asm volatile("ld.global.cg.b32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}
