#include "sm.h"

#include <algorithm>

namespace kernprof {

namespace {
constexpr std::size_t kMostCopies = 256;  // DEPBAR leaves at most 255 groups under way
constexpr int kCodeAhead = 16;  // lines of code fetched ahead
constexpr Cycle kReadWindow = 2;  // operands are read in the three cycles from issue on
}  // namespace

Sm::Sm(int number, const Config& config, const Launch& launch, SharedMemorySystem& memory,
       Result& result, std::int64_t* stalls)
    : config_(config),
      launch_(launch),
      memory_(memory),
      result_(result),
      stalls_(stalls),
      number_(number),
      schedulers_(static_cast<std::size_t>(config.schedulers)),
      blocks_(static_cast<std::size_t>(config.blocks_per_sm)),
      l1_(config.caches ? config.l1_bytes : 0, config.l1_ways),
      fill_(config.fill_sectors, result.steps),
      store_(config.store_sectors, result.steps),
      free_blocks_(static_cast<int>(config.blocks_per_sm)) {
  const std::int64_t warps = config.blocks_per_sm * config.warps_per_block;
  const std::int64_t each = (warps + config.schedulers - 1) / config.schedulers +
                            (config.warps_per_block + config.schedulers - 1) / config.schedulers;
  std::uint32_t slot = 0;
  for (Scheduler& scheduler : schedulers_) {
    scheduler.warps.resize(static_cast<std::size_t>(std::min<std::int64_t>(each, 64)));
    for (Warp& warp : scheduler.warps) warp.slot = slot++;
    scheduler.lg = Places(config.lg_queue);
    scheduler.mio = Places(config.mio_queue);
  }
  code_lines_ = static_cast<int>((config.insn_count * config.insn_bytes + 127) / 128) + 1;
  code_ready_.assign(static_cast<std::size_t>(code_lines_), config.code_there ? 0 : kNever);
  near_.assign(static_cast<std::size_t>(code_lines_) * config.schedulers, 0);
  constant_ready_.assign(1 << 10, config.constants_there ? 0 : kNever);
}

void Sm::charge(std::int32_t pc, Reason reason, Cycle cycles) {
  if (cycles > 0) stalls_[static_cast<std::size_t>(pc) * kReasons + reason] += cycles;
}

// Blocks come in; their warps go round the schedulers.
void Sm::place(std::int64_t block, Cycle when) {
  int place = 0;
  while (blocks_[static_cast<std::size_t>(place)].used) ++place;
  ResidentBlock& resident = blocks_[static_cast<std::size_t>(place)];
  const int warps = static_cast<int>(config_.warps_per_block);
  resident = ResidentBlock{true, warps, 0, 0};
  --free_blocks_;
  if (resident_ == 0) active_since_ = when;
  Cycle start = std::max(when, next_launch_);
  ++ages_;
  for (int k = 0; k < warps; ++k) {
    std::size_t best = 0;
    int best_count = 1 << 30;
    for (std::size_t s = 0; s < schedulers_.size(); ++s) {
      const std::size_t candidate = (static_cast<std::size_t>(k) + s) % schedulers_.size();
      int count = 0;
      for (const Warp& warp : schedulers_[candidate].warps) count += warp.live;
      if (count < best_count) {
        best_count = count;
        best = candidate;
      }
    }
    Scheduler& scheduler = schedulers_[best];
    std::size_t index = 0;
    while (index < scheduler.warps.size() && scheduler.warps[index].live) ++index;
    if (index == scheduler.warps.size()) {
      scheduler.warps.emplace_back();
      scheduler.warps.back().slot = static_cast<std::uint32_t>(64 + resident_);
    }
    Warp& warp = scheduler.warps[index];
    const std::uint32_t slot = warp.slot;
    warp = Warp{};
    warp.slot = slot;
    const std::size_t row = static_cast<std::size_t>(block * warps + k);
    warp.at = launch_.words + launch_.starts[row];
    warp.end = launch_.words + launch_.starts[row + 1];
    warp.complete = launch_.complete[row];
    warp.block = place;
    warp.issued = start;
    warp.block_age = ages_;
    warp.live = true;
    warp.start = start;
    ++resident_;
    if (!advance(warp)) {
      leave(scheduler, static_cast<int>(index), start);
      continue;
    }
    warp.waits.from = start;
    plan(warp, start, start + config_.block_latency, false);
    const Cycle fetched = fetch(scheduler, warp.pc, warp.waits.fetched);
    const Cycle shift = fetched - warp.waits.fetched;
    warp.waits.fetched += shift;
    warp.waits.constant = std::max(warp.waits.constant, warp.waits.fetched);
    warp.waits.ready = std::max(warp.waits.ready, warp.waits.constant);
    make_ready(scheduler, static_cast<int>(index));
    start += config_.warp_interval;
  }
  next_launch_ = start;
}

void Sm::make_ready(Scheduler& scheduler, int index) {
  Warp& warp = scheduler.warps[static_cast<std::size_t>(index)];
  warp.state = kWaiting;
  scheduler.waiting |= 1ull << index;
  scheduler.next_ready = std::min(scheduler.next_ready, warp.waits.ready);
  scheduler.next_event = std::min(scheduler.next_event, warp.waits.ready);
}

// Go to the next instruction of the trace; false at its end.
bool Sm::advance(Warp& warp) {
  if (warp.pc >= 0 && warp.pc + 1 < warp.stop) {
    ++warp.pc;
    return true;
  }
  while (warp.at < warp.end && (*warp.at & kHead)) {  // an access that nobody took
    // The last record may be cut short.
    warp.at += std::min<std::ptrdiff_t>(1 + (*warp.at >> 20 & 0xFF), warp.end - warp.at);
    ++result_.bad_words;
  }
  if (warp.at >= warp.end) return false;
  const std::uint32_t number = *warp.at++;
  warp.pc = launch_.block_first[number];
  warp.stop = warp.pc + launch_.block_size[number];
  return true;
}

// When the code of an instruction is at hand.
Cycle Sm::fetch(Scheduler& scheduler, std::int32_t pc, Cycle when) {
  const int line = static_cast<int>(pc * config_.insn_bytes / 128);
  // A line that is not there is fetched from memory, and those behind it with it: a stream that
  // runs ahead of the warps.
  const int end = std::min(line + kCodeAhead, code_lines_);
  Cycle before = 0;
  for (int k = line; k < end; ++k) {
    Cycle& there = code_ready_[static_cast<std::size_t>(k)];
    if (there == kNever)
      there = std::max(when + config_.fetch_cold_latency, before + config_.fetch_interval);
    before = there;
  }
  Cycle ready = std::max(when, code_ready_[static_cast<std::size_t>(line)]);
  const std::size_t base = static_cast<std::size_t>(&scheduler - schedulers_.data()) *
                           static_cast<std::size_t>(code_lines_);
  std::uint32_t& used = near_[base + static_cast<std::size_t>(line)];
  // Least recently used, by age: a line is gone when so many fetches went elsewhere since.
  if (used + static_cast<std::uint32_t>(config_.icache_lines) < ++near_clock_ && used &&
      code_lines_ > config_.icache_lines)
    ready = std::max(ready, when + config_.fetch_latency);
  used = near_clock_;
  return ready;
}

// Work out when the warp's next instruction may issue, as far as the warp itself decides it.
void Sm::plan(Warp& warp, Cycle from, Cycle earliest, bool branched) {
  const Insn& insn = launch_.insns[warp.pc];
  Waits& waits = warp.waits;
  waits.from = from;
  waits.stalled = earliest;
  waits.branched = branched ? earliest + config_.branch_latency : earliest;
  waits.fetched = waits.branched;
  waits.constant = waits.fetched;
  if (insn.constant) {
    Cycle& there = constant_ready_[insn.constant & 1023];
    if (there == kNever) there = waits.fetched + config_.constant_latency;
    waits.constant = std::max(waits.constant, there);
  }
  waits.ready = waits.constant;
  waits.board = kLongScoreboard;
  for (int board = 0; board < kBoards; ++board) {
    if (!(insn.wait_mask >> board & 1)) continue;
    if (warp.board_free[board] > waits.ready) {
      waits.ready = warp.board_free[board];
      waits.board = warp.board_long[board] ? kLongScoreboard : kShortScoreboard;
    }
  }
  if (insn.kind == kWaitCount) {
    // Groups end in order; only the last `count_left` may still be under way.
    const std::size_t left = insn.count_left;
    if (insn.count_board < kBoards && warp.copies.size() > left) {
      const Cycle until = warp.copies[warp.copies.size() - 1 - left];
      if (until > waits.ready) {
        waits.ready = until;
        waits.board = kLongScoreboard;
      }
    }
  }
}

// Give the cycles of `waits` up to `until` to their reasons.
void Sm::settle_waits(Warp& warp, Cycle until) {
  Waits& waits = warp.waits;
  Cycle at = waits.from;
  const auto upto = [&](Cycle end, Reason reason) {
    const Cycle stop = std::min(end, until);
    if (stop > at) {
      charge(warp.pc, reason, stop - at);
      at = stop;
    }
  };
  upto(waits.stalled, kWait);
  upto(waits.branched, kBranchResolving);
  upto(waits.fetched, kNoInstruction);
  upto(waits.constant, kImcMiss);
  upto(waits.ready, waits.board);
  waits.from = std::max(waits.from, at);
}

bool Sm::blocked(const Scheduler& scheduler, const Insn& insn, Cycle now, Reason* why,
                 Cycle* until) const {
  if (insn.queue == kLocalGlobal && scheduler.lg.free_at() > now) {
    *why = kLgThrottle;
    *until = scheduler.lg.free_at();
    return true;
  }
  if (insn.queue == kSharedOrSpecial && scheduler.mio.free_at() > now) {
    *why = kMioThrottle;
    *until = scheduler.mio.free_at();
    return true;
  }
  for (std::int64_t bank = 0; bank < config_.register_banks; ++bank) {
    const Cycle free = scheduler.bank_free[bank] - kReadWindow;
    if (insn.reads[bank] && free > now) {
      *why = kDispatchStall;
      *until = free;
      return true;
    }
  }
  if (insn.queue == kNoQueue && scheduler.pipe_free[insn.pipe] > now) {
    *why = kMathPipeThrottle;
    *until = scheduler.pipe_free[insn.pipe];
    return true;
  }
  return false;
}

void Sm::run(Cycle until) {
  while (true) {
    Cycle now = kNever;
    for (const Scheduler& scheduler : schedulers_) now = std::min(now, scheduler.next_event);
    if (now >= until) return;
    for (Scheduler& scheduler : schedulers_)
      if (scheduler.next_event <= now) step(scheduler, now);
  }
}

Cycle Sm::next_event() const {
  Cycle now = kNever;
  for (const Scheduler& scheduler : schedulers_) now = std::min(now, scheduler.next_event);
  return now;
}

void Sm::step(Scheduler& scheduler, Cycle now) {
  if (++result_.steps > config_.max_steps) throw TooManySteps{};
  if (scheduler.next_ready <= now) {
    scheduler.next_ready = kNever;
    for (std::uint64_t left = scheduler.waiting; left; left &= left - 1) {
      const int index = __builtin_ctzll(left);
      Warp& warp = scheduler.warps[static_cast<std::size_t>(index)];
      if (warp.waits.ready > now) {
        scheduler.next_ready = std::min(scheduler.next_ready, warp.waits.ready);
        continue;
      }
      scheduler.waiting &= ~(1ull << index);
      if (warp.state == kLeaving) {
        settle_waits(warp, now);
        leave(scheduler, index, warp.waits.ready);
        continue;
      }
      settle_waits(warp, warp.waits.ready);
      warp.state = kCandidate;
      warp.status = kNotSelected;
      warp.since = warp.waits.ready;
      scheduler.candidates |= 1ull << index;
    }
  }
  // Greedy, then youngest, then fair: the last warp again if it can, else of the block that came
  // last the warp that has waited longest.
  int chosen = -1;
  std::uint32_t chosen_age = 0;
  Cycle chosen_issued = 0;
  Cycle unblock = kNever;
  for (std::uint64_t left = scheduler.candidates; left; left &= left - 1) {
    const int index = __builtin_ctzll(left);
    Warp& warp = scheduler.warps[static_cast<std::size_t>(index)];
    Reason why = kNotSelected;
    Cycle end = kNever;
    const bool held = blocked(scheduler, launch_.insns[warp.pc], now, &why, &end);
    if (why != warp.status) {
      charge(warp.pc, static_cast<Reason>(warp.status), now - warp.since);
      warp.status = why;
      warp.since = now;
    }
    if (held) {
      unblock = std::min(unblock, end);
      continue;
    }
    const bool before = chosen >= 0 && (warp.block_age != chosen_age ? warp.block_age > chosen_age
                                                                    : warp.issued < chosen_issued);
    if (chosen == -1 || index == scheduler.last || (chosen != scheduler.last && before)) {
      chosen = index;
      chosen_age = warp.block_age;
      chosen_issued = warp.issued;
    }
  }
  if (chosen >= 0) {
    ++result_.issue_cycles;
    issue(scheduler, chosen, now);
  }
  scheduler.next_event = scheduler.next_ready;
  if (scheduler.candidates)
    scheduler.next_event = std::min(scheduler.next_event, chosen >= 0 ? now + 1 : std::max(unblock, now + 1));
}

void Sm::issue(Scheduler& scheduler, int index, Cycle now) {
  Warp& warp = scheduler.warps[static_cast<std::size_t>(index)];
  charge(warp.pc, static_cast<Reason>(warp.status), now - warp.since);
  charge(warp.pc, kSelected, 1);
  warp.issued = now;
  for (std::int64_t width = 0;; ++width) {
    const std::int32_t pc = warp.pc;
    const Insn& insn = launch_.insns[pc];
    ++result_.issued;
    scheduler.last = insn.keep ? index : -1;
    for (std::int64_t bank = 0; bank < config_.register_banks; ++bank)
      if (insn.reads[bank])
        scheduler.bank_free[bank] = std::max(scheduler.bank_free[bank], now) + insn.reads[bank];
    if (insn.queue == kNoQueue) {
      scheduler.pipe_free[insn.pipe] =
          std::max(scheduler.pipe_free[insn.pipe], now) + insn.interval;
      result_.pipe_busy[insn.pipe] += insn.interval;
    }
    Cycle read_done = now + 1;
    const Cycle done = perform(scheduler, warp, insn, now, &read_done);
    if (insn.write_board < kBoards) {
      Cycle& free = warp.board_free[insn.write_board];
      // Of operations that share a scoreboard, the last to end decides.
      if (done >= free) warp.board_long[insn.write_board] = insn.long_latency;
      free = std::max(free, done);
    }
    if (insn.read_board < kBoards) {
      Cycle& free = warp.board_free[insn.read_board];
      if (read_done >= free) warp.board_long[insn.read_board] = insn.queue == kLocalGlobal;
      free = std::max(free, read_done);
    }
    const Cycle earliest = now + std::max<Cycle>(insn.stall, 1);
    if (!advance(warp)) {
      scheduler.candidates &= ~(1ull << index);
      if (!warp.complete) ++dry_;
      // A warp that has stores under way drains them before it leaves.
      warp.waits = Waits{};
      warp.waits.from = now + 1;
      warp.waits.ready = std::max(now + 1 + config_.drain_latency, warp.stores_until);
      warp.waits.stalled = warp.waits.branched = warp.waits.fetched = warp.waits.constant = now + 1;
      warp.waits.board = kDrain;
      warp.state = kLeaving;
      warp.pc = pc;
      scheduler.waiting |= 1ull << index;
      scheduler.next_ready = std::min(scheduler.next_ready, warp.waits.ready);
      return;
    }
    const bool branched = warp.pc != pc + 1;
    if (insn.kind == kBarrier) {
      scheduler.candidates &= ~(1ull << index);
      ResidentBlock& block = blocks_[static_cast<std::size_t>(warp.block)];
      warp.state = kAtBarrier;
      warp.since = now + 1;
      // The unit takes one warp after another, of all blocks.
      barrier_free_ = std::max(barrier_free_, now) + config_.barrier_interval;
      block.barrier_seen = barrier_free_;
      if (++block.arrived >= block.warps_left) release_barrier(warp.block, now);
      return;
    }
    const bool pair = config_.issue_width > 1 && insn.stall == 0 && width == 0 && !branched;
    plan(warp, now + 1, pair ? now : earliest, branched);
    const std::int64_t line = warp.pc * config_.insn_bytes / 128;
    if (branched || line != pc * config_.insn_bytes / 128) {
      const Cycle fetched = fetch(scheduler, warp.pc, warp.waits.branched);
      warp.waits.fetched = fetched;
      warp.waits.constant = std::max(warp.waits.constant, fetched);
      warp.waits.ready = std::max(warp.waits.ready, warp.waits.constant);
    }
    if (insn.kind == kFence || insn.kind == kSleep) {
      const Cycle until = insn.kind == kSleep
                              ? now + config_.sleep_cycles
                              : std::max(now + config_.fence_latency, warp.stores_until);
      if (until > warp.waits.ready) {
        warp.waits.ready = until;
        warp.waits.board = insn.kind == kSleep ? kSleeping : kMembar;
      }
    }
    if (pair && warp.waits.ready <= now) {
      Reason why;
      Cycle end;
      if (!blocked(scheduler, launch_.insns[warp.pc], now, &why, &end)) continue;
    }
    scheduler.candidates &= ~(1ull << index);
    warp.state = kWaiting;
    warp.waits.ready = std::max(warp.waits.ready, now + 1);
    scheduler.waiting |= 1ull << index;
    scheduler.next_ready = std::min(scheduler.next_ready, warp.waits.ready);
    return;
  }
}

// Execute for time: returns when the result is there; `read_done` when the sources were read.
Cycle Sm::perform(Scheduler& scheduler, Warp& warp, const Insn& insn, Cycle now,
                  Cycle* read_done) {
  switch (insn.kind) {
    case kGlobalLoad:
    case kGlobalStore:
    case kLocalLoad:
    case kLocalStore:
    case kSharedLoad:
    case kSharedStore:
    case kGlobalAtomic:
    case kSharedAtomic:
    case kAsyncCopy:
      return load_store(scheduler, warp, insn, now, read_done);
    case kCopyGroup:
      if (warp.copies.size() >= 2 * kMostCopies)
        warp.copies.erase(warp.copies.begin(), warp.copies.end() - kMostCopies);
      warp.copies.push_back(std::max(warp.copies.empty() ? 0 : warp.copies.back(), warp.copies_until));
      return warp.copies.back();
    default:
      break;
  }
  if (insn.queue == kSharedOrSpecial) {
    // Special functions and the like wait in the queue for their unit.
    const Cycle start = std::max(now, scheduler.pipe_free[insn.pipe]);
    scheduler.pipe_free[insn.pipe] = start + insn.interval;
    result_.pipe_busy[insn.pipe] += insn.interval;
    scheduler.mio.enter(start);
    *read_done = start + 2;
    return start + insn.latency;
  }
  return now + insn.latency;
}

// A memory instruction: the unit is shared by the SM's schedulers and serves in order.
Cycle Sm::load_store(Scheduler& scheduler, Warp& warp, const Insn& insn, Cycle now,
                     Cycle* read_done) {
  const bool shared_only = insn.kind == kSharedLoad || insn.kind == kSharedStore ||
                           insn.kind == kSharedAtomic;
  const bool is_store = insn.kind == kGlobalStore || insn.kind == kLocalStore;
  // First the cost in the unit, then the caches from the moment it gets there.
  double service = config_.lsu_interval;
  double lines = 0, passes = 0;
  const std::uint32_t* first = warp.at;
  const std::uint32_t index = static_cast<std::uint32_t>(warp.pc);
  bool any = false;
  const std::uint32_t* behind = first;  // the last whole record ends here
  for (const std::uint32_t* word = first; word < warp.end && (*word & kHead) && (*word & 0xFFFFF) == index;) {
    const std::uint32_t kind = *word >> 28 & 7, pieces = *word >> 20 & 0xFF;
    if (pieces >= warp.end - word) {  // cut short: the trace ends here
      warp.at = warp.end;
      break;
    }
    any = true;
    if (kind == kLocalAccess) {
      lines += pieces;
      passes += 1;
    } else if (pieces) {
      passes += word[1] & 0xFFFF;
      lines += pieces - 1;
    }
    word += 1 + pieces;
    warp.at = behind = word;
  }
  if (any) {
    service = std::max(service, passes);
    if (!shared_only) service = std::max(service, lines / config_.tag_lines);
  }
  const double begin = std::max(static_cast<double>(now), lsu_exact_);
  lsu_exact_ = begin + service;
  result_.lsu_busy_cycles += static_cast<Cycle>(service);
  const Cycle start = static_cast<Cycle>(begin);
  const Cycle served = static_cast<Cycle>(lsu_exact_ - config_.lsu_interval);
  (shared_only ? scheduler.mio : scheduler.lg).enter(start);
  *read_done = start + config_.store_read_latency;
  if (!any) return start + (shared_only ? config_.shared_latency : config_.l1_latency);
  if (shared_only) return served + config_.shared_latency;
  Cycle done = served + config_.l1_latency;
  const bool through = config_.l1_loads && !insn.bypass_l1;
  for (const std::uint32_t* word = first; word < behind;) {
    const std::uint32_t kind = *word >> 28 & 7, pieces = *word >> 20 & 0xFF;
    const std::uint32_t* piece = word + (kind == kLocalAccess ? 1 : 2);
    const std::uint32_t* last = word + 1 + pieces;
    for (; piece < last; ++piece) {
      std::uint32_t line = *piece >> 4;
      const unsigned sectors = *piece & 15;
      if (kind == kSharedAccess) break;
      // A generic access makes a record for each memory that its lanes go to.
      const bool is_local = kind == kLocalAccess;
      std::uint32_t near = line;
      if (is_local) {
        near = kLocalTag | (warp.slot * static_cast<std::uint32_t>(config_.local_words) + line);
        const std::uint32_t owner = static_cast<std::uint32_t>(number_) * 128u + warp.slot;
        line = kLocalTag | (owner * static_cast<std::uint32_t>(config_.local_words) + line);
      }
      const int count = __builtin_popcount(sectors);
      if (insn.kind == kGlobalAtomic) {
        const Cycle sent = store_.take(served, count);
        const unsigned busiest = word[1] & 0xFFFF;
        if (piece == word + 2) result_.atomic_lanes += word[1] >> 16;
        const Cycle back = memory_.atomic(line, sectors, busiest, sent);
        done = std::max(done, back);
        warp.stores_until = std::max(warp.stores_until, back - config_.atomic_latency);
        hold_back(back - config_.atomic_latency);
        continue;
      }
      result_.l1_sectors += count;
      if (is_store) {
        const Cycle sent = store_.take(served, count);
        warp.stores_until = std::max(warp.stores_until, sent);
        hold_back(memory_.write(line, sectors, sent));
        int dirty = 0;
        Cache::Line* entry = is_local ? l1_.claim(near, &dirty) : l1_.find(near);
        if (entry) {
          result_.l1_hits += __builtin_popcount(entry->valid & sectors);
          if (is_local) entry->valid |= sectors;
        }
        continue;
      }
      unsigned missing = sectors;
      Cache::Line* entry = nullptr;
      if (through) {
        int dirty = 0;
        entry = l1_.claim(near, &dirty);
      }
      if (entry) {
        missing = sectors & ~entry->valid;
        for (unsigned s = 0; s < 4; ++s) {
          if (!(sectors & entry->valid & 1u << s)) continue;
          ++result_.l1_hits;
          done = std::max(done, entry->ready[s]);
        }
      }
      if (!missing) continue;
      const int wanted = __builtin_popcount(missing);
      const Cycle sent = fill_.take(served, wanted);
      const Cycle back = memory_.read(line, missing, sent);
      if (entry) {
        entry->valid |= missing;
        for (unsigned s = 0; s < 4; ++s)
          if (missing >> s & 1) entry->ready[s] = back;
      }
      done = std::max(done, back);
    }
    word = last;
  }
  if (is_store) return served + 1;
  if (insn.kind == kAsyncCopy) warp.copies_until = std::max(warp.copies_until, done);
  return done;
}

// Writes and atomics wait in buffers of limited size; when these are full the unit waits too.
void Sm::hold_back(Cycle served) {
  lsu_exact_ = std::max(lsu_exact_, static_cast<double>(served - config_.write_buffer_cycles));
}

void Sm::release_barrier(int number, Cycle now) {
  ResidentBlock& block = blocks_[static_cast<std::size_t>(number)];
  block.arrived = 0;
  for (Scheduler& scheduler : schedulers_) {
    for (std::size_t index = 0; index < scheduler.warps.size(); ++index) {
      Warp& warp = scheduler.warps[index];
      if (!warp.live || warp.block != number || warp.state != kAtBarrier) continue;
      const Cycle open = std::max({now + 1, warp.since, block.barrier_seen});
      // Hardware counts the way through the unit as barrier too: docs/timing.md has the evidence.
      const Cycle through = open + config_.barrier_latency;
      charge(warp.pc, kBarrierStall, through - warp.since);
      plan(warp, through, through, false);
      warp.waits.board = kLongScoreboard;
      for (int board = 0; board < kBoards; ++board)
        if (launch_.insns[warp.pc].wait_mask >> board & 1 &&
            warp.board_free[board] >= warp.waits.ready)
          warp.waits.board = warp.board_long[board] ? kLongScoreboard : kShortScoreboard;
      make_ready(scheduler, static_cast<int>(index));
    }
  }
}

// Nobody can go on: open the barrier of the first block that waits at one.
bool Sm::open_barriers(Cycle now) {
  for (std::size_t number = 0; number < blocks_.size(); ++number) {
    if (blocks_[number].used && blocks_[number].arrived) {
      ++result_.forced_barriers;
      release_barrier(static_cast<int>(number), now);
      return true;
    }
  }
  return false;
}

void Sm::leave(Scheduler& scheduler, int index, Cycle now) {
  Warp& warp = scheduler.warps[static_cast<std::size_t>(index)];
  warp.live = false;
  warp.state = kEmpty;
  if (scheduler.last == index) scheduler.last = -1;
  --resident_;
  result_.warp_cycles += now - warp.start;
  last_leave_ = std::max(last_leave_, now);
  if (resident_ == 0) active_ += now - active_since_;
  ResidentBlock& block = blocks_[static_cast<std::size_t>(warp.block)];
  --block.warps_left;
  if (block.warps_left == 0) {
    block.used = false;
    ++free_blocks_;
    ++result_.blocks_done;
    freed_.push_back(now);
  } else if (block.arrived && block.arrived >= block.warps_left) {
    release_barrier(warp.block, now);
  }
}

Cycle Sm::active_cycles(Cycle until) const {
  return active_ + (resident_ ? std::max<Cycle>(0, until - active_since_) : 0);
}

void Sm::settle(Cycle until) {
  for (Scheduler& scheduler : schedulers_) {
    for (Warp& warp : scheduler.warps) {
      if (!warp.live) continue;
      result_.warp_cycles += std::max<Cycle>(0, until - warp.start);
      if (warp.state == kWaiting || warp.state == kLeaving) settle_waits(warp, until);
      if (warp.state == kCandidate)
        charge(warp.pc, static_cast<Reason>(warp.status), until - warp.since);
      if (warp.state == kAtBarrier) charge(warp.pc, kBarrierStall, until - warp.since);
    }
  }
}

}  // namespace kernprof
