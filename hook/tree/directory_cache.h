// SPDX-License-Identifier: Apache-2.0
//
// Parsed Directories by digest, shared by all mounts of a process. Each is read, hashed and parsed
// when it enters, and only then: that is what makes one cache safe for stores that do not trust
// each other. Bounded in bytes; the least recently used goes first (who still holds its shared_ptr
// keeps it). Thread-safe.
#ifndef ACTIONDFS_HOOK_TREE_DIRECTORY_CACHE_H_
#define ACTIONDFS_HOOK_TREE_DIRECTORY_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "hook/cas/blob_store.h"
#include "hook/tree/directory.h"

namespace actiondfs::tree {

// The largest Directory that is read (design 3.4).
inline constexpr size_t kMaxDirectorySize = size_t{64} << 20;

class DirectoryCache {
 public:
  explicit DirectoryCache(size_t max_bytes);
  ~DirectoryCache();
  DirectoryCache(const DirectoryCache&) = delete;
  DirectoryCache& operator=(const DirectoryCache&) = delete;

  // From the cache, or from `store`. EIO: missing, unreadable or of another size; EUCLEAN: another
  // hash, over kMaxDirectorySize, or refused by the parser. The message has the digest. Nothing is
  // cached on failure.
  Result<std::shared_ptr<const Directory>> Get(const cas::BlobStore& store,
                                               const cas::Digest& digest);

  struct Counters {
    uint64_t requests = 0, hits = 0, misses = 0, races = 0, evictions = 0;
    uint64_t blobs_read = 0, blob_bytes_read = 0;
    uint64_t entries = 0, bytes = 0;  // what it holds now
  };
  Counters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Without a cache: reads, checks and parses one Directory. Errors as DirectoryCache::Get.
Result<std::shared_ptr<const Directory>> LoadDirectory(const cas::BlobStore& store,
                                                       const cas::Digest& digest);

}  // namespace actiondfs::tree

#endif  // ACTIONDFS_HOOK_TREE_DIRECTORY_CACHE_H_
