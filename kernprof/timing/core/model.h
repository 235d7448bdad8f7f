// What Python hands to the timing core and gets back; kernprof/timing/native.py mirrors it.
#pragma once

#include <cstdint>

namespace kernprof {

using Cycle = std::int64_t;

enum Kind : std::uint8_t {
  kPlain = 0,      // result after a fixed or given latency
  kGlobalLoad,
  kGlobalStore,
  kLocalLoad,
  kLocalStore,
  kSharedLoad,
  kSharedStore,
  kGlobalAtomic,   // with or without a result
  kSharedAtomic,
  kBarrier,
  kBranch,
  kExit,
  kWaitCount,      // DEPBAR.LE: at most `count` operations of a scoreboard left
  kFence,
  kSleep,
  kAsyncCopy,      // global to shared memory (LDGSTS)
  kCopyGroup,      // binds the copies so far to a scoreboard (LDGDEPBAR)
};

enum Queue : std::uint8_t { kNoQueue = 0, kLocalGlobal, kSharedOrSpecial };

enum Reason : std::uint8_t {
  kSelected = 0,
  kNotSelected,
  kWait,
  kLongScoreboard,
  kShortScoreboard,
  kMathPipeThrottle,
  kLgThrottle,
  kMioThrottle,
  kBarrierStall,
  kBranchResolving,
  kNoInstruction,
  kImcMiss,
  kDrain,
  kMembar,
  kSleeping,
  kDispatchStall,
  kReasons,
};

constexpr int kBoards = 6;
constexpr int kPipes = 16;
constexpr int kBanks = 4;

struct Insn {
  std::uint8_t stall;
  std::uint8_t keep;
  std::uint8_t write_board;  // 0-5, or 7 for none
  std::uint8_t read_board;
  std::uint8_t wait_mask;
  std::uint8_t kind;
  std::uint8_t pipe;
  std::uint8_t queue;
  std::uint8_t bytes;         // of memory a lane
  std::uint8_t long_latency;  // its scoreboard counts as a long one
  std::uint8_t count_board;   // DEPBAR: which scoreboard, and how many may be left
  std::uint8_t count_left;
  std::uint8_t bypass_l1;
  std::uint8_t pad0;
  std::uint16_t latency;
  std::uint16_t interval;  // cycles its pipe is held
  std::uint16_t constant;  // 1 + number of the 64-byte constant line it reads, or 0
  std::uint8_t reads[kBanks];  // operands that come from each bank of the register file
};

struct Config {
  // Sizes.
  std::int64_t sm_count, schedulers, issue_width, blocks_per_sm, warps_per_block;
  std::int64_t blocks_traced, blocks_total;
  std::int64_t l1_bytes, l1_ways, l2_bytes, l2_ways, l1_loads, fetch_sectors;
  std::int64_t icache_lines, insn_bytes, insn_count, block_count, local_words;
  std::int64_t lg_queue, mio_queue, max_cycles, max_steps, caches, register_banks;
  // The kernel's code, its constants: in the SMs' caches from a launch before.
  std::int64_t code_there, constants_there;
  std::int64_t own_data;  // its arrays lie elsewhere than those of the launches before
  // Cycles.
  std::int64_t launch_latency, block_latency, round_cycles, warp_interval;
  std::int64_t shared_latency, l1_latency, l2_latency, dram_latency, atomic_latency;
  std::int64_t store_read_latency, barrier_latency, barrier_interval, branch_latency, fetch_latency,
      fetch_cold_latency, constant_latency, drain_latency, fence_latency, sleep_cycles,
      write_buffer_cycles, fetch_interval;
  // Rates: cycles an instruction, bytes or sectors a cycle.
  double write_through, lsu_interval, tag_lines, fill_sectors, store_sectors;
  double l2_sectors, dram_sectors, atomic_interval, block_interval;
};

struct Result {
  std::int64_t cycles;            // until the last block ended, or the trace did
  std::int64_t finished;          // 1: the whole launch was simulated
  std::int64_t issued;            // warp instructions
  std::int64_t issue_cycles;      // scheduler cycles with an issue
  std::int64_t warp_cycles;       // sum over warps of the cycles they were resident
  std::int64_t sm_active_cycles;  // sum over SMs of the cycles with a resident warp
  std::int64_t blocks_done;
  std::int64_t l1_sectors, l1_hits, l2_sectors, l2_hits, dram_read_sectors, dram_write_sectors;
  std::int64_t l2_read_sectors, l2_write_sectors;
  std::int64_t lsu_busy_cycles;   // sum over SMs
  std::int64_t atomic_work;     // cycles that the busiest address needs for its atomics
  std::int64_t atomic_lanes;
  std::int64_t forced_barriers, bad_words;
  std::int64_t samples;           // points in the progress arrays
  std::int64_t steps;             // decisions of schedulers, and the like
  std::int64_t problem;           // which field, instruction, ... a Status other than kFine is about
  std::int64_t pipe_busy[kPipes]; // sum over schedulers
};

// How many elements the arrays beside Config have.
struct Lengths {
  std::int64_t insns;    // also rows of the stall table
  std::int64_t blocks;   // of first and of size
  std::int64_t words;
  std::int64_t warps;    // of complete; starts has one more
  std::int64_t samples;  // of each progress array
};

// What kernprof_simulate returns.
enum Status : int {
  kFine = 0,
  kNoMemory,        // the machine here has not enough
  kBadField,        // a field of Config is out of its range, or contradicts the others
  kBadSize,         // an array has another length than Config says
  kBadInstruction,  // an instruction names a unit, queue or kind that there is not
  kBadBlock,        // a basic block lies outside of the code
  kBadWarp,         // a warp's words lie outside of the trace
  kBadWord,         // a word of the trace names a basic block that there is not
  kTooLarge,        // caches and code of all SMs would take more memory than kMostBytes
  kTooManySteps,    // max_steps were not enough
};

constexpr std::int64_t kMostBytes = std::int64_t{8} << 30;

}  // namespace kernprof
