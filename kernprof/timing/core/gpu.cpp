// The whole GPU: blocks go to SMs, SMs run in short slices of time so that what they share sees
// their requests nearly in order.

#include <algorithm>
#include <memory>
#include <utility>

#include "check.h"
#include "sm.h"

namespace kernprof {
namespace {

constexpr Cycle kSlice = 16;
constexpr Cycle kSampleEvery = 256;

class Gpu {
 public:
  Gpu(const Config& config, const Launch& launch, Result& result, std::int64_t* stalls, Cache l2,
      std::uint32_t base)
      : config_(config), result_(result), memory_(config, result, std::move(l2), base) {
    for (std::int64_t number = 0; number < config.sm_count; ++number)
      sms_.push_back(std::make_unique<Sm>(static_cast<int>(number), config, launch, memory_,
                                          result, stalls));
  }

  Cache leave_cache() { return memory_.leave_cache(); }
  std::uint32_t next_base() const { return memory_.next_base(); }

  void run(std::int64_t* sample_cycles, std::int64_t* sample_issued, std::int64_t room) {
    fill();
    Cycle now = config_.launch_latency;
    Cycle next_sample = 0, gap = kSampleEvery;
    bool stopped = false;
    while (true) {
      Cycle soonest = kNever;
      for (const auto& sm : sms_) soonest = std::min(soonest, sm->next_event());
      if (soonest >= kNever) {
        bool opened = false;
        for (const auto& sm : sms_)
          if (!sm->idle()) opened = sm->open_barriers(now) || opened;
        if (!opened) break;
        continue;
      }
      now = std::max(now, soonest) / kSlice * kSlice + kSlice;
      std::int64_t dry = 0, warps = 0;
      for (const auto& sm : sms_) {
        sm->run(now);
        for (Cycle when = sm->take_freed(); when != kNever; when = sm->take_freed())
          stopped = !refill(*sm, now) || stopped;
        dry += sm->dry();
        warps += sm->resident_warps();
      }
      if (now >= next_sample) {
        if (result_.samples == room) {  // every second point goes, and fewer come from now on
          for (std::int64_t k = 0; k < room / 2; ++k) {
            sample_cycles[k] = sample_cycles[2 * k + 1];
            sample_issued[k] = sample_issued[2 * k + 1];
          }
          result_.samples = room / 2;
          gap *= 2;
        }
        sample_cycles[result_.samples] = now;
        sample_issued[result_.samples++] = result_.issued;
        next_sample = now + gap;
      }
      // The trace is used up where a fiftieth of the warps have reached its end.
      if (dry * 50 > warps + dry) stopped = true;
      if (stopped || now > config_.max_cycles) {
        stopped = true;
        break;
      }
    }
    Cycle end = 0;
    for (const auto& sm : sms_) end = std::max(end, sm->last_leave());
    if (stopped) end = now;
    for (const auto& sm : sms_) {
      sm->settle(end);
      result_.sm_active_cycles += sm->active_cycles(end);
    }
    result_.dram_write_sectors += memory_.written_through();
    result_.cycles = end;
    result_.finished = !stopped && next_ == config_.blocks_total;
  }

 private:
  // The first wave goes out breadth first.
  void fill() {
    Cycle when = config_.launch_latency;
    for (std::int64_t round = 0; round < config_.blocks_per_sm; ++round) {
      for (const auto& sm : sms_) {
        if (next_ >= config_.blocks_traced) return;
        sm->place(next_++, launched(when));
      }
      when += config_.round_cycles;
    }
  }

  // A block takes the place of one that left in the slice of time before `when`. False where it
  // should come but was not traced.
  bool refill(Sm& sm, Cycle when) {
    if (next_ >= config_.blocks_traced) return next_ >= config_.blocks_total;
    sm.place(next_++, launched(when));
    return true;
  }

  // When a block that could start at `when` does: one unit gives out the blocks of the whole GPU.
  Cycle launched(Cycle when) {
    distributor_free_ = std::max(distributor_free_, static_cast<double>(when));
    const auto start = static_cast<Cycle>(distributor_free_);
    distributor_free_ += config_.block_interval;
    return start;
  }

  const Config& config_;
  Result& result_;
  SharedMemorySystem memory_;
  std::vector<std::unique_ptr<Sm>> sms_;
  std::int64_t next_ = 0;
  double distributor_free_ = 0;
};

}  // namespace

// The second-level cache between the launches of a sequence.
struct Kept {
  Cache l2;
  bool filled = false;
  std::uint32_t next_base = 0;  // behind the lines of the launches so far
};

}  // namespace kernprof

extern "C" kernprof::Kept* kernprof_keep() {
  try {
    return new kernprof::Kept;
  } catch (...) {
    return nullptr;
  }
}

extern "C" void kernprof_forget(kernprof::Kept* kept) { delete kept; }

extern "C" int kernprof_simulate(const kernprof::Config* config, const kernprof::Lengths* lengths,
                                 const kernprof::Insn* insns, const std::int32_t* block_first,
                                 const std::int32_t* block_size, const std::uint32_t* words,
                                 const std::int64_t* starts, const std::uint8_t* complete,
                                 std::int64_t* stalls, std::int64_t* sample_cycles,
                                 std::int64_t* sample_issued, kernprof::Kept* kept,
                                 kernprof::Result* result) {
  *result = kernprof::Result{};
  try {
    const kernprof::Launch launch{insns, block_first, block_size, words, starts, complete};
    const kernprof::Status found = kernprof::check(*config, launch, *lengths, &result->problem);
    if (found != kernprof::kFine) return found;
    kernprof::Cache l2(config->caches ? config->l2_bytes : 0, config->l2_ways);
    if (kept && kept->filled) l2 = std::move(kept->l2);
    if (kept) kept->filled = false;
    const std::uint32_t base = kept && config->own_data ? kept->next_base : 0;
    kernprof::Gpu gpu(*config, launch, *result, stalls, std::move(l2), base);
    gpu.run(sample_cycles, sample_issued, lengths->samples);
    // Of a launch that was simulated in part nobody knows what it leaves.
    if (kept && result->finished) {
      kept->l2 = gpu.leave_cache();
      kept->filled = true;
      kept->next_base = gpu.next_base();
    }
    return kernprof::kFine;
  } catch (const kernprof::TooManySteps&) {
    return kernprof::kTooManySteps;
  } catch (...) {
    return kernprof::kNoMemory;
  }
}

extern "C" int kernprof_sizes(int what) {
  return what == 0   ? static_cast<int>(sizeof(kernprof::Config))
         : what == 1 ? static_cast<int>(sizeof(kernprof::Insn))
         : what == 2 ? static_cast<int>(sizeof(kernprof::Result))
         : what == 3 ? static_cast<int>(sizeof(kernprof::Lengths))
                     : static_cast<int>(kernprof::kReasons);
}

extern "C" int kernprof_range(int field, double* low, double* high) {
  return kernprof::range(field, low, high) ? 0 : 1;
}
