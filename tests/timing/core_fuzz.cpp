// The timing core on machine descriptions and traces with something changed: whatever it is given,
// it answers with a status. Built with sanitizers, which end the program at the first fault.
//
//     core_fuzz VARIANTS [SEED]
//
// Every array is exactly as long as the core is told, on a heap block of its own.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "../../kernprof/timing/core/check.h"

namespace kernprof {
struct Kept;
}

using namespace kernprof;

extern "C" Kept* kernprof_keep();
extern "C" void kernprof_forget(Kept*);
extern "C" int kernprof_simulate(const Config*, const Lengths*, const Insn*, const std::int32_t*,
                                 const std::int32_t*, const std::uint32_t*, const std::int64_t*,
                                 const std::uint8_t*, std::int64_t*, std::int64_t*, std::int64_t*,
                                 Kept*, Result*);

namespace {

constexpr int kFields = sizeof(Config) / 8;
constexpr int kReals = 9;  // the last fields
constexpr std::int64_t kSteps = 200'000;  // a variant ends soon

using Random = std::mt19937_64;

std::int64_t between(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
}

struct Case {
  Config config{};
  std::vector<Insn> insns;
  std::vector<std::int32_t> first, size;
  std::vector<std::uint32_t> words;
  std::vector<std::int64_t> starts;
  std::vector<std::uint8_t> complete;
  std::int64_t samples = 64;
};

bool is_memory(const Insn& insn) {
  return (insn.kind >= kGlobalLoad && insn.kind <= kSharedAtomic) || insn.kind == kAsyncCopy;
}

Insn instruction(Random& random) {
  Insn insn{};
  insn.kind = static_cast<std::uint8_t>(between(random, kPlain, kCopyGroup));
  insn.stall = static_cast<std::uint8_t>(between(random, 0, 15));
  insn.keep = random() & 1;
  insn.write_board = static_cast<std::uint8_t>(between(random, 0, 7));
  insn.read_board = static_cast<std::uint8_t>(between(random, 0, 7));
  insn.wait_mask = static_cast<std::uint8_t>(random() & random() & 0x3F);
  insn.pipe = static_cast<std::uint8_t>(between(random, 0, kPipes - 1));
  insn.queue = static_cast<std::uint8_t>(between(random, 0, 2));
  if (is_memory(insn)) {
    const bool shared = insn.kind >= kSharedLoad && insn.kind <= kSharedStore;
    insn.queue = shared || insn.kind == kSharedAtomic ? kSharedOrSpecial : kLocalGlobal;
  }
  insn.long_latency = random() & 1;
  insn.count_board = static_cast<std::uint8_t>(between(random, 0, 7));
  insn.count_left = static_cast<std::uint8_t>(between(random, 0, 3));
  insn.bypass_l1 = random() & 1;
  insn.latency = static_cast<std::uint16_t>(between(random, 0, 40));
  insn.interval = static_cast<std::uint16_t>(between(random, 1, 16));
  insn.constant = static_cast<std::uint16_t>(random() & 1 ? between(random, 1, 2000) : 0);
  for (auto& reads : insn.reads) reads = static_cast<std::uint8_t>(between(random, 0, 3));
  return insn;
}

// A record of an access as the simulator writes it: a head, and its pieces.
void access(Random& random, const Insn& insn, std::uint32_t index, std::vector<std::uint32_t>& to) {
  std::uint32_t kind = kGlobalAccess;
  if (insn.kind == kLocalLoad || insn.kind == kLocalStore) kind = kLocalAccess;
  if (insn.kind >= kSharedLoad && insn.kind <= kSharedStore) kind = kSharedAccess;
  if (insn.kind == kSharedAtomic) kind = kSharedAccess;
  if (insn.kind == kGlobalAtomic) kind = kAtomicAccess;
  const auto lines = static_cast<std::uint32_t>(kind == kSharedAccess ? 0 : between(random, 1, 32));
  const std::uint32_t pieces = lines + (kind == kLocalAccess ? 0 : 1);
  to.push_back(kHead | kind << 28 | pieces << 20 | index);
  if (kind != kLocalAccess)
    to.push_back(static_cast<std::uint32_t>(between(random, 1, 32) << 16 | between(random, 1, 32)));
  for (std::uint32_t k = 0; k < lines; ++k)
    to.push_back(static_cast<std::uint32_t>(between(random, 0, 4096) << 4 | between(random, 1, 15)));
}

Case sound(Random& random) {
  Case made;
  Config& config = made.config;
  config.sm_count = between(random, 1, 3);
  config.schedulers = between(random, 1, 4);
  config.issue_width = between(random, 1, 2);
  const bool full = random() % 4 == 0;  // all warps that an SM can hold
  config.warps_per_block = full ? 32 : between(random, 1, 8);
  config.blocks_per_sm = full ? 2 * config.schedulers : between(random, 1, 4);
  config.blocks_traced = between(random, 1, 12);
  config.blocks_total = config.blocks_traced + between(random, 0, 3);
  config.l1_bytes = between(random, 0, 64) * 1024;
  config.l2_bytes = between(random, 0, 256) * 1024;
  config.l1_ways = between(random, 1, 4);
  config.l2_ways = between(random, 1, 16);
  config.l1_loads = random() & 1;
  config.fetch_sectors = between(random, 1, 2);
  config.icache_lines = between(random, 1, 64);
  config.insn_bytes = random() & 1 ? 16 : 8;
  config.local_words = between(random, 1, 64);
  config.lg_queue = between(random, 1, 16);
  config.mio_queue = between(random, 1, 16);
  config.max_cycles = 1'000'000;
  config.max_steps = kSteps;
  config.caches = random() % 8 != 0;
  config.register_banks = between(random, 1, kBanks);
  for (auto* latency :
       {&config.launch_latency, &config.block_latency, &config.round_cycles, &config.warp_interval,
        &config.shared_latency, &config.l1_latency, &config.l2_latency, &config.dram_latency,
        &config.atomic_latency, &config.store_read_latency, &config.barrier_latency,
        &config.barrier_interval, &config.branch_latency, &config.fetch_latency,
        &config.fetch_cold_latency, &config.constant_latency, &config.drain_latency,
        &config.fence_latency, &config.sleep_cycles, &config.write_buffer_cycles,
        &config.fetch_interval})
    *latency = between(random, 0, 500);
  config.write_through = static_cast<double>(random() % 3) / 2;
  for (auto* rate : {&config.lsu_interval, &config.tag_lines, &config.fill_sectors,
                     &config.store_sectors, &config.l2_sectors, &config.dram_sectors,
                     &config.atomic_interval, &config.block_interval})
    *rate = static_cast<double>(between(random, 1, 64)) / 8;

  const std::int64_t blocks = between(random, 1, 6);
  for (std::int64_t k = 0; k < blocks; ++k) {
    const std::int64_t length = between(random, 1, 12);
    made.first.push_back(static_cast<std::int32_t>(made.insns.size()));
    made.size.push_back(static_cast<std::int32_t>(length));
    for (std::int64_t n = 0; n < length; ++n) made.insns.push_back(instruction(random));
  }
  config.block_count = blocks;
  config.insn_count = static_cast<std::int64_t>(made.insns.size());
  made.starts.push_back(0);
  for (std::int64_t warp = 0; warp < config.blocks_traced * config.warps_per_block; ++warp) {
    for (std::int64_t entered = between(random, 0, 6); entered > 0; --entered) {
      const auto block = static_cast<std::size_t>(between(random, 0, blocks - 1));
      made.words.push_back(static_cast<std::uint32_t>(block));
      for (std::int32_t k = 0; k < made.size[block]; ++k) {
        const auto index = static_cast<std::uint32_t>(made.first[block] + k);
        if (!is_memory(made.insns[index])) continue;
        // A generic access writes a record for each memory that its lanes go to.
        for (std::int64_t records = between(random, 0, 2); records > 0; --records)
          access(random, made.insns[index], index, made.words);
      }
    }
    // A warp's trace may be cut anywhere, often in the last record.
    const std::int64_t mine = static_cast<std::int64_t>(made.words.size()) - made.starts.back();
    const bool cut = mine > 0 && random() % 3 == 0;
    if (cut) {
      const std::int64_t most = random() & 1 ? std::min<std::int64_t>(mine, 4) : mine;
      made.words.resize(made.words.size() - static_cast<std::size_t>(between(random, 0, most)));
    }
    made.starts.push_back(static_cast<std::int64_t>(made.words.size()));
    made.complete.push_back(!cut);
  }
  made.insns.shrink_to_fit();
  made.words.shrink_to_fit();
  made.starts.shrink_to_fit();
  return made;
}

// Numbers at and beyond the ends of what a field may be.
constexpr int kOdd = 13;

std::int64_t odd(int field, int which) {
  double low = 0, high = 0;
  range(field, &low, &high);
  if (field < kFields - kReals) {
    const std::int64_t wholes[kOdd] = {0, -1, 1, 2, std::int64_t{1} << 31, std::int64_t{1} << 62,
                                       std::numeric_limits<std::int64_t>::max(),
                                       std::numeric_limits<std::int64_t>::min(),
                                       static_cast<std::int64_t>(low),
                                       static_cast<std::int64_t>(high),
                                       static_cast<std::int64_t>(low) - 1,
                                       static_cast<std::int64_t>(high) + 1, 3};
    return wholes[which];
  }
  const double reals[kOdd] = {0.0, -0.0, -1.0, 1e300, 1e-300, low, high, low / 2, high * 2, 1.0,
                              std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity()};
  std::int64_t bits;
  std::memcpy(&bits, &reals[which], sizeof bits);
  return bits;
}

void set(Case& made, int field, std::int64_t bits) {
  std::memcpy(reinterpret_cast<char*>(&made.config) + 8 * field, &bits, sizeof bits);
}

template <typename T>
void spoil(Random& random, std::vector<T>& values) {
  if (values.empty()) return;
  T& one = values[random() % values.size()];
  switch (random() % 3) {
    case 0: one = static_cast<T>(random()); break;
    case 1: one = static_cast<T>(one + static_cast<T>(between(random, -2, 2))); break;
    default: one = static_cast<T>(one ^ (T{1} << (random() % (8 * sizeof(T) - 1))));
  }
}

void damage(Random& random, Case& made) {
  switch (random() % 8) {
    case 0:
    case 1: {
      const int field = static_cast<int>(random() % kFields);
      set(made, field, odd(field, static_cast<int>(random() % kOdd)));
      break;
    }
    case 2: {
      Insn& insn = made.insns[random() % made.insns.size()];
      std::uint8_t* named[] = {&insn.kind, &insn.pipe, &insn.queue};
      auto* bytes = reinterpret_cast<std::uint8_t*>(&insn);
      auto* at = random() & 1 ? named[random() % 3] : bytes + random() % sizeof(Insn);
      *at = static_cast<std::uint8_t>(random() & 1 ? random() : between(random, 0, 20));
      break;
    }
    case 3: spoil(random, made.first); break;
    case 4: spoil(random, made.size); break;
    case 5: spoil(random, made.starts); break;
    case 6: spoil(random, made.words); break;
    default:  // an array of another length
      switch (random() % 5) {
        case 0: made.words.resize(made.words.size() / 2); made.words.shrink_to_fit(); break;
        case 1: made.insns.pop_back(); made.insns.shrink_to_fit(); break;
        case 2: made.complete.pop_back(); made.starts.pop_back(); break;
        case 3: made.samples = between(random, -1, 4); break;
        default: made.first.pop_back(); made.size.pop_back(); break;
      }
  }
}

Status run(const Case& made, Result* result, Kept* kept = nullptr) {
  Config config = made.config;
  // A number that the core would take is made small enough for a test.
  if (config.max_steps > kSteps && config.max_steps <= std::int64_t{1} << 40)
    config.max_steps = kSteps;
  const Lengths lengths{static_cast<std::int64_t>(made.insns.size()),
                        static_cast<std::int64_t>(made.first.size()),
                        static_cast<std::int64_t>(made.words.size()),
                        static_cast<std::int64_t>(made.complete.size()), made.samples};
  std::vector<std::int64_t> stalls(made.insns.size() * kReasons);
  const auto room = static_cast<std::size_t>(std::max<std::int64_t>(made.samples, 0));
  std::vector<std::int64_t> cycles(room), issued(room);
  return static_cast<Status>(kernprof_simulate(
      &config, &lengths, made.insns.data(), made.first.data(), made.size.data(), made.words.data(),
      made.starts.data(), made.complete.data(), stalls.data(), cycles.data(), issued.data(),
      kept, result));
}

// Code so long that the caches of many SMs for it would fill the machine's memory.
Case enormous() {
  Random random(1);
  Case made = sound(random);
  made.insns.resize(1 << 20);
  made.config.insn_count = 1 << 20;
  made.config.insn_bytes = 64;
  made.config.sm_count = 1024;
  return made;
}

// More warps on a scheduler than it has bits for.
Case crowded() {
  Random random(2);
  Case made = sound(random);
  made.config.schedulers = made.config.sm_count = 1;
  made.config.warps_per_block = 32;
  made.config.blocks_per_sm = made.config.blocks_traced = made.config.blocks_total = 3;
  const std::int64_t warps = 3 * 32;
  made.words.assign(static_cast<std::size_t>(warps), 0);
  made.complete.assign(static_cast<std::size_t>(warps), 1);
  made.starts.clear();
  for (std::int64_t warp = 0; warp <= warps; ++warp) made.starts.push_back(warp);
  return made;
}

}  // namespace

int main(int count, char** given) {
  const long variants = count > 1 ? std::atol(given[1]) : 2000;
  const unsigned long seed = count > 2 ? std::strtoul(given[2], nullptr, 10) : 1;
  long seen[kTooManySteps + 1] = {};
  Result result{};
  if (run(enormous(), &result) != kTooLarge || run(crowded(), &result) != kBadField) {
    std::printf("a launch that is too large is not refused\n");
    return 1;
  }
  Kept* kept = kernprof_keep();
  for (long number = 0; number < variants; ++number) {
    Random random(seed * 1'000'003 + static_cast<unsigned long>(number));
    Case made = sound(random);
    // Of ten, one stays as it is and must run; four have one field changed, each in its turn.
    const bool whole = number % 10 == 0;
    if (number % 10 > 5) {
      const long turn = number / 10 * 4 + number % 10 - 6;
      const int field = static_cast<int>(turn % kFields);
      set(made, field, odd(field, static_cast<int>(turn / kFields % kOdd)));
    } else if (!whole) {
      for (std::int64_t left = between(random, 1, 3); left > 0; --left) damage(random, made);
    }
    // Every third finds what launches before it left in the caches.
    const Status status = run(made, &result, number % 3 == 0 ? kept : nullptr);
    if (status < kFine || status > kTooManySteps || (whole && status != kFine) ||
        (status == kFine && (result.cycles < 0 || result.issued < 0))) {
      std::printf("variant %ld of seed %lu: status %d, problem %lld\n", number, seed, status,
                  static_cast<long long>(result.problem));
      return 1;
    }
    ++seen[status];
  }
  kernprof_forget(kept);
  const char* names[] = {"ran",          "no memory",   "bad field", "bad size", "bad instruction",
                         "bad block",    "bad warp",    "bad word",  "too large",
                         "too many steps"};
  std::printf("%ld variants:", variants);
  for (int status = 0; status <= kTooManySteps; ++status)
    std::printf(" %s %ld%s", names[status], seen[status], status < kTooManySteps ? "," : "\n");
  for (int status = 0; status <= kTooManySteps; ++status)
    if (variants >= 1000 && !seen[status] && status != kNoMemory && status != kTooLarge) {
      std::printf("no variant ends with: %s\n", names[status]);
      return 1;
    }
  return 0;
}
