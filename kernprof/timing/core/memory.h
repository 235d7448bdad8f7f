// What all SMs share: the second-level cache and DRAM.
#pragma once

#include <array>
#include <utility>

#include "resources.h"

namespace kernprof {

class SharedMemorySystem {
 public:
  SharedMemorySystem(const Config& config, Result& result, Cache cache, std::uint32_t base)
      : config_(config),
        result_(result),
        cache_(std::move(cache)),
        base_(base),
        highest_(base),
        rate_(config.l2_sectors, result.steps),
        dram_(config.dram_sectors, result.steps) {}

  // Sectors of one line are read from `start` on; returns when the last is back at the SM.
  Cycle read(std::uint32_t line, unsigned sectors, Cycle start) {
    const int count = __builtin_popcount(sectors);
    result_.l2_sectors += count;
    result_.l2_read_sectors += count;
    line = place(line);
    const Cycle delay = rate_.take(start, count) - start;
    int dirty = 0;
    Cache::Line* entry = cache_.claim(line, &dirty);
    write_back(dirty, start);
    Cycle latest = start + delay + config_.l2_latency;
    const unsigned valid = entry ? entry->valid : 0;
    result_.l2_hits += __builtin_popcount(sectors & valid);
    unsigned fetch = sectors & ~valid;
    if (entry && config_.fetch_sectors == 2) {
      // The cache fetches 64 bytes at a time.
      fetch |= (fetch & 5) << 1 | (fetch & 10) >> 1;
      fetch &= ~valid;
    }
    if (fetch) {
      const int missing = __builtin_popcount(fetch);
      result_.dram_read_sectors += missing;
      const Cycle ready = dram_.take(start + delay, missing) + config_.dram_latency;
      if (entry) {
        entry->valid |= fetch;
        for (unsigned s = 0; s < 4; ++s)
          if (fetch >> s & 1) entry->ready[s] = ready;
      }
      latest = std::max(latest, ready);
    }
    for (unsigned s = 0; s < 4; ++s)
      if (sectors & valid & 1u << s) latest = std::max(latest, entry->ready[s]);
    return latest;
  }

  // The cache as a launch after this one finds it; of use once, at the end.
  Cache leave_cache() {
    cache_.rest();
    return std::move(cache_);
  }

  // The first line behind those that the launch used.
  std::uint32_t next_base() const { return highest_ + 1 < kLastBase ? highest_ + 1 : 0; }

  std::int64_t written_through() const { return static_cast<std::int64_t>(through_); }

  // Sectors of one line are written; returns when the cache has taken them.
  Cycle write(std::uint32_t line, unsigned sectors, Cycle start) {
    const int count = __builtin_popcount(sectors);
    result_.l2_sectors += count;
    result_.l2_write_sectors += count;
    result_.l2_hits += count;  // a write always finds its place
    line = place(line);
    Cycle done = rate_.take(start, count);
    int dirty = 0;
    Cache::Line* entry = cache_.claim(line, &dirty);
    done = std::max(done, write_back(dirty, start));
    if (!entry) {
      result_.dram_write_sectors += count;
      return dram_.take(done, count);
    }
    if (config_.write_through > 0) {
      const int fresh = __builtin_popcount(sectors & ~entry->dirty);
      if (fresh) {
        through_ += fresh * config_.write_through;
        done = std::max(done, dram_.take(start, fresh * config_.write_through));
      }
    }
    for (unsigned s = 0; s < 4; ++s)
      if (sectors >> s & 1 && !(entry->valid >> s & 1)) entry->ready[s] = done;
    entry->valid |= sectors;
    entry->dirty |= sectors;
    return done;
  }

  // An atomic: lanes on one address go one after another.
  Cycle atomic(std::uint32_t line, unsigned sectors, unsigned busiest, Cycle start) {
    const Cycle there = read(line, sectors, start) - config_.l2_latency + config_.atomic_latency;
    const std::size_t unit = (line * 0x9E3779B1u) >> 20;
    Cycle& free = address_free_[unit];
    double& work = address_work_[unit];
    work += busiest * config_.atomic_interval;
    const Cycle arrival = start + (config_.atomic_latency - config_.l2_latency);
    const Cycle first = std::max(arrival, free);
    free = first + static_cast<Cycle>(busiest * config_.atomic_interval);
    result_.atomic_work = std::max(result_.atomic_work, static_cast<std::int64_t>(work));
    int dirty = 0;
    if (Cache::Line* entry = cache_.claim(place(line), &dirty)) entry->dirty |= sectors;
    return there + (free - arrival);
  }

 private:
  static constexpr std::uint32_t kLastBase = 1u << 30;  // lines of a launch are below 2^28

  // Where a line of global memory lies behind those of the launches before; local memory is the SM's.
  std::uint32_t place(std::uint32_t line) {
    if (line >> 31) return line;
    highest_ = std::max(highest_, line + base_);
    return line + base_;
  }

  // Dirty sectors that make room for others. Where only the beginning of a launch is simulated the
  // cache would not fill: there each write brings its share of the write-backs of the whole.
  Cycle write_back(int dirty, Cycle when) {
    if (!dirty || config_.write_through > 0) return when;
    result_.dram_write_sectors += dirty;
    return dram_.take(when, dirty);
  }

  const Config& config_;
  Result& result_;
  Cache cache_;
  std::uint32_t base_, highest_;
  Rate rate_, dram_;
  double through_ = 0;
  std::array<Cycle, 4096> address_free_{};
  std::array<double, 4096> address_work_{};
};

}  // namespace kernprof
