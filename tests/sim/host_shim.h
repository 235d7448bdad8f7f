// What the generated programs use of CUDA, for the host compiler: each function as its PTX
// instruction is documented (PTX ISA: shf, prmt, bfind, cvt, min, max, add.rz and so on).
#pragma once
#include <cfenv>
#include <cmath>
#include <cstring>
typedef unsigned long long u64;
typedef long long i64;
#define HD static __attribute__((noinline))
template <class To, class From> static inline To as(From v) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To r; std::memcpy(&r, &v, sizeof r); return r;
}
static inline unsigned __float_as_uint(float v) { return as<unsigned>(v); }
static inline float __uint_as_float(unsigned v) { return as<float>(v); }
static inline i64 __double_as_longlong(double v) { return as<i64>(v); }
static inline double __longlong_as_double(i64 v) { return as<double>(v); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(u64 v) { return __builtin_popcountll(v); }
static inline int __clz(int v) { return v ? __builtin_clz(v) : 32; }
static inline int __clzll(i64 v) { return v ? __builtin_clzll(v) : 64; }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int k = 0; k < 32; ++k) r |= (v >> k & 1u) << (31 - k);
  return r;
}
static inline u64 __brevll(u64 v) {
  return (u64)__brev((unsigned)v) << 32 | __brev((unsigned)(v >> 32));
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (u64)a * b >> 32; }
static inline int __mulhi(int a, int b) { return (i64)a * b >> 32; }
static inline u64 __umul64hi(u64 a, u64 b) { return (unsigned __int128)a * b >> 64; }
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
  u64 both = (u64)b << 32 | a;
  unsigned r = 0;
  for (int k = 0; k < 4; ++k) r |= (unsigned)(both >> 8 * (s >> 4 * k & 7) & 255) << 8 * k;
  return r;
}
static inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n) {
  return (unsigned)(((u64)hi << 32 | lo) << (n & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n) {
  return (unsigned)(((u64)hi << 32 | lo) >> (n & 31));
}
static inline unsigned __funnelshift_lc(unsigned lo, unsigned hi, unsigned n) {
  return n >= 32 ? lo : __funnelshift_l(lo, hi, n);
}
static inline unsigned __funnelshift_rc(unsigned lo, unsigned hi, unsigned n) {
  return n >= 32 ? hi : __funnelshift_r(lo, hi, n);
}
static inline unsigned __sad(int a, int b, unsigned c) {
  return (a < b ? (unsigned)b - (unsigned)a : (unsigned)a - (unsigned)b) + c;
}
static inline unsigned __usad(unsigned a, unsigned b, unsigned c) {
  return (a < b ? b - a : a - b) + c;
}
static inline unsigned __uhadd(unsigned a, unsigned b) { return ((u64)a + b) >> 1; }
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
  for (int k = 0; k < 32; k += 8) c += (a >> k & 255) * (b >> k & 255);
  return c;
}
static inline int __dp4a(int a, int b, int c) {
  for (int k = 0; k < 32; k += 8)
    c = (int)((unsigned)c + (unsigned)((signed char)(a >> k) * (signed char)(b >> k)));
  return c;
}
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline i64 min(i64 a, i64 b) { return a < b ? a : b; }
static inline u64 max(u64 a, u64 b) { return a > b ? a : b; }
// Numbers beat NaN, and -0 is smaller than +0.
template <class T> static inline T least(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
#define fminf least<float>
#define fmin least<double>
template <class T> static inline T most(T a, T b) { return a != a || b != b ? least(a, b) : -least(-a, -b); }
#define fmaxf most<float>
#define fmax most<double>
// Arithmetic in a direction: operands go through volatile so that nothing moves over the switch.
struct Rounding { int old; Rounding(int m) : old(fegetround()) { fesetround(m); } ~Rounding() { fesetround(old); } };
#define DIRECTED(name, type, mode, params, use, expr) \
  static __attribute__((noinline)) type name params { use; Rounding r(mode); volatile type v = expr; return v; }
#define TWO(T) (T a0, T b0)
#define USE2(T) volatile T a = a0, b = b0
#define THREE(T) (T a0, T b0, T c0)
#define USE3(T) volatile T a = a0, b = b0, c = c0
#define ALL(P, T, s, mode, fmaname) \
  DIRECTED(__##P##add_##s, T, mode, TWO(T), USE2(T), a + b) \
  DIRECTED(__##P##mul_##s, T, mode, TWO(T), USE2(T), a * b) \
  DIRECTED(__##P##div_##s, T, mode, TWO(T), USE2(T), a / b) \
  DIRECTED(fmaname##_##s, T, mode, THREE(T), USE3(T), std::fma((T)a, (T)b, (T)c))
ALL(f, float, rz, FE_TOWARDZERO, __fmaf)
ALL(f, float, ru, FE_UPWARD, __fmaf)
ALL(f, float, rd, FE_DOWNWARD, __fmaf)
ALL(d, double, rz, FE_TOWARDZERO, __fma)
ALL(d, double, ru, FE_UPWARD, __fma)
ALL(d, double, rd, FE_DOWNWARD, __fma)
static __attribute__((noinline)) float __double2float_rz(double v0) { volatile double v = v0; Rounding r(FE_TOWARDZERO); volatile float f = (float)v; return f; }
static __attribute__((noinline)) float __uint2float_rz(unsigned v0) { volatile unsigned v = v0; Rounding r(FE_TOWARDZERO); volatile float f = (float)v; return f; }
static __attribute__((noinline)) float __ull2float_ru(u64 v0) { volatile u64 v = v0; Rounding r(FE_UPWARD); volatile float f = (float)v; return f; }
static __attribute__((noinline)) float __ll2float_rd(i64 v0) { volatile i64 v = v0; Rounding r(FE_DOWNWARD); volatile float f = (float)v; return f; }
static __attribute__((noinline)) double __ll2double_rz(i64 v0) { volatile i64 v = v0; Rounding r(FE_TOWARDZERO); volatile double f = (double)v; return f; }
// Conversions to integers saturate; NaN gives 0, or the most negative 64-bit number.
template <class T> static inline T saturated(double v, double low, double high, T bottom, T top, T nan) {
  return v != v ? nan : v < low ? bottom : v >= high ? top : (T)v;
}
static inline int to_int(double v) { return saturated<int>(v, -2147483648.0, 2147483648.0, -2147483647 - 1, 2147483647, 0); }
static inline unsigned to_uint(double v) { return saturated<unsigned>(v, 0, 4294967296.0, 0u, ~0u, 0u); }
static inline i64 to_ll(double v) { return saturated<i64>(v, -0x1p63, 0x1p63, (i64)(1ull << 63), (i64)(~0ull >> 1), (i64)(1ull << 63)); }
static inline u64 to_ull(double v) { return saturated<u64>(v, 0, 0x1p64, 0ull, ~0ull, 1ull << 63); }
static inline int __float2int_rz(float v) { return to_int(std::trunc(v)); }
static inline int __float2int_rn(float v) { return to_int(std::nearbyint(v)); }
static inline int __float2int_rd(float v) { return to_int(std::floor(v)); }
static inline unsigned __float2uint_ru(float v) { return to_uint(std::ceil(v)); }
static inline unsigned __double2uint_rz(double v) { return to_uint(std::trunc(v)); }
static inline int __double2int_ru(double v) { return to_int(std::ceil(v)); }
static inline i64 __float2ll_rn(float v) { return to_ll(std::nearbyint(v)); }
static inline i64 __double2ll_rz(double v) { return to_ll(std::trunc(v)); }
static inline u64 __double2ull_rd(double v) { return to_ull(std::floor(v)); }
static inline float __saturatef(float v) { return v > 0 ? (v < 1 ? v : 1.f) : 0.f; }
