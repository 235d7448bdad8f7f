// One SM: its schedulers, warps, first-level cache and queues.
#pragma once

#include <limits>
#include <vector>

#include "memory.h"
#include "model.h"
#include "resources.h"

namespace kernprof {

constexpr Cycle kNever = std::numeric_limits<Cycle>::max() / 4;
constexpr std::uint32_t kHead = 1u << 31;
constexpr std::uint32_t kLocalTag = 1u << 31;
enum Access { kGlobalAccess = 0, kSharedAccess = 1, kLocalAccess = 2, kAtomicAccess = 3 };

// The launch and its trace.
struct Launch {
  const Insn* insns;
  const std::int32_t* block_first;
  const std::int32_t* block_size;
  const std::uint32_t* words;
  const std::int64_t* starts;  // warps + 1 of them
  const std::uint8_t* complete;
};

// Thrown where a launch takes more than Config::max_steps.
struct TooManySteps {};

// Everything a warp waits for between two instructions, as times that rise.
struct Waits {
  Cycle from = 0;  // it became this instruction's turn
  Cycle stalled = 0, branched = 0, fetched = 0, constant = 0, ready = 0;
  Reason board = kLongScoreboard;
};

struct Warp {
  const std::uint32_t* at = nullptr;
  const std::uint32_t* end = nullptr;
  std::int32_t pc = -1, stop = 0;
  std::int32_t block = 0;  // place of its block on the SM
  std::uint32_t slot = 0;  // number among the SM's warps, for local memory
  Cycle issued = 0;  // when it issued last
  std::uint32_t block_age = 0;
  bool complete = true;
  bool live = false;
  std::uint8_t state = 0;  // see State
  std::uint8_t status = kNotSelected;
  Cycle since = 0;
  Cycle start = 0;
  Waits waits;
  Cycle board_free[kBoards] = {};
  bool board_long[kBoards] = {};
  std::vector<Cycle> copies;  // completion of the last LDGSTS groups, for DEPBAR's scoreboard
  Cycle copies_until = 0;
  Cycle stores_until = 0;
};

enum State : std::uint8_t { kEmpty = 0, kWaiting, kCandidate, kAtBarrier, kLeaving };

struct Scheduler {
  std::vector<Warp> warps;
  std::uint64_t waiting = 0, candidates = 0;
  Cycle next_ready = kNever;
  Cycle next_event = kNever;
  int last = -1;
  Cycle pipe_free[kPipes] = {};
  Cycle bank_free[kBanks] = {};  // register file: when each bank's port is free
  Places lg, mio;
};

struct ResidentBlock {
  bool used = false;
  int warps_left = 0;
  int arrived = 0;
  Cycle barrier_seen = 0;  // when the barrier unit has taken its last arrival
};

class Sm {
 public:
  Sm(int number, const Config& config, const Launch& launch, SharedMemorySystem& memory,
     Result& result, std::int64_t* stalls);

  int free_blocks() const { return free_blocks_; }
  void place(std::int64_t block, Cycle when);
  void run(Cycle until);
  Cycle next_event() const;
  Cycle last_leave() const { return last_leave_; }
  Cycle active_cycles(Cycle until) const;
  void settle(Cycle until);  // charges what is still open when the simulation stops early
  bool idle() const { return resident_ == 0; }
  std::int64_t dry() const { return dry_; }
  bool open_barriers(Cycle now);
  Cycle take_freed() {  // a block that left since the last call: when, or kNever
    if (freed_.empty()) return kNever;
    const Cycle when = freed_.back();
    freed_.pop_back();
    return when;
  }
  int resident_warps() const { return resident_; }

 private:
  void step(Scheduler& scheduler, Cycle now);
  void issue(Scheduler& scheduler, int index, Cycle now);
  bool advance(Warp& warp);
  void plan(Warp& warp, Cycle from, Cycle earliest, bool branched);
  void settle_waits(Warp& warp, Cycle until);
  void charge(std::int32_t pc, Reason reason, Cycle cycles);
  Cycle perform(Scheduler& scheduler, Warp& warp, const Insn& insn, Cycle now, Cycle* read_done);
  Cycle load_store(Scheduler& scheduler, Warp& warp, const Insn& insn, Cycle now,
                   Cycle* read_done);
  void hold_back(Cycle served);
  void release_barrier(int block, Cycle now);
  void leave(Scheduler& scheduler, int index, Cycle now);
  Cycle fetch(Scheduler& scheduler, std::int32_t pc, Cycle when);
  void make_ready(Scheduler& scheduler, int index);
  bool blocked(const Scheduler& scheduler, const Insn& insn, Cycle now, Reason* why,
               Cycle* until) const;

  const Config& config_;
  const Launch& launch_;
  SharedMemorySystem& memory_;
  Result& result_;
  std::int64_t* stalls_;
  int number_;
  std::vector<Scheduler> schedulers_;
  std::vector<ResidentBlock> blocks_;
  std::vector<Cycle> freed_;
  Cache l1_;
  Rate fill_, store_;
  double lsu_exact_ = 0;  // when the load/store unit is free, with its fractions of cycles
  std::vector<Cycle> code_ready_;      // by 128-byte line of code: when the SM has it
  std::vector<std::uint32_t> near_;    // by scheduler and line: last use, for the nearest cache
  std::vector<Cycle> constant_ready_;  // by constant line
  std::uint32_t near_clock_ = 0;
  int code_lines_ = 0;
  int free_blocks_;
  int resident_ = 0;
  std::uint32_t ages_ = 0;
  Cycle last_leave_ = 0, active_since_ = 0, active_ = 0;
  Cycle barrier_free_ = 0;
  Cycle next_launch_ = 0;
  std::int64_t dry_ = 0;
};

}  // namespace kernprof
