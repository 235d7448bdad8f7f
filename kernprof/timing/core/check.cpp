#include "check.h"

#include <cstddef>
#include <cstring>

namespace kernprof {
namespace {

constexpr double kMostCycles = 1 << 24;  // of any latency, what-if's factors included
constexpr double kSlowest = 1.0 / (1 << 14), kFastest = 1 << 30;  // things a cycle
constexpr double kYes = 1;
constexpr std::int64_t kMostWarps = 64;  // of a scheduler: one bit each

struct Range {
  std::size_t offset;
  bool whole;  // an integer
  double low, high;
};

#define WHOLE(field, low, high) {offsetof(Config, field), true, low, high}
#define REAL(field, low, high) {offsetof(Config, field), false, low, high}

// Every field of Config in its order.
constexpr Range kRanges[] = {
    WHOLE(sm_count, 1, 1024),
    WHOLE(schedulers, 1, 8),
    WHOLE(issue_width, 1, 2),
    WHOLE(blocks_per_sm, 1, 64),
    WHOLE(warps_per_block, 1, 64),
    WHOLE(blocks_traced, 1, double(std::int64_t{1} << 31)),
    WHOLE(blocks_total, 1, double(std::int64_t{1} << 62)),
    WHOLE(l1_bytes, 0, 2 << 20),
    WHOLE(l1_ways, 1, 256),
    WHOLE(l2_bytes, 0, 1 << 30),
    WHOLE(l2_ways, 1, 256),
    WHOLE(l1_loads, 0, kYes),
    WHOLE(fetch_sectors, 1, 4),
    WHOLE(icache_lines, 0, 1 << 20),
    WHOLE(insn_bytes, 1, 64),
    WHOLE(insn_count, 1, 1 << 20),
    WHOLE(block_count, 1, 1 << 20),
    WHOLE(local_words, 0, 1 << 28),
    WHOLE(lg_queue, 1, 4096),
    WHOLE(mio_queue, 1, 4096),
    WHOLE(max_cycles, 1, double(std::int64_t{1} << 40)),
    WHOLE(max_steps, 1, double(std::int64_t{1} << 40)),
    WHOLE(caches, 0, kYes),
    WHOLE(register_banks, 1, kBanks),
    WHOLE(code_there, 0, kYes),
    WHOLE(constants_there, 0, kYes),
    WHOLE(own_data, 0, kYes),
    WHOLE(launch_latency, 0, kMostCycles),
    WHOLE(block_latency, 0, kMostCycles),
    WHOLE(round_cycles, 0, kMostCycles),
    WHOLE(warp_interval, 0, kMostCycles),
    WHOLE(shared_latency, 0, kMostCycles),
    WHOLE(l1_latency, 0, kMostCycles),
    WHOLE(l2_latency, 0, kMostCycles),
    WHOLE(dram_latency, 0, kMostCycles),
    WHOLE(atomic_latency, 0, kMostCycles),
    WHOLE(store_read_latency, 0, kMostCycles),
    WHOLE(barrier_latency, 0, kMostCycles),
    WHOLE(barrier_interval, 0, kMostCycles),
    WHOLE(branch_latency, 0, kMostCycles),
    WHOLE(fetch_latency, 0, kMostCycles),
    WHOLE(fetch_cold_latency, 0, kMostCycles),
    WHOLE(constant_latency, 0, kMostCycles),
    WHOLE(drain_latency, 0, kMostCycles),
    WHOLE(fence_latency, 0, kMostCycles),
    WHOLE(sleep_cycles, 0, kMostCycles),
    WHOLE(write_buffer_cycles, 0, kMostCycles),
    WHOLE(fetch_interval, 0, kMostCycles),
    REAL(write_through, 0, 1),
    REAL(lsu_interval, kSlowest, 1 << 14),
    REAL(tag_lines, kSlowest, kFastest),
    REAL(fill_sectors, kSlowest, kFastest),
    REAL(store_sectors, kSlowest, kFastest),
    REAL(l2_sectors, kSlowest, kFastest),
    REAL(dram_sectors, kSlowest, kFastest),
    REAL(atomic_interval, 0, 1 << 14),
    REAL(block_interval, 0, kMostCycles),
};

#undef WHOLE
#undef REAL

constexpr int kFields = sizeof(kRanges) / sizeof(kRanges[0]);
static_assert(sizeof(Config) == 8 * kFields, "every field of Config has its range");

constexpr bool in_order() {
  for (int field = 0; field < kFields; ++field)
    if (kRanges[field].offset != 8 * static_cast<std::size_t>(field)) return false;
  return true;
}
static_assert(in_order(), "ranges stand in the order of Config");

template <typename T>
T value(const Config& config, const Range& range) {
  T found;
  std::memcpy(&found, reinterpret_cast<const char*>(&config) + range.offset, sizeof found);
  return found;
}

// Written so that what is no number is outside.
bool inside(const Config& config, const Range& range) {
  if (range.whole) {
    const auto found = value<std::int64_t>(config, range);
    return found >= static_cast<std::int64_t>(range.low) &&
           found <= static_cast<std::int64_t>(range.high);
  }
  const auto found = value<double>(config, range);
  return found >= range.low && found <= range.high;
}

constexpr int number_of(std::size_t offset) { return static_cast<int>(offset / 8); }

// What all SMs need besides their warps, about.
std::int64_t bytes(const Config& config) {
  const std::int64_t line = sizeof(Cache::Line);
  const std::int64_t code = config.insn_count * config.insn_bytes / 128 + 1;
  const std::int64_t sm = config.l1_bytes / 128 * line + 2 * Rate::kBytes +
                          code * (8 + 4 * config.schedulers);
  return config.sm_count * sm + config.l2_bytes / 128 * line;
}

}  // namespace

bool range(int field, double* low, double* high) {
  if (field < 0 || field >= kFields) return false;
  *low = kRanges[field].low;
  *high = kRanges[field].high;
  return true;
}

Status check(const Config& config, const Launch& launch, const Lengths& lengths,
             std::int64_t* problem) {
  for (int field = 0; field < kFields; ++field) {
    *problem = field;
    if (!inside(config, kRanges[field])) return kBadField;
  }
  *problem = number_of(offsetof(Config, blocks_traced));
  if (config.blocks_traced > config.blocks_total) return kBadField;
  // Warps are spread evenly over the schedulers, each of which has a bit for each of its own.
  *problem = number_of(offsetof(Config, blocks_per_sm));
  if (config.blocks_per_sm * config.warps_per_block > kMostWarps * config.schedulers)
    return kBadField;
  if (bytes(config) > kMostBytes) return kTooLarge;

  const bool right[] = {lengths.insns == config.insn_count, lengths.blocks == config.block_count,
                        lengths.words >= 0,
                        lengths.warps == config.blocks_traced * config.warps_per_block,
                        lengths.samples >= 2};
  for (std::int64_t k = 0; k < 5; ++k) {
    *problem = k;
    if (!right[k]) return kBadSize;
  }
  for (std::int64_t k = 0; k < config.insn_count; ++k) {
    const Insn& insn = launch.insns[k];
    *problem = k;
    if (insn.kind > kCopyGroup || insn.pipe >= kPipes || insn.queue > kSharedOrSpecial)
      return kBadInstruction;
  }
  for (std::int64_t k = 0; k < config.block_count; ++k) {
    const std::int64_t first = launch.block_first[k], size = launch.block_size[k];
    *problem = k;
    if (first < 0 || size < 1 || first + size > config.insn_count) return kBadBlock;
  }
  for (std::int64_t warp = 0; warp < lengths.warps; ++warp) {
    const std::int64_t end = launch.starts[warp + 1];
    std::int64_t at = launch.starts[warp];
    *problem = warp;
    if (at < 0 || at > end || end > lengths.words) return kBadWarp;
    while (at < end) {
      const std::uint32_t word = launch.words[at];
      *problem = at;
      if (word & kHead) {
        at += 1 + (word >> 20 & 0xFF);  // the last one of a warp may be cut short
      } else {
        if (word >= static_cast<std::uint64_t>(config.block_count)) return kBadWord;
        ++at;
      }
    }
  }
  *problem = 0;
  return kFine;
}

}  // namespace kernprof
