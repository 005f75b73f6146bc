// SPDX-License-Identifier: Apache-2.0
//
// The names that open directory streams go through, in memory that outlives the process
// (KeptState): a stream that is read in several steps has to go on where it was. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_STREAM_RECORDS_H_
#define ACTIONDFS_HOOK_FUSE_STREAM_RECORDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "hook/fuse/stage.h"

namespace actiondfs::fuse {

// All of it zero: free.
struct StreamRecord {
  std::atomic<uint64_t> fh;      // what the kernel holds
  std::atomic<uint64_t> extent;  // in the arena: first unit << 32 | bytes
};

class StreamRecords {
 public:
  static constexpr size_t kMaxStreams = 4096;
  static constexpr size_t kArenaSize = size_t{256} << 20;

  // Borrowed, with the sizes above. What they have from an earlier process stays.
  StreamRecords(StreamRecord* records, char* arena);

  // From now on the stream `fh` has these names. Where there is no room, it will have none in a
  // later process, and is read there as if it had begun then.
  void Write(uint64_t fh, const std::vector<stage::Listed>& names);
  void Free(uint64_t fh);

  struct Stream {
    uint64_t fh = 0;
    std::vector<stage::Listed> names;
  };
  // What an earlier process has left.
  std::vector<Stream> Read() const;

 private:
  StreamRecord* Find(uint64_t fh);
  uint64_t Allocate(size_t size);  // the extent; 0: no room
  void Release(uint64_t extent);

  StreamRecord* const records_;
  char* const arena_;
  std::mutex mutex_;
  std::map<uint32_t, uint32_t> free_;  // mutex_; units by the first
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_STREAM_RECORDS_H_
