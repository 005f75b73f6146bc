// SPDX-License-Identifier: Apache-2.0
//
// One mutex, held for look-ups and for bookkeeping only: never while a blob is read or parsed, so
// two threads may load one Directory at once; the first to come back keeps its own, the other takes
// that.
#include "hook/tree/directory_cache.h"

#include <cerrno>
#include <iterator>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

#include "hook/base/mutex.h"
#include "kernel/uapi/actiondfs.h"

namespace actiondfs::tree {
namespace {

// The map's node, the list's node and the pointer's control block, roughly; so that a cache of
// empty Directories is bounded too.
constexpr size_t kOverheadPerEntry = 256;

static_assert(kMaxDirectorySize == ACTIONDFS_DIRECTORY_SIZE_MAX);

// A blob that is not what its digest says is broken, whatever the store calls it: an action that
// got ENOENT would go on to the next include path.
int ErrnoFor(int code) {
  switch (code) {
    case EFBIG:
      return EUCLEAN;
    case EUCLEAN:
    case EOPNOTSUPP:
    case ENOMEM:
      return code;
    default:
      return EIO;
  }
}

}  // namespace

Result<std::shared_ptr<const Directory>> LoadDirectory(const cas::BlobStore& store,
                                                       const cas::Digest& digest) {
  Result<std::string> blob = store.ReadBlob(digest, kMaxDirectorySize);
  if (!blob.has_value()) {
    const Error& error = blob.error();
    const int code = ErrnoFor(error.code());
    // The store names the digest. Its own errno is told where it is another.
    return MakeError(code,
                     "read Directory: " + (code == error.code() ? error.what() : error.ToString()));
  }
  Result<std::shared_ptr<const Directory>> directory = Directory::Parse(std::move(blob).value());
  if (!directory.has_value()) return Wrap(std::move(directory).error(), digest.ToString());
  return directory;
}

struct DirectoryCache::Impl {
  struct Slot {
    cas::Digest digest;
    std::shared_ptr<const Directory> directory;
    size_t cost = 0;
  };
  using Slots = std::list<Slot>;  // the most recently used first

  explicit Impl(size_t limit) : max_bytes(limit) {}

  std::shared_ptr<const Directory> Lookup(const cas::Digest& digest) ACTIONDFS_EXCLUDES(mutex);
  std::shared_ptr<const Directory> Insert(const cas::Digest& digest,
                                          std::shared_ptr<const Directory> directory)
      ACTIONDFS_EXCLUDES(mutex);
  void Evict(Slots& evicted) ACTIONDFS_REQUIRES(mutex);

  const size_t max_bytes;
  mutable Mutex mutex;
  Slots slots ACTIONDFS_GUARDED_BY(mutex);
  std::unordered_map<cas::Digest, Slots::iterator, cas::DigestHasher> by_digest
      ACTIONDFS_GUARDED_BY(mutex);
  Counters counters ACTIONDFS_GUARDED_BY(mutex);
};

std::shared_ptr<const Directory> DirectoryCache::Impl::Lookup(const cas::Digest& digest) {
  const MutexLock lock(mutex);
  ++counters.requests;
  const auto found = by_digest.find(digest);
  if (found == by_digest.end()) {
    ++counters.misses;
    return nullptr;
  }
  ++counters.hits;
  slots.splice(slots.begin(), slots, found->second);
  return found->second->directory;
}

std::shared_ptr<const Directory> DirectoryCache::Impl::Insert(
    const cas::Digest& digest, std::shared_ptr<const Directory> directory) {
  Slots evicted;  // destroyed after the lock is released
  const MutexLock lock(mutex);
  ++counters.blobs_read;
  counters.blob_bytes_read += static_cast<uint64_t>(digest.size);
  const auto found = by_digest.find(digest);
  if (found != by_digest.end()) {
    ++counters.races;
    slots.splice(slots.begin(), slots, found->second);
    return found->second->directory;
  }
  const size_t cost = directory->MemoryUse() + kOverheadPerEntry;
  if (cost > max_bytes) return directory;  // would evict all others, and not fit
  slots.push_front({digest, directory, cost});
  by_digest.emplace(digest, slots.begin());
  counters.bytes += cost;
  ++counters.entries;
  Evict(evicted);
  return directory;
}

void DirectoryCache::Impl::Evict(Slots& evicted) {
  while (counters.bytes > max_bytes) {
    const auto last = std::prev(slots.end());
    counters.bytes -= last->cost;
    --counters.entries;
    ++counters.evictions;
    by_digest.erase(last->digest);
    evicted.splice(evicted.begin(), slots, last);
  }
}

DirectoryCache::DirectoryCache(size_t max_bytes) : impl_(std::make_unique<Impl>(max_bytes)) {}
DirectoryCache::~DirectoryCache() = default;

Result<std::shared_ptr<const Directory>> DirectoryCache::Get(const cas::BlobStore& store,
                                                             const cas::Digest& digest) {
  if (std::shared_ptr<const Directory> cached = impl_->Lookup(digest)) return cached;
  ASSIGN_OR_RETURN(std::shared_ptr<const Directory> loaded, LoadDirectory(store, digest));
  return impl_->Insert(digest, std::move(loaded));
}

DirectoryCache::Counters DirectoryCache::counters() const {
  const MutexLock lock(impl_->mutex);
  return impl_->counters;
}

}  // namespace actiondfs::tree
