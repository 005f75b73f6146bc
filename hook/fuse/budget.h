// SPDX-License-Identifier: Apache-2.0
//
// What mounts may hold of the server's memory and descriptors, so that none takes what another
// needs. Each mount always has its share; beyond it, a mount may hold as much as is still left for
// all: one greedy mount gets half of the pool, two a third each, and whoever comes later finds
// something. What a container asks for beyond that fails for that container alone. Thread-safe; two
// that take at once may both be let in, or both refused, at the very edge.
#ifndef ACTIONDFS_HOOK_FUSE_BUDGET_H_
#define ACTIONDFS_HOOK_FUSE_BUDGET_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace actiondfs::fuse {

enum class Resource : uint8_t {
  kNodes,        // what the kernel knows by a node id
  kBytes,        // Directories that nodes hold, listings of open directory streams, open handles
  kDescriptors,  // of files that are not passed through, and of what was removed while in use
};
inline constexpr size_t kResources = 3;
inline constexpr std::array<const char*, kResources> kResourceNames = {"nodes", "bytes",
                                                                       "descriptors"};

struct Limit {
  size_t share = 0;  // every mount's own
  size_t pool = 0;   // of all mounts together, beyond which there are only shares
};
using Limits = std::array<Limit, kResources>;

// Some 150 bytes a node. The pool of descriptors is the server's own to know (RLIMIT_NOFILE).
inline constexpr Limits kDefaultLimits = {{
    {.share = size_t{128} << 10, .pool = size_t{4} << 20},
    {.share = size_t{128} << 20, .pool = size_t{2} << 30},
    {.share = 64, .pool = 1024},
}};

// Of the whole server; outlives the budgets of its mounts.
class Pool {
 public:
  explicit Pool(const Limits& limits = kDefaultLimits) : limits_(limits) {}

  size_t used(Resource resource) const { return used_[Index(resource)]; }
  const Limit& limit(Resource resource) const { return limits_[Index(resource)]; }

 private:
  friend class Budget;
  static size_t Index(Resource resource) { return static_cast<size_t>(resource); }

  const Limits limits_;
  std::array<std::atomic<size_t>, kResources> used_ = {};
};

// Of one mount.
class Budget {
 public:
  explicit Budget(Pool& pool) : pool_(pool) {}
  ~Budget();  // gives back what is left
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // How many more there may be.
  size_t Room(Resource resource) const;
  bool HasRoom(Resource resource, size_t count = 1) const { return count <= Room(resource); }
  // Counts them where there is room for them.
  bool Take(Resource resource, size_t count);
  // Counts them in any case: HasRoom was asked before there was anything to undo.
  void Add(Resource resource, size_t count);
  void Give(Resource resource, size_t count);

  size_t used(Resource resource) const { return used_[Pool::Index(resource)]; }
  size_t share(Resource resource) const { return pool_.limit(resource).share; }

 private:
  Pool& pool_;
  std::array<std::atomic<size_t>, kResources> used_ = {};
};

// Something taken, given back at the end. Whoever has one has it alone.
class Claim {
 public:
  Claim() = default;
  Claim(Claim&& other) noexcept { *this = std::move(other); }
  Claim& operator=(Claim&& other) noexcept;
  ~Claim() { Release(); }

  // Another amount than before; false, and nothing held: there is no room.
  bool Take(Budget& budget, Resource resource, size_t count);
  // So much more of the same; false, and all that was held still is: there is no room.
  bool TakeMore(size_t count);
  // As Take, in any case.
  void Add(Budget& budget, Resource resource, size_t count);
  void Release();

 private:
  Budget* budget_ = nullptr;
  Resource resource_ = Resource::kNodes;
  size_t count_ = 0;
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_BUDGET_H_
