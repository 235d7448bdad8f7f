// Things that serve requests at a limited rate, and caches.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "model.h"

namespace kernprof {

// Memory that is zero without being written: of the tables here, hundreds of megabytes for a large
// GPU, a launch touches a small part, and the system brings no page before it is touched. For types
// whose fresh value is all zeros and that need no destructor.
template <class T>
struct ZeroPages {
  using value_type = T;
  static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copyable_v<T>);

  ZeroPages() = default;
  template <class U>
  ZeroPages(const ZeroPages<U>&) {}  // NOLINT: allocators convert

  T* allocate(std::size_t count) {
    void* place = std::calloc(count, sizeof(T));
    if (!place) throw std::bad_alloc();
    return static_cast<T*>(place);
  }
  void deallocate(T* place, std::size_t) { std::free(place); }
  // Only the memory that calloc has just given is made into fresh values: vectors here never grow.
  template <class U>
  void construct(U*) {}
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
  }
  bool operator==(const ZeroPages&) const { return true; }
  bool operator!=(const ZeroPages&) const { return false; }
};

// A server of limited rate whose requests may come a little out of order: time is cut into bins
// that each hold so much work, and a request takes what is free from its arrival on.
class Rate {
 public:
  // `steps` counts the bins that are looked at: a long backlog costs time here too.
  Rate(double per_cycle, std::int64_t& steps)
      : capacity_(per_cycle * kBin), bins_(kBins), steps_(steps) {}

  // Returns the cycle at which the last of `amount` is served.
  Cycle take(Cycle arrival, double amount) {
    std::int64_t number = arrival / kBin;
    double end = 0;
    while (true) {
      number = first_with_room(number);
      Bin& bin = at(number);
      const double used = std::min(amount, capacity_ - bin.used);
      bin.used += used;
      amount -= used;
      end = static_cast<double>(number * kBin) + kBin * bin.used / capacity_;
      if (bin.used >= capacity_ - kSmall) bin.next = number + 1;
      if (amount <= kSmall) break;
      ++steps_;
    }
    return std::max(arrival, static_cast<Cycle>(end));
  }

 private:
  // All zeros is bin 0 when it is empty; in any other place, one that is older than what is asked
  // for there.
  struct Bin {
    std::int64_t number = 0;
    std::int64_t next = 0;  // where to look on, once it is full
    double used = 0;
  };
  static constexpr int kBin = 8;
  static constexpr std::size_t kBins = 1 << 15;
  static constexpr double kSmall = 1e-9;

 public:
  static constexpr std::int64_t kBytes = kBins * sizeof(Bin);

 private:

  Bin& at(std::int64_t number) {
    Bin& bin = bins_[static_cast<std::size_t>(number) & (kBins - 1)];
    if (bin.number < number) bin = Bin{number, number, 0};
    return bin;
  }

  // Follows the chain of full bins and shortens it, so that a long backlog costs nothing.
  std::int64_t first_with_room(std::int64_t number) {
    std::int64_t last = number;
    while (true) {
      const Bin& bin = at(last);
      if (bin.number == last && bin.next == last) break;
      last = bin.number == last ? bin.next : last + 1;
      ++steps_;
    }
    for (std::int64_t here = number; here != last;) {
      Bin& bin = at(here);
      const std::int64_t next = bin.number == here ? bin.next : here + 1;
      if (bin.number == here) bin.next = last;
      here = next;
    }
    return last;
  }

  double capacity_;
  std::vector<Bin, ZeroPages<Bin>> bins_;
  std::int64_t& steps_;
};

// A sectored set-associative cache with least-recently-used replacement. A sector that is being
// fetched is there, and ready at its fill time.
class Cache {
 public:
  struct Line {
    std::uint32_t tag = 0;
    std::uint8_t valid = 0;
    std::uint8_t dirty = 0;
    std::uint32_t used = 0;
    Cycle ready[4] = {0, 0, 0, 0};
  };

  Cache() = default;
  Cache(std::int64_t bytes, std::int64_t ways) {
    const std::int64_t lines = bytes / 128;
    if (lines < 1) return;
    ways_ = static_cast<std::uint32_t>(std::min(ways, lines));
    sets_ = static_cast<std::uint32_t>(lines / ways_);
    lines_.resize(static_cast<std::size_t>(sets_) * ways_);
  }

  Line* find(std::uint32_t tag) {
    if (!sets_) return nullptr;
    Line* set = set_of(tag);
    for (std::uint32_t way = 0; way < ways_; ++way) {
      if (set[way].valid && set[way].tag == tag) {
        set[way].used = ++clock_;
        return set + way;
      }
    }
    return nullptr;
  }

  // What was being fetched has come: the cache as the next launch finds it.
  void rest() {
    for (Line& line : lines_)
      for (Cycle& ready : line.ready) ready = 0;
  }

  // The line for a tag; when it is a new one, `evicted_dirty` tells the sectors to write back.
  Line* claim(std::uint32_t tag, int* evicted_dirty) {
    *evicted_dirty = 0;
    if (!sets_) return nullptr;
    if (Line* there = find(tag)) return there;
    Line* set = set_of(tag);
    Line* victim = set;
    for (std::uint32_t way = 0; way < ways_; ++way) {
      if (!set[way].valid) {
        victim = set + way;
        break;
      }
      if (set[way].used < victim->used) victim = set + way;
    }
    *evicted_dirty = __builtin_popcount(victim->valid ? victim->dirty : 0);
    *victim = Line{};
    victim->tag = tag;
    victim->used = ++clock_;
    return victim;
  }

 private:
  Line* set_of(std::uint32_t tag) {
    const std::uint32_t hashed = (tag ^ (tag >> 7) ^ (tag >> 15)) * 0x9E3779B1u;
    const std::uint64_t index = (static_cast<std::uint64_t>(hashed) * sets_) >> 32;
    return lines_.data() + index * ways_;
  }
  std::uint32_t ways_ = 0, sets_ = 0, clock_ = 0;
  std::vector<Line, ZeroPages<Line>> lines_;
};

// Places of a queue: a request needs one that has been left.
class Places {
 public:
  explicit Places(std::int64_t count = 1) : leave_(static_cast<std::size_t>(std::max<std::int64_t>(1, count)), 0) {}
  Cycle free_at() const { return leave_[next_]; }
  void enter(Cycle leaves) {
    leave_[next_] = leaves;
    next_ = next_ + 1 == leave_.size() ? 0 : next_ + 1;
  }

 private:
  std::vector<Cycle> leave_;
  std::size_t next_ = 0;
};

}  // namespace kernprof
