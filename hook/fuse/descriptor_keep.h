// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of files that have no name any more, but are open; or other names than the one by
// which they were known: nothing can find those again. They lie in the queue of a pair of sockets,
// both ends of which the service manager holds: so the manager gets one message a mount, and none
// because of what a container does. Thread-safe.
#ifndef ACTIONDFS_HOOK_FUSE_DESCRIPTOR_KEEP_H_
#define ACTIONDFS_HOOK_FUSE_DESCRIPTOR_KEEP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "hook/base/result.h"
#include "hook/base/unique_fd.h"

namespace actiondfs::fuse {

class DescriptorKeep {
 public:
  // What a queue of sockets takes by default, with room for what is being moved.
  static constexpr size_t kMax = 256;

  static Result<std::unique_ptr<DescriptorKeep>> Make();
  // With what an earlier process put in.
  static Result<std::unique_ptr<DescriptorKeep>> Adopt(UniqueFd one, UniqueFd other);
  DescriptorKeep(const DescriptorKeep&) = delete;
  DescriptorKeep& operator=(const DescriptorKeep&) = delete;

  // Copies what is open there; an id has one. False: there is no room.
  bool Put(uint32_t id, int fd);
  // Lets go of it at once: in the queue it would hold the file's space.
  void Drop(uint32_t id);
  // What is there, by id; for the one who adopts, once. It stays in the queue too.
  std::map<uint32_t, UniqueFd> Take();

  int one() const { return one_.get(); }
  int other() const { return other_.get(); }

 private:
  DescriptorKeep(UniqueFd one, UniqueFd other) : one_(std::move(one)), other_(std::move(other)) {}
  // An id may come again, when its node has gone: the serial number tells the newer one.
  struct Entry {
    uint32_t id;  // 0: the mark of a turn
    uint32_t unused;
    uint64_t serial;
  };
  static Result<Entry> Receive(int socket, int flags, UniqueFd& fd);
  static Status Send(int socket, const Entry& entry, int fd);
  // Once round the queue: what `keep` says no to is left out. At no time is what stays only in this
  // process.
  Status Turn(const std::function<bool(const Entry&, UniqueFd&)>& keep);
  // What is dropped leaves the queue. Where that fails it stays, for the next time.
  void Sweep() noexcept;

  const UniqueFd one_;    // is written to
  const UniqueFd other_;  // has the queue
  std::mutex mutex_;
  std::map<uint32_t, uint64_t> live_;  // mutex_; serial numbers
  uint64_t serial_ = 0;                // mutex_
  size_t queued_ = 0;                  // mutex_
};

}  // namespace actiondfs::fuse

#endif  // ACTIONDFS_HOOK_FUSE_DESCRIPTOR_KEEP_H_
